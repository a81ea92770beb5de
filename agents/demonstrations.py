"""Demonstrations: episodes of the oracle, kept where they earn full reward, written as chats for supervised training.

    python -m agents.demonstrations --tasks PATH --index PATH --out demos.parquet --seed 0

Decisions: the oracle knows the regions and evidence of a task but acts through the environment like any policy, so
that every result in a demonstration is what the index really returned. It glances where one thing fills the picture,
gazes at the regions otherwise, follows up by text search on names it has not seen yet, and answers. What needs nothing
looked up it answers at once; that the knowledge does not hold something it says once it has looked there. Boxes are
rounded to a hundredth and moved a little, so that the learner does not meet only perfect ones. What does not earn full
reward, or answers from a text that was not shown, is dropped.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.card import NANO, PolicyCard, load_card
from agents.chats import row_of_chat, write_chats
from agents.dialects import tool_call
from agents.options import natural, positive
from agents.policies import FILLS, OracleCrop, draws
from agents.settings import check_file, episode_config, open_world
from gog_env.actions import Action, Gaze, Glance
from gog_env.episode import Episode, EpisodeConfig, EpisodeView
from gog_env.tasks import Task
from index.errors import TaskError, cli


class Demonstrator:
    """The oracle with human-like looks: a glance where one thing fills the picture, slightly loose boxes elsewhere.

    Args:
        tasks: the tasks, with evidence and regions.
        index: the knowledge, for the titles that are searched for.
        seed: of the boxes' looseness.
        looseness: every edge moves by at most this share of the box's side.
    """

    name = "demonstrator"

    def __init__(self, tasks: Sequence[Task], index: Any, seed: int = 0, looseness: float = 0.05) -> None:
        """Wraps the oracle."""
        self._oracle = OracleCrop(tasks, index)
        self._tasks = {task.id: task for task in tasks}
        self._seed, self._looseness = seed, looseness

    def act(self, views: Sequence[EpisodeView]) -> list[Action]:
        """The oracle's actions, with its boxes rounded and moved."""
        return [self._human(view, action) for view, action in zip(views, self._oracle.act(views), strict=True)]

    def _human(self, view: EpisodeView, action: Action) -> Action:
        if not isinstance(action, Gaze):
            return action
        task = self._tasks[view.task_id]
        x0, y0, x1, y1 = action.box
        if len(task.regions) == 1 and (x1 - x0) * (y1 - y0) >= FILLS:
            return Glance()
        rng = draws(self._seed, task.id, len(view.turns))
        width, height = x1 - x0, y1 - y0
        moved = np.array(action.box) + rng.uniform(-1, 1, 4) * self._looseness * np.array([width, height] * 2)
        a, b, c, d = (round(float(value), 2) for value in np.clip(moved, 0, 1))
        return Gaze((a, b, max(c, a + 0.01), max(d, b + 0.01)))


def demonstrate(
    tasks: Sequence[Task], index: Any, config: EpisodeConfig, seed: int = 0, progress: bool = True
) -> Iterator[Episode]:
    """Yields the oracle's episodes that earn full reward, in the order of the tasks that say what their evidence is."""
    from agents.rollout import run_episodes

    tasks = [task for task in tasks if task.evidence is not None]
    policy = Demonstrator(tasks, index, seed)
    for start in range(0, len(tasks), 256):
        part = tasks[start : start + 256]
        for episode in run_episodes(policy, part, index, config, seed=seed, progress=progress):
            parts = episode.reward_parts
            if parts.accuracy == 1.0 and parts.format == 1.0 and was_read(episode):
                yield episode


def was_read(episode: Episode) -> bool:
    """True if the text of every evidence document was shown: an answer must follow from what was read."""
    shown = {hit.document_id for turn in episode.turns for hit in turn.hits[: episode.config.texts]}
    return shown.issuperset(episode.task.evidence or ())


def chat_rows(episodes: Iterator[Episode], card: PolicyCard) -> Iterator[dict[str, Any]]:
    """Episodes as rows of a table of chats, in the words of the card's dialect."""
    for episode in episodes:
        yield row_of_chat(tool_call.messages(episode.view, card), task=episode.view.task_id, kind=episode.task.kind)


def write_demonstrations(
    tasks: Sequence[Task], index: Any, card: PolicyCard, path: str | Path, seed: int = 0
) -> Counter[str]:
    """Writes a table of demonstrations of tasks.

    Returns:
        How many were kept, by kind of task.

    Raises:
        TaskError: none was; then nothing is written.
    """
    kinds: Counter[str] = Counter()

    def counted() -> Iterator[dict[str, Any]]:
        for row in chat_rows(demonstrate(tasks, index, episode_config(card), seed), card):
            kinds[row["kind"]] += 1
            yield row

    if not write_chats(counted(), path):
        raise TaskError(
            "no demonstration earned full reward; do the tasks have evidence and regions that this index holds?"
        )
    return kinds


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.demonstrations",
        description="Write the oracle's successful episodes as chats for supervised training.",
        epilog="example: python -m agents.demonstrations --out runs/demos.parquet --limit 200",
    )
    parser.add_argument("--tasks", help="tasks to demonstrate (default: the embedded world's training tasks)")
    parser.add_argument("--index", help="sealed index to search (default: the embedded world's)")
    parser.add_argument(
        "--model", help="model folder whose card says how chats are written (default: the nano policy's)"
    )
    parser.add_argument(
        "--out", default="runs/demonstrations.parquet", help="Parquet file to write (default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, help="use the first LIMIT tasks only")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the boxes' looseness (default: 0)")
    options = parser.parse_args(argv)

    check_file(options.out)
    card = load_card(Path(options.model).absolute()) if options.model else NANO
    index, tasks = open_world(options.index, options.tasks, split="train", limit=options.limit)
    kept = write_demonstrations(tasks, index, card, options.out, options.seed)
    print(f"kept {kept.total()} of {len(tasks)} episodes ({dict(sorted(kept.items()))}) in {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
