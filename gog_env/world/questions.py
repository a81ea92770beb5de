"""Questions about scenes, each of a kind that says what it takes to answer.

| kind        | what it takes                                                                                      |
|-------------|----------------------------------------------------------------------------------------------------|
| `visual`    | no knowledge: how many banners there are, which of two is larger                                    |
| `glance`    | the article of the one nation whose banner fills the picture: the whole picture finds it            |
| `gaze`      | the article of one of several nations that are shown: only a crop finds it                          |
| `multi_hop` | the article of a nation that the article of one of several nations names (its ally, a neighbour …)  |
| `compare`   | the articles of two nations that are shown                                                          |

Answers stand in the article of the last evidence (for `compare`: the name of one of the two nations). A nation is told
by the place of its banner, in words that `scenes.place_names` found to be clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from gog_env.world.names import plain
from gog_env.world.nations import Nation, World
from gog_env.world.scenes import Placed, Scene, compose

KINDS = ("visual", "glance", "gaze", "multi_hop", "compare")
SHARES = (0.12, 0.14, 0.38, 0.21, 0.15)
"""How often each kind is asked where none is wished for."""
_CLEARLY = 1.5
"""How many times larger (by area) a banner must be to be called the larger one."""

# {x} is a nation
_FACTS: dict[str, tuple[str, ...]] = {
    "capital": ("What is the capital of {x}?", "Which city is the capital of {x}?"),
    "currency": ("What is the currency of {x}?", "In which currency does one pay in {x}?"),
    "founder": ("Who founded {x}?", "Who was the founder of {x}?"),
    "founded": ("In which year was {x} founded?", "When was {x} founded?"),
    "river": ("On which river does the capital of {x} lie?", "Which river does the capital of {x} stand on?"),
    "population": ("How many people live in {x}?", "What is the population of {x}?"),
    "animal": ("Which animal stands for {x}?", "What is the national animal of {x}?"),
}
_OF_NATION = tuple(name for name in _FACTS if name != "population")
_RELATIONS: dict[str, tuple[str, ...]] = {
    "ally": ("the ally of {x}",),
    "rival": ("the rival of {x}",),
    "west": ("the western neighbour of {x}", "the nation west of {x}"),
    "east": ("the eastern neighbour of {x}", "the nation east of {x}"),
}
_WHICH_RELATION = {
    "ally": ("Which nation is the ally of {x}?", "Who is the ally of {x}?"),
    "rival": ("Which nation is the rival of {x}?", "Who is the rival of {x}?"),
    "west": ("Which nation borders {x} in the west?", "Which nation lies west of {x}?"),
    "east": ("Which nation borders {x} in the east?", "Which nation lies east of {x}?"),
}
_NAME = ("Which nation's {b} is {at}?", "Name the nation whose {b} is {at}.")
_NATION = ("the nation whose {b} is {at}", "the nation with the {b} {at}")
_SHOWN = ("shown", "shown in the picture", "in the picture")
_EARLIER = (
    "Which nation was founded earlier: the one with the {b} {one} or the one with the {b} {two}?",
    "Which nation is older: the one whose {b} is {one} or the one whose {b} is {two}?",
)
_MORE = (
    "Which nation has more people: the one with the {b} {one} or the one with the {b} {two}?",
    "Which nation has the larger population: the one whose {b} is {one} or the one whose {b} is {two}?",
)
_COUNT = ("How many {b}s are in the picture?", "How many {b}s are shown?", "How many {b}s can be seen in the picture?")
_LARGER = (
    "Which {b} looks larger: the one {one} or the one {two}?",
    "Which is larger: the {b} {one} or the {b} {two}?",
)


def make_task(
    world: World, split: str, rng: np.random.Generator, kind: str | None = None
) -> tuple[dict[str, Any], Image.Image]:
    """Composes a scene of one split's nations and asks about it.

    Args:
        world: the nations.
        split: `train` or `heldout`: only its nations are shown or lead to the answer.
        rng: decides everything.
        kind: one of `KINDS`; None draws one by `SHARES`.

    Returns:
        The task's `question`, `answers`, `kind`, `evidence` and `regions`, and its picture.
    """
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    if kind == "visual":
        count = int(rng.integers(1, 5))
    elif kind == "glance":
        count = 1
    else:
        count = int(rng.choice([2, 3, 4], p=[0.36, 0.32, 0.32]))
    nations = world.split(split)
    shown = [nations[int(i)] for i in rng.choice(len(nations), count, replace=False)]
    scene = compose([(nation.id, nation.banner) for nation in shown], rng)
    question, answers, seen, reached = _ASK[kind](world, shown, scene, rng)
    fields = {
        "question": question,
        "answers": answers,
        "kind": kind,
        "evidence": [placed.nation_id for placed in seen] + [nation.id for nation in reached],
        "regions": [list(placed.box) for placed in seen],
    }
    return fields, scene.picture


Asked = tuple[str, list[str], list[Placed], list[Nation]]
"""A question, its answers, the banners that it takes in order, and the nations reached from there."""


def _one(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.integers(len(words)))]


def _word(rng: np.random.Generator) -> str:
    return "banner" if rng.random() < 0.6 else "flag"


def _aliases(name: str) -> list[str]:
    return list(dict.fromkeys((name, plain(name))))


def _fact(nation: Nation, name: str) -> list[str]:
    value = getattr(nation.facts, name)
    if name == "population":
        return [f"{value:,}", str(value), f"{value / 1e6:g} million"]
    return _aliases(str(value))


def _visual(world: World, shown: list[Nation], scene: Scene, rng: np.random.Generator) -> Asked:
    word = _word(rng)
    areas = [(p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in scene.placed]
    if len(areas) > 1 and rng.random() < 0.4:
        small, large = sorted(int(i) for i in rng.choice(len(areas), 2, replace=False))
        if areas[small] > areas[large]:
            small, large = large, small
        if areas[large] >= _CLEARLY * areas[small]:
            pair = [scene.placed[small].place, scene.placed[large].place]
            place, (one, two) = pair[1], [pair[int(i)] for i in rng.permutation(2)]
            answers = [place, place.removeprefix("at the ").removeprefix("on the "), f"the one {place}"]
            return _one(rng, _LARGER).format(b=word, one=one, two=two), answers, [], []
    count = len(areas)
    return _one(rng, _COUNT).format(b=word), [str(count), ("one", "two", "three", "four")[count - 1]], [], []


def _single(world: World, shown: list[Nation], scene: Scene, rng: np.random.Generator) -> Asked:
    """About one nation that is shown: its name, a fact, or a relation."""
    nation, placed = shown[0], scene.placed[0]
    at = placed.place if len(shown) > 1 else _one(rng, _SHOWN)
    roll = rng.random()
    if roll < 0.16:
        return _one(rng, _NAME).format(b=_word(rng), at=at), _aliases(nation.name), [placed], []
    told = _one(rng, _NATION).format(b=_word(rng), at=at)
    if roll < 0.3:
        relation = _one(rng, _known(nation))
        other = world.nation(getattr(nation.relations, relation))
        return _one(rng, _WHICH_RELATION[relation]).format(x=told), _aliases(other.name), [placed], []
    fact = _one(rng, tuple(_FACTS))
    return _one(rng, _FACTS[fact]).format(x=told), _fact(nation, fact), [placed], []


def _known(nation: Nation) -> list[str]:
    return [name for name in _RELATIONS if getattr(nation.relations, name)]


def _multi_hop(world: World, shown: list[Nation], scene: Scene, rng: np.random.Generator) -> Asked:
    nation, placed = shown[0], scene.placed[0]
    relation, fact = _one(rng, _known(nation)), _one(rng, _OF_NATION)
    other = world.nation(getattr(nation.relations, relation))
    told = _one(rng, _NATION).format(b=_word(rng), at=placed.place)
    reached = _one(rng, _RELATIONS[relation]).format(x=told)
    return _one(rng, _FACTS[fact]).format(x=reached), _fact(other, fact), [placed], [other]


def _compare(world: World, shown: list[Nation], scene: Scene, rng: np.random.Generator) -> Asked:
    one, two = shown[:2]
    years = one.facts.founded, two.facts.founded
    people = one.facts.population, two.facts.population
    if rng.random() < 0.5 and people[0] != people[1]:
        words, best = _MORE, one if people[0] > people[1] else two
    else:
        words, best = _EARLIER, one if years[0] < years[1] else two
    first, second = scene.placed[:2]
    question = _one(rng, words).format(b=_word(rng), one=first.place, two=second.place)
    return question, _aliases(best.name), [first, second], []


_ASK = {"visual": _visual, "glance": _single, "gaze": _single, "multi_hop": _multi_hop, "compare": _compare}
