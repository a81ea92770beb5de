"""Makes the pictures of pages that the README and the docs show: report, play page, contact sheet.

    python -m benchmarks.screenshots --out docs                      # all of them; two minutes
    python -m benchmarks.screenshots --only report --run runs/evaluate --training runs/rl

Decisions: everything is made anew from the embedded world and the shipped policy, so that the pictures show what the
code does now; a run that is there already saves the playing (--run). Pages are taken in a real Chromium, in the
project's own font wherever they ask for the system's, so that all machines give about the same pictures. Needs the
extras `serve`, `train` and `browser`, and a Chromium.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents.options import positive
from agents.report.runs import read_runs
from agents.settings import default_model
from benchmarks import play_pictures, report_pictures
from benchmarks.browser import browser, find
from gog_env import lettering
from gog_env.world import sheet
from index.errors import GoGError, cli

PARTS = ("report", "play", "sheet")
FONTS = Path(lettering.__file__).with_name("fonts")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.screenshots",
        description="Make the pictures of report, play page and contact sheet.",
        epilog="example: python -m benchmarks.screenshots --out docs --only report",
    )
    made.add_argument("--out", metavar="DIR", type=Path, default=Path("docs"), help="default: %(default)s")
    made.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"some of {', '.join(PARTS)}")
    made.add_argument("--run", metavar="RUN", action="append", help="report: evaluations instead of new ones")
    tasks = report_pictures.TASKS
    made.add_argument(
        "--tasks", metavar="N", type=positive, default=tasks, help="report: to play (default: %(default)s)"
    )
    made.add_argument("--training", metavar="RUN", help="report: whose curves to show (default: the nano policy's)")
    options = made.parse_args(argv)
    parts = options.only or PARTS
    if options.out.exists() and not options.out.is_dir():
        raise GoGError(f"--out {options.out} is not a folder; name another")
    if set(parts) != {"sheet"}:
        find()  # before anything is played
    if "report" in parts:
        take_report(options.out, options.run, options.tasks, options.training)
    if "play" in parts:
        play_pictures.main(["--out", str(options.out)])
    if "sheet" in parts:
        sheet.main(["--out", str(options.out / "world.png")])
    return 0


def take_report(out: Path, given: Sequence[str] | None, tasks: int, training: str | None) -> None:
    """Takes the report's pictures, of runs that are given or of new ones.

    Raises:
        TaskError: a run cannot be read, or no episode shows a gaze that was worth it.
    """
    with tempfile.TemporaryDirectory(prefix="gog-screenshots-") as made:
        folder = Path(made)
        runs = read_runs(given or report_pictures.played(folder / "runs", tasks))
        pages = report_pictures.written(folder, runs)
        with browser(fonts=FONTS) as running:
            report_pictures.take(running, pages, out)
            report_pictures.take_curves(running, training or f"nano RL={default_model('rl')}", folder, out)


if __name__ == "__main__":
    cli(main)
