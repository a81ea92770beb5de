"""Kills builders at random moments, fills their disk, locks their folder: what is then there, and does a build go on?

    python -m benchmarks.kill_builds --kills 24 --out docs/results/index/kills.json

Each trial starts from a sealed index (the old one) and runs `python -m gog_env.build_index --force` over another
source, half of whose pictures are new, in a forked child. The child is ended
- by SIGKILL at a seeded random moment of its run, or exactly before and after every rename that a build does, with and
  without the system's exchange of two folders;
- by a disk that is full: writing beyond a seeded size of a file fails (RLIMIT_FSIZE), as it does on a full disk;
- by a folder that it may not write to (as root, the child first gives up its privileges).
Then the target must open as the complete old index, as the complete new one, or be refused by our own error; and the
same command, run again, must end with the fingerprint and the very bytes of a build that nobody disturbed, having
embedded, resumed and reused each picture once between them, and leave nothing beside the index.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from agents.options import natural, positive
from agents.settings import check_file, write_json
from agents.tables import text_table
from benchmarks.determinism import digests
from benchmarks.machine import bench_facts
from gog_env import build_index as command
from index import seal, working
from index.errors import GoGError, IntegrityError, cli

RENAMES = ("exchange", "move new", "move old", "plan")
IMPORTED = ("index.build", "bm25s", "datasets", "open_clip", "pyarrow.compute", "pyarrow.parquet")
_CAPABILITIES_3 = 0x20080522  # of linux/capability.h


def write_source(folder: Path, numbers: Sequence[int], side: int) -> Path:
    """An imagefolder of documents with no, one or two noisy pictures each; a number always gives the same ones."""
    folder.mkdir(parents=True)
    rows = []
    for number in numbers:
        names = [f"{number:05d}-{place}.jpg" for place in range((1, 2, 1, 0)[number % 4])]
        for place, name in enumerate(names):
            noise = np.random.default_rng([number, place]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((side, side)).save(folder / name, quality=90)
        text = f"Article {number} tells of place {number * 7919 % 1000} and of year {1000 + number}."
        rows.append({"id": f"d{number:05d}", "title": f"Place {number}", "text": text, "file_names": names})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines, encoding="utf-8")
    return folder


def child(arguments: Sequence[str], errors: Path, before: Callable[[], None] | None = None) -> int:
    """Forks a builder.

    Args:
        arguments: of `gog_env.build_index`.
        errors: where its stderr goes.
        before: called in the child first.

    Returns:
        Its process id.
    """
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        handle = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if before is not None:
            before()
        cli(command.main, arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException as error:  # a traceback for the parent to find
        os.write(2, f"Traceback: {error!r}\n".encode())
    finally:
        os._exit(status)


def ended(process: int) -> int:
    """Waits for a child; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def at_rename(which: str, moment: str) -> Callable[[], None]:
    """Makes the child kill itself before or after one of its renames."""

    def guard(real: Callable[..., Any], wanted: Callable[..., bool]) -> Callable[..., Any]:
        def call(*places: Any) -> Any:
            mine = wanted(*places)
            if mine and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*places)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call

    def arm() -> None:
        if which == "plan":
            os.replace = guard(os.replace, lambda _, target: Path(target).name == "plan.json")
        elif which == "exchange":
            working.exchange = guard(working.exchange, lambda *_: True)
        else:
            working.exchange = lambda *_: False
            ending = ".building/old" if which == "move old" else "/index"
            side = 1 if which == "move old" else 0
            os.rename = guard(os.rename, lambda *places: str(places[side]).endswith(ending))

    return arm


def full_disk(size: int) -> Callable[[], None]:
    """Lets no file of the child grow beyond `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def unprivileged() -> None:
    """Gives up root's privilege to write everywhere; its files stay its own."""
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    if os.getuid() == 0 and ctypes.CDLL(None).capset(header, nothing):
        raise GoGError("privileges cannot be given up; run this benchmark as another user than root")


