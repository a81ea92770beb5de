"""Lessons of the nano policy: what they teach is true of the pictures and articles that they show."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from agents.nano import lessons
from gog_env.world.nations import World, WorldSpec, make_world

# how a comparison is said: the fact compared, and 1 if the least of it is meant
COMPARED = {
    "earlier": ("founded", 1), "later": ("founded", -1), "fewer": ("population", 1),
    "more": ("population", -1), "smaller": ("area", 1), "larger": ("area", -1),
}  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldSpec(seed=8, nations=48, name="school"))


def texts(row: dict[str, Any]) -> list[str]:
    return [block["text"] for message in row["messages"] for block in message["content"] if block["type"] == "text"]


def boxes(text: str) -> list[list[int]]:
    return [[int(value) for value in found.split(", ")] for found in re.findall(r"\[([\d, ]+)\]", text)]


def test_every_banner_is_listed_with_its_box_and_pointed_at_by_clear_words(world: World) -> None:
    pointed = 0
    for row in lessons.looking(world, 12, seed=3):
        asked, listed, *more = texts(row)
        assert asked == "List the banners." and row["kind"] == "looking" and len(row["images"]) == 1
        known = boxes(listed)
        assert 1 <= len(known) == len(listed.splitlines()) <= 6
        assert all(0 <= x0 < x1 <= 1000 and 0 <= y0 < y1 <= 1000 for x0, y0, x1, y1 in known)
        assert len(more) % 2 == 0 and len(more) <= 2 * lessons.POINTED
        for question, answer in zip(more[::2], more[1::2], strict=True):
            assert question.startswith("Where is the ") and "banner" in question and question.endswith("?")
            assert boxes(answer)[0] in known
            pointed += 1
    assert pointed > 12


def test_a_listed_box_holds_a_banner(world: World) -> None:
    """Inside a listed box the picture differs from a picture of the same scene's surroundings: it is not flat."""
    for row in itertools.islice(lessons.looking(world, 4, seed=5), 4):
        picture = np.asarray(row["images"][0], float)
        for x0, y0, x1, y1 in boxes(texts(row)[1]):
            part = picture[int(y0 * 0.336) : int(y1 * 0.336), int(x0 * 0.448) : int(x1 * 0.448)]
            assert part.std(axis=(0, 1)).max() > 10


@pytest.mark.parametrize("name", ["reading", "copying"])
def test_answers_stand_in_what_was_read(name: str, world: World) -> None:
    seen: set[str] = set()
    for row in getattr(lessons, name)(world, 60, seed=4):
        told, _, asked = texts(row)[0].rpartition("\n")
        assert re.match(r"\[1\] .+: .+\n\[2\] .+: .+", told) and row["kind"] == name
        questions, answers = [asked, *texts(row)[2::2]], texts(row)[1::2]
        assert len(answers) == (lessons.QUESTIONS if name == "reading" else lessons.QUESTIONS - 1)
        for question, answer in zip(questions, answers, strict=True):
            value = answer.removeprefix("<answer> ").removesuffix("</answer>").strip()
            assert value and value in told, (question, answer)
            seen.add(question.split()[0] + " " + question.split()[1])
    assert {"What is", "Who founded", "In which", "How many", "Which has"} <= seen


def test_comparisons_are_right(world: World) -> None:
    rng = np.random.default_rng(2)
    nations = [world.nation(number) for number in range(12)]
    compared = 0
    for one, two in itertools.pairwise(nations):
        for _ in range(8):
            asked, answer = lessons._compared([one, two], rng)
            if not answer:
                continue
            compared += 1
            [said] = set(re.findall(r"\w+", asked)) & set(COMPARED)
            field, sign = COMPARED[said]
            best = min((one, two), key=lambda nation: sign * getattr(nation.facts, field))
            assert answer == best.name and {field} <= one.told & two.told
    assert compared > 20


def test_the_same_seed_teaches_the_same(world: World) -> None:
    for name in ("looking", "reading", "copying"):
        rows = [list(getattr(lessons, name)(world, 3, seed)) for seed in (1, 1, 2)]
        said = [[texts(row) for row in some] for some in rows]
        assert said[0] == said[1] != said[2]
