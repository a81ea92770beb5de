"""Lessons that a nano policy needs before demonstrations: where things are, and how to read an answer off a text.

A large model knows both before it ever meets the environment; a model trained from nothing learns neither from
episodes alone in the time that two cores allow. So it is first taught

  * `looking`: to list a scene's banners, to point at the one that words mean, to see which banner a whole question is
    about and what it asks to find there, and to answer what eyes alone can tell, and
  * `reading`: to tell facts from articles of nations that it will never meet again, to follow relations from article
    to article by searching, to compare two of them, to find the one that is related to another, and to repeat names.

Decisions: a lesson is a chat of many short turns, because reading a picture or a text costs much more than answering.
Questions are worded as in the training split or as in `wordings.json` beside this file, never as in the held-out split.
Thoughts are those of `agents.thoughts`. No lesson glances or gazes: what a policy does with its eyes it learns from
demonstrations alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from agents import thoughts
from agents.nano.architecture import SEARCH
from agents.thoughts import Asking
from gog_env.world.facts import FACTS
from gog_env.world.nations import Nation, World, article
from gog_env.world.plans import COMPARED, known, related, value
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import WORDS, sentence, wordings

TIES = ("borders", "former_ruler", "ally", "rival", "partner")
"""What an intersection may ask for."""
PLACES = ("top left", "top right", "bottom left", "bottom right", "left", "right", "top", "bottom", "bottom middle")
QUESTIONS = 6
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


# looking


def looking(row: dict[str, Any], scene: int, world: World, rng: np.random.Generator) -> Lesson:
    """A scene and several turns about it.

    Args:
        row: as `scenes.pack` wrote it.
        scene: its place among the packed scenes.
        world: of which names are taken.
        rng: decides what is asked.
    """
    noun = str(rng.choice(WORDS))
    turns: list[tuple[str, str]] = []
    if rng.random() < 0.3:
        boxes = [row["boxes"][i] for i in in_order(row["boxes"])]
        turns.append((f"List the {noun}s.", "".join(map(box_text, boxes))))
    spoken = [(i, by, text.format(b=noun)) for i, told in enumerate(row["words"]) for by, text in told]
    while len(turns) < QUESTIONS:
        roll = rng.random()
        if roll < 0.3 and row["visual"]:
            asked, answer = row["visual"][int(rng.integers(len(row["visual"])))]
            turns.append((asked, f"<think>{thoughts.SEEN}</think><answer> {answer}</answer>"))
        elif not spoken:
            turns.append((f"List the {noun}s.", "".join(box_text(row["boxes"][i]) for i in in_order(row["boxes"]))))
        elif roll < 0.6:
            i, _, phrase = _drawn(spoken, rng)
            turns.append((f"Where is {phrase}?", box_text(row["boxes"][i])))
        elif roll < 0.72 and len({i for i, _, _ in spoken}) > 1:
            turns.append(_two(spoken, row["boxes"], rng))
        elif roll < 0.77:
            turns.append(_one_of_all(row, noun, world, rng))
        else:
            i, _, phrase = _drawn(spoken, rng)
            asked, plan = _asked(phrase, rng)
            turns.append((f"{asked} Point.", f"<think>{plan}</think>{box_text(row['boxes'][i])}"))
    first, *rest = turns
    stretches = [user(f"{IMAGE}{first[0]}"), *reply(first[1])]
    for asked, answer in rest:
        stretches += [user(asked), *reply(answer)]
    return Lesson(tuple(stretches), scene)


def in_order(boxes: Sequence[Sequence[float]]) -> list[int]:
    """The banners from the top row to the bottom one, each from left to right.

    >>> in_order([(0.6, 0.5, 0.8, 0.7), (0.1, 0.52, 0.3, 0.7), (0.4, 0.1, 0.5, 0.2)])
    [2, 1, 0]
    """
    left = sorted(range(len(boxes)), key=lambda i: boxes[i][1] + boxes[i][3])
    found: list[int] = []
    while left:
        middle = (boxes[left[0]][1] + boxes[left[0]][3]) / 2
        row = [i for i in left if boxes[i][1] < middle < boxes[i][3]]
        found += sorted(row, key=lambda i: boxes[i][0] + boxes[i][2])
        left = [i for i in left if i not in row]
    return found


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


def _path(rng: np.random.Generator) -> list[str]:
    hops = int(rng.choice(4, p=(0.5, 0.2, 0.17, 0.13)))
    return [str(name) for name in rng.choice(list(RELATIONS), hops)]


def _topic(rng: np.random.Generator, name: bool) -> str:
    if name and rng.random() < 0.1:
        return "name"
    names = [*FACTS, *(f"which_{name}" for name in RELATIONS)]
    return names[int(rng.integers(len(names)))]


def _asked(phrase: str, rng: np.random.Generator) -> tuple[str, str]:
    """A question about the nation of a banner or one that relations lead to, and what it asks to find, in order."""
    path = _path(rng)
    topic = _topic(rng, name=not path)
    plan = thoughts.find(Asking(topic, tuple(path)))
    return sentence(chained(topic, path, phrase, rng)), plan


def chained(topic: str, path: Sequence[str], phrase: str, rng: np.random.Generator) -> str:
    """A question about the nation at the end of a path that begins at a banner."""
    if topic == "name" and not path:
        return say("name", rng, ref=phrase)
    nation = say("nation", rng, ref=phrase)
    for relation in path:
        nation = say(relation, rng, x=nation)
    return say(topic, rng, x=nation)


# reading


def shown(nation: Nation, world: World, rng: np.random.Generator, by_picture: bool = True) -> str:
    """An article as a search shows it: of a picture's hits with similarities, behind it another title."""
    first, second = 0.86 + 0.13 * rng.random(), 0.70 + 0.2 * rng.random()
    other = world.name_at(int(rng.integers(len(world))))
    one, two = (f" ({first:.3f})", f" ({min(first, second):.3f})") if by_picture else ("", "")
    return f"[1] {nation.name}{one}: {article(nation, world)}\n[2] {other}{two}"


