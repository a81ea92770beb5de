"""Questions: two sets of wordings, the shares of kinds, what they ask of whom, snapshots, equal bytes."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from gog_env.actions import CALLS, from_dict
from gog_env.rewards import normalize_answer
from gog_env.world.answers import UNKNOWN, distinct, halves_of, plural
from gog_env.world.facts import CHANGING, FACTS
from gog_env.world.features import Feature
from gog_env.world.nations import World, WorldSpec, article, make_world
from gog_env.world.plans import COMPARED, SHARED, shares, tells
from gog_env.world.questions import KINDS, SHARES, Asked, ask, make_task
from gog_env.world.relations import RELATIONS
from gog_env.world.scenes import Placed
from gog_env.world.wordings import SPLITS, say, sentence, wordings
from index.errors import TaskError
from index.images import picture_hash

SPEC = WorldSpec(seed=5, nations=240)


def rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng([3, *numbers])


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def mixed(world: World) -> list[tuple[str, Asked]]:
    """Tasks as they come, in turn of the two splits."""
    return [(SPLITS[i % 2], ask(world, SPLITS[i % 2], rng(i))) for i in range(240)]


def spoken(text: str) -> str:
    """A wording as a list of its words, slots aside."""
    return " ".join(re.findall(r"[a-z]+", re.sub(r"{\w+}", "_", text).casefold()))


def test_wordings_of_the_splits_are_disjoint() -> None:
    """Templates are; the phrases of `refer` that fill their slots are shared by both splits."""
    for key, lists in wordings().items():
        assert set(lists) == set(SPLITS), key
        assert all(len(texts) >= 3 for texts in lists.values()), key
        every = [spoken(text) for texts in lists.values() for text in texts]
        assert len(set(every)) == len(every), key
        slots = {frozenset(re.findall(r"{(\w+)}", text)) - {"b"} for texts in lists.values() for text in texts}
        assert len(slots) == 1, key
    train, heldout = ({text for lists in wordings().values() for text in lists[split]} for split in SPLITS)
    assert not train & heldout


def test_everything_that_can_be_asked_has_words() -> None:
    topics = {"name", "count", "color", "colors", "number", "larger", "where", "side", "half", "alone", "nation"}
    topics |= {
        *FACTS,
        *RELATIONS,
        *COMPARED,
        *(f"which_{name}" for name in RELATIONS),
        *(f"of_{name}" for name in SHARED),
    }
    assert set(wordings()) == topics
    with pytest.raises(TaskError, match="no split 'test'; choose train or heldout"):
        say("count", "test", rng())
    assert sentence("{x}") == "{x}" and sentence("") == ""


def test_a_question_uses_the_wordings_of_its_split(mixed: list[tuple[str, Asked]]) -> None:
    """Each question is worded as one of its own split's templates says, and as none of the other's."""

    def patterns(split: str) -> list[re.Pattern[str]]:
        texts = [text for key, lists in wordings().items() for text in lists[split] if text[-1] in "?."]
        return [re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(sentence(text)))) for text in texts]

    own = {split: patterns(split) for split in SPLITS}
    for split, asked in mixed:
        question = asked.fields["question"]
        assert [any(pattern.fullmatch(question) for pattern in own[s]) for s in SPLITS] == [split == s for s in SPLITS]
    heard = {split: {asked.fields["question"] for s, asked in mixed if s == split} for split in SPLITS}
    assert not heard["train"] & heard["heldout"]


def test_kinds_come_in_their_shares(world: World) -> None:
    assert len(KINDS) == len(SHARES) == 10 and sum(SHARES) == pytest.approx(1)
    drawn = Counter()
    for i in range(4000):  # the kind is drawn first: no need to compose all these
        drawn[KINDS[int(np.searchsorted(np.cumsum(SHARES), rng(i).random() * sum(SHARES), side="right"))]] += 1
    for kind, share in zip(KINDS, SHARES, strict=True):
        assert drawn[kind] / 4000 == pytest.approx(share, abs=0.02)
    for i in range(12):
        expected = KINDS[int(np.searchsorted(np.cumsum(SHARES), rng(i).random() * sum(SHARES), side="right"))]
        assert ask(world, "train", rng(i)).fields["kind"] == expected


def test_fields_are_plain_json_and_calls_are_calls(mixed: list[tuple[str, Asked]]) -> None:
    names = ["question", "answers", "kind", "evidence", "regions", "calls", "setting", "reference"]
    for _, asked in mixed:
        assert list(asked.fields) == names
        assert json.loads(json.dumps(asked.fields)) == asked.fields
        assert all(isinstance(from_dict(call), CALLS) for call in asked.fields["calls"])
        normal = [normalize_answer(answer) for answer in asked.fields["answers"]]
        assert len(set(normal)) == len(normal)
        assert asked.fields["question"][0].isupper()


def test_what_is_shown_and_asked_stays_in_the_split(world: World, mixed: list[tuple[str, Asked]]) -> None:
    members = {split: {world.nation(number).id for number in world.split(split)} for split in SPLITS}
    for split, asked in mixed:
        plan = asked.plan
        assert {*asked.fields["evidence"]} <= members[split]
        assert {nation.id for nation in plan.shown if nation.told} <= members[split]
        assert not {nation.id for nation in plan.reached} & {nation.id for nation in plan.shown}


def test_who_has_siblings_is_asked_about_by_look_alikes_alone(world: World, mixed: list[tuple[str, Asked]]) -> None:
    for _, asked in mixed:
        plan = asked.plan
        assert all(one.banner != other.banner for one, other in combinations(plan.shown, 2))
        if plan.kind not in ("visual", "unanswerable"):
            alike = [bool(world.siblings(plan.shown[target])) for target in plan.targets]
            assert alike == [plan.kind == "look_alike"] * len(plan.targets)


def test_scenes_have_the_sizes_of_their_kinds(mixed: list[tuple[str, Asked]]) -> None:
    sizes = Counter()
    for _, asked in mixed:
        shown, kind = len(asked.plan.shown), asked.fields["kind"]
        assert (shown == 1) == (kind == "glance") or kind == "visual"
        assert 1 <= shown <= 9
        sizes[shown] += kind not in ("glance", "visual")
    assert sum(sizes[n] for n in (3, 4, 5, 6)) > 0.55 * sum(sizes.values())
    assert sizes[2] and sizes[7] + sizes[8] + sizes[9]


def test_every_kind_refers_in_every_way(mixed: list[tuple[str, Asked]]) -> None:
    ways = Counter(asked.fields["reference"] for _, asked in mixed)
    assert set(ways) == {"", "place", "size", "feature", "order"}
    for _, asked in mixed:
        if asked.fields["kind"] in ("glance", "intersection"):
            assert asked.fields["reference"] == ""
        elif asked.fields["kind"] != "visual":
            assert asked.fields["reference"] != ""


def test_look_alikes_have_siblings_often_beside_them(world: World) -> None:
    beside = 0
    for i in range(24):
        plan = ask(world, "train", rng(1, i), "look_alike").plan
        target = plan.shown[plan.targets[0]]
        numbers = {target.number, *world.siblings(target)}
        assert len(numbers) == 5
        if plan.pair:
            assert plan.targets[0] in (0, 1) and {nation.number for nation in plan.shown[:2]} <= numbers
            beside += 1
    assert 6 <= beside <= 18


def test_an_intersection_cannot_be_read_without_looking(world: World) -> None:
    topics = Counter()
    for i in range(40):
        plan = ask(world, "train", rng(2, i), "intersection").plan
        assert plan.other is not None and plan.other not in plan.shown
        shared = plan.topic.removeprefix("of_")
        topics[shared] += 1
        target = plan.shown[plan.targets[0]]
        assert [n for n in plan.shown if shares(n, shared, plan.other)] == [target]
        assert tells(article(target, world), plan.other.name)
        assert not tells(article(plan.other, world), target.name)
    assert topics["borders"] and topics["former_ruler"]


def test_the_unanswerable_is_about_strangers(world: World) -> None:
    for i in range(8):
        asked = ask(world, "heldout", rng(4, i), "unanswerable")
        stranger = asked.plan.shown[asked.plan.targets[0]]
        with pytest.raises(KeyError):
            world.by_id(stranger.id)
        assert asked.fields["answers"] == list(UNKNOWN) and asked.fields["evidence"] == []
        assert asked.fields["regions"] == [list(asked.scene.placed[asked.plan.targets[0]].box)]


def test_snapshots_change_the_answers_that_they_should(world: World) -> None:
    """The same picture and question; other gold answers exactly where the fact that is asked has changed."""
    later = world.at(2)
    kinds = ("glance", "gaze", "hop_1", "hop_2", "compare", "look_alike", "unanswerable", "visual", "intersection")
    changed = same = 0
    for i in range(180):
        kind = kinds[i % len(kinds)] if i < 60 else kinds[i % 4]
        now, then = (ask(one, "train", rng(5, i), kind) for one in (world, later))
        assert picture_hash(now.scene.picture) == picture_hash(then.scene.picture)
        fixed = [{name: value for name, value in one.fields.items() if name != "answers"} for one in (now, then)]
        assert fixed[0] == fixed[1]
        plan = now.plan
        differs = now.fields["answers"][0] != then.fields["answers"][0]
        last = (plan.reached or [plan.shown[i] for i in plan.targets] or plan.shown)[-1]
        asked = plan.topic in CHANGING and kind != "unanswerable"
        old, new = (world.nation(last.number), later.nation(last.number)) if asked else (last, last)
        assert differs == (asked and getattr(old.facts, plan.topic) != getattr(new.facts, plan.topic))
        changed += differs
        same += asked and not differs
    assert changed >= 8 and same >= 8


def test_the_generator_decides_everything(world: World) -> None:
    wanted = [make_task(world, "train", rng(6, i)) for i in range(12)]
    other = make_world(SPEC)
    for i in reversed(range(12)):
        fields, picture = make_task(other, "train", rng(6, i))
        assert fields == wanted[i][0] and picture_hash(picture) == picture_hash(wanted[i][1])
    assert len({fields["question"] for fields, _ in wanted}) > 8


def test_a_small_world_is_enough(world: World) -> None:
    small = make_world(WorldSpec(seed=2, nations=48))
    for i, kind in enumerate(KINDS):
        asked = ask(small, "heldout", rng(7, i), kind)
        assert asked.fields["kind"] == kind and len(asked.plan.shown) <= 6


def test_bad_wishes_are_named(world: World) -> None:
    with pytest.raises(TaskError, match="no kind 'riddle'; choose one of visual, glance"):
        ask(world, "train", rng(), "riddle")
    with pytest.raises(TaskError, match="no split 'test'"):
        ask(world, "test", rng(), "gaze")


@pytest.mark.parametrize(
    ("box", "topics"),
    [
        ((0.1, 0.1, 0.3, 0.3), {"where": "top left", "side": "left", "half": "upper"}),
        ((0.6, 0.6, 0.9, 0.9), {"where": "bottom right", "side": "right", "half": "lower"}),
        ((0.4, 0.1, 0.6, 0.3), {"half": "upper"}),
        ((0.1, 0.4, 0.3, 0.6), {"side": "left"}),
        ((0.2, 0.2, 0.8, 0.8), {}),
    ],
)
def test_halves(box: tuple[float, float, float, float], topics: dict[str, str]) -> None:
    placed = Placed("A", box, "", 1.0, 0.1)
    assert {topic: answers[0] for topic, answers in halves_of(placed)} == topics


def test_plurals() -> None:
    assert plural(Feature("star", "light blue")) == "stars"
    assert plural(Feature("star", "red", 3)) == "stars"


def test_answers_that_count_as_equal_are_said_once() -> None:
    assert distinct(["12,000", "12000", "a dozen", "The Dozen", "dozen"]) == ["12,000", "a dozen"]