class Trials:
    """Sources, the old index, and what an undisturbed build of the new one comes to."""

    def __init__(self, work: Path, documents: int, side: int, batch_size: int) -> None:
        """Builds what trials are compared with."""
        self.work, self.out, self.errors = work, work / "place" / "index", work / "errors.txt"
        first = write_source(work / "first", range(documents), side)
        second = write_source(work / "second", range(documents // 2, documents * 2), side)
        common = ("--threads", "1", "--batch-size", str(batch_size), "--quiet")
        self.old, self.new = work / "old", work / "new"
        self._run(["--source", str(first), "--out", str(self.old), *common])
        self._run(["--source", str(second), "--out", str(self.new), *common])
        self.command = ["--source", str(second), "--out", str(self.out), "--force", *common]
        self.bytes = {"old": digests(self.old), "new": digests(self.new)}
        self.pictures = sum(self._report(self.new)["vectors"].values())
        self.reset()
        started = time.perf_counter()
        self._run(self.command)
        self.seconds = time.perf_counter() - started

    def _run(self, arguments: list[str]) -> None:
        status = ended(child(arguments, self.errors))
        if status:
            raise GoGError(f"a build that nobody disturbed failed: {self.errors.read_text()[-300:]}")

    def _report(self, path: Path) -> dict[str, Any]:
        return json.loads((path / "report.json").read_text(encoding="utf-8"))

    def reset(self) -> None:
        """Puts the old index in the target's place, and nothing else."""
        shutil.rmtree(self.out.parent, ignore_errors=True)
        shutil.copytree(self.old, self.out)

    def state(self) -> str:
        """What is at the target: the `old` or the `new` index, byte for byte, a `refusal`, or what is wrong."""
        try:
            seal.verify(self.out)
        except IntegrityError:
            return "refusal"
        found = digests(self.out)
        return next((name for name, known in self.bytes.items() if known == found), "ANOTHER INDEX")

    def finish(self, trial: dict[str, Any]) -> dict[str, Any]:
        """Looks at the target, runs the same command again, and compares."""
        trial["target"] = self.state()
        status = ended(child(self.command, self.errors))
        vectors = self._report(self.out)["vectors"] if self.state() == "new" else {}
        beside = sorted(entry.name for entry in self.out.parent.iterdir())
        trial |= {
            "resumed build": status,
            "same bytes": self.state() == "new",
            "vectors": vectors,
            "each once": sum(vectors.values()) == self.pictures,
            "nothing beside": beside == [self.out.name],
        }
        trial["good"] = trial["target"] in ("old", "new", "refusal") and not status
        trial["good"] = trial["good"] and trial["same bytes"] and trial["each once"] and trial["nothing beside"]
        return trial

    def kill(self, moment: float) -> dict[str, Any] | None:
        """SIGKILL after so many seconds; None where the build was faster."""
        self.reset()
        process = child(self.command, self.errors)
        time.sleep(moment)
        os.kill(process, signal.SIGKILL)
        if ended(process) != -signal.SIGKILL:
            return None
        return self.finish({"kind": "random moment", "at": round(moment, 3)})

    def rename(self, which: str, moment: str) -> dict[str, Any]:
        """SIGKILL right before or after a rename."""
        self.reset()
        killed = ended(child(self.command, self.errors, at_rename(which, moment))) == -signal.SIGKILL
        trial = self.finish({"kind": "rename", "at": f"{moment} {which}"})
        return {**trial, "good": trial["good"] and killed}

    def refuse(self, kind: str, at: Any, before: Callable[[], None], mode: int | None = None) -> dict[str, Any]:
        """A build that the system stops: it must say so in one line of ours and leave the old index as it is."""
        self.reset()
        if mode is not None:
            self.out.parent.chmod(mode)
        status = ended(child(self.command, self.errors, before))
        said = self.errors.read_text(encoding="utf-8")
        self.out.parent.chmod(0o755)
        clear = status == 2 and said.startswith("error: cannot write") and said.count("\n") == 1
        kept = self.state() == "old"
        trial = self.finish({"kind": kind, "at": at, "said": said.strip().replace(str(self.work), "...")})
        return {**trial, "good": trial["good"] and clear and kept}


def run_trials(trials: Trials, kills: int, renames: int, fills: int, seed: int) -> list[dict[str, Any]]:
    """All trials, in an order that the seed decides."""
    rng, early = random.Random(seed), 0
    rows: list[dict[str, Any]] = []
    while len(rows) < kills:
        if (row := trials.kill(rng.uniform(0, trials.seconds))) is not None:
            rows.append(row)
        elif (early := early + 1) > 3 * kills + 10:
            raise GoGError("builds end before they can be killed; use more --documents")
    around = [(which, moment) for which in RENAMES for moment in ("before", "after")]
    rows += [trials.rename(which, moment) for which, moment in around[:renames]]
    largest = max(file.stat().st_size for file in trials.new.rglob("*") if file.is_file())
    for _ in range(fills):
        size = rng.randrange(largest)
        rows.append(trials.refuse("full disk", f"{size} bytes", full_disk(size)))
    rows.append(trials.refuse("read-only folder", "0555", unprivileged, 0o555))
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By kind: trials, how many were good, and what was found at the target after them."""
    found = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        targets = collections.Counter(row["target"] for row in mine)
        found[kind] = {"trials": len(mine), "good": sum(row["good"] for row in mine), "target": dict(targets)}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_builds",
        description="Kill builders, fill their disk, lock their folder; look at the target, and let the build go on.",
        epilog="example: python -m benchmarks.kill_builds --kills 24",
    )
    parser.add_argument("--kills", type=positive, default=24, help="at random moments (default: %(default)s)")
    parser.add_argument("--renames", type=natural, default=8, help="at most so many of the 8 (default: all)")
    parser.add_argument("--fills", type=natural, default=6, help="disks that are full (default: %(default)s)")
    parser.add_argument("--documents", type=positive, default=160, help="of the old source (default: %(default)s)")
    parser.add_argument("--side", type=positive, default=160, help="pixels of a picture (default: %(default)s)")
    parser.add_argument("--batch-size", type=positive, default=32, help="default: %(default)s")
    parser.add_argument("--seed", type=natural, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", default="docs/results/index/kills.json", help="default: %(default)s")
    options = parser.parse_args(argv)
    check_file(options.out)
    for name in IMPORTED:  # once, before forking
        importlib.import_module(name)

    with tempfile.TemporaryDirectory(prefix="kill-builds-") as folder, patch.dict(os.environ, OMP_NUM_THREADS="1"):
        Path(folder).chmod(0o755)
        trials = Trials(Path(folder), options.documents, options.side, options.batch_size)
        rows = run_trials(trials, options.kills, options.renames, options.fills, options.seed)
    found = summary(rows)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    facts = bench_facts("benchmarks.kill_builds", argv, options)
    write_json(options.out, {**facts, "pictures": trials.pictures, "summary": found, "trials": rows})
    table = [[kind, row["trials"], row["good"], json.dumps(row["target"])] for kind, row in found.items()]
    print(text_table(["stopped by", "trials", "good", "at the target afterwards"], table))
    for row in rows:
        if not row["good"]:
            print(json.dumps(row), file=sys.stderr)
    print(f"wrote {options.out}")
    return 0 if all(row["good"] for row in rows) else 1


if __name__ == "__main__":
    cli(main)
