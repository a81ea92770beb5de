"""Lessons that a nano policy needs besides demonstrations: where things are, and how to read an answer off a text.

A large model knows both before it ever meets the environment; a model trained from nothing learns neither from
episodes alone in the time that two cores allow. So it is also taught
  * to list every banner of a scene with its place and box (the boxes that a gaze will need), and to point at the one
    that is meant, by place, size, a feature or order, and
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
from gog_env.world.facts import FACTS, shown
from gog_env.world.nations import Nation, World, article
from gog_env.world.refer import references
from gog_env.world.scenes import compose

_READ = {
    "capital": "What is the capital of {n}?",
    "founder": "Who founded {n}?",
    "founded": "In which year was {n} founded?",
    "currency": "What is the currency of {n}?",
    "river": "What is the river of {n}?",
    "population": "How many people live in {n}?",
    "area": "What is the area of {n}?",
    "animal": "What is the animal of {n}?",
    "ruler": "Who is the ruler of {n}?",
    "ally": "What is the ally of {n}?",
    "rival": "What is the rival of {n}?",
    "partner": "What is the trading partner of {n}?",
    "former_ruler": "What is the former ruler of {n}?",
    "west": "Which nation lies west of {n}?",
    "east": "Which nation lies east of {n}?",
}
POINTED = 3  # banners of a scene that are asked for one by one, at most
QUESTIONS = 5  # about each pair of articles
_COMPARE = {
    "founded": ("Which was founded earlier, {a} or {b}?", "Which was founded later, {a} or {b}?"),
    "population": ("Which has fewer people, {a} or {b}?", "Which has more people, {a} or {b}?"),
    "area": ("Which is smaller, {a} or {b}?", "Which is larger, {a} or {b}?"),
}


def thousandths(box: tuple[float, float, float, float]) -> str:
    """A box as a model writes it, rounded to a hundredth of the picture."""
    return ", ".join(str(round(value * 100) * 10) for value in box)


def looking(world: World, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Scenes of one to six banners: first all places and boxes from top left to bottom right, then some by reference.

    Encoding a picture costs much more than answering, so each is asked about several times.
    """
    rng = np.random.default_rng([seed, 1])
    for number in range(count):
        chosen = rng.choice(len(world), size=int(rng.integers(1, 7)), replace=False)
        nations = [world.nation(int(i)) for i in chosen]
        scene = compose([(nation.id, nation.banner) for nation in nations], rng)
        placed = sorted(scene.placed, key=lambda one: (round(one.box[1] * 3), one.box[0]))
        lines = [f"{one.place or 'among others'}: [{thousandths(one.box)}]" for one in placed]
        question: list[dict[str, Any]] = [
            {"type": "image", "image": scene.picture},
            {"type": "text", "text": "List the banners."},
        ]
        chat: list[dict[str, Any]] = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "\n".join(lines)},
        ]
        meant = references(scene, [nation.banner for nation in nations])
        for i in [int(i) for i in rng.permutation(len(meant)) if meant[i]][:POINTED]:
            phrase = meant[i][int(rng.integers(len(meant[i])))].phrase.format(b="banner")
            chat.append({"role": "user", "content": [{"type": "text", "text": f"Where is {phrase}?"}]})
            chat.append({"role": "assistant", "content": f"[{thousandths(scene.placed[i].box)}]"})
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
    pair = [world.nation(int(i)) for i in rng.choice(len(world), size=2, replace=False)]
    return pair, "\n".join(f"[{rank}] {nation.name}: {article(nation, world)}" for rank, nation in enumerate(pair, 1))


def _questions(world: World, pair: list[Nation], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Questions about two nations and the answers, without end; only about what their articles tell."""
    while True:
        asked, answer = _compared(pair, rng) if rng.random() < 0.25 else _read(world, pair, rng)
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
    """A question that compares two nations, and its answer; "" where they are equal or one of them is not told."""
    field, which = str(rng.choice(sorted(_COMPARE))), int(rng.integers(2))
    low, high = sorted(pair, key=lambda nation: getattr(nation.facts, field))
    asked = _COMPARE[field][which].format(a=pair[0].name, b=pair[1].name)
    clear = getattr(low.facts, field) < getattr(high.facts, field) and all(field in nation.told for nation in pair)
    return asked, (low, high)[which].name if clear else ""


def _read(world: World, pair: list[Nation], rng: np.random.Generator) -> tuple[str, str]:
    """A question about one of two nations, and its answer; "" where its article does not tell it."""
    nation, field = pair[int(rng.integers(2))], str(rng.choice(sorted(_READ)))
    asked = _READ[field].format(n=nation.name)
    if field not in nation.told:
        return asked, ""
    return asked, shown(nation.facts, field) if field in FACTS else world.name_of(getattr(nation.relations, field))
