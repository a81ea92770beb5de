"""What each way of looking makes possible on a data set: all baselines with a perfect reader, in one table.

    python -m benchmarks.perfect_reader --data ../shared/data/atlas --out runs/perfect_reader.json

The data set is a folder with a knowledge source in `kb/` and tasks in `dev/` (or --split). The index is built with the
encoder named (the shipped nano encoder unless told otherwise) in a temporary folder, or opened with --index. Rules are
those of `agents.evaluate`; the JSON file holds all metrics, the versions and the index's fingerprint.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents.evaluate import evaluate, table, turns_needed
from agents.options import natural
from agents.policies import BASELINES
from agents.settings import open_world, versions, write_json
from gog_env.episode import EpisodeConfig
from index.errors import cli


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.perfect_reader",
        description="Plays all baselines with a perfect reader on DATA/SPLIT against an index of DATA/kb; one table.",
        epilog="example: python -m benchmarks.perfect_reader --data ../shared/data/atlas",
    )
    made.add_argument("--data", metavar="DIR", type=Path, required=True, help="folder with kb/ and the tasks")
    made.add_argument("--split", default="dev", help="folder of the tasks in DATA (default: %(default)s)")
    made.add_argument("--index", metavar="PATH", help="sealed index of DATA/kb (default: build one)")
    made.add_argument("--encoder", metavar="SPEC", default="nano", help="to build an index with (default: %(default)s)")
    made.add_argument("--seed", metavar="S", type=natural, default=0, help="of random policies and the bootstrap")
    made.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    made.add_argument("--out", metavar="FILE", type=Path, help="where to write all metrics as JSON")
    return made


@contextlib.contextmanager
def index_of(source: Path, encoder: str) -> Iterator[str]:
    """An index of a knowledge source, in a folder that lasts as long as the block."""
    from index import build_index

    with tempfile.TemporaryDirectory(prefix="perfect-reader-") as folder:
        yield str(build_index(source, Path(folder) / "index", encoder=encoder))


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    options = parser().parse_args(argv)
    given = contextlib.nullcontext(options.index)
    with given if options.index else index_of(options.data / "kb", options.encoder) as path:
        index, tasks = open_world(path, options.data / options.split, "heldout")
        config = EpisodeConfig(max_turns=turns_needed(tasks))
        results: list[dict[str, Any]] = []
        for make in BASELINES.values():
            policy = make(tasks, index, options.seed)
            results.append(evaluate(policy, tasks, index, config, options.seed, progress=True)[0])
        source = options.data / options.split
        print(f"\n{source}: {len(tasks)} tasks, at most {config.max_turns} turns, {config.hits} hits a search\n")
        print(table(results, options.markdown))
        if options.out:
            about = {"seed": options.seed, "versions": versions(), "index": index.fingerprint, "config": asdict(config)}
            options.out.parent.mkdir(parents=True, exist_ok=True)
            write_json(options.out, {**about, "policies": {one["policy"]: one for one in results}})
            print(f"\nall metrics: {options.out}")


if __name__ == "__main__":
    cli(main)
