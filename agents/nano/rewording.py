"""Questions in other words: those of lessons (`wordings.json`) beside those of the training split.

The world words each thing that can be asked in three ways for training. A small model that sees nothing else learns
these three sentences instead of what they ask.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from agents.cases import Case
from agents.nano.lessons import say
from agents.thoughts import matches
from gog_env.world.facts import FACTS
from gog_env.world.plans import COMPARED, SHARED
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import WORDS, sentence

VISUAL = ("count", "colors", "color", "number", "larger", "where", "side", "half")
TOPICS = (*(f"of_{shared}" for shared in SHARED), *COMPARED, *FACTS, *(f"which_{name}" for name in RELATIONS), "name",
          *VISUAL)  # fmt: skip


def reworded(case: Case, rng: np.random.Generator) -> Case:
    """The same task, its question in one of the wordings of lessons; unchanged where the world did not put it.

    Args:
        case: of a task of the training split.
        rng: decides.
    """
    return replace(case, task=replace(case.task, question=reword(case.task.question, rng)))


def reword(question: str, rng: np.random.Generator) -> str:
    """A question in one of the wordings of lessons; unchanged where the world did not put it."""
    if len({topic for topic, _ in matches(question, VISUAL)}) > 1:
        return question  # "name the colour of": of one thing or of many
    for topic, slots in matches(question, TOPICS):
        if "x" in slots:
            nation = _nation(slots.pop("x"), rng)
            if nation is None:
                continue
            slots["x"] = nation
        noun = next((word for word in WORDS if f"{word}" in question), WORDS[0])
        slots = {name: _begun(text) for name, text in slots.items()}
        return sentence(say(topic, rng, b=noun, **slots))
    return question


def reword_folder(folder: Path, seed: int) -> None:
    """Rewords the questions of a written folder of tasks, in its `metadata.jsonl`."""
    path = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["question"] = reword(row["question"], np.random.default_rng([45, seed, number]))
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _nation(words: str, rng: np.random.Generator) -> str | None:
    """The words for a nation, said anew from the banner outwards; None for words of another kind."""
    for relation, slots in matches(words, RELATIONS):
        inner = _nation(slots["x"], rng)
        if inner is not None:
            return say(relation, rng, x=inner)
    for _, slots in matches(words, ("nation",)):
        return say("nation", rng, ref=slots["ref"])
    return None


def _begun(text: str) -> str:
    """Words that stood at the start of a sentence."""
    return text[:1].lower() + text[1:] if text.startswith("The ") else text
