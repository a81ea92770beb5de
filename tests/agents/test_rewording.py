"""Questions in other words ask the same, about the same banner, and never as a held-out question is worded."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.cases import Case, make_cases
from agents.nano.lessons import phrases
from agents.nano.rewording import TOPICS, reword, reword_folder, reworded
from agents.thoughts import matches
from gog_env.world.nations import WorldSpec, make_world
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import WORDS, wordings


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return list(make_cases(make_world(WorldSpec(seed=8, nations=160, name="school")), "train", 160))


def pattern(template: str) -> re.Pattern[str]:
    words = [f"(?:{'|'.join(WORDS)})" if part == "{b}" else ".+" if part.startswith("{") else re.escape(part)
             for part in re.split(r"(\{\w+\})", template)]  # fmt: skip
    return re.compile("".join(words), re.IGNORECASE)


def test_the_same_is_asked_in_words_of_lessons(cases: list[Case]) -> None:
    known = [pattern(text) for topic in TOPICS for text in phrases(topic)]
    heldout = [pattern(text) for topic in TOPICS for text in wordings()[topic]["heldout"]]
    train = [pattern(text) for topic in TOPICS for text in wordings()[topic]["train"]]
    new: Counter[bool] = Counter()
    for number, case in enumerate(cases):
        said = reworded(case, np.random.default_rng(number))
        question = said.task.question
        assert replace(said, task=replace(said.task, question=case.task.question)) == case, "nothing else changes"
        assert reworded(case, np.random.default_rng(number)).task.question == question
        assert "{" not in question and question[0].isupper() and any(one.fullmatch(question) for one in known)
        if not any(one.fullmatch(question) for one in train):
            new[any(one.fullmatch(question) for one in heldout)] += 1
    assert new[False] > 30, "many are said as no template of the world says them"
    assert new[True] <= 0.1 * new[False], "held-out templates fit by chance alone, with a slot that takes all"


def banner_in(words: str) -> str:
    """The words for the banner at the inner end of those for a nation."""
    for _, slots in matches(words, RELATIONS):
        if inner := banner_in(slots["x"]):
            return inner
    return next((slots["ref"] for _, slots in matches(words, ("nation",))), "")


def test_the_same_banner_is_meant(cases: list[Case]) -> None:
    checked = 0
    for number, case in enumerate(cases):
        nations = [slots["x"] for _, slots in matches(case.task.question, TOPICS) if "x" in slots]
        banner = next(filter(None, map(banner_in, nations)), "")
        if banner:
            assert banner in reworded(case, np.random.default_rng(number)).task.question
            checked += 1
    assert checked > 60


def test_a_question_that_the_world_did_not_put_stays(cases: list[Case]) -> None:
    case = replace(cases[0], task=replace(cases[0].task, question="Which way to the sea?"))
    assert reworded(case, np.random.default_rng(0)) == case


def test_a_written_folder_is_reworded_in_its_questions_alone(tmp_path: Path, cases: list[Case]) -> None:
    rows = [{"id": str(i), "question": case.task.question, "answers": ["Ñ"]} for i, case in enumerate(cases[:40])]
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    reword_folder(tmp_path, 3)
    read = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said = [reword(row["question"], np.random.default_rng([45, 3, i])) for i, row in enumerate(rows)]
    assert [row["question"] for row in read] == said
    assert sum(a["question"] != b["question"] for a, b in zip(rows, read, strict=True)) > 20
    assert [{**row, "question": ""} for row in read] == [{**row, "question": ""} for row in rows]
