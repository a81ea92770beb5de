"""Lessons of the nano policy: what they teach is true of the scenes and articles that they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import thoughts
from agents.card import NANO
from agents.dialects import tool_call
from agents.nano import lessons, looking, reading, scenes
from agents.nano.lessons import Lesson
from gog_env.actions import Gaze
from gog_env.world.facts import FACTS, shown
from gog_env.world.nations import World, WorldSpec, make_world
from gog_env.world.plans import COMPARED
from gog_env.world.wordings import wordings
from index.images import iou

SPEC = WorldSpec(seed=8, nations=48, name="school")
BOX = re.compile(r"\[(\d+, \d+, \d+, \d+)\]")


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> scenes.Scenes:
    folder = tmp_path_factory.mktemp("scenes")
    scenes.pack(SPEC, 24, folder)
    return scenes.read(folder)


def turns(lesson: Lesson) -> list[tuple[str, str]]:
    """What was read before each reply, and the reply."""
    read, found = "", []
    for said in lesson.stretches:
        if said.learned:
            found.append((read, said.text.removesuffix("<|im_end|>")))
            read = ""
        else:
            read += said.text
    return found


def asked(read: str) -> str:
    return re.findall(r"<\|im_start\|>user\n(?!<tool)(.*?)<\|im_end\|>", read, re.DOTALL)[-1].removeprefix(
        lessons.IMAGE
    )


def boxes(text: str) -> list[tuple[float, ...]]:
    return [tuple(int(edge) / 1000 for edge in found.split(", ")) for found in BOX.findall(text)]


def test_the_words_of_lessons_are_never_those_of_held_out_questions() -> None:
    held = {text for lists in wordings().values() for text in lists["heldout"]}
    own = {text for key in wordings() for text in lessons.phrases(key)}
    assert len(own) > 200 and not own & held


def test_a_scene_is_the_training_task_of_the_same_number(packed: scenes.Scenes, world: World) -> None:
    from gog_env.world.questions import ask

    for i in (0, 7, 23):
        asked_ = ask(world, "train", np.random.default_rng([13, SPEC.seed, 0, 0, i]))
        row = packed.rows[i]
        assert row["question"] == asked_.fields["question"] and row["id"] == f"train-{i:05d}"
        assert [tuple(box) for box in row["boxes"]] == [placed.box for placed in asked_.scene.placed]
        cut, grid = scenes.cut(asked_.scene.picture)
        assert np.array_equal(packed.patches[i], cut) and grid == packed.grid == (16, 22)


def test_packing_with_more_processes_gives_the_same(packed: scenes.Scenes, tmp_path: Path) -> None:
    scenes.pack(SPEC, 24, tmp_path, jobs=2)
    again = scenes.read(tmp_path)
    assert again.rows == packed.rows and np.array_equal(again.patches, packed.patches)


def test_pointing_says_the_box_of_the_one_banner_meant(packed: scenes.Scenes, world: World) -> None:
    pointed = 0
    for number, row in enumerate(packed.rows):
        meant = {phrase.format(b=noun): i for i, told in enumerate(row["words"]) for _, phrase in told
                 for noun in ("banner", "flag")}  # fmt: skip
        for read, said in turns(looking.looking(row, number, world, np.random.default_rng(number))):
            question = asked(read)
            if not question.startswith("Where is "):
                continue
            *_, box = boxes(said)
            assert iou(box, row["boxes"][meant[question[9:-1]]]) > 0.85, question
            pointed += 1
    assert pointed > 12


def test_the_first_reply_begins_with_a_survey_of_all_banners(packed: scenes.Scenes, world: World) -> None:
    for number, row in enumerate(packed.rows):
        first, *rest = turns(looking.looking(row, number, world, np.random.default_rng(50 + number)))
        survey = re.match(r"<think>(.*?)(\. .*)?</think>", first[1]).group(1)  # type: ignore[union-attr]
        assert survey == thoughts.survey(row["boxes"], row["bears"])
        parts = re.split("; | / ", survey)
        for part, i in zip(parts, looking.in_order(row["boxes"]), strict=True):
            assert iou(boxes(part)[0], row["boxes"][i]) > 0.85
            assert part.endswith(", ".join(row["bears"][i][:2]))
        assert not any(survey in said for _, said in rest)


def test_the_last_lessons_point_by_calls_that_a_policy_could_make(packed: scenes.Scenes, world: World) -> None:
    called = 0
    for number, row in enumerate(packed.rows):
        plain, formed = (
            turns(looking.looking(row, number, world, np.random.default_rng(100 + number), share))
            for share in (0.0, 1.0)
        )
        for (read, before), (_, said) in zip(plain, formed, strict=True):
            if not asked(read).endswith(" Point."):
                assert said == before
                continue
            thought, _, shown = before.partition("</think>")
            action = tool_call.parse(said, NANO)
            assert said.startswith(f"{thought}</think><tool_call>") and isinstance(action, Gaze), said
            assert action.box == pytest.approx(boxes(shown)[0]), "the first of those that the plain reply lists"
            called += 1
    assert called > 5


def test_whole_questions_are_planned_in_the_order_of_the_path(packed: scenes.Scenes, world: World) -> None:
    planned = 0
    for number, row in enumerate(packed.rows):
        for read, said in turns(looking.looking(row, number, world, np.random.default_rng(100 + number))):
            question = asked(read)
            if not question.endswith(" Point."):
                continue
            thought = re.match(r"<think>(?:.*\. )?(.*?)</think>", said).group(1)  # type: ignore[union-attr]
            known = thoughts.read_question(question.removesuffix(" Point."))
            assert boxes(said)
            if known is not None:  # in a wording of the world's own
                assert thought == thoughts.find(known), question
                planned += 1
    assert planned > 5


def test_what_eyes_tell_is_answered_at_once(packed: scenes.Scenes, world: World) -> None:
    seen = 0
    for number, row in enumerate(packed.rows):
        told = {question: answer for question, answer in row["visual"]}
        for read, said in turns(looking.looking(row, number, world, np.random.default_rng(200 + number))):
            if asked(read) in told:
                assert said.endswith(f"{thoughts.SEEN}</think><answer> {told[asked(read)]}</answer>")
                seen += 1
    assert seen > 10


def test_answers_and_searches_stand_in_what_was_read(world: World) -> None:
    answered = searched = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        read = ""
        for before, said in turns(reading.reading(world, rng)):
            read += before
            if found := re.search(r"<answer> (.*)</answer>", said):
                assert found.group(1) in read, said
                answered += 1
            elif found := re.search(r'"query": " (.*)"', said):
                assert found.group(1) in read, said
                searched += 1
    assert answered > 100 and searched > 30


def test_comparisons_are_right(world: World) -> None:
    facts = {world.nation(i).name: world.nation(i).facts for i in range(len(world))}
    for seed in range(25):
        said = turns(reading._comparison(world, np.random.default_rng(seed)))
        titles = [re.findall(r"\[1\] (.+?) \(", read)[0] for read, _ in said]
        first, second, outcome, name = re.fullmatch(
            r"<think>(.+) or (.+): (\w+)</think><answer> (.+)</answer>", said[1][1]
        ).groups()  # type: ignore[union-attr]
        assert said[0][1] == f"<think>{first}</think>"
        fact = {"earlier": "founded", "more": "population", "larger": "area"}[outcome]
        assert fact in COMPARED.values() and fact in FACTS
        values = [getattr(facts[title], fact) for title in titles]
        best = min(values) if outcome == "earlier" else max(values)
        assert name == titles[values.index(best)]
        assert [shown(facts[title], fact) for title in titles] == [first, second]


def test_banners_are_listed_row_by_row() -> None:
    grid: list[Any] = [(x, y, x + 0.2, y + 0.2) for y in (0.55, 0.1) for x in (0.7, 0.1, 0.4)]
    assert looking.in_order(grid) == [4, 5, 3, 1, 2, 0]


def test_the_same_generator_teaches_the_same(packed: scenes.Scenes, world: World) -> None:
    for make in (lambda rng: looking.looking(packed.rows[2], 2, world, rng), lambda rng: reading.reading(world, rng)):
        one, same, other = (make(np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert one == same != other
