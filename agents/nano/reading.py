"""Lessons in reading, without a picture: one to four articles, in the layout of search results.

To tell facts from articles of nations that it will never meet again, to follow relations from article to article by
searching, to compare two of them, to find the one that is related to another, and to repeat names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agents import thoughts
from agents.nano.architecture import SEARCH
from agents.nano.lessons import (
    QUESTIONS,
    TIES,
    Lesson,
    Said,
    chained,
    path_of,
    reply,
    result,
    say,
    topic_of,
    user,
)
from agents.thoughts import Asking
from gog_env.world.nations import Nation, World, article
from gog_env.world.plans import COMPARED, known, related, value
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import WORDS, sentence

PLACES = ("top left", "top right", "bottom left", "bottom right", "left", "right", "top", "bottom", "bottom middle")


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
        path = [] if rng.random() < 0.6 else path_of(rng)
        topic = topic_of(rng, name=alone and not path)
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
        topic = topic_of(rng, name=False)
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
