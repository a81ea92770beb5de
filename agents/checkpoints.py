"""Runs that can be killed: a folder that stays until the run is complete, and how a run goes on from it.

A run that saves checkpoints works in `.NAME.unfinished` beside its final place. A kill leaves it there with the last
whole checkpoint; `--resume` with the same options takes it up again: files that were appended to are cut back to where
they were when the checkpoint was made, and the finished run is the same as an unbroken one. On several processes
(`accelerate launch`) the first one keeps the folder and the others wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.processes import processes
from agents.settings import check_out, write_json
from index.errors import ModelError

OPTIONS = "options.json"
TRAINER = "trainer"
APPENDED = ("log.jsonl", "trajectories.jsonl")
STATE = "gog.json"


def sizes(folder: Path) -> dict[str, int]:
    """How long the files are that a run appends to."""
    return {name: (folder / name).stat().st_size if (folder / name).exists() else 0 for name in APPENDED}


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run's folder, None where there is none."""
    found = [one for one in (folder / TRAINER).glob("checkpoint-*") if (one / STATE).is_file()]
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path | None) -> int:
    """The step that a checkpoint was made at; 0 where there is none.

    >>> step_of(Path("trainer/checkpoint-40")), step_of(None)
    (40, 0)
    """
    return int(checkpoint.name.split("-")[1]) if checkpoint else 0


def state_of(checkpoint: Path) -> dict[str, Any]:
    """What the run itself kept in a checkpoint."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))


@contextlib.contextmanager
def unfinished_folder(
    out: str | Path, options: Mapping[str, Any], force: bool = False, resume: bool = False
) -> Iterator[tuple[Path, Path | None]]:
    """A folder to write a run into, renamed to its final name when the block ends without an error.

    Args:
        out: where the run is to appear.
        options: how it was started, ready for JSON; a resumed run must have been started alike.
        force: an earlier run, finished or not, may be replaced.
        resume: go on with the unfinished run.

    Yields:
        The folder, and the checkpoint to go on from (None at the beginning).

    Raises:
        ModelError: `out` cannot be written, there is nothing to resume, the options differ, or an unfinished run is in
            the way.
    """
    final = check_out(out, force)
    folder = final.with_name(f".{final.name}.unfinished")
    first, barrier = processes()
    checkpoint = last_checkpoint(folder)
    if resume:
        _same(folder, options, checkpoint, out)
    elif checkpoint is not None and not force:
        raise ModelError(
            f"an unfinished run of {out} is there, with {checkpoint.name}: "
            "go on with --resume, or begin again with --force"
        )
    barrier()  # all have looked before the first one changes anything
    if first:
        if resume:
            assert checkpoint is not None
            for name, size in state_of(checkpoint)["sizes"].items():
                if (folder / name).exists():
                    os.truncate(folder / name, size)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(folder / OPTIONS, options)
    barrier()
    try:
        yield folder, checkpoint if resume else None
    except BaseException:
        if first and last_checkpoint(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)  # nothing to go on from
        raise
    barrier()
    if first:
        try:
            check_out(out, force)  # again: hours may have passed
        except ModelError as error:
            raise ModelError(f"{error}; the finished run is in {folder}") from None
        shutil.rmtree(folder / TRAINER, ignore_errors=True)
        (folder / OPTIONS).unlink()
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    barrier()


def _same(folder: Path, options: Mapping[str, Any], checkpoint: Path | None, out: str | Path) -> None:
    if checkpoint is None or not (folder / OPTIONS).is_file():
        raise ModelError(f"there is no unfinished run of {out} with a checkpoint; start it without --resume")
    begun = json.loads((folder / OPTIONS).read_text(encoding="utf-8"))
    now = json.loads(json.dumps(dict(options)))
    differing: Sequence[str] = [name for name in sorted({*begun, *now}) if begun.get(name) != now.get(name)]
    if differing:
        name = differing[0]
        raise ModelError(
            f"the unfinished run of {out} was started with {name} = {begun.get(name)!r}, now it is {now.get(name)!r}; "
            "resume with the options that it began with"
        )
