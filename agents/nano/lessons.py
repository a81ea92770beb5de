"""Lessons that a nano policy needs besides demonstrations: where things are, and how to read an answer off a text.

A large model knows both before it ever meets the environment; a model trained from nothing learns neither from
episodes alone in the time that two cores allow. So it is also taught
  * to list every banner of a scene with its place and box (the boxes that a gaze will need), and
  * to answer questions about one or two articles, of nations that it will never meet again (reading, comparing,
    finding a link).
Lessons are chats like any other: `agents.train_sft` mixes them with the demonstrations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from agents.chats import row_of_chat
from gog_env.world.nations import Nation, World, article
from gog_env.world.scenes import compose

_READ = {
    "capital": "What is the capital of {n}?",
    "founder": "Who founded {n}?",
    "founded": "In which year was {n} founded?",
    "currency": "What is the currency of {n}?",
    "river": "On which river lies the capital of {n}?",
    "population": "How many people live in {n}?",
    "animal": "What is the animal of {n}?",
    "ally": "What is the ally of {n}?",
    "rival": "What is the rival of {n}?",
    "west": "Which nation lies west of {n}?",
    "east": "Which nation lies east of {n}?",
}
QUESTIONS = 5  # about each pair of articles
_COMPARE = {
    "founded": ("Which was founded earlier, {a} or {b}?", "Which was founded later, {a} or {b}?"),
    "population": ("Which has fewer people, {a} or {b}?", "Which has more people, {a} or {b}?"),
}


def thousandths(box: tuple[float, float, float, float]) -> str:
    """A box as a model writes it, rounded to a hundredth of the picture."""
    return ", ".join(str(round(value * 100) * 10) for value in box)


def looking(world: World, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Scenes of one to four banners, each answered by all places and boxes from top left to bottom right."""
    rng = np.random.default_rng([seed, 1])
    for number in range(count):
        chosen = rng.choice(len(world.nations), size=int(rng.integers(1, 5)), replace=False)
        scene = compose([(world.nations[i].id, world.nations[i].banner) for i in chosen], rng)
        placed = sorted(scene.placed, key=lambda one: (round(one.box[1] * 3), one.box[0]))
        lines = [f"{one.place}: [{thousandths(one.box)}]" for one in placed]
        question: list[dict[str, Any]] = [
            {"type": "image", "image": scene.picture},
            {"type": "text", "text": "List the banners."},
        ]
        chat: list[dict[str, Any]] = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "\n".join(lines)},
        ]
        yield row_of_chat(chat, task=f"looking-{number}", kind="looking")


def reading(world: World, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Two articles in the layout of search results, and five questions about them, one after the other.

    Reading a text costs much more than answering, so each text is asked about several times.
    """
    rng = np.random.default_rng([seed, 2])
    for number in range(count):
        pair, told = _pair(world, rng)
        turns = list(itertools.islice(_questions(world, pair, rng), QUESTIONS))
        yield row_of_chat(_chat(told, turns), task=f"reading-{number}", kind="reading")


def copying(world: World, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """As `reading`, but first one of the two articles is to be repeated: the shortest way to learn to copy."""
    rng = np.random.default_rng([seed, 3])
    for number in range(count):
        pair, told = _pair(world, rng)
        which = int(rng.integers(2))
        repeated = (f"Repeat [{which + 1}].", f" {pair[which].name}: {article(pair[which], world)}")
        turns = [repeated, *itertools.islice(_questions(world, pair, rng), QUESTIONS - 2)]
        yield row_of_chat(_chat(told, turns), task=f"copying-{number}", kind="copying")


def _pair(world: World, rng: np.random.Generator) -> tuple[list[Nation], str]:
    """Two nations, and their articles as search results show them."""
    pair = [world.nations[i] for i in rng.choice(len(world.nations), size=2, replace=False)]
    return pair, "\n".join(f"[{rank}] {nation.name}: {article(nation, world)}" for rank, nation in enumerate(pair, 1))


def _questions(world: World, pair: list[Nation], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Questions about two nations and the answers, without end."""
    names = {nation.id: nation.name for nation in world.nations}
    while True:
        asked, answer = _compared(pair, rng) if rng.random() < 0.25 else _read(pair, names, rng)
        if answer:
            yield asked, f"<answer> {answer}</answer>"


def _chat(told: str, turns: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Questions and answers in turn, the texts before the first question."""
    chat: list[dict[str, Any]] = []
    for asked, answer in turns:
        text = asked if chat else f"{told}\n{asked}"
        chat.append({"role": "user", "content": [{"type": "text", "text": text}]})
        chat.append({"role": "assistant", "content": answer})
    return chat


def _compared(pair: list[Nation], rng: np.random.Generator) -> tuple[str, str]:
    """A question that compares two nations, and its answer; "" where they are equal."""
    field, which = str(rng.choice(sorted(_COMPARE))), int(rng.integers(2))
    low, high = sorted(pair, key=lambda nation: getattr(nation.facts, field))
    asked = _COMPARE[field][which].format(a=pair[0].name, b=pair[1].name)
    return asked, "" if getattr(low.facts, field) == getattr(high.facts, field) else (low, high)[which].name


def _read(pair: list[Nation], names: dict[str, str], rng: np.random.Generator) -> tuple[str, str]:
    """A question about one of two nations, and its answer; "" where it has none."""
    nation, field = pair[int(rng.integers(2))], str(rng.choice(sorted(_READ)))
    return _READ[field].format(n=nation.name), _value(nation, field, names)


def _value(nation: Nation, field: str, names: dict[str, str]) -> str:
    """The answer to a question about a nation; "" where it has none."""
    if field in ("ally", "rival", "west", "east"):
        return names.get(getattr(nation.relations, field), "")
    value = getattr(nation.facts, field)
    return f"{value:,}" if field == "population" else str(value)
