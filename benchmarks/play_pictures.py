"""Takes the pictures of the play page that the README and the docs show, in a real Chromium.

    python -m benchmarks.play_pictures --out docs        # play.png, play-watch.png, play-phone.png; see screenshots

A person's part is played as the keys and the mouse would: on the embedded world's held-out tasks (or --index, --tasks)
it gazes at the first region of a task and searches, and watches the oracle play the same one. Needs the extras `serve`
and `browser`, and a Chromium.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pictures
from benchmarks.browser import browser, find
from gog_env.task import Task
from index.errors import TaskError, cli
from index.serve import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def begun(running: Browser, address: str, task: Task, phone: bool = False) -> Page:
    """The page with a task on it."""
    page = pictures.opened(running, f"{address}/#task={task.id}", phone)
    page.wait_for_selector("#table:not([hidden])")
    return page


def gaze(page: Page, task: Task) -> None:
    """Searches with the first region of the task, and waits for the comparison."""
    for name, edge in zip(("x0", "y0", "x1", "y1"), task.regions[0], strict=True):
        page.fill(f"#gaze [name={name}]", f"{edge:.2f}")
    page.press("#gaze [name=y1]", "Enter")
    page.wait_for_selector("#results .column:nth-child(2) .hit")


def take(address: str, task: Task, out: Path, player: str) -> None:
    """Takes all of them."""
    with browser() as running:
        page = begun(running, address, task)
        gaze(page, task)
        pictures.save(pictures.whole(page), out / "play.png")
        page.context.close()

        page = begun(running, address, task)
        page.click("[data-mode=watch]")
        page.wait_for_selector("#watching:not([hidden])")
        page.select_option("#choose [name=who]", f"player:{player}")
        page.wait_for_selector(f"#watch-note:text-is('{player} plays.')")
        while page.locator("#outcome").is_hidden():
            turns = page.locator("#turns li").count()
            page.click("#forth")
            page.wait_for_selector(f"#turns li:nth-child({turns + 1})")
            page.wait_for_selector("body:not([aria-busy])")
        page.click("#turns li:first-child button")
        pictures.save(pictures.whole(page), out / "play-watch.png")
        page.context.close()

        page = begun(running, address, task, phone=True)
        gaze(page, task)
        screens = pictures.screens(page, ["", "#acting", "#results"])
        pictures.save(pictures.side_by_side(screens), out / "play-phone.png")
        page.context.close()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.play_pictures",
        description="Take the pictures of the play page.",
        epilog="example: python -m benchmarks.play_pictures --out docs",
    )
    parser.add_argument("--index", metavar="PATH", help="sealed index (default: the embedded world's)")
    parser.add_argument("--tasks", metavar="PATH", help="tasks with regions (default: the embedded world's)")
    parser.add_argument("--task", metavar="ID", help="the task to play (default: the first `hop_1` with regions)")
    parser.add_argument("--player", metavar="NAME", default="oracle-crop", help="who is watched (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("docs"), help="default: %(default)s")
    options = parser.parse_args(argv)
    find()  # before anything is opened
    from gog_env.play.app import application
    from gog_env.play.stage import Stage
    from gog_env.stand import open_index, open_tasks

    index, tasks = open_index(options.index), open_tasks(options.tasks, "heldout")
    if options.task:
        task = tasks.by_id(options.task)
    else:
        regioned = [task for task in tasks if task.regions]
        if not regioned:
            raise TaskError(f"{tasks.source}: no task has regions, so there is nothing to gaze at; name other --tasks")
        task = next((task for task in regioned if task.kind == "hop_1"), regioned[0])
    options.out.mkdir(parents=True, exist_ok=True)
    name = options.index or "embedded world"
    with serving(application(Stage(index, tasks, name=name))) as address:
        take(address, task, options.out, options.player)
    return 0


if __name__ == "__main__":
    cli(main)