def reading(world: World, rng: np.random.Generator) -> Lesson:
    """One of the lessons without a picture."""
    roll = rng.random()
    if roll < 0.42:
        return _articles(world, rng)
    if roll < 0.72:
        return _hops(world, rng)
    if roll < 0.87:
        return _comparison(world, rng)
    return _search_all(world, rng)


def names(world: World, rng: np.random.Generator) -> Lesson:
    """Names to be repeated, all of them or the one after another: the shortest way to learn to copy."""
    listed = [_any_name(world, rng) for _ in range(int(rng.integers(4, 9)))]
    stretches = [user(f"Repeat: {', '.join(listed)}"), *reply(f" {', '.join(listed)}")]
    for _ in range(3):
        i = int(rng.integers(len(listed) - 1))
        stretches += [user(f"What follows {listed[i]}?"), *reply(f"<answer> {listed[i + 1]}</answer>")]
    return Lesson(tuple(stretches))


def _any_name(world: World, rng: np.random.Generator) -> str:
    nation = world.nation(int(rng.integers(len(world))))
    field = str(rng.choice(["name", "capital", "founder", "currency", "river", "ruler", "population", "founded"]))
    return value(nation, field)


def _nation(world: World, rng: np.random.Generator) -> Nation:
    return world.nation(int(rng.integers(len(world))))


def _reference(rng: np.random.Generator) -> str:
    noun, place = str(rng.choice(WORDS)), str(rng.choice(PLACES))
    return str(rng.choice([f"the {noun} at the {place}", f"the leftmost {noun}", f"the largest {noun}",
                           f"the {noun} with a red star", f"the second {noun} from the right"]))  # fmt: skip


def _end(nation: Nation, topic: str, world: World) -> str | None:
    """What an article tells of a topic, None where it does not."""
    if topic == "name":
        return nation.name
    if topic.startswith("which_"):
        other = related(nation, topic.removeprefix("which_"), world)
        return other.name if other and topic.removeprefix("which_") in nation.told else None
    return value(nation, topic) if topic in nation.told else None


def _articles(world: World, rng: np.random.Generator) -> Lesson:
    """One or two articles, and questions about one by its name or (where it is alone) by a banner's place."""
    nations = [_nation(world, rng) for _ in range(1 + int(rng.random() < 0.35))]
    alone = len(nations) == 1
    text = "\n".join(shown(one, world, rng, bool(rng.integers(2))) for one in nations)
    stretches: list[Said] = []
    turns = 0
    for _ in range(40):
        nation = nations[int(rng.integers(len(nations)))]
        by_name = not alone or rng.random() < 0.5
        path = [] if rng.random() < 0.6 else _path(rng)
        topic = _topic(rng, name=alone and not path)
        if by_name:
            asked = nation.name
            for relation in path:
                asked = say(relation, rng, x=asked)
            asked = say("name", rng, ref=_reference(rng)) if topic == "name" else say(topic, rng, x=asked)
        else:
            asked = chained(topic, path, _reference(rng), rng)
        answer = _step(nation, path, topic, world)
        if answer is None:
            continue
        if stretches:
            stretches.append(user(sentence(asked)))
        else:
            first = Said(user(sentence(asked)).text.removesuffix("<|im_start|>assistant\n"))
            stretches += [first, result(text)]
        stretches += reply(answer)
        turns += 1
        if turns == QUESTIONS:
            break
    return Lesson(tuple(stretches)) if stretches else _articles(world, rng)


