"""What a person would name on a banner, and what might be taken for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gog_env.world.banners import draw
from gog_env.world.designs import Banner, Charge, Color, Pattern
from gog_env.world.features import Feature, bears, color_aliases, features
from gog_env.world.heraldry import family, rich_banner

RED, WHITE, BLUE = Color("red", (220, 20, 40)), Color("white", (255, 255, 255)), Color("blue", (0, 50, 160))
GREEN, YELLOW, GOLD = Color("green", (0, 130, 60)), Color("yellow", (250, 210, 20)), Color("gold", (210, 160, 40))
TEAL, NAVY = Color("teal", (0, 140, 140)), Color("dark blue", (0, 20, 90))
FIELD = Pattern("plain", (BLUE,))


def star(color: Color = YELLOW, x: float = 0.5, y: float = 0.5, size: float = 0.2, number: int = 5) -> Charge:
    return Charge("star", (color,), x, y, size, number=number)


@pytest.mark.parametrize(
    ("feature", "phrase"),
    [
        (Feature("star", "yellow"), "a yellow star"),
        (Feature("star", "white", 3), "three white stars"),
        (Feature("border", "red"), "a red border"),
        (Feature("cross", "orange"), "an orange cross"),
        (Feature("leaf", "green", 2), "two green leaves"),
        (Feature("fleur-de-lis", "white", 6), "six white fleurs-de-lis"),
        (Feature("band along the top", "light blue"), "a light blue band along the top"),
    ],
)
def test_phrases(feature: Feature, phrase: str) -> None:
    assert feature.phrase == phrase


def test_clear_parts_are_named_the_greatest_first() -> None:
    border = Pattern("border", (RED,), (0.1, 0.0))
    stars = (star(x=0.3, size=0.15), star(x=0.7, size=0.15))
    assert features(Banner(FIELD, (border,), stars)) == (Feature("border", "red"), Feature("star", "yellow", 2))
    canton = Pattern("canton", (), (0, 0, 0.4, 0.4), Banner(Pattern("plain", (WHITE,)), (), (star(RED, size=0.4),)))
    assert features(Banner(FIELD, (canton,))) == (Feature("canton", "white"), Feature("star", "red"))
    assert features(Banner(Pattern("cross", (WHITE, GREEN, GREEN), (0.5, 0.5, 0.2, 0)))) == (Feature("cross", "green"),)


@pytest.mark.parametrize(
    "marks",
    [
        (star(size=0.05),),  # a speck
        (star(x=0.05),),  # cut off
        (star(NAVY),),  # hardly seen on blue
        (star(TEAL),),  # a colour that some call green and some blue
        (star(number=14),),  # rather a sun
        (star(), Charge("disc", (WHITE,), 0.5, 0.5, 0.19)),  # covered
        (star(size=0.2), star(x=0.2, size=0.05)),  # one more that nobody counts
        (star(size=0.3, x=0.3), star(x=0.8, size=0.1)),  # too unlike to be counted together
        (star(x=0.3), Charge("crescent", (WHITE, RED), 0.7, 0.5, 0.2, number=5)),  # another in the crescent
        tuple(star(x=0.08 + 0.12 * k, size=0.09) for k in range(8)),  # too many to be seen at once
    ],
)
def test_doubtful_stars_are_not_named_but_borne(marks: tuple[Charge, ...]) -> None:
    banner = Banner(FIELD, (), marks)
    assert "star" not in {feature.part for feature in features(banner)}
    assert bears(banner, Feature("star", marks[0].colors[0].name))


def test_charges_on_bands_and_strips_are_seen_against_these() -> None:
    bands = Pattern("rows", (YELLOW, BLUE, YELLOW), (1.0, 2.0, 1.0))
    assert Feature("star", "yellow") in features(Banner(bands, (), (star(),)))
    assert features(Banner(bands, (), (star(size=0.4),))) == ()
    chief = Pattern("side", (BLUE,), (0.0, 0.3, 0.0, 0.0, 0.0))
    found = features(Banner(Pattern("plain", (YELLOW,)), (chief,), (star(y=0.15, size=0.1),)))
    assert found == (Feature("band along the top", "blue"), Feature("star", "yellow"))


def test_like_parts_in_like_colours_might_be_meant() -> None:
    gold = Banner(FIELD, (), (star(GOLD),))
    assert bears(gold, Feature("star", "yellow")) and bears(gold, Feature("star", "yellow", 4))
    assert bears(gold, Feature("sun", "yellow")) and not bears(gold, Feature("star", "white"))
    assert not bears(gold, Feature("cross", "yellow"))
    assert bears(Banner(FIELD, (), (replace(star(), kind="shield", colors=(RED, WHITE)),)), Feature("ship", "red"))
    assert bears(Banner(FIELD, (Pattern("orle", (NAVY,), (0.06, 0.03, 2.0)),)), Feature("border", "blue"))
    assert bears(Banner(Pattern("rows", (RED, WHITE), (1.0, 1.0))), Feature("band along the top", "red"))


def test_aliases_begin_with_the_colour() -> None:
    assert color_aliases("dark blue")[:2] == ("dark blue", "blue") and "navy" in color_aliases("dark blue")
    assert color_aliases("red") == ("red",)


def test_banners_bear_what_is_named_on_them() -> None:
    named = 0
    for seed in range(150):
        rng = np.random.default_rng([seed, 5])
        banner = rich_banner(rng) if seed % 2 else family(rng).banners[0]
        found = features(banner)
        named += bool(found)
        assert all(bears(banner, feature) and 1 <= feature.count <= 6 for feature in found)
        assert len({(feature.part, feature.color) for feature in found}) == len(found)
    assert named > 120


def test_named_charges_are_seen() -> None:
    """Without its named charges a banner looks different: in the feature's colour where they were."""
    seen = 0
    for seed in range(60):
        banner = rich_banner(np.random.default_rng([seed, 6]))
        for feature in features(banner):
            color = next((m.colors[0] for m in banner.charges if m.colors[0].name == feature.color), None)
            kinds = {
                "square": "billet",
                "ring": "annulet",
                "diamond": "lozenge",
                "fleur-de-lis": "lily",
                "animal": "beast",
            }
            kind = kinds.get(feature.part, feature.part)
            marks = [m for m in banner.charges if m.kind == kind and m.colors[0] == color]
            if color is None or len(marks) != feature.count:
                continue
            bare = replace(banner, charges=tuple(m for m in banner.charges if m not in marks))
            with_, without = (np.asarray(draw(b, 120, 80), int) for b in (banner, bare))
            assert (np.abs(with_ - without).sum(2) > 90).sum() > 20 * feature.count
            seen += 1
    assert seen > 40
