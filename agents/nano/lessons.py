"""Lessons that a nano policy needs before demonstrations: where things are, and how to read an answer off a text.

A large model knows both before it ever meets the environment; a model trained from nothing learns neither from
episodes alone in the time that two cores allow. So it is first taught to look (`agents.nano.looking`) and to read
(`agents.nano.reading`). Here is what both have in common.

Decisions: a lesson is a chat of many short turns, because reading a picture or a text costs much more than answering.
Questions are worded as in the training split or as in `wordings.json` beside this file, never as in the held-out split.
Thoughts are those of `agents.thoughts`. In no lesson does anything come back from a call: when to look, and what
to make of it, a policy learns from demonstrations alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from gog_env.world.facts import FACTS
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import wordings

TIES = ("borders", "former_ruler", "ally", "rival", "partner")
"""What an intersection may ask for."""
QUESTIONS = 7
"""Questions that are asked about one picture or one article."""


@dataclass(frozen=True)
class Said:
    """One stretch of a lesson: its text and whether it is to be learned (the rest is only read)."""

    text: str
    learned: bool = False


@dataclass(frozen=True)
class Lesson:
    """A chat to learn from: its stretches in order, and the scene whose picture it begins with (None: no picture)."""

    stretches: tuple[Said, ...]
    scene: int | None = None


IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def user(text: str) -> Said:
    """A question, up to where the answer begins."""
    return Said(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")


def result(text: str) -> Said:
    """What a search brought, up to where the next turn begins."""
    shown = f"<tool_response>\n{text}\n</tool_response>"
    return Said(f"<|im_start|>user\n{shown}<|im_end|>\n<|im_start|>assistant\n")


def reply(text: str) -> tuple[Said, Said]:
    """What is to be learned to say, and the line's end."""
    return Said(f"{text}<|im_end|>", True), Said("\n")


@cache
def phrases(key: str) -> tuple[str, ...]:
    """All wordings that lessons use of a key of `gog_env/world/wordings.json`: the training split's and their own."""
    own = json.loads(Path(__file__).with_name("wordings.json").read_text(encoding="utf-8"))
    return (*wordings()[key]["train"], *own.get(key, ()))


def say(key: str, rng: np.random.Generator, **slots: str) -> str:
    """One of a key's wordings; those of the training split half of the time."""
    texts = wordings()[key]["train"] if rng.random() < 0.5 else phrases(key)
    return texts[int(rng.integers(len(texts)))].format(**slots)


def box_text(box: Sequence[float]) -> str:
    """A box as a model writes it, rounded to a hundredth of the picture.

    >>> box_text((0.1, 0.254, 0.5, 1.0))
    '[100, 250, 500, 1000]'
    """
    return f"[{', '.join(str(round(edge * 100) * 10) for edge in box)}]"


def path_of(rng: np.random.Generator) -> list[str]:
    """Relations that lead from a banner's nation to the one that is asked about; none, half of the time."""
    hops = int(rng.choice(4, p=(0.5, 0.2, 0.17, 0.13)))
    return [str(name) for name in rng.choice(list(RELATIONS), hops)]


def topic_of(rng: np.random.Generator, name: bool) -> str:
    """What is asked of a nation: a fact, a relation or (if it may be) its name."""
    if name and rng.random() < 0.1:
        return "name"
    names = [*FACTS, *(f"which_{name}" for name in RELATIONS)]
    return names[int(rng.integers(len(names)))]


def chained(topic: str, path: Sequence[str], phrase: str, rng: np.random.Generator) -> str:
    """A question about the nation at the end of a path that begins at a banner."""
    if topic == "name" and not path:
        return say("name", rng, ref=phrase)
    nation = say("nation", rng, ref=phrase)
    for relation in path:
        nation = say(relation, rng, x=nation)
    return say(topic, rng, x=nation)
