"""Baselines: what they look at, in which order, and what the perfect reader makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from agents import policies
from gog_env import actions
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.tasks import Task
from index.images import iou

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.6), (0.6, 0.2, 0.9, 0.7)
TITLES = {"RED": "Redland", "BLUE": "Blueland", "GREEN": "Greenland of Old", "GREY": "Greyland"}


class Hit:
    def __init__(self, document_id: str) -> None:
        self.document_id, self.title, self.snippet = document_id, TITLES[document_id], "Text."
        self.score, self.picture_id = 1.0, None


class ColourIndex:
    """Finds the document of a crop's mean colour, if one channel clearly leads, and documents by exact title."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    def search_image(self, pictures: Sequence[Image.Image], k: int = 5) -> list[list[Hit]]:
        found = []
        for picture in pictures:
            red, _, blue = np.asarray(picture, float).mean(axis=(0, 1))
            name = "RED" if red > 2 * blue + 20 else "BLUE" if blue > 2 * red + 20 else "GREY"
            found.append([Hit(name)])
        return found

    def search_text(self, queries: Sequence[str], k: int = 5) -> list[list[Hit]]:
        self.queries += queries
        return [[Hit(name) for name, title in TITLES.items() if title == query] for query in queries]

    def document(self, document_id: str) -> Hit:
        return Hit(document_id)


def scene() -> Image.Image:
    """Black, with a red and a blue rectangle of the same size."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    for (x0, y0, x1, y1), channel in ((LEFT, 0), (RIGHT, 2)):
        pixels[int(y0 * 100) : int(y1 * 100), int(x0 * 100) : int(x1 * 100), channel] = 255
    return Image.fromarray(pixels)


def task(name: str, evidence: tuple[str, ...] = (), regions: tuple = (), question: str = "Which one is it?") -> Task:
    return Task(name, question, ("gold", "other gold"), scene(), "gaze", evidence, regions)


TASKS = [
    task("count"),
    task("left", ("RED",), (LEFT,)),
    task("both", ("RED", "BLUE"), (LEFT, RIGHT)),
    task("hop", ("BLUE", "GREEN"), (RIGHT,)),
]


def play(policy: policies.Policy, tasks: Sequence[Task], turns: int = 6) -> dict[str, list[actions.Action]]:
    """Plays tasks one step at a time; returns each one's actions."""
    episodes = [Episode(item, EpisodeConfig(max_turns=turns)) for item in tasks]
    index = policy._index if hasattr(policy, "_index") else ColourIndex()
    while active := [episode for episode in episodes if not episode.done]:
        step_batch(active, policy.act([episode.view for episode in active]), index)
    return {episode.task.id: [turn.action for turn in episode.turns] for episode in episodes}


def test_direct_knows_only_what_needs_no_evidence() -> None:
    played = play(policies.Direct(TASKS), TASKS)
    assert played["count"] == [actions.Answer("gold")]
    assert all(played[name] == [actions.Answer(policies.UNKNOWN)] for name in ("left", "both", "hop"))


def test_oracle_crop_looks_at_each_region_then_follows_the_lead_by_text() -> None:
    played = play(policies.OracleCrop(TASKS, ColourIndex()), TASKS)
    gold = actions.Answer("gold")
    assert played["count"] == [gold]
    assert played["left"] == [actions.Gaze(LEFT), gold]
    assert played["both"] == [actions.Gaze(LEFT), actions.Gaze(RIGHT), gold]
    assert played["hop"] == [actions.Gaze(RIGHT), actions.Search("Greenland of Old"), gold]


def test_nobody_looks_up_by_title_what_looking_did_not_find() -> None:
    """The gold box shows red, the evidence is blue: no text search may repair that, not even for the second hop."""
    wrong = task("wrong", ("BLUE", "GREEN"), (LEFT,))
    index = ColourIndex()
    assert play(policies.OracleCrop([wrong], index), [wrong])["wrong"] == [
        actions.Gaze(LEFT),
        actions.Answer(policies.UNKNOWN),
    ]
    assert index.queries == []


