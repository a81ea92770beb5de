"""Runs the benchmarks that need no large data, one after the other, and says where each one's figures are.

    python -m benchmarks                            # all of them; hours on two cores (`make bench`)
    python -m benchmarks --quick                    # the same roads in minutes; the figures mean little
    python -m benchmarks --only tamper env_speed    # some
    python -m benchmarks --list                     # what there is, and what it asks

Decisions: each is a command of its own, in a process of its own, so that none warms or fills up another's; one runs at
a time. Short ones come first. What fails or misses its bar is named at the end and stops nothing; the exit status is
then 1. Those that play on real flags are left out where the flags are not, those that need a library of an extra where
that is not. Every file goes to --out, and `bench.json` there says what ran, how long, on which machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.settings import check_file, write_json
from agents.tables import text_table
from benchmarks.machine import machine_facts
from index import extras
from index.errors import ModelError, cli

ATLAS = "ATLAS"


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One command, `python -m benchmarks.NAME ARGUMENTS --out FILE`, or `--out DIR`.

    Attributes:
        name: the module, and the file that it writes.
        asks: what it measures, in a few words.
        arguments: its options; `ATLAS` stands for the folder of real flags.
        quick: options that are added for a quick run.
        writes: the file that it writes where `--out` is a folder to it; else None.
        needs: libraries that only an extra brings.
    """

    name: str
    asks: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    writes: str | None = None
    needs: tuple[str, ...] = ()

    @property
    def needs_atlas(self) -> bool:
        """Whether it plays on real flags."""
        return ATLAS in self.arguments

    def command(self, out: Path, atlas: Path, quick: bool) -> list[str]:
        """What to run."""
        given = [str(atlas) if each == ATLAS else each for each in self.arguments]
        more = list(self.quick) if quick else []
        place = out if self.writes else self.file(out)
        return [sys.executable, "-m", f"benchmarks.{self.name}", *given, *more, "--out", str(place)]

    def file(self, out: Path) -> Path:
        """What it writes."""
        return out / (self.writes or f"{self.name}.json")


BENCHMARKS = (
    Benchmark("crop_retrieval", "how well crops find real flags", ("--data", ATLAS), ("--draws", "1")),
    Benchmark("perfect_reader", "what each way of looking makes possible", ("--data", ATLAS)),
    Benchmark("world_speed", "tasks and pictures a second", ("--world", "world-m", "--no-build"), ("--count", "50")),
    Benchmark(
        "env_speed", "steps of single and batched environments against encoder and search alone", (),
        ("--rounds", "3", "--episodes", "50"),
    ),
    Benchmark(
        "build_speed", "building against decoding and encoding alone", (), ("--pictures", "64", "--parts", "2")
    ),
    Benchmark("tamper", "damaged and hostile indexes: how many are noticed", (), ("--quick",)),
    Benchmark(
        "fuzz_episodes", "hostile model outputs, boxes and documents in episodes", (),
        ("--boxes", "500", "--outputs", "500", "--documents", "6"),
    ),
    Benchmark(
        "kill_builds", "builders killed at random moments, full and read-only disks", (),
        ("--kills", "3", "--fills", "2", "--documents", "40", "--side", "64", "--batch-size", "8"),
    ),
    Benchmark("score_speed", "answers a second by each scoring rule", (), ("--answers", "1000", "--rounds", "2")),
    Benchmark("install", "the wheel's size, and how long imports take", (), ("--rounds", "2")),
    Benchmark("dialects", "the same ways of looking, said in every dialect", (), ("--limit", "20")),
    Benchmark(
        "openenv_same", "64 episodes over OpenEnv at once against local ones", (), ("--sessions", "8"),
        needs=("openenv",),
    ),
    Benchmark(
        "serve_load", "the server under mixed good and malformed requests", (), ("--seconds", "20"),
        needs=("psutil", *extras.SERVING),
    ),
    Benchmark(
        "index_scale", "building, opening and searching more and more vectors", (),
        ("--smallest", "3", "--largest", "4"), "scale.json",
    ),
    Benchmark(
        "evaluate_speed", "evaluating a model side by side and one at a time", (),
        ("--episodes", "32", "--slow", "4", "--parts", "2"), needs=extras.MODELS,
    ),
    Benchmark(
        "determinism", "the same builds and the same RL twice", ("--data", ATLAS), ("--steps", "0"),
        needs=extras.TRAINING,
    ),
    Benchmark(
        "rollout_speed", "a GRPO step in TRL's loop and in ours", (),
        ("--groups", "2", "--group-size", "4", "--steps", "1"), needs=extras.TRAINING,
    ),
)  # fmt: skip