def _step(nation: Nation, path: Sequence[str], topic: str, world: World) -> str | None:
    """What to do with an article at hand: search for the next nation of the path, or answer."""
    if path:
        other = related(nation, path[0], world) if path[0] in known(nation) else None
        return search(other.name, thoughts.following(path[0])) if other else None
    told = _end(nation, topic, world)
    return f"<think>{thoughts.last(Asking(topic))}</think><answer> {told}</answer>" if told else None


def search(name: str, thought: str) -> str:
    """A search as a model writes it."""
    return f'<think>{thought}</think>{SEARCH} {name}"}}}}\n</tool_call>'


def _hops(world: World, rng: np.random.Generator) -> Lesson:
    """From article to article along a path, as after a gaze."""
    while True:
        nation, path, chain = _nation(world, rng), [], []
        for _ in range(int(rng.choice([1, 2, 3], p=(0.55, 0.4, 0.05)))):
            links = [name for name in known(nation)]
            if not links:
                break
            path.append(links[int(rng.integers(len(links)))])
            chain.append(nation)
            nation = world.by_id(getattr(nation.relations, path[-1]))
        topic = _topic(rng, name=False)
        told = _end(nation, topic, world)
        if path and told:
            break
    asked = sentence(chained(topic, path, _reference(rng), rng))
    stretches: list[Said] = [Said(user(asked).text.removesuffix("<|im_start|>assistant\n"))]
    for i, one in enumerate(chain):
        found = search(world.name_of(getattr(one.relations, path[i])), thoughts.following(path[i]))
        stretches += [result(shown(one, world, rng, by_picture=i == 0)), *reply(found)]
    stretches.append(result(shown(nation, world, rng, by_picture=False)))
    stretches += reply(f"<think>{thoughts.last(Asking(topic))}</think><answer> {told}</answer>")
    return Lesson(tuple(stretches))


def _comparison(world: World, rng: np.random.Generator) -> Lesson:
    """Two articles one after the other, each with what counts, and which of the two it is."""
    topic = str(rng.choice(sorted(COMPARED)))
    fact = COMPARED[topic]
    while True:
        one, two = _nation(world, rng), _nation(world, rng)
        first, second = getattr(one.facts, fact), getattr(two.facts, fact)
        if fact in one.told and fact in two.told and first != second and one.id != two.id:
            break
    won = one if (first < second) == (topic == "older") else two
    asked = sentence(say(topic, rng, one=_reference(rng), two=_reference(rng)))
    a, b = value(one, fact), value(two, fact)
    return Lesson((
        Said(user(asked).text.removesuffix("<|im_start|>assistant\n")),
        result(shown(one, world, rng)), Said(f"<think>{a}</think>", True), Said("<|im_end|>\n"),
        result(shown(two, world, rng)),
        *reply(f"<think>{thoughts.compared(a, b, topic)}</think><answer> {won.name}</answer>"),
    ))  # fmt: skip


def _search_all(world: World, rng: np.random.Generator) -> Lesson:
    """Articles one after the other, until one fits."""
    while True:
        nation = _nation(world, rng)
        shared = str(rng.choice(["borders", "former_ruler", *TIES]))
        names_ = [
            name for name in known(nation) if name == shared or (shared == "borders" and name in ("west", "east"))
        ]
        if names_:
            break
    other = related(nation, names_[int(rng.integers(len(names_)))], world)
    assert other is not None
    asked = sentence(say(f"of_{shared}", rng, b=str(rng.choice(WORDS)), other=other.name))
    stretches: list[Said] = [Said(user(asked).text.removesuffix("<|im_start|>assistant\n"))]
    for _ in range(int(rng.choice([0, 1, 2], p=(0.35, 0.4, 0.25)))):
        wrong = _nation(world, rng)
        if any(getattr(wrong.relations, name) == other.id for name in RELATIONS) or wrong.id in (other.id, nation.id):
            continue
        stretches += [
            result(shown(wrong, world, rng)),
            Said(f"<think>{thoughts.NOT_THIS}</think>", True),
            Said("<|im_end|>\n"),
        ]
    stretches.append(result(shown(nation, world, rng)))
    stretches += reply(f"<think>{thoughts.THIS}</think><answer> {nation.name}</answer>")
    return Lesson(tuple(stretches))
