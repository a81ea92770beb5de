"""Portraits: other pictures of the same banner, the same for the same generator."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gog_env.world.banners import draw
from gog_env.world.designs import Banner
from gog_env.world.heraldry import rich_banner
from gog_env.world.portraits import STYLES, portrait


def some_banners(count: int) -> list[Banner]:
    return [rich_banner(np.random.default_rng([31, seed])) for seed in range(count)]


def seen(picture: Image.Image) -> np.ndarray:
    """What a portrait has in common with a drawing: a small thumbnail, less its brightness."""
    small = np.asarray(picture.resize((18, 12), Image.Resampling.BOX), float)
    return (small - small.mean()) / small.std()


def test_drawn_is_the_drawing() -> None:
    [banner] = some_banners(1)
    rng = np.random.default_rng(1)
    assert portrait(banner, "drawn", rng).tobytes() == draw(banner, 180, 120).tobytes()
    assert rng.random() == np.random.default_rng(1).random()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("size", [(180, 120), (90, 60), (61, 47)])
def test_pictures_have_the_size_asked_for_and_repeat(style: str, size: tuple[int, int]) -> None:
    for banner in some_banners(4):
        first, again = (portrait(banner, style, np.random.default_rng(2), size) for _ in range(2))
        assert first.mode == "RGB" and first.size == size
        assert first.tobytes() == again.tobytes()
        if style != "drawn":
            assert first.tobytes() != portrait(banner, style, np.random.default_rng(3), size).tobytes()
            assert first.tobytes() != draw(banner, *size).tobytes()


@pytest.mark.parametrize("style", STYLES)
def test_portraits_show_their_own_banner(style: str) -> None:
    banners = some_banners(40)
    drawn = [seen(draw(banner, 180, 120)) for banner in banners]
    right = 0
    for i, banner in enumerate(banners):
        shown = seen(portrait(banner, style, np.random.default_rng([i, 4])))
        right += int(np.argmin([np.abs(shown - other).mean() for other in drawn])) == i
    assert right >= 38


def test_an_unknown_style_is_told() -> None:
    [banner] = some_banners(1)
    with pytest.raises(ValueError, match="choose from drawn, woven"):
        portrait(banner, "painted", np.random.default_rng(0))
