"""The pictures of the report: its head with figures and charts, an episode of the gallery, a phone, learning curves.

Decisions: they are taken of the very pages that `agents.report` writes, of runs that were played for them or that the
user names. The episode is not chosen by hand: of those that a gaze decided, where the crop found a document with the
answer and the whole picture did not, the one that is read most easily (`telling`), below the one that only glanced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import evaluate
from agents.compare_runs import Contender
from agents.measures import Record
from agents.report import page as report
from agents.report.__main__ import all_runs
from agents.report.pictures import Pictures, remembered
from agents.report.runs import Runs, read_runs
from agents.settings import default_model
from benchmarks import pictures
from index.errors import TaskError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

POLICIES = ("glance", "random-gaze", "oracle-crop")
"""Who is compared with the nano policy: the whole picture alone, chance, and what is possible."""
TASKS = 100
TALL = 4000
"""Pixels of a screen on which all that is taken can be seen at once."""
_HEAD_ENDS = """() => {
  const cards = [...document.querySelectorAll("#part1 > .cards > section")];
  const ends = [...new Set(cards.map((card) => card.getBoundingClientRect().bottom))];
  const last = ends[Math.min(2, ends.length - 1)] ?? document.querySelector("#part1").getBoundingClientRect().bottom;
  return last + scrollY + 6;
}"""
"""Where the head of a report may be cut: below the third row of its kinds of tasks."""


def played(folder: Path, tasks: int = TASKS) -> list[str]:
    """Evaluates the nano policy and baselines on the embedded world; returns the runs as `agents.report` takes them."""
    model = default_model("sft")
    evaluate.main(
        ["--policy", ",".join(POLICIES), "--model", str(model), "--limit", str(tasks), "--out", str(folder)]
    )  # fmt: skip
    order = (*POLICIES[:2], evaluate.shipped_models()[model], *POLICIES[2:])
    return [str(folder / name) for name in order]


def telling(contenders: Sequence[Contender]) -> list[tuple[Contender, Record]]:
    """The episode that shows best what a gaze is for, behind the one that glanced at the same picture in vain.

    It was answered right, a gaze found evidence, and whoever glanced in the same task found none. Of those: with
    reasons, with its own glance before (then it is shown alone), in the fewest turns, with most documents needed, the
    first by its id.

    Raises:
        TaskError: there is none.
    """
    glances: dict[str, list[tuple[Contender, Record]]] = {}
    for one in contenders:
        for record in one.records:
            if _turns(record, "glance"):
                glances.setdefault(record["task_id"], []).append((one, record))
    found: list[tuple[Any, list[tuple[Contender, Record]]]] = []
    for place, one in enumerate(contenders):
        for record in one.records:
            others = glances.get(record["task_id"], [])
            vain = others and not any(_finds(turn, other) for _, other in others for turn in _turns(other, "glance"))
            right = float(record["reward"]["accuracy"]) >= 1
            if not (vain and right and any(_finds(turn, record) for turn in _turns(record, "gaze"))):
                continue
            own = bool(_turns(record, "glance"))
            thoughts = any(turn["action"].get("thought") for turn in record["turns"])
            order = (
                not thoughts, not own, len(record["turns"]), -len(record["evidence"] or ()), record["task_id"], place
            )  # fmt: skip
            found.append((order, [*([] if own else others[:1]), (one, record)]))
    if not found:
        raise TaskError(
            "in no episode of these runs did a gaze find what a glance at the same picture missed; name others with "
            "--run, one of them by a policy that glances"
        )
    return min(found, key=lambda one: one[0])[1]


def _turns(record: Record, kind: str) -> list[Any]:
    return [turn for turn in record["turns"] if turn["action"]["type"] == kind]


def _finds(turn: Any, record: Record) -> bool:
    wanted = set(record["evidence"] or ())
    return any(hit["document_id"] in wanted for hit in turn["hits"])


def only(episodes: Sequence[tuple[Contender, Record]]) -> Runs:
    """Runs of these episodes alone."""
    some = []
    for contender, record in episodes:
        run = next(run for run in contender.runs if any(record is other for other in run.records))
        one = replace(run, records=(record,), verdicts=None, judge="", problem="")
        some.append(Contender(contender.name, (one,)))
    return Runs(tuple(some), ())


def written(folder: Path, runs: Runs, seen: Pictures | None = None) -> dict[str, Path]:
    """Writes the pages that pictures are taken of: the report, and that of the episode that `telling` chose.

    Args:
        folder: gets the pages.
        runs: what they are about.
        seen: tasks and index; None for those that the runs name.
    """
    seen = seen or remembered(all_runs(runs))
    pages = {"report": folder / "report.html", "episode": folder / "episode.html"}
    report.write(pages["report"], report.render(runs, seen))
    report.write(pages["episode"], report.render(only(telling(runs.evaluations)), seen))
    return pages


def take(running: Browser, pages: dict[str, Path], out: Path) -> None:
    """Takes `report.png`, `report-episode.png` and `report-phone.png`."""
    page = pictures.opened(running, pages["report"].resolve().as_uri(), height=TALL)
    pictures.save(pictures.whole(page, page.evaluate(_HEAD_ENDS)), out / "report.png")
    page.context.close()

    page = pictures.opened(running, pages["episode"].resolve().as_uri(), height=TALL)
    pictures.save(pictures.part(page, "article.episode", margin=10), out / "report-episode.png")
    page.context.close()

    page = pictures.opened(running, pages["report"].resolve().as_uri(), phone=True)
    screens = pictures.screens(page, ["", "#part1 h3"])
    page.context.close()
    page = pictures.opened(running, pages["episode"].resolve().as_uri(), phone=True)
    screens += pictures.screens(page, ["article.episode:last-of-type"])
    page.context.close()
    pictures.save(pictures.side_by_side(screens), out / "report-phone.png")


def take_curves(running: Browser, training: str, folder: Path, out: Path) -> None:
    """Takes `report-curves.png`, the learning curves of a training.

    Raises:
        TaskError: it is no training.
    """
    runs = read_runs([training])
    if not runs.trainings:
        raise TaskError(f"{training} is no training; name a folder that agents.train_rl or agents.train_sft wrote")
    file = report.write(folder / "training.html", report.render(Runs((), runs.trainings), remembered([])))
    page = pictures.opened(running, file.resolve().as_uri(), height=TALL)
    pictures.save(pictures.part(page, "#curves > .panels", margin=12), out / "report-curves.png")
    page.context.close()
