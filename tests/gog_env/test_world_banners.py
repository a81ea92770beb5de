"""Banners: many, distinct, the same for the same seed, told in a line, and none that a country flies."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gog_env.world import charges, patterns
from gog_env.world.banners import caption, draw, random_banner, variant
from gog_env.world.designs import Banner, Charge, Color, Pattern, contrast, pick
from gog_env.world.flown import is_flown
from gog_env.world.marks import EMBLEMS, SIMPLE
from gog_env.world.recipes import FAMILIES
from gog_env.world.tokens import TOKENS

RED, WHITE, BLUE = Color("red", (220, 20, 40)), Color("white", (255, 255, 255)), Color("dark blue", (0, 20, 90))
GREEN, YELLOW = Color("green", (0, 130, 60)), Color("gold", (250, 200, 40))


def some_banners(seed: int, count: int) -> list[Banner]:
    rng = np.random.default_rng([seed])
    return [random_banner(rng) for _ in range(count)]


def test_a_seed_decides_designs_pixels_and_captions():
    first, second = some_banners(1, 40), some_banners(1, 40)
    assert first == second
    assert [draw(b).tobytes() for b in first[:8]] == [draw(b).tobytes() for b in second[:8]]
    assert [caption(b) for b in first] == [caption(b) for b in second]
    assert some_banners(2, 40) != first


def test_designs_are_varied_and_distinct():
    banners = some_banners(3, 300)
    assert len({draw(b, 24, 16).tobytes() for b in banners}) == 300
    assert len({b.field.kind for b in banners}) >= 12
    assert len({charge.kind for b in banners for charge in b.charges}) >= 18


@pytest.mark.parametrize("size", [(240, 160), (96, 72), (33, 21), (8, 6)])
def test_pictures_have_the_size_asked_for(size):
    for banner in some_banners(4, 10):
        picture = draw(banner, *size)
        assert isinstance(picture, Image.Image) and picture.mode == "RGB" and picture.size == size


@pytest.mark.parametrize("kind", sorted(charges.PAINTERS))
def test_every_charge_can_be_seen(kind):
    assert kind in (*SIMPLE, *EMBLEMS, *TOKENS)
    colors = (YELLOW, RED, YELLOW, RED)
    field = Pattern("plain", (BLUE,))
    bare = np.asarray(draw(Banner(field)), int)
    for seed in range(5):
        shown = np.asarray(draw(Banner(field, (), (Charge(kind, colors, 0.5, 0.5, 0.3, seed=seed),))), int)
        changed = (np.abs(shown - bare).sum(2) > 60).mean()
        assert 0.01 < changed < 0.6


def test_every_family_and_pattern_is_drawn():
    rng = np.random.default_rng(5)
    kinds = set()
    for recipe, _ in FAMILIES:
        for _ in range(6):
            field = recipe(rng)
            kinds |= {field.pattern.kind} | {
                over.inner.field.kind if over.inner else over.kind for over in field.overlays
            }
            draw(Banner(field.pattern, field.overlays), 60, 40)
    assert set(patterns.PAINTERS) - kinds <= {"border", "union", "side", "orle", "chevron"}


def test_variants_differ_in_pixels():
    rng = np.random.default_rng(6)
    for banner in some_banners(6, 60):
        assert draw(variant(banner, rng), 120, 80).tobytes() != draw(banner, 120, 80).tobytes()


def test_captions_are_one_line_and_name_what_is_shown():
    for banner in some_banners(7, 200):
        told = caption(banner)
        assert "\n" not in told and 8 < len(told) < 260 and told[-1] not in " ,"
        for charge in banner.charges[:1]:
            assert charge.kind.rstrip("f") in told and charge.colors[0].name in told
    star = Charge("star", (YELLOW,), 0.5, 0.5, 0.2, number=5)
    three = Pattern("rows", (RED, WHITE, GREEN), (1, 1, 1))
    assert caption(Banner(three, (), (star,))) == (
        "three horizontal bands of red, white and green with a gold star in the centre"
    )


@pytest.mark.parametrize(
    "banner",
    [
        Banner(Pattern("columns", (BLUE, WHITE, RED), (1, 1, 1))),
        Banner(Pattern("rows", (RED, WHITE), (1, 1.2))),
        Banner(Pattern("cross", (WHITE, BLUE, BLUE), (0.36, 0.5, 0.2, 0))),
        Banner(Pattern("plain", (RED,)), (), (Charge("star", (YELLOW,), 0.5, 0.5, 0.3, number=5),)),
        Banner(Pattern("rows", (WHITE, RED), (1, 1)), (Pattern("triangle", (BLUE, BLUE), (0.5, 0)),)),
        Banner(
            Pattern("plain", (BLUE,)),
            (
                Pattern(
                    "canton", (), (0, 0, 0.5, 0.5), Banner(Pattern("union", (BLUE, WHITE, RED, RED), (0.1, 0.2, 0.06)))
                ),
            ),
            (Charge("ship", (WHITE, RED), 0.7, 0.5, 0.3),),
        ),
    ],
)
def test_what_countries_fly_is_known(banner):
    assert is_flown(banner)


def test_nothing_that_countries_fly_is_drawn():
    banners = some_banners(8, 400)
    rng = np.random.default_rng(8)
    assert not any(is_flown(b) or is_flown(variant(b, rng)) for b in banners)


def test_colours_stand_out():
    rng = np.random.default_rng(9)
    for _ in range(200):
        ground = pick(rng)
        assert contrast(pick(rng, (ground,)).rgb, ground.rgb) >= 150
