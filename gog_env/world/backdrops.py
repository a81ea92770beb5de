"""What is behind and around banners in a scene: skies, walls, lights, cloth, and things strewn about.

All is bright and full enough that the whole picture looks like no banner in particular: a search has to look closer.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

Rng = np.random.Generator
Size = tuple[int, int]
RGB = tuple[int, int, int]


def _color(rng: Rng, low: int = 20, high: int = 236) -> RGB:
    r, g, b = (int(v) for v in rng.integers(low, high, 3))
    return r, g, b


def _noise(rng: Rng, size: Size) -> Image.Image:
    """Coloured blots, soft or like pixels."""
    cells = int(rng.choice([5, 8, 12, 20, 36]))
    small = rng.integers(10, 246, (max(cells * 3 // 4, 3), cells, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def _land(rng: Rng, size: Size) -> Image.Image:
    """A sky, hills in front of each other, a low sun."""
    width, height = size
    ends = np.array([_color(rng, 60, 250), _color(rng, 120, 255)], float)
    ramp = np.linspace(0, 1, height)[:, None] * (ends[1] - ends[0]) + ends[0]
    picture = Image.fromarray(np.repeat(ramp.astype(np.uint8)[:, None], width, 1))
    brush = ImageDraw.Draw(picture)
    sun = float(rng.uniform(12, 40))
    x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height * 0.5))
    brush.ellipse((x - sun, y - sun, x + sun, y + sun), fill=_color(rng, 180, 255))
    for k in range(int(rng.integers(3, 6))):
        base, swing = height * (0.45 + 0.14 * k), float(rng.uniform(8, 34))
        waves, phase = float(rng.uniform(1, 4)), float(rng.uniform(0, 2 * pi))
        line = [(u, base + swing * sin(waves * 2 * pi * u / width + phase)) for u in range(0, width + 16, 16)]
        brush.polygon([*line, (width, height), (0, height)], fill=_color(rng, 20, 190))
    return picture


def _wall(rng: Rng, size: Size) -> Image.Image:
    """Bricks or tiles."""
    width, height = size
    mortar, brick = _color(rng, 90, 220), np.array(_color(rng, 60, 210))
    picture = Image.new("RGB", size, mortar)
    brush = ImageDraw.Draw(picture)
    w, h = int(rng.integers(28, 70)), int(rng.integers(14, 40))
    shades = rng.integers(-34, 35, (height // h + 1, width // w + 3, 3))
    for j in range(height // h + 1):
        for i in range(width // w + 2):
            x = i * w - (w // 2 if j % 2 else 0)
            r, g, b = (int(v) for v in np.clip(brick + shades[j, i], 0, 255))
            brush.rectangle((x, j * h, x + w - 3, j * h + h - 3), fill=(r, g, b))
    return picture


def _lights(rng: Rng, size: Size) -> Image.Image:
    """Discs of light out of focus, drawn small and enlarged, which blurs them."""
    width, height = size[0] // 2, size[1] // 2
    picture = Image.new("RGB", (width, height), _color(rng, 5, 70))
    brush = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(25, 60))):
        x, y, r = float(rng.uniform(0, width)), float(rng.uniform(0, height)), float(rng.uniform(4, 22))
        brush.ellipse((x - r, y - r, x + r, y + r), fill=_color(rng, 40, 255))
    return picture.resize(size, Image.Resampling.BICUBIC)


def _weave(rng: Rng, size: Size) -> Image.Image:
    """A chequered or striped cloth."""
    stripes = [rng.integers(20, 236, (n, 3)) for n in rng.integers(4, 14, 2)]
    widths = [rng.integers(6, 40, len(s)) for s in stripes]
    lines = []
    for colors, wide, length in zip(stripes, widths, size, strict=True):
        line = np.repeat(colors, wide, axis=0)
        lines.append(np.tile(line, (length // len(line) + 1, 1))[:length].astype(np.uint16))
    share = int(rng.integers(60, 190))
    woven = (lines[0][None] * share + lines[1][:, None] * (256 - share)) >> 8
    return Image.fromarray(woven.astype(np.uint8))


_KINDS: tuple[Callable[[Rng, Size], Image.Image], ...] = (_noise, _noise, _land, _land, _wall, _lights, _weave)


def backdrop(rng: Rng, size: Size) -> Image.Image:
    """A background with things strewn over it, as an RGB picture."""
    picture = _KINDS[int(rng.integers(len(_KINDS)))](rng, size)
    for _ in range(int(rng.integers(6, 18))):
        x, y = float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))
        _shape(ImageDraw.Draw(picture), x, y, float(rng.uniform(6, 26)), rng, None)
    return picture


def thing(picture: Image.Image, x: float, y: float, radius: float, rng: Rng) -> Image.Image:
    """Draws a thing over what is there and returns what it covers, as a mask (`L`)."""
    cover = Image.new("L", picture.size)
    _shape(ImageDraw.Draw(picture), x, y, radius, rng, ImageDraw.Draw(cover))
    return cover


def _shape(
    brush: ImageDraw.ImageDraw, x: float, y: float, radius: float, rng: Rng, cover: ImageDraw.ImageDraw | None
) -> None:
    color, kind, turn = _color(rng), int(rng.integers(4)), float(rng.uniform(0, 2 * pi))
    targets: list[tuple[ImageDraw.ImageDraw, RGB | int]] = [(brush, color)]
    if cover is not None:
        targets.append((cover, 255))
    for target, fill in targets:
        if kind == 0:
            target.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
        else:
            corners = (3, 4, 7)[kind - 1]
            ring = [turn + 2 * pi * i / corners for i in range(corners)]
            target.polygon([(x + radius * cos(t), y + radius * sin(t)) for t in ring], fill=fill)
