"""Demonstrations: for every kind of task the shortest way to its answer, acted in a world that fits in one's head."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agents.demonstrations import Demonstrator, demonstrate
from gog_env.actions import Answer, Gaze, Glance, Search
from gog_env.episode import EpisodeConfig
from gog_env.tasks import Task
from index.images import iou

FULL = (0.05, 0.1, 0.95, 0.9)


def shown(colours: SimpleNamespace, *tasks: Task) -> dict[str, list]:
    """The demonstrations that are kept, by task: each one's actions, a gaze as the region that it is about."""
    said = {}
    for episode in demonstrate(tasks, colours.index(), EpisodeConfig(texts=3), progress=False):
        taken: list = [turn.action for turn in episode.turns]
        for place, action in enumerate(taken):
            if isinstance(action, Gaze):
                near = max((colours.left, colours.right), key=lambda box, action=action: iou(box, action.box))
                assert 0.7 < iou(near, action.box) < 1.0, "moved a little"
                assert all(round(edge, 2) == edge for edge in action.box)
                taken[place] = Gaze(near)
        said[episode.task.id] = taken
    return said


def test_each_kind_is_shown_by_its_shortest_way(colours: SimpleNamespace) -> None:
    left, right, gold = Gaze(colours.left), Gaze(colours.right), Answer("gold")
    tasks = [
        colours.task("visual", (), (colours.left,), "visual", calls=()),
        colours.task("look_alike", ("RED",), (colours.left,), "look_alike"),
        colours.task("hop_1", ("BLUE", "GREEN"), (colours.right,), "hop_1"),
        colours.task("hop_2", ("BLUE", "GREEN", "GREY"), (colours.right,), "hop_2"),
        colours.task("compare", ("RED", "BLUE"), (colours.left, colours.right), "compare"),
        colours.task("intersection", ("BLUE",), (colours.right,), "intersection"),
        colours.task("unanswerable", (), (colours.left,), "unanswerable", (left,), ("unknown", "not known")),
    ]
    assert shown(colours, *tasks) == {
        "visual": [gold],
        "look_alike": [left, gold],
        "hop_1": [right, Search("Greenland of Old"), gold],
        "hop_2": [right, Search("Greenland of Old"), gold],  # the look brought Greyland, too
        "compare": [left, right, gold],
        "intersection": [right, gold],
        "unanswerable": [left, Answer("unknown")],
    }


def test_what_was_found_but_not_read_is_no_demonstration(colours: SimpleNamespace) -> None:
    """Greyland comes back second: with one text shown its article was never before the reader's eyes."""
    tasks = [colours.task("second", ("GREY",), (colours.left,)), colours.task("first", ("RED",), (colours.left,))]
    kept = demonstrate(tasks, colours.index(), EpisodeConfig(texts=1), progress=False)
    assert [episode.task.id for episode in kept] == ["first"]


@pytest.mark.parametrize("kind", ["glance", "unanswerable"])
def test_one_thing_that_fills_the_picture_is_glanced_at(kind: str, colours: SimpleNamespace) -> None:
    evidence = ("GREY",) if kind == "glance" else ()
    tasks = [colours.task("full", evidence, (FULL,), kind, (Glance(),))]
    [episode] = demonstrate(tasks, colours.index(), EpisodeConfig(texts=3), progress=False)
    assert [turn.action for turn in episode.turns] == [Glance(), Answer("gold")]


def test_looks_depend_on_seed_task_and_turn_only(colours: SimpleNamespace) -> None:
    def boxes(seed: int, *tasks: Task) -> list:
        episodes = demonstrate(tasks, colours.index(), EpisodeConfig(texts=3), seed, progress=False)
        return [turn.action for episode in episodes for turn in episode.turns if isinstance(turn.action, Gaze)]

    one, many = boxes(3, colours.tasks[1]), boxes(3, *colours.tasks)
    assert one and one == many[: len(one)] and many == boxes(3, *colours.tasks) != boxes(4, *colours.tasks)
    assert Demonstrator(colours.tasks, colours.index()).name == "demonstrator"