def run_all(
    chosen: Sequence[Benchmark], out: Path, atlas: Path, quick: bool, run: Callable[[list[str]], int]
) -> list[dict[str, Any]]:
    """Runs benchmarks in turn.

    Args:
        chosen: which.
        out: folder for their files, made where missing.
        atlas: folder of the real flags; where it is missing, what needs it is left out.
        quick: with the options of a quick run.
        run: runs a command and returns its exit status.

    Returns:
        For each `name`, `status` (`ok`, `failed`, `left out`), `minutes`, `file` (None where none was written) and
        `why` it was left out (None where it was not).
    """
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for benchmark in chosen:
        if why := _hindrance(benchmark, atlas):
            rows.append({"name": benchmark.name, "status": "left out", "minutes": None, "file": None, "why": why})
            continue
        file = benchmark.file(out)
        file.unlink(missing_ok=True)  # an old file is no result of this run
        print(f"\n== {benchmark.name}: {benchmark.asks}", flush=True)
        started = time.perf_counter()
        status = "failed" if run(benchmark.command(out, atlas, quick)) else "ok"
        minutes = round((time.perf_counter() - started) / 60, 2)
        written = str(file) if file.is_file() else None
        rows.append({"name": benchmark.name, "status": status, "minutes": minutes, "file": written, "why": None})
    return rows


def _hindrance(benchmark: Benchmark, atlas: Path) -> str | None:
    if missing := [name for name in benchmark.needs if not extras.is_here(name)]:
        return f"{', '.join(missing)} not installed; {extras.remedy(*missing)}"
    if benchmark.needs_atlas and not (atlas / "kb").is_dir():
        return f"{atlas} is absent; name the folder of the real flags by --atlas"
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 if a benchmark failed or missed its bar."""
    names = [each.name for each in BENCHMARKS]
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run the benchmarks that need no data.",
        epilog="example: python -m benchmarks --quick --only tamper env_speed",
    )
    made.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default: %(default)s")
    made.add_argument("--atlas", type=Path, default=Path("../shared/data/atlas"), metavar="DIR", help="real flags")
    made.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    made.add_argument("--quick", action="store_true", help="minutes instead of hours; the figures mean little")
    made.add_argument("--list", action="store_true", help="name the benchmarks and what they ask")
    options = made.parse_args(argv)
    if options.list:
        for each in BENCHMARKS:
            print(f"{each.name:16}{each.asks}{' (real flags)' if each.needs_atlas else ''}")
        return 0
    if options.out.exists() and not options.out.is_dir():
        raise ModelError(f"{options.out} is not a folder; name another --out")
    check_file(options.out / "bench.json")
    chosen = [each for each in BENCHMARKS if not options.only or each.name in options.only]
    machine = machine_facts()  # before anything loads it
    rows = run_all(
        chosen, options.out, options.atlas, options.quick, lambda command: subprocess.run(command).returncode
    )
    write_json(options.out / "bench.json", {"machine": machine, "quick": options.quick, "ran": rows})
    print()
    shown = [[row[part] for part in ("name", "status", "minutes", "file")] for row in rows]
    print(text_table(["", "", "minutes", "figures in"], shown))
    for why in dict.fromkeys(row["why"] for row in rows if row["why"]):
        print(f"left out: {why}")
    print(f"what ran, and the machine: {options.out / 'bench.json'}")
    return int(any(row["status"] == "failed" for row in rows))


if __name__ == "__main__":
    cli(main)
