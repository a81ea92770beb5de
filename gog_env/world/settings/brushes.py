"""What all settings are painted with: dice, a canvas twice as fine as the picture, colours that go together.

- `Dice` draws from Python's Mersenne Twister by `random()` alone: ten times cheaper than numpy for single numbers, and
  the same on every version.
- `Canvas` measures in units: a picture is always 336 units high, whatever its pixels. It is painted at twice the size
  and reduced once, for smooth edges at a millisecond a picture.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]
Zone = tuple[float, float, float, float]
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
    (a, b, c), (x, y, z) = first, second
    return int(a + (x - a) * share + 0.5), int(b + (y - b) * share + 0.5), int(c + (z - c) * share + 0.5)


def lit(color: RGB, factor: float) -> RGB:
    """A colour brighter (factor > 1) or darker."""
    r, g, b = color
    return min(255, int(r * factor)), min(255, int(g * factor)), min(255, int(b * factor))


def near(color: RGB, dice: Dice, amount: float = 0.08) -> RGB:
    """A colour close to another: as bricks, leaves or coats of one sort differ."""
    factor, tilt = 1 + dice.between(-amount, amount), dice.between(-amount, amount) * 60
    return lit((max(0, int(color[0] + tilt)), color[1], max(0, int(color[2] - tilt))), factor)


@dataclass(frozen=True)
class Sprite:
    """A painted thing to stamp: its colours, and where it is (None: everywhere). One bit a pixel is enough: the canvas
    is reduced later, and such a mask is pasted four times as fast as one of greys.
    """

    colors: Image.Image
    mask: Image.Image | None = None

    def part(self, x0: int, y0: int, x1: int, y1: int) -> Sprite:
        """A rectangle of it, in fine pixels."""
        box = (x0, y0, x1, y1)
        return Sprite(self.colors.crop(box), self.mask.crop(box) if self.mask else None)


class Canvas:
    """A picture in the making, measured in units (`HIGH` of them from top to bottom), or a sprite for one."""

    def __init__(self, size: tuple[int, int], color: RGB | None = (128, 128, 128)) -> None:
        """Takes the picture's size in pixels, and its first colour (None: nothing at all, for a sprite)."""
        self.size = size
        self.unit = _FINE * size[1] / HIGH
        self.wide = size[0] * HIGH / size[1]
        self.image = Image.new("RGB" if color else "RGBA", (size[0] * _FINE, size[1] * _FINE), color or (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)

    def done(self) -> Image.Image:
        """The picture at its own size."""
        return self.image.reduce(_FINE)

    def cut(self, solid: bool = False) -> Sprite:
        """What was painted as a sprite; `solid`: all of the canvas."""
        mask = None if solid else self.image.getchannel("A").convert("1", dither=Image.Dither.NONE)
        return Sprite(self.image.convert("RGB"), mask)

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

    def glow(self, x: float, y: float, radius: float, color: RGB, strength: float = 0.6, tall: float = 1.0) -> None:
        """Lets a soft light fall on what is there already; `tall`: its height as a share of its width."""
        # sizes in coarse steps, so that few masks are made
        step = 4 if radius < 40 else 20
        half = max(2, round(max(1, round(radius / step)) * step * self.unit))
        mask = _glow(half, max(2, round(half * tall)), round(strength * 20))
        light = Image.new("RGB", mask.size, color)  # pasted twice as fast as a plain colour
        self.image.paste(light, (round(x * self.unit) - half, round(y * self.unit) - mask.height // 2), mask)

    def stamp(self, sprite: Sprite, x: float, y: float) -> None:
        """Puts a sprite of the same fineness with its upper left corner here."""
        self.image.paste(sprite.colors, (round(x * self.unit), round(y * self.unit)), sprite.mask)

    def ramp(self, y0: float, y1: float, colors: Sequence[RGB], x0: float = 0, x1: float | None = None) -> None:
        """Fills from top to bottom with colours that run into each other."""
        u = self.unit
        left, right = round(x0 * u), round((self.wide if x1 is None else x1) * u)
        top, bottom = round(y0 * u), round(y1 * u)
        steps, parts = max(1, (bottom - top) // 8), len(colors) - 1
        for i in range(steps):
            part = min(parts - 1, i * parts // steps)
            color = mix(colors[part], colors[part + 1], i * parts / steps - part)
            ends = (left, top + (bottom - top) * i // steps, right - 1, top + (bottom - top) * (i + 1) // steps - 1)
            self.pen.rectangle(ends, fill=color)


@lru_cache(maxsize=512)
def _glow(half: int, high: int, strength: int) -> Image.Image:
    across = np.linspace(-1, 1, 64, dtype=np.float32)
    inside = np.clip(1 - np.sqrt(across**2 + across[:, None] ** 2), 0, 1) ** 1.7
    small = Image.fromarray((inside * 255 * strength / 20).astype(np.uint8))
    return small.resize((2 * half, 2 * high), Image.Resampling.BICUBIC)


def ring(x: float, y: float, radius: float, corners: int, turn: float = 0.0) -> list[Point]:
    """The corners of a regular polygon."""
    return [
        (x + radius * cos(turn + 2 * pi * i / corners), y + radius * sin(turn + 2 * pi * i / corners))
        for i in range(corners)
    ]


def sprite(unit: float, wide: float, high: float) -> Canvas:
    """An empty canvas for a part of a picture that has `unit` fine pixels a unit; cut it out and stamp it."""
    canvas = Canvas((max(1, round(wide * unit / _FINE)), max(1, round(high * unit / _FINE))), None)
    canvas.unit, canvas.wide = unit, wide
    return canvas
