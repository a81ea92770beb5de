"""Writes a world to disk: its knowledge as a source, its questions as tasks, in the layouts of anybody's own data.

- Knowledge is Parquet (`shards`), in the order of the documents' ids. Tasks are *imagefolders* of `datasets`:
  `metadata.jsonl` beside `images/`. Folders appear only when complete.
- Everything is written as it is made: memory does not grow with the world. Processes only make things faster: bytes
  are the same for any number of them.
- Task i of a split depends on (world, split, seed, i) alone: a larger count begins with the smaller one's. Its picture
  is the same at every snapshot of the world.
- A fingerprint is a SHA-256 of ids, texts and pixels before they are packed as PNG or JPEG.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gog_env.world.album import pictures
from gog_env.world.checks import check_task
from gog_env.world.nations import SPLITS, World, WorldSpec, article, make_world
from gog_env.world.notes import count_notes, note
from gog_env.world.presets import SUMMARY, VERSION
from gog_env.world.questions import KINDS, ask
from gog_env.world.shards import Shards
from gog_env.world.workers import check_jobs, in_order
from index.errors import GoGError, TaskError
from index.images import picture_hash
from index.progress import watched
from index.records import Document, document_hash
from index.seal import publishing

QUALITY = 88
"""Of JPEG, for all pictures but the drawn ones."""
_SCENE_QUALITY = 90


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A folder to write in, which becomes `out` when the block ends well and vanishes otherwise.

    Raises:
        TaskError: something is there already, or the disk refuses (which is the cause).
    """
    out = Path(out).expanduser()
    try:
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise TaskError(f"{out} exists and is not empty; remove it or choose another --out")
        with publishing(out) as folder:
            yield folder
    except (OSError, GoGError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free the disk or choose another --out" if full else "choose an --out where you may make folders"
        raise TaskError(f"cannot write {out}: {cause.strerror or type(cause).__name__}; {advice}") from cause


def write_knowledge(world: World, out: str | Path, jobs: int = 1, progress: bool = False) -> str:
    """Writes one document for each nation (name, article, portraits) and the notes, which have no pictures.

    Args:
        world: the nations.
        out: the folder to make.
        jobs: processes.
        progress: says how far it is.

    Returns:
        The fingerprint (hex).

    Raises:
        TaskError: `out` is taken.
    """
    count = len(world) + count_notes(world)
    digest = hashlib.sha256()
    with new_folder(out) as folder, Shards(folder) as shards:
        made = in_order(partial(_documents, world.spec), count, 32, jobs)
        for entry in watched(made, "knowledge", count, "document", progress):
            shards.add(entry.row)
            digest.update(f"{entry.digest}\n".encode())
    return digest.hexdigest()


def write_tasks(
    world: World,
    out: str | Path,
    split: str,
    count: int,
    seed: int = 0,
    kind: str | None = None,
    check: bool = False,
    jobs: int = 1,
    progress: bool = False,
    only_changed: bool = False,
) -> str:
    """Writes `count` tasks of a split (scenes as JPEG).

    Args:
        world: whose nations they are about.
        out: the folder to make.
        split: `train` or `heldout`.
        count: at least 1.
        seed: with the world's own seed decides the tasks.
        kind: only this kind; None: the usual mix.
        check: lets each task prove itself (`checks.check_task`).
        jobs: processes.
        progress: says how far it is.
        only_changed: of the `count` tasks only those whose gold answer is another than at snapshot 0, under the ids
            that they have among all.

    Returns:
        The fingerprint (hex).

    Raises:
        TaskError: `out` is taken, no such split or kind, `count` is less than 1, or a task that does not prove itself.
    """
    if count < 1:
        raise TaskError(f"{count} tasks cannot be written; ask for at least 1")
    wanted = _Wanted(seed, kind, check, only_changed)
    _refuse(world, {split: count}, wanted, jobs)
    with new_folder(out) as folder:
        return _write_tasks(world, folder, split, count, wanted, jobs, progress)


def write_world(
    world: World,
    out: str | Path,
    train: int,
    heldout: int,
    seed: int = 0,
    kind: str | None = None,
    check: bool = False,
    jobs: int = 1,
    progress: bool = False,
    only_changed: bool = False,
) -> dict[str, str]:
    """Writes `out/kb`, `out/train` and `out/heldout`, all at once, and `out/world.json`, which says what they are.

    A split of 0 tasks is left out. What cannot be is refused before anything is written.

    Returns:
        The fingerprint of each folder. For arguments and errors see `write_knowledge` and `write_tasks`.
    """
    prints = {}
    counts = {split: number for split, number in zip(SPLITS, (train, heldout), strict=True) if number}
    wanted = _Wanted(seed, kind, check, only_changed)
    _refuse(world, counts, wanted, jobs)
    with new_folder(out) as folder:
        prints["kb"] = write_knowledge(world, folder / "kb", jobs, progress)
        for split, count in counts.items():
            (folder / split).mkdir()
            prints[split] = _write_tasks(world, folder / split, split, count, wanted, jobs, progress)
        tasks = {"train": train, "heldout": heldout, "seed": seed, "kind": kind}
        summary = {
            "version": VERSION,
            "spec": asdict(world.spec),
            "tasks": {**tasks, "only_changed": True} if only_changed else tasks,
            "fingerprints": prints,
            "made_with": {name: metadata.version(name) for name in ("numpy", "pillow")},
        }
        (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return prints


@dataclass(frozen=True)
class _Wanted:
    """Which tasks, however many of whichever split; see `write_tasks`."""

    seed: int
    kind: str | None
    check: bool
    only_changed: bool


def _refuse(world: World, counts: Mapping[str, int], wanted: _Wanted, jobs: int) -> None:
    """Raises a `TaskError` for what no tasks can be written of."""
    for split, count in counts.items():
        if count < 0:
            raise TaskError(f"{count} tasks of {split}: a negative number; give 0 or more")
        if not world.split(split):
            raise TaskError(
                f"no nation of this world is in the split {split!r}; hold out a share of them or ask for no such tasks"
            )
    if wanted.seed < 0:
        raise TaskError(f"the tasks' seed {wanted.seed} is negative; give 0 or more")
    if wanted.kind is not None and wanted.kind not in KINDS:
        raise TaskError(f"there is no kind {wanted.kind!r}; choose one of {', '.join(KINDS)}")
    check_jobs(jobs)
    if wanted.only_changed and not world.spec.snapshot:
        raise TaskError("nothing has changed at snapshot 0; give --only-changed with --snapshot 1 or more")


def _write_tasks(world: World, folder: Path, split: str, count: int, wanted: _Wanted, jobs: int, progress: bool) -> str:
    """Writes tasks into an empty folder; their fingerprint."""
    digest = hashlib.sha256()
    kept = 0
    (folder / "images").mkdir()
    with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
        made = in_order(partial(_tasks, world.spec, split, wanted), count, 16, jobs)
        for entry in watched(made, f"{split} tasks", count, "task", progress):
            (folder / entry.row["file_name"]).write_bytes(entry.picture)
            lines.write(json.dumps(entry.row, ensure_ascii=False) + "\n")
            digest.update(f"{entry.digest}\n".encode())
            kept += 1
    if not kept:
        raise TaskError(f"no answer of {count} {split} tasks has changed; ask for more tasks or a later snapshot")
    return digest.hexdigest()


@dataclass(frozen=True)
class _Entry:
    """A document or a task on its way to the disk. `digest`: of its texts and pixels."""

    row: dict[str, Any]
    digest: str
    picture: bytes = b""


_world = lru_cache(maxsize=2)(make_world)  # a process keeps the world between ranges: its cache is what makes it fast


def _documents(spec: WorldSpec, start: int, stop: int) -> list[_Entry]:
    """Documents in the order of their ids: nations, then notes."""
    world = _world(spec)
    return [_nation(world, i) if i < len(world) else _note(world, i - len(world)) for i in range(start, stop)]


def _nation(world: World, place: int) -> _Entry:
    nation = world.nation(world.slots.in_order_of_id(place))
    text = article(nation, world)
    album = pictures(nation, world)
    images = [
        {"bytes": _packed(picture, style == "drawn"), "path": f"{nation.id}-{i}.{'png' if style == 'drawn' else 'jpg'}"}
        for i, (style, picture) in enumerate(album)
    ]
    row = {"id": nation.id, "title": nation.name, "text": text, "images": images}
    document = Document(nation.id, nation.name, text)
    return _Entry(row, document_hash(document, [picture_hash(picture) for _, picture in album]))


def _note(world: World, k: int) -> _Entry:
    written = note(world, k)
    row = {"id": written.id, "title": written.title, "text": written.text, "images": []}
    return _Entry(row, document_hash(Document(written.id, written.title, written.text), []))


def _tasks(spec: WorldSpec, split: str, wanted: _Wanted, start: int, stop: int) -> list[_Entry]:
    world, entries = _world(spec), []
    for i in range(start, stop):
        key = [13, spec.seed, SPLITS.index(split), wanted.seed, i]
        asked = ask(world, split, np.random.default_rng(key), wanted.kind)
        if wanted.only_changed:
            before = ask(_world(replace(spec, snapshot=0)), split, np.random.default_rng(key), wanted.kind)
            if before.fields["answers"][0] == asked.fields["answers"][0]:
                continue
        if wanted.check:
            check_task(asked, world)
        picture = asked.scene.picture
        row = {"file_name": f"images/{i:05d}.jpg", "id": f"{split}-{i:05d}", **asked.fields}
        content = json.dumps([row, picture_hash(picture)], ensure_ascii=False, sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()
        entries.append(_Entry(row, digest, _packed(picture, quality=_SCENE_QUALITY)))
    return entries


def _packed(picture: Image.Image, lossless: bool = False, quality: int = QUALITY) -> bytes:
    packed = io.BytesIO()
    if lossless:
        picture.save(packed, "PNG")
    else:
        picture.save(packed, "JPEG", quality=quality)
    return packed.getvalue()
