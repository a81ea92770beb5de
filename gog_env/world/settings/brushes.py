"""What all settings are painted with: dice, a canvas twice as fine as the picture, colours that go together.

- `Dice` draws from Python's Mersenne Twister by `random()` alone: ten times cheaper than numpy for single numbers, and
  the same on every version.
- `Canvas` measures in units: a picture is always 336 units high, whatever its pixels. It is painted at twice the size
  and reduced once, for smooth edges at a millisecond a picture.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import cos, pi, sin
from typing import TypeVar

import numpy as np
from PIL import Image, ImageChops, ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]
T = TypeVar("T")

HIGH = 336
"""Height of every picture, in units."""
_FINE = 2


class Dice:
    """Quick random numbers that a numpy generator (or a seed) decides."""

    def __init__(self, source: np.random.Generator | int) -> None:
        seed = source if isinstance(source, int) else int(source.integers(1 << 62))
        self._random = random.Random(seed).random

    def between(self, low: float, high: float) -> float:
        """A number between two others."""
        return low + (high - low) * self._random()

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def chance(self, share: float) -> bool:
        """True in this share of throws."""
        return self._random() < share

    def of(self, things: Sequence[T]) -> T:
        """One of several."""
        return things[int(self._random() * len(things))]

    def shuffled(self, things: Iterable[T]) -> list[T]:
        """The same things in another order."""
        rest = list(things)
        for i in range(len(rest) - 1, 0, -1):
            j = int(self._random() * (i + 1))
            rest[i], rest[j] = rest[j], rest[i]
        return rest


@lru_cache(maxsize=4096)
def hue(code: str) -> RGB:
    """A colour written as six hexadecimal digits.

    >>> hue("ff8000")
    (255, 128, 0)
    """
    return int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """The first colour with a share of the second."""
    r, g, b = (round(a + (z - a) * share) for a, z in zip(first, second, strict=True))
    return r, g, b


def lit(color: RGB, factor: float) -> RGB:
    """A colour brighter (factor > 1) or darker."""
    r, g, b = (min(255, max(0, round(value * factor))) for value in color)
    return r, g, b


def near(color: RGB, dice: Dice, amount: float = 0.08) -> RGB:
    """A colour close to another: as bricks, leaves or coats of one sort differ."""
    factor, tilt = 1 + dice.between(-amount, amount), dice.between(-amount, amount) * 60
    return lit((max(0, round(color[0] + tilt)), color[1], max(0, round(color[2] - tilt))), factor)


class Canvas:
    """A picture in the making, measured in units (`HIGH` of them from top to bottom)."""

    def __init__(self, size: tuple[int, int], color: RGB = (128, 128, 128)) -> None:
        self.size = size
        self.unit = _FINE * size[1] / HIGH
        self.wide = size[0] * HIGH / size[1]
        self.image = Image.new("RGB", (size[0] * _FINE, size[1] * _FINE), color)
        self.pen = ImageDraw.Draw(self.image)

    def done(self) -> Image.Image:
        """The picture at its own size."""
        return self.image.reduce(_FINE)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: RGB) -> None:
        """Fills an upright rectangle."""
        u = self.unit
        if x1 > x0 and y1 > y0:
            self.pen.rectangle((x0 * u, y0 * u, x1 * u - 1, y1 * u - 1), fill=color)

    def disc(self, x: float, y: float, radius: float, color: RGB, tall: float | None = None) -> None:
        """Fills a disc, or an ellipse whose vertical radius is `tall`."""
        u, ry = self.unit, radius if tall is None else tall
        self.pen.ellipse(((x - radius) * u, (y - ry) * u, (x + radius) * u, (y + ry) * u), fill=color)

    def poly(self, points: Iterable[Sequence[float]], color: RGB) -> None:
        """Fills a polygon."""
        u = self.unit
        self.pen.polygon([(x * u, y * u) for x, y in points], fill=color)

    def line(self, points: Iterable[Sequence[float]], width: float, color: RGB) -> None:
        """Draws a line through points."""
        u = self.unit
        self.pen.line([(x * u, y * u) for x, y in points], fill=color, width=max(1, round(width * u)), joint="curve")

    def pie(self, x: float, y: float, radius: float, start: float, end: float, color: RGB, tall: float = 0) -> None:
        """Fills a sector from `start` to `end` (degrees, clockwise from the right)."""
        u, ry = self.unit, tall or radius
        self.pen.pieslice(((x - radius) * u, (y - ry) * u, (x + radius) * u, (y + ry) * u), start, end, fill=color)

    def round_box(self, x0: float, y0: float, x1: float, y1: float, radius: float, color: RGB) -> None:
        """Fills a rectangle with round corners."""
        u = self.unit
        self.pen.rounded_rectangle((x0 * u, y0 * u, x1 * u, y1 * u), radius * u, fill=color)

    def ramp(self, y0: float, y1: float, colors: Sequence[RGB], x0: float = 0, x1: float | None = None) -> None:
        """Fills from top to bottom with colours that run into each other."""
        u = self.unit
        left, right = round(x0 * u), round((self.wide if x1 is None else x1) * u)
        top, bottom = round(y0 * u), round(y1 * u)
        steps = max(1, (bottom - top) // 4)
        table = np.stack(
            [np.interp(np.linspace(0, len(colors) - 1, steps), range(len(colors)), c) for c in _turn(colors)]
        )
        for i, (r, g, b) in enumerate(table.T.round().astype(int).tolist()):
            band = (left, top + (bottom - top) * i // steps, right - 1, top + (bottom - top) * (i + 1) // steps - 1)
            self.pen.rectangle(band, fill=(r, g, b))


def _turn(colors: Sequence[RGB]) -> list[tuple[int, ...]]:
    return list(zip(*colors, strict=True))


def ring(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> list[Point]:
    """The corners of a regular polygon."""
    return [
        (x + radius * cos(turn + 2 * pi * i / corners), y + radius * sin(turn + 2 * pi * i / corners))
        for i in range(corners)
    ]


@lru_cache(maxsize=16)
def grain(size: tuple[int, int], cells: int, low: int, number: int) -> Image.Image:
    """A cached texture to multiply with: soft grey noise between `low` and 255, the same for the same arguments."""
    rng = np.random.default_rng([cells, low, number])
    total = np.zeros((size[1], size[0]), np.float32)
    for octave, share in ((1, 0.5), (3, 0.3), (9, 0.2)):
        shape = (max(2, cells * octave * size[1] // size[0]), max(2, cells * octave))
        small = Image.fromarray(rng.random(shape, np.float32))
        total += share * np.asarray(small.resize(size, Image.Resampling.BICUBIC))
    total = (total - total.min()) / (total.max() - total.min())
    grey = Image.fromarray((low + (255 - low) * total).astype(np.uint8))
    return Image.merge("RGB", (grey, grey, grey))


def grained(picture: Image.Image, cells: int, low: int, number: int) -> Image.Image:
    """A picture with one of the cached textures over it."""
    return ImageChops.multiply(picture, grain(picture.size, cells, low, number))
