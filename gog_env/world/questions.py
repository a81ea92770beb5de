"""Questions about scenes, each of a kind that says what it takes to answer.

| kind           | what it takes                                                 | shortest calls        |
|----------------|---------------------------------------------------------------|-----------------------|
| `visual`       | no knowledge: numbers, colours, places, sizes of what is seen | none                  |
| `glance`       | the article of the one nation whose banner fills the picture  | glance                |
| `gaze`         | the article of one of several nations that are shown          | gaze                  |
| `look_alike`   | the same, where others have nearly the same banner            | gaze                  |
| `hop_1` to `3` | the article of a nation that relations lead to from there     | gaze, 1 to 3 searches |
| `compare`      | the articles of two nations that are shown                    | gaze, gaze            |
| `intersection` | the one of the nations shown that is related to a given one   | gaze                  |
| `unanswerable` | to see that the knowledge does not hold the nation: say so    | gaze                  |

`plans` decides what is asked before a scene is composed, `scenes` composes it, `refer` finds words that fit one banner
alone, `wordings` puts the question, and `checks` proves the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from gog_env.actions import Action, Gaze, Glance, Search, as_dict
from gog_env.world.answers import UNKNOWN, aliases, distinct, halves_of, number, place_answers, plural, told
from gog_env.world.features import color_aliases
from gog_env.world.nations import Nation, World
from gog_env.world.plans import COMPARED, Plan, Planner, pick
from gog_env.world.refer import Reference, references
from gog_env.world.scenes import Placed, Scene, compose
from gog_env.world.wordings import WORDS, say, sentence
from index.errors import TaskError

KINDS = (
    "visual", "glance", "gaze", "look_alike", "hop_1", "hop_2", "hop_3", "compare", "intersection", "unanswerable",
)  # fmt: skip
SHARES = (0.09, 0.06, 0.23, 0.17, 0.12, 0.06, 0.04, 0.10, 0.07, 0.06)
"""How often each kind is asked where none is wished for."""
_REFERENCES = {"place": 0.3, "size": 0.6, "feature": 0.3, "order": 0.2}
_CLEARLY = 1.5
"""How many times larger (by area) a banner must be to be called the larger one."""
_PLANS, _SCENES = 240, 3


@dataclass(frozen=True)
class Asked:
    """A task and what it was made of, for `checks.check_task`.

    Attributes:
        fields: `question`, `answers`, `kind`, `evidence`, `regions`, `calls`, `setting` and `reference`, as JSON.
        scene: the picture and where its banners are.
        plan: what is asked of whom.
        references: the words for each of the plan's targets, where the question has some.
    """

    fields: dict[str, Any]
    scene: Scene
    plan: Plan
    references: tuple[Reference, ...] = ()


def make_task(
    world: World, split: str, rng: np.random.Generator, kind: str | None = None
) -> tuple[dict[str, Any], Image.Image]:
    """The fields of a task as in `Asked`, and its picture (RGB). For arguments and errors see `ask`."""
    asked = ask(world, split, rng, kind)
    return asked.fields, asked.scene.picture


def ask(world: World, split: str, rng: np.random.Generator, kind: str | None = None) -> Asked:
    """Composes a scene of one split's nations and asks about it, in that split's wordings.

    Args:
        world: the nations, and strangers whom the knowledge does not hold.
        split: `train` or `heldout`: only its nations are shown or lead to the answer.
        rng: decides everything. The same one gives the same picture and question at every snapshot of a world.
        kind: one of `KINDS`; None draws one by `SHARES`.

    Raises:
        TaskError: no such kind or split, or none of many attempts led to such a question.
    """
    if kind is None:
        kind = pick(rng, KINDS, SHARES)
    elif kind not in KINDS:
        raise TaskError(f"there is no kind {kind!r}; choose one of {', '.join(KINDS)}")
    planner = Planner(world, split, rng)
    for _ in range(_PLANS):
        plan = planner.plan(kind)
        if plan is None:
            continue
        for _ in range(_SCENES):
            banners = [(nation.id, nation.banner) for nation in plan.shown]
            scene = compose(banners, rng, fill=kind == "glance", pair=plan.pair, large=_large(plan))
            asked = _visual(plan, scene, split, rng) if kind == "visual" else _known(plan, scene, split, rng, world)
            if asked is not None:
                return asked
    raise TaskError(
        f"no {kind} question came up among the {len(planner.numbers)} nations of {split}; make more nations"
    )


def _large(plan: Plan) -> tuple[int, ...]:
    """The banners that must hang large: targets that small details tell from others."""
    if plan.kind not in ("look_alike", "unanswerable"):
        return ()
    return tuple(i for i in plan.targets if plan.shown[i].family is not None)


def _refer(
    plan: Plan, scene: Scene, split: str, rng: np.random.Generator, by: Sequence[str]
) -> tuple[Reference, ...] | None:
    """A reference for each target, all of one sort (of `by`); None where words do not tell them apart."""
    if len(plan.shown) == 1:
        return (Reference("", say("alone", split, rng, b="{b}")),)
    found = references(scene, [nation.banner for nation in plan.shown], plan.targets)
    sorts = [sort for sort in by if all(any(ref.by == sort for ref in found[i]) for i in plan.targets)]
    if not sorts:
        return None
    sort = pick(rng, sorts, [_REFERENCES[sort] for sort in sorts])
    return tuple(pick(rng, [ref for ref in found[i] if ref.by == sort]) for i in plan.targets)


def _known(plan: Plan, scene: Scene, split: str, rng: np.random.Generator, world: World) -> Asked | None:
    """A question that takes knowledge."""
    word = _word(rng)
    spoken = () if plan.kind == "intersection" else _refer(plan, scene, split, rng, tuple(_REFERENCES))
    if spoken is None:
        return None
    phrases = [ref.phrase.format(b=word) for ref in spoken]
    seen, placed = [plan.shown[i] for i in plan.targets], [scene.placed[i] for i in plan.targets]
    last = plan.reached[-1] if plan.reached else seen[-1]
    if plan.topic in COMPARED:
        question = say(plan.topic, split, rng, one=phrases[0], two=phrases[1])
        answers = aliases(_winner(plan).name)
    elif plan.other is not None:
        question = say(plan.topic, split, rng, b=word, other=plan.other.name)
        answers = aliases(last.name)
    else:
        question = _chained(plan, phrases[0], split, rng)
        answers = told(last, plan.topic, world)
    if plan.kind == "unanswerable":
        answers, seen = list(UNKNOWN), []
    return _asked(plan, scene, question, answers, seen, placed, spoken)


def _chained(plan: Plan, phrase: str, split: str, rng: np.random.Generator) -> str:
    """A name, fact or relation of the nation at the end of the plan's path."""
    if plan.topic == "name":
        return say("name", split, rng, ref=phrase)
    nation = say("nation", split, rng, ref=phrase)
    for relation in plan.path:
        nation = say(relation, split, rng, x=nation)
    return say(plan.topic, split, rng, x=nation)


