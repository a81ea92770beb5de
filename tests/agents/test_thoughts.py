"""Reasons: what a question asks for is read back from its words, and numbers from the articles that tell them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from agents import thoughts
from agents.thoughts import Asking, compared, find, following, last, read_question, told
from gog_env.world.articles import wordings
from gog_env.world.facts import FACTS
from gog_env.world.nations import WorldSpec, article, make_world
from gog_env.world.plans import COMPARED
from gog_env.world.questions import KINDS, ask
from gog_env.world.relations import RELATIONS


def test_every_fact_and_relation_has_a_word() -> None:
    assert set(thoughts.WORD) == {*FACTS, *RELATIONS, "name"}


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_question_says_what_was_planned(split: str) -> None:
    world = make_world(WorldSpec(seed=6, nations=200, name="asked"))
    for kind, number in itertools.product(KINDS, range(6)):
        asked = ask(world, split, np.random.default_rng([number, 3]), kind)
        plan, found = asked.plan, read_question(asked.fields["question"])
        if kind == "visual":
            assert found is None
        else:
            assert found == Asking(plan.topic, plan.path, plan.other.name if plan.other else ""), asked.fields


@pytest.mark.parametrize("question", ["", "Which country's flag is at the top?", "What is the capital of Kenya?"])
def test_what_the_world_did_not_ask_is_not_read(question: str) -> None:
    assert read_question(question) is None


def test_numbers_are_read_off_every_wording() -> None:
    """Of each article that tells a number, and of each sentence that articles are made of."""
    values = {"founded": "745", "population": "1,250,000", "area": "56,780", "west": "Amon", "east": "Bemon"}
    rest = {name: f"X{name}" for name in (*FACTS, *RELATIONS) if name not in values}
    for topic, fact in COMPARED.items():
        for told_too in ({fact}, {"founder", "founded", "population", "area", "west", "east"}):
            for group in wordings(frozenset(told_too | {fact})):
                for text in group:
                    if "{" + fact + "}" in text:
                        assert told(text.format(n="Cemon", **values, **rest), topic) == values[fact], text
    world = make_world(WorldSpec(seed=6, nations=100, name="read"))
    for number in range(100):
        nation = world.nation(number)
        facts = dataclasses.replace(nation.facts)
        for topic, fact in COMPARED.items():
            expected = str(facts.founded) if fact == "founded" else f"{getattr(facts, fact):,}"
            assert told(article(nation, world), topic) == (expected if fact in nation.told else None)


def test_reasons_are_in_these_very_words() -> None:
    hops = Asking("capital", ("rival", "former_ruler"))
    assert find(hops) == "find its rival, former ruler, capital"
    assert [following(name) for name in hops.path] == ["next its rival", "next its former ruler"]
    assert last(hops) == "its capital" and last(Asking("which_east")) == "its eastern neighbour"
    assert find(Asking("name")) == "find its name" and find(Asking("founded")) == "find its founding year"
    assert [find(Asking(topic)) for topic in COMPARED] == [
        "compare founding year", "compare population", "compare area"
    ]  # fmt: skip
    assert [compared("1", "2", topic) for topic in COMPARED] == ["1 or 2: earlier", "1 or 2: more", "1 or 2: larger"]
    assert find(Asking("of_partner", other="Amon")) == "find the one with trading partner Amon"
    assert find(None) == "look at it" and last(None) == "the answer is in the text"
