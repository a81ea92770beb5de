"""Lessons in looking: a scene and several turns about it.

To point at the banner that words mean, to see which one a whole question is about and what it asks to find there, to
answer what eyes alone can tell. The first reply begins with a survey, a list of all banners and what they bear: words
that point at one are easier to follow in a list, and its many words teach to see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from agents import thoughts
from agents.nano.architecture import GAZE
from agents.nano.lessons import (
    IMAGE,
    QUESTIONS,
    TIES,
    Lesson,
    box_text,
    chained,
    path_of,
    reply,
    say,
    topic_of,
    user,
)
from agents.thoughts import Asking
from gog_env.world.nations import World
from gog_env.world.plans import COMPARED
from gog_env.world.wordings import WORDS, sentence

NOTHING = "nothing plain"
"""What is said of a banner that bears nothing that could not be mistaken."""


_BOXES = re.compile(r"</think>(\[[0-9, ]+\])(?:\[[0-9, ]+\])*$")


def looking(row: dict[str, Any], scene: int, world: World, rng: np.random.Generator, calls: float = 0.0) -> Lesson:
    """A scene and several turns about it.

    Args:
        row: as `scenes.pack` wrote it.
        scene: its place among the packed scenes.
        world: of which names are taken.
        rng: decides what is asked.
        calls: share of the answers to "Point." that are written as a call which looks there, the first of several.
    """
    noun = str(rng.choice(WORDS))
    turns: list[tuple[str, str]] = []
    every = (f"List the {noun}s.", "".join(box_text(row["boxes"][i]) for i in in_order(row["boxes"])))
    spoken = [(i, by, text.format(b=noun)) for i, told in enumerate(row["words"]) for by, text in told]
    while len(turns) < QUESTIONS - 1 and (spoken or row["visual"]):
        roll = rng.random()
        if not spoken or (roll < 0.22 and row["visual"]):
            asked, answer = row["visual"][int(rng.integers(len(row["visual"])))]
            turns.append((asked, f"<think>{thoughts.SEEN}</think><answer> {answer}</answer>"))
        elif roll < 0.3:
            i, _, phrase = _drawn(spoken, rng)
            turns.append((f"Describe {phrase}.", ", ".join(row["bears"][i]) or NOTHING))
        elif roll < 0.5:
            i, _, phrase = _drawn(spoken, rng)
            turns.append((f"Where is {phrase}?", box_text(row["boxes"][i])))
        elif roll < 0.65 and len({i for i, _, _ in spoken}) > 1:
            turns.append(_two(spoken, row["boxes"], rng))
        elif roll < 0.68:
            turns.append(_one_of_all(row, noun, world, rng))
        else:
            i, _, phrase = _drawn(spoken, rng)
            asked, plan = _asked(phrase, rng)
            turns.append((f"{asked} Point.", f"<think>{plan}</think>{box_text(row['boxes'][i])}"))
    turns = [turns[int(i)] for i in rng.permutation(len(turns))] or [every]
    if calls:
        turns = [(asked, _called(answer) if rng.random() < calls else answer) for asked, answer in turns]
    asked, answer = turns[0]
    seen = thoughts.survey(row["boxes"], row["bears"])
    turns[0] = (asked, _surveyed(seen, answer))
    first, *rest = turns
    stretches = [user(f"{IMAGE}{first[0]}"), *reply(first[1])]
    for asked, answer in rest:
        stretches += [user(asked), *reply(answer)]
    return Lesson(tuple(stretches), scene)


def _called(answer: str) -> str:
    """Boxes behind a thought as a call that looks at the first; other answers as they are.

    >>> _called("<think>find its ruler</think>[10, 20, 30, 40]")
    '<think>find its ruler</think><tool_call>\\n{"name": "gaze", "arguments": {"box": [10, 20, 30, 40]}}\\n</tool_call>'
    """
    return _BOXES.sub(lambda found: f"</think>{GAZE}{found[1]}}}}}\n</tool_call>", answer)


def _surveyed(seen: str, answer: str) -> str:
    """The answer behind a survey of the picture: in its thought, or in one of its own."""
    if answer.startswith("<think>"):
        return f"<think>{seen}. {answer.removeprefix('<think>')}"
    return f"<think>{seen}</think>{answer}"


def in_order(boxes: Sequence[Sequence[float]]) -> list[int]:
    """The banners from the top row to the bottom one, each from left to right.

    >>> in_order([(0.6, 0.5, 0.8, 0.7), (0.1, 0.52, 0.3, 0.7), (0.4, 0.1, 0.5, 0.2)])
    [2, 1, 0]
    """
    return [i for row in thoughts.rows_of(boxes) for i in row]


def _drawn(spoken: list[tuple[int, str, str]], rng: np.random.Generator) -> tuple[int, str, str]:
    """A banner's words: first the sort, so that the rare ones are not drowned."""
    sorts = sorted({by for _, by, _ in spoken})
    sort = sorts[int(rng.integers(len(sorts)))]
    fitting = [one for one in spoken if one[1] == sort]
    return fitting[int(rng.integers(len(fitting)))]


def _two(spoken: list[tuple[int, str, str]], boxes: Any, rng: np.random.Generator) -> tuple[str, str]:
    one = _drawn(spoken, rng)
    others = [other for other in spoken if other[0] != one[0] and other[1] == one[1]]
    two = others[int(rng.integers(len(others)))] if others else next(other for other in spoken if other[0] != one[0])
    topic = str(rng.choice(sorted(COMPARED)))
    asked = sentence(say(topic, rng, one=one[2], two=two[2]))
    told = f"{box_text(boxes[one[0]])}{box_text(boxes[two[0]])}"
    return f"{asked} Point.", f"<think>{thoughts.find(Asking(topic))}</think>{told}"


def _one_of_all(row: dict[str, Any], noun: str, world: World, rng: np.random.Generator) -> tuple[str, str]:
    shared = str(rng.choice(TIES))
    other = world.name_at(int(rng.integers(len(world))))
    asked = sentence(say(f"of_{shared}", rng, b=noun, other=other))
    boxes = "".join(box_text(row["boxes"][i]) for i in in_order(row["boxes"]))
    return f"{asked} Point.", f"<think>{thoughts.find(Asking(f'of_{shared}', other=other))}</think>{boxes}"


def _asked(phrase: str, rng: np.random.Generator) -> tuple[str, str]:
    """A question about the nation of a banner or one that relations lead to, and what it asks to find, in order."""
    path = path_of(rng)
    topic = topic_of(rng, name=not path)
    plan = thoughts.find(Asking(topic, tuple(path)))
    return sentence(chained(topic, path, phrase, rng)), plan