def _winner(plan: Plan) -> Nation:
    fact = COMPARED[plan.topic]
    one, two = (plan.shown[i] for i in plan.targets)
    first, second = getattr(one.facts, fact), getattr(two.facts, fact)
    return one if (first < second) == (plan.topic == "older") else two


def _visual(plan: Plan, scene: Scene, split: str, rng: np.random.Generator) -> Asked | None:
    """A question that eyes alone answer."""
    word = _word(rng)
    if plan.topic == "count":
        if scene.setting == "gallery":
            return None  # its other pictures might be counted
        return _asked(plan, scene, say("count", split, rng, b=word), number(len(scene.placed)))
    if plan.topic == "larger":
        return _larger(plan, scene, split, rng, word)
    if plan.topic == "place":
        return _place(plan, scene, split, rng, word)
    spoken = _refer(plan, scene, split, rng, ("place", "size", "order"))
    feature = plan.feature
    if spoken is None or feature is None:
        return None
    key = "number" if plan.topic == "number" else "colors" if feature.count > 1 else "color"
    on = "of" if " along " in feature.part else "on"
    slots = {"part": feature.part, "parts": plural(feature), "on": on, "ref": spoken[0].phrase.format(b=word)}
    answers = number(feature.count) if plan.topic == "number" else list(color_aliases(feature.color))
    return _asked(plan, scene, say(key, split, rng, **slots), answers, references=spoken)


def _larger(plan: Plan, scene: Scene, split: str, rng: np.random.Generator, word: str) -> Asked | None:
    found = references(scene, [nation.banner for nation in plan.shown])
    places = {i: ref for i, words in enumerate(found) for ref in words if ref.by == "place"}
    areas = [placed.area for placed in scene.placed]
    pairs = [(i, j) for i in places for j in places if areas[i] >= _CLEARLY * areas[j]]
    if not pairs:
        return None
    pair = pick(rng, pairs)
    place = scene.placed[pair[0]].place
    one, two = (scene.placed[pair[int(i)]].place for i in rng.permutation(2))
    question = say("larger", split, rng, b=word, one=one, two=two)
    spoken = tuple(places[i] for i in pair)
    return _asked(replace(plan, targets=pair), scene, question, place_answers(place, word), references=spoken)


def _place(plan: Plan, scene: Scene, split: str, rng: np.random.Generator, word: str) -> Asked | None:
    found = references(scene, [nation.banner for nation in plan.shown])
    words = [[ref for ref in refs if ref.by in ("feature", "size")] for refs in found]
    halves = [(i, *half) for i, placed in enumerate(scene.placed) if words[i] for half in halves_of(placed)]
    if not halves:
        return None
    target, topic, answers = pick(rng, halves)
    spoken = pick(rng, words[target])
    question = say(topic, split, rng, ref=spoken.phrase.format(b=word))
    return _asked(replace(plan, topic=topic, targets=(target,)), scene, question, answers, references=(spoken,))


def _asked(
    plan: Plan,
    scene: Scene,
    question: str,
    answers: Sequence[str],
    seen: Sequence[Nation] = (),
    placed: Sequence[Placed] = (),
    references: tuple[Reference, ...] = (),
) -> Asked:
    looks: list[Action] = [Glance()] if plan.kind == "glance" else [Gaze(one.box) for one in placed]
    calls = [*looks, *(Search(nation.name) for nation in plan.reached)]
    fields = {
        "question": sentence(question),
        "answers": distinct(answers),
        "kind": plan.kind,
        "evidence": [nation.id for nation in (*seen, *plan.reached)],
        "regions": [list(one.box) for one in placed],
        "calls": [as_dict(call) for call in calls],
        "setting": scene.setting,
        "reference": references[0].by if references else "",
    }
    return Asked(fields, scene, plan, references)


def _word(rng: np.random.Generator) -> str:
    return pick(rng, WORDS)