def test_a_lead_that_text_search_does_not_find_is_tried_once() -> None:
    lost = task("lost", ("RED", "GREY", "GREEN"), (LEFT,))
    index = ColourIndex()
    index.search_text = lambda queries, k=5: [[] for _ in queries]  # type: ignore[method-assign]
    played = play(policies.OracleCrop([lost], index), [lost], turns=10)["lost"]
    assert played == [
        actions.Gaze(LEFT),
        actions.Search("Greyland"),
        actions.Search("Greenland of Old"),
        actions.Answer(policies.UNKNOWN),
    ]


def test_oracle_crop_without_regions_glances() -> None:
    plain = task("plain", ("GREY",))
    assert play(policies.OracleCrop([plain], ColourIndex()), [plain])["plain"] == [
        actions.Glance(),
        actions.Answer("gold"),
    ]


def test_glance_looks_once_and_misses_what_is_small() -> None:
    played = play(policies.GlanceOnce(TASKS, ColourIndex()), TASKS)
    assert played["left"] == [actions.Glance(), actions.Answer(policies.UNKNOWN)]
    assert played["count"] == [actions.Answer("gold")]


def test_grid_gaze_takes_cells_in_turn_and_stops_when_found() -> None:
    played = play(policies.GridGaze(TASKS, ColourIndex(), n=2), TASKS)
    cells = [actions.Gaze(box) for box in ((0.0, 0.0, 0.5, 0.5), (0.5, 0.0, 1.0, 0.5))]
    assert played["left"] == [cells[0], actions.Answer("gold")]
    assert played["both"] == [*cells, actions.Answer("gold")]
    assert played["hop"] == [*cells, actions.Search("Greenland of Old"), actions.Answer("gold")]


def test_grid_cells_tile_the_picture() -> None:
    grid = policies.GridGaze(TASKS, ColourIndex(), n=3)
    boxes = [look.box for turn in range(9) if isinstance(look := grid.look(TASKS[1], turn), actions.Gaze)]
    assert len(set(boxes)) == 9 and grid.look(TASKS[1], 9) is None
    assert sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes) == pytest.approx(1.0)
    assert max(iou(a, b) for a in boxes for b in boxes if a != b) < 1e-9
    assert all(isinstance(actions.validate(actions.Gaze(box)), actions.Gaze) for box in boxes)


@pytest.mark.parametrize("name", sorted(policies.BASELINES))
def test_every_baseline_answers_in_time_and_acts_validly(name: str) -> None:
    hard = [*TASKS, task("never", ("GREEN",), (LEFT,))]
    for turns in (1, 2, 5):
        played = play(policies.BASELINES[name](hard, ColourIndex(), 7), hard, turns)
        for taken in played.values():
            assert isinstance(taken[-1], actions.Answer) and len(taken) <= turns
            assert not any(isinstance(action, actions.Malformed) for action in taken)
        assert played["never"][-1] == actions.Answer(policies.UNKNOWN)
        assert policies.BASELINES[name](hard, ColourIndex(), 7).name == name


@pytest.mark.parametrize("name", ["random", "random-gaze"])
def test_random_choices_depend_on_seed_task_and_turn_only(name: str) -> None:
    hard = [task(f"t{number}", ("GREEN",), (LEFT,)) for number in range(6)]
    make = policies.BASELINES[name]
    together = play(make(hard, ColourIndex(), 3), hard)
    alone = {item.id: play(make(hard, ColourIndex(), 3), [item])[item.id] for item in reversed(hard)}
    assert together == alone
    assert len({str(taken) for taken in together.values()}) > 1, "every task draws the same"
    assert play(make(hard, ColourIndex(), 4), hard) != together


def test_random_gaze_never_repeats_a_box() -> None:
    never = task("never", ("GREEN",), (LEFT,))
    boxes = play(policies.RandomGaze([never], ColourIndex()), [never], turns=9)["never"][:-1]
    assert len(set(boxes)) == 8 and all(isinstance(action, actions.Gaze) for action in boxes)
