"""How fast are worlds made, and in how much memory?

    python -m benchmarks.world_speed --world world-l:0 --jobs 2 --out docs/results/world_speed.json

- On one core, in this process: tasks (a scene composed and asked about) a second, without and with the checks that
  every task proves itself by, and pictures of nations a second. By the clock, and by the CPU time that was used, which
  other work on the machine does not lengthen.
- The whole world, by the commands that anybody would type: `python -m gog_env.world` and `python -m
  gog_env.build_index`. Peak memory is the largest resident size of the command and all its processes together, looked
  at ten times a second; pages that they share count once in each. `--no-build` leaves this out.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.options import positive
from agents.settings import check_file, command_line, versions, write_json
from agents.tables import Cell, text_table
from benchmarks.worlds import WorldName
from gog_env.world.checks import check_task
from gog_env.world.nations import World
from gog_env.world.portraits import STYLES, portrait
from gog_env.world.questions import ask
from index.errors import GoGError, cli


def rate(step: Callable[[int], object], count: int, what: str) -> dict[str, float | int]:
    """Does `step(0)` … `step(count - 1)` in this thread.

    Returns:
        `n`, `seconds` by the clock, `cpu_seconds`, and how many a second by both: `a_second`, `a_cpu_second`.
    """
    step(0)  # what is made once is not counted
    clock, cpu = time.perf_counter(), time.process_time()
    for number in tqdm(range(count), desc=what, disable=None):
        step(number)
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    by = {"a_second": round(count / seconds, 1), "a_cpu_second": round(count / used, 1)}
    return {"n": count, "seconds": round(seconds, 3), "cpu_seconds": round(used, 3), **by}


def one_core(world: World, count: int) -> dict[str, dict[str, float | int]]:
    """Rates of tasks, of tasks with checks, and of nations' pictures (as many of each style)."""

    def asked(number: int) -> Any:
        return ask(world, "heldout" if number % 2 else "train", np.random.default_rng([17, number]))

    def picture(number: int) -> object:
        nation = world.nation(number // len(STYLES) % len(world))
        return portrait(nation.banner, STYLES[number % len(STYLES)], np.random.default_rng([18, number]))

    return {
        "tasks": rate(asked, count, "tasks"),
        "tasks, checked": rate(lambda number: check_task(asked(number), world), count, "tasks, checked"),
        "pictures": rate(picture, count, "pictures"),
    }


def measured(command: Sequence[str]) -> dict[str, float | None]:
    """Runs a command to its end: `seconds`, and `peak_mib` of it and its processes (None where /proc is not there).

    Raises:
        GoGError: it failed; with the last line that it wrote.
    """
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *command], stdout=said, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                peak = max(peak, resident(process.pid))
                time.sleep(0.1)
        finally:
            process.kill()
        seconds = time.perf_counter() - start
        said.seek(0)
        lines = said.read().decode(errors="replace").split("\n")
    if process.returncode:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        raise GoGError(f"python {' '.join(command[:2])} failed: {last}")
    return {"seconds": round(seconds, 1), "peak_mib": round(peak / 2**20, 1) if peak else None}


def resident(root: int) -> int:
    """Bytes that a process and all its descendants hold in memory; 0 where /proc does not tell."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(folder.name)], pages[int(folder.name)] = int(fields[1]), int(fields[21])
    total = 0
    for number, size in pages.items():
        above = number
        while above and above != root:
            above = parents.get(above, 0)
        total += size if above == root else 0
    return total * os.sysconf("SC_PAGE_SIZE")


def build(name: WorldName, tasks: int, encoder: str, jobs: int, work: Path) -> dict[str, dict[str, Any]]:
    """Writes a world with `tasks` tasks a split and indexes it, by the commands, in a folder that is removed again."""
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="speed-", dir=work) as folder:
        out, counts = f"{folder}/world", ["--train", str(tasks), "--heldout", str(tasks)]
        write = ["-m", "gog_env.world", *name.options(), "--out", out, *counts, "--jobs", str(jobs)]
        index = ["-m", "gog_env.build_index", "--source", f"{out}/kb", "--out", f"{folder}/index"]
        index += ["--encoder", encoder, "--threads", str(jobs), "--quiet"]
        found: dict[str, dict[str, Any]] = {}
        for what, command, made in (("write", write, "world"), ("index", index, "index")):
            print(f"{what}: python {' '.join(command[:2])} …", flush=True)
            files = Path(folder, made)
            found[what] = measured(command)
            found[what]["mib"] = round(sum(f.stat().st_size for f in files.rglob("*") if f.is_file()) / 2**20, 1)
    return found


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.world_speed",
        description="Measures how fast worlds are made on one core, and the time and memory that a whole one takes.",
        epilog="example: python -m benchmarks.world_speed --world world-s --tasks 100",
    )
    made.add_argument("--world", metavar="WORLD", type=WorldName.read, default=WorldName("world-l"),
                      help="preset or number of nations, with :SEED (default: world-l:0)")  # fmt: skip
    made.add_argument("--count", metavar="N", type=positive, default=300, help="of each to time (default: %(default)s)")
    made.add_argument("--tasks", metavar="N", type=positive, default=2000,
                      help="of each split to write with the world (default: %(default)s)")  # fmt: skip
    made.add_argument("--no-build", action="store_true", help="do not write and index the whole world")
    made.add_argument("--encoder", metavar="SPEC", default="nano", help="of the index (default: %(default)s)")
    made.add_argument("--jobs", metavar="N", type=positive, default=os.cpu_count() or 1,
                      help="processes that write, threads that index (default: %(default)s)")  # fmt: skip
    made.add_argument("--work", metavar="DIR", type=Path, default=Path("runs"), help="default: %(default)s")
    made.add_argument("--out", metavar="FILE", type=Path, help="JSON file for the figures")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    options = parser().parse_args(argv)
    if options.out:
        check_file(options.out)
    rates = one_core(options.world.make(), options.count)
    lines: list[list[Cell]] = [[what, one["a_second"], one["a_cpu_second"]] for what, one in rates.items()]
    print(text_table(["on one core", "a second", "a CPU second"], lines, digits=1), end="\n\n", flush=True)
    whole: dict[str, dict[str, Any]] = {}
    if not options.no_build:
        whole = build(options.world, options.tasks, options.encoder, options.jobs, options.work)
        lines = [[what, one["seconds"], one["peak_mib"], one["mib"]] for what, one in whole.items()]
        print(text_table([str(options.world), "seconds", "peak MiB", "MiB on disk"], lines, digits=1))
    if options.out:
        machine = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
        about = {"command": command_line("benchmarks.world_speed", argv), "machine": machine, "jobs": options.jobs}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        found = {"world": str(options.world), "tasks a split": options.tasks, "one core": rates, "whole": whole}
        write_json(options.out, {**about, **found, "versions": versions()})
        print(f"figures: {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
