"""Tasks prove themselves: hundreds of each kind are sound, and whatever is broken in one is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gog_env.world import checks
from gog_env.world.checks import check_task
from gog_env.world.designs import Color
from gog_env.world.nations import Nation, World, WorldSpec, article, make_world
from gog_env.world.questions import KINDS, Asked, ask
from index.errors import TaskError

SPEC = WorldSpec(seed=9, nations=240)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def sound(world: World) -> Callable[..., Asked]:
    """A sound task of a kind (and topic), always the same."""
    made: dict[tuple[str, ...], Asked] = {}

    def find(kind: str, *topics: str) -> Asked:
        key = (kind, *topics)
        for i in range(2000):
            if key in made:
                break
            asked = ask(world, "train", np.random.default_rng([8, i]), kind)
            if not topics or asked.plan.topic in topics:
                made[key] = asked
        return made[key]

    return find


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["train", "heldout"])
def test_tasks_are_sound(kind: str, split: str, world: World) -> None:
    for i in range(16):
        check_task(ask(world, split, np.random.default_rng([9, i]), kind), world)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nations", [60, 4000])
def test_hundreds_of_tasks_are_sound(kind: str, nations: int) -> None:
    world = make_world(WorldSpec(seed=nations, nations=nations, snapshot=1))
    for i in range(120):
        check_task(ask(world, ("train", "heldout")[i % 2], np.random.default_rng([10, i]), kind), world)


def changed(asked: Asked, **fields: Any) -> Asked:
    """The task with other fields; a function is given the old value."""
    new = {name: value(asked.fields[name]) if callable(value) else value for name, value in fields.items()}
    return replace(asked, fields={**asked.fields, **new})


def planned(asked: Asked, **changes: Any) -> Asked:
    return replace(asked, plan=replace(asked.plan, **changes))


def moved(box: list[float]) -> list[float]:
    """A box of which less than half overlaps with the old one."""
    x0, y0, x1, y1 = box
    step = 0.6 * (x1 - x0)
    return [x0 - step, y0, x1 - step, y1] if x0 > step else [x0 + step, y0, x1 + step, y1]


def elsewhere(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "gaze", "box": moved(calls[0]["box"])}, *calls[1:]]


def other_reference(asked: Asked) -> Asked:
    """The words for one banner turned into words for another."""
    from gog_env.world.refer import references

    target = asked.plan.targets[0]
    found = references(asked.scene, [nation.banner for nation in asked.plan.shown])
    wrong = next(ref for i, words in enumerate(found) if i != target for ref in words)
    word = "flag" if "flag" in asked.fields["question"] else "banner"
    said, instead = asked.references[0].phrase.format(b=word), wrong.phrase.format(b=word)
    question = asked.fields["question"].replace(said[1:], instead[1:])
    return replace(changed(asked, question=question, reference=wrong.by), references=(wrong,))


FORM: list[tuple[str, Callable[[Asked], Asked], str]] = [
    ("gaze", lambda a: changed(a, question=""), "its question is no sentence"),
    ("gaze", lambda a: changed(a, question="What is {x}?"), "its question is no sentence"),
    ("gaze", lambda a: changed(a, question=lambda q: q + " x" * 2000 + "?"), "its question is no sentence"),
    ("gaze", lambda a: changed(a, answers=[]), "it has no answers"),
    ("gaze", lambda a: changed(a, answers=lambda x: [*x, f"The {x[0].upper()}!"]), "counts as equal to another one"),
    ("gaze", lambda a: changed(a, answers=lambda x: [*x, " "]), "the answer ' ' earns 0"),
    ("gaze", lambda a: changed(a, answers=lambda x: [*x, "z" * 400]), "earns 0, not the full reward"),
    ("gaze", lambda a: changed(a, kind="riddle"), "there is no kind 'riddle'"),
    ("gaze", lambda a: changed(a, kind="look_alike"), "its kind is 'gaze' by plan"),
    ("gaze", lambda a: changed(a, setting="moon"), "its setting is .*, not 'moon'"),
    ("gaze", lambda a: changed(a, extra=1), "its fields are .*extra"),
    ("gaze", lambda a: changed(a, regions=lambda x: [tuple(x[0])]), "change when they are written as JSON"),
    ("gaze", lambda a: changed(a, regions=lambda x: [[np.float32(e) for e in x[0]]]), "its fields are not JSON"),
    ("gaze", lambda a: changed(a, regions=lambda x: [[0.2, 0.2, 0.1, 0.4]]), "box .* is empty"),
]
WAY: list[tuple[str, Callable[[Asked], Asked], str]] = [
    ("gaze", lambda a: changed(a, regions=lambda x: [moved(x[0])]), "its region .* is not where the banner is"),
    ("gaze", lambda a: changed(a, regions=[]), "it has 0 regions, not 1"),
    ("gaze", lambda a: changed(a, calls=[]), r"its calls are \[\], not those of its kind"),
    ("gaze", lambda a: changed(a, calls=[{"type": "glance"}]), "its calls are .*glance.*, not those of its kind"),
    ("gaze", lambda a: changed(a, calls=lambda x: [x[0], x[0]]), "not those of its kind"),
    ("gaze", lambda a: changed(a, calls=lambda x: [{"type": "gaze"}]), "malformed.*not those of its kind"),
    ("gaze", lambda a: changed(a, calls=elsewhere), r"its calls find \[.*\], not its evidence"),
    ("gaze", lambda a: changed(a, calls=lambda x: [*x, {"type": "search", "query": "x"}]), "not those of its kind"),
    ("gaze", lambda a: changed(a, evidence=[]), "it names 0 documents as evidence, not 1"),
    ("gaze", lambda a: changed(a, evidence=["W9-000000"]), r"its calls find .*, not its evidence \['W9-000000'\]"),
    ("hop_1", lambda a: changed(a, calls=lambda x: x[:1]), "not those of its kind"),
    ("hop_1", lambda a: changed(a, evidence=lambda x: x[::-1]), "its calls find .*, not its evidence"),
    ("hop_2", lambda a: changed(a, calls=lambda x: [x[0], x[2], x[1]]), "searches for .*, which was not read before"),
    (
        "hop_1",
        lambda a: changed(a, calls=lambda x: [x[0], {"type": "search", "query": "Nowhere"}]),
        "searches for 'Nowhere', which was not read before",
    ),
    ("compare", lambda a: changed(a, calls=lambda x: x[::-1]), "its calls find .*, not its evidence"),
    ("compare", lambda a: changed(a, regions=lambda x: x[::-1]), "is not where the banner is"),
    ("unanswerable", lambda a: changed(a, evidence=["W9-000000"]), "it names 1 documents as evidence, not 0"),
    ("visual", lambda a: changed(a, calls=[{"type": "glance"}]), "not those of its kind"),
]
MEANING: list[tuple[str, Callable[[Asked], Asked], str]] = [
    ("gaze", lambda a: changed(a, answers=["Atlantis"]), "the last article does not hold the gold answer 'Atlantis'"),
    ("compare", lambda a: changed(a, answers=["Atlantis"]), "the gold answer is 'Atlantis', but it should be"),
    (
        "compare",
        lambda a: changed(
            a, answers=[n.name for i in a.plan.targets if (n := a.plan.shown[i]).name not in a.fields["answers"]]
        ),
        "the gold answer is .*, but it should be",
    ),
    ("hop_1", lambda a: changed(a, answers=[a.plan.reached[0].name]), "an article read earlier holds the gold answer"),
    ("intersection", lambda a: changed(a, answers=[a.plan.other.name]), "its question gives the answer .* away"),
    (
        "unanswerable",
        lambda a: changed(a, answers=["unknown", "Atlantis"]),
        "its answers do not say that it is unknown",
    ),
    ("gaze", lambda a: planned(a, topic="founded"), "the gold answer is .*, but it should be|no article tells founded"),
]


@pytest.mark.parametrize(("kind", "broken", "message"), [*FORM, *WAY, *MEANING])
def test_what_is_broken_is_named(
    kind: str, broken: Callable[[Asked], Asked], message: str, sound: Callable[..., Asked], world: World
) -> None:
    asked = sound(kind, "capital") if kind in ("gaze", "hop_1") else sound(kind)
    check_task(asked, world)
    with pytest.raises(TaskError, match=f"^a \\w+ task proves wrong: .*(?:{message})") as caught:
        check_task(broken(asked), world)
    assert len(str(caught.value).splitlines()) == 1


def darkened(color: Color) -> Color:
    """Another shade of a colour, under the same name."""
    return replace(color, rgb=tuple(max(0, one - 3) if max(color.rgb) > 2 else one + 3 for one in color.rgb))


@pytest.mark.parametrize("kind", ["gaze", "look_alike", "hop_1", "unanswerable"])
def test_words_for_another_banner_are_refused(kind: str, sound: Callable[..., Asked], world: World) -> None:
    with pytest.raises(TaskError, match="fits 1 banners .*, not banner . alone"):
        check_task(other_reference(sound(kind)), world)


def test_words_that_fit_two_banners_are_refused(sound: Callable[..., Asked], world: World) -> None:
    """A banner hung once more in another shade: nothing but its place tells the two apart. In its own it is refused."""
    for i in range(60):
        asked = ask(world, "train", np.random.default_rng([11, i]), "gaze")
        if asked.fields["reference"] == "feature":
            break
    target = asked.plan.targets[0]
    other = (target + 1) % len(asked.plan.shown)
    shown = list(asked.plan.shown)
    banner = shown[target].banner
    darker = replace(banner.field, colors=tuple(darkened(color) for color in banner.field.colors))
    shown[other] = replace(shown[other], banner=replace(banner, field=darker))
    with pytest.raises(TaskError, match="fits 2 banners"):
        check_task(planned(asked, shown=tuple(shown)), world)
    shown[other] = replace(shown[other], banner=banner)
    with pytest.raises(TaskError, match="two of its banners are equal"):
        check_task(planned(asked, shown=tuple(shown)), world)
    with pytest.raises(TaskError, match="its question does not say 'the banner with"):
        check_task(changed(asked, question="What is the capital of the nation that flies the flag?"), world)
    with pytest.raises(TaskError, match="its question refers to no banner"):
        check_task(changed(replace(asked, references=()), reference=""), world)
    with pytest.raises(TaskError, match="refers by 'feature'"):
        check_task(changed(asked, reference="size"), world)


def test_another_scene_is_refused(sound: Callable[..., Asked], world: World) -> None:
    asked, other = sound("gaze", "capital"), sound("compare")
    with pytest.raises(TaskError, match="its scene shows other banners"):
        check_task(replace(asked, scene=other.scene), world)
    small = replace(sound("glance").scene.placed[0], box=(0.2, 0.2, 0.5, 0.5))
    glance = replace(sound("glance"), scene=replace(sound("glance").scene, placed=(small,)))
    with pytest.raises(TaskError, match=r"its calls find \[\], not its evidence"):
        check_task(changed(glance, regions=[[0.2, 0.2, 0.5, 0.5]]), world)


def test_what_no_article_tells_is_refused(world: World) -> None:
    """The same plan, but the knowledge is asked at a place where it is silent."""
    for i in range(400):
        asked = ask(world, "train", np.random.default_rng([12, i]), "gaze")
        nation = asked.plan.shown[asked.plan.targets[0]]
        if "founder" not in nation.told:
            break
    untold = planned(changed(asked, answers=[nation.facts.founder]), topic="founder")
    with pytest.raises(TaskError, match="the last article does not hold the gold answer"):
        check_task(untold, world)


def test_strangers_and_the_known_are_not_mixed_up(sound: Callable[..., Asked], world: World) -> None:
    stranger, known = sound("unanswerable"), sound("gaze", "capital")
    declined = changed(known, kind="unanswerable", answers=stranger.fields["answers"], evidence=[])
    with pytest.raises(TaskError, match="its calls find"):
        check_task(planned(declined, kind="unanswerable"), world)
    answered = changed(stranger, kind="gaze", evidence=[stranger.plan.shown[stranger.plan.targets[0]].id])
    with pytest.raises(TaskError, match=r"its calls find \[\]"):
        check_task(planned(answered, kind="gaze"), world)


def test_an_intersection_has_one_answer(sound: Callable[..., Asked], world: World) -> None:
    asked = sound("intersection", "of_borders")
    other = asked.plan.other
    assert other is not None
    answer = asked.plan.shown[asked.plan.targets[0]].id
    second = next(
        nation for side in ("west", "east") if (nation := world.by_id(getattr(other.relations, side))).id != answer
    )
    free = next(i for i in range(len(asked.plan.shown)) if i not in asked.plan.targets)
    shown, placed = list(asked.plan.shown), list(asked.scene.placed)
    shown[free], placed[free] = second, replace(placed[free], nation_id=second.id)
    twice = planned(replace(asked, scene=replace(asked.scene, placed=tuple(placed))), shown=tuple(shown))
    with pytest.raises(TaskError, match="of the nations shown 2 fit borders"):
        check_task(twice, world)


def test_who_has_siblings_is_asked_about_by_look_alikes_alone(sound: Callable[..., Asked], world: World) -> None:
    """The same task under another kind: whether others have banners like the target's settles which kind it is."""
    for kind, claimed in (("look_alike", "gaze"), ("gaze", "look_alike")):
        asked = sound(kind)
        with pytest.raises(TaskError, match="whether other nations have banners like this one's is not as its kind"):
            check_task(planned(changed(asked, kind=claimed), kind=claimed), world)


def test_an_intersection_is_not_readable_without_looking(
    sound: Callable[..., Asked], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The article of the nation that is named must not name the one that is asked for, in whatever words."""
    asked = sound("intersection", "of_borders")
    other, answer = asked.plan.other, asked.fields["answers"][0]
    assert other is not None

    def gossip(nation: Nation, world: World) -> str:
        return article(nation, world) + (f" Envoys of {answer} visit often." if nation.id == other.id else "")

    monkeypatch.setattr(checks, "article", gossip)
    with pytest.raises(TaskError, match=f"the article of {other.name} gives the answer away"):
        check_task(asked, world)


@pytest.mark.parametrize("topic", ["count", "color", "number", "larger", "where", "side", "half"])
def test_wrong_answers_about_what_is_seen_are_refused(topic: str, sound: Callable[..., Asked], world: World) -> None:
    asked = sound("visual", topic)
    check_task(asked, world)
    with pytest.raises(TaskError, match=f"the scene does not bear out 'wrong' .{topic}."):
        check_task(changed(asked, answers=["wrong"]), world)
