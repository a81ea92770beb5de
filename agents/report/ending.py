"""The report with which a run ends.

Decisions: the run is complete and in its place before its report is begun, and nothing that goes wrong here can take
that back or turn it into a failure: it is one line on the screen, and `python -m agents.report` writes the page later.
The time it takes is bounded: at most 256 searches for the gaze gain and the pictures of at most 72 episodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agents.report import page
from agents.report.pictures import Pictures, by_id
from agents.report.runs import read_runs
from gog_env.task import Task


def end_with_report(out: str | Path, index: Any, tasks: Iterable[Task]) -> str:
    """Writes `report.html` into a run's folder, about all runs in it.

    Args:
        out: the folder of `--out`.
        index: what was searched, without noise and poison; None where nothing was.
        tasks: what was played.

    Returns:
        A line for the screen: where the page is, or why there is none.
    """
    try:
        runs = read_runs([str(out)], patient=True)
        html = page.render(runs, Pictures(index, by_id(tasks)), keep=True)
        return f"report: {page.write(Path(out) / page.NAME, html)}"
    except Exception as error:  # hours of work are done and safe: a page that fails must not look like their failure
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"no report: {reason} (the run is complete; try python -m agents.report {out})"
