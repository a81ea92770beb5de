"""References: every one of them fits its banner alone, by rules that this file states anew; doubts bring none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gog_env.world.designs import Banner, Charge, Color, Pattern
from gog_env.world.features import bears
from gog_env.world.heraldry import family, rich_banner
from gog_env.world.places import place_names
from gog_env.world.refer import BY, Reference, fits, references
from gog_env.world.scenes import Placed, Scene, compose

WHITE, RED, YELLOW = Color("white", (250, 250, 250)), Color("red", (210, 20, 30)), Color("yellow", (250, 210, 20))
PLAIN = Banner(Pattern("plain", (WHITE,)))
STARRED = Banner(Pattern("plain", (RED,)), charges=(Charge("star", (YELLOW,), 0.5, 0.5, 0.3, number=5),))


def scene_of(*boxes: tuple[float, float, float, float], arrangement: str = "scattered") -> Scene:
    """A scene with banners in these boxes, which they fill."""
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in boxes]
    names = zip(boxes, place_names(boxes), areas, strict=True)
    placed = tuple(Placed(str(i), box, place, 1.0, area) for i, (box, place, area) in enumerate(names))
    return Scene(Image.new("RGB", (448, 336)), placed, "street", arrangement)


def phrases(scene: Scene, *banners: Banner) -> list[set[str]]:
    found = references(scene, banners or [PLAIN] * len(scene.placed))
    return [{reference.phrase.format(b="flag") for reference in words} for words in found]


def row(*centres: float, y: float = 0.3, width: float = 0.1) -> list[tuple[float, float, float, float]]:
    return [(x - width / 2, y - 0.08, x + width / 2, y + 0.08) for x in centres]


@pytest.fixture(scope="module")
def made() -> list[tuple[Scene, list[Banner], list[list[Reference]]]]:
    """Scenes as they are made, some with look-alikes, and their references."""
    rng, made = np.random.default_rng(5), []
    for k in range(90):
        count, pair = 1 + k % 9, k % 9 > 0 and k % 2 == 0
        banners = [rich_banner(rng) for _ in range(count)]
        if pair:
            banners[:2] = family(rng).banners[:2]
        scene = compose([(str(i), banner) for i, banner in enumerate(banners)], rng, pair=pair)
        made.append((scene, banners, references(scene, banners)))
    return made


def means(reference: Reference, scene: Scene, banners: list[Banner]) -> int:
    """The one banner that a reference means, read from its words alone."""
    words = reference.phrase.format(b="flag")
    boxes = np.array([placed.box for placed in scene.placed])
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    if reference.by == "feature":
        assert reference.feature is not None and words == f"the flag with {reference.feature.phrase}"
        found = [i for i, banner in enumerate(banners) if bears(banner, reference.feature)]
        assert len(found) == 1
        return found[0]
    if reference.by == "size":
        areas = np.array([placed.area for placed in scene.placed])
        first, second = np.sort(areas)[[-1, -2]] if "est" not in words or "small" not in words else (1, 1)
        if any(word in words for word in ("largest", "biggest", "larger", "bigger")):
            assert first >= 1.35 * second
            return int(areas.argmax())
        assert areas.min() * 1.35 <= np.sort(areas)[1] and "small" in words
        return int(areas.argmin())
    if reference.by == "place":
        if "in the picture" in words:
            assert len(boxes) == 1
            return 0
        wanted = np.array([words.endswith(("left", "right", "middle")), " top" in words or " bottom" in words])
        goal = np.array([0.5 + 0.34 * (("right" in words) - ("left" in words)), 0.28 if " top" in words else 0.68])
        return int((np.abs(np.stack([x, y], 1) - goal) * wanted * (1, 1.2)).sum(1).argmin())
    members = np.arange(len(x))
    if "row" in words:
        middle = (y.min() + y.max()) / 2
        members = np.flatnonzero(y < middle if "top" in words else y > middle)
    order = members[np.argsort(x[members])]
    if "middle" in words:
        assert len(order) % 2
        return int(order[len(order) // 2])
    ordinals = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    rank = next((k for k, ordinal in enumerate(ordinals) if ordinal in words), 0)
    return int(order[rank] if "left" in words else order[-1 - rank])


def test_every_reference_means_its_banner_and_fits_it_alone(made):
    number = 0
    for scene, banners, found in made:
        assert len(found) == len(banners)
        for i, words in enumerate(found):
            assert len({reference.phrase for reference in words}) == len(words)
            for reference in words:
                assert reference.by in BY and reference.phrase.count("{b}") == 1 and reference.phrase.startswith("the ")
                assert [j for j in range(len(banners)) if fits(reference, scene, banners, j)] == [i]
                assert means(reference, scene, banners) == i, (reference, [placed.box for placed in scene.placed])
                number += 1
    assert number > 600


def test_most_banners_can_be_referred_to_and_all_ways_come(made):
    counts = [len(words) > 0 for _, _, found in made for words in found]
    assert np.mean(counts) > 0.85
    ways = [reference.by for _, _, found in made for words in found for reference in words]
    assert all(ways.count(way) > 25 for way in BY)


def test_look_alikes_are_not_told_by_what_both_bear(made):
    for scene, banners, found in made:
        if len(banners) < 2 or abs(scene.placed[0].box[1] - scene.placed[1].box[1]) > 0.1:
            continue
        for reference in (*found[0], *found[1]):
            if reference.by == "feature":
                assert reference.feature is not None
                assert sum(bears(banner, reference.feature) for banner in banners[:2]) == 1


def test_a_row_has_an_order():
    left, second, middle, fourth, right = phrases(scene_of(*row(0.1, 0.3, 0.5, 0.7, 0.9), arrangement="row"))
    assert left == {"the leftmost flag", "the flag furthest to the left"}
    assert second == {"the second flag from the left"}
    assert middle == {"the flag at the top middle", "the third flag from the left", "the third flag from the right",
                      "the flag in the middle"}  # fmt: skip
    assert fourth == {"the fourth flag from the left", "the second flag from the right"}
    assert right == {"the rightmost flag", "the flag furthest to the right", "the fifth flag from the left"}


def test_two_rows_have_orders_of_their_own():
    boxes = row(0.2, 0.5, 0.8, y=0.25) + row(0.3, 0.7, y=0.65)
    found = phrases(scene_of(*boxes, arrangement="two rows"))
    assert "the middle flag in the top row" in found[1]
    assert "the second flag from the left in the top row" in found[1]
    assert "the leftmost flag in the bottom row" in found[3]
    assert all("row" in phrase for words in found for phrase in words if "from the" in phrase or "most" in phrase)


def test_what_stands_nearly_above_another_is_not_before_it():
    found = phrases(scene_of(*row(0.2, 0.22), *row(0.8, y=0.7)))
    assert not any("left" in phrase for words in found for phrase in words)
    assert "the rightmost flag" in found[2]


def test_sizes_need_a_margin():
    base = (0.1, 0.1, 0.3, 0.3)
    for factor, told in ((1.2, False), (1.3, False), (1.4, True), (2.0, True)):
        scene = scene_of(base, (0.4, 0.1, 0.4 + 0.2 * factor, 0.3), (0.1, 0.6, 0.25, 0.7))
        found = phrases(scene)
        assert ("the largest flag" in found[1]) == told
        assert "the smallest flag" in found[2]
    two = phrases(scene_of((0.1, 0.1, 0.4, 0.4), (0.6, 0.1, 0.8, 0.3)))
    assert {"the larger flag", "the bigger flag"} <= two[0] and "the smaller flag" in two[1]


def test_features_tell_only_what_no_other_bears():
    scene = scene_of(*row(0.2, 0.5, 0.8))
    assert "the flag with a yellow star" in phrases(scene, PLAIN, STARRED, PLAIN)[1]
    assert not any("star" in phrase for words in phrases(scene, STARRED, STARRED, PLAIN) for phrase in words)


def test_fits_is_generous():
    scene = scene_of((0.1, 0.1, 0.3, 0.3), (0.5, 0.1, 0.695, 0.3), (0.1, 0.6, 0.2, 0.7))
    largest, left = Reference("size", "the largest {b}", "largest"), Reference("order", "the leftmost {b}", "1 left")
    assert [fits(largest, scene, [PLAIN] * 3, i) for i in range(3)] == [True, True, False]
    near = scene_of((0.1, 0.1, 0.3, 0.3), (0.12, 0.5, 0.3, 0.7), (0.6, 0.6, 0.7, 0.7))
    assert [fits(left, near, [PLAIN] * 3, i) for i in range(3)] == [True, True, False]
