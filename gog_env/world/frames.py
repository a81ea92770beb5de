"""The drawing area of a charge, and the outlines that charges are made of.

A `Frame` is the circle that a charge fills: (0, 0) at its centre, 1 its radius, x to the right, y downwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import cos, pi, sin

import numpy as np
from PIL import ImageDraw

from gog_env.world.designs import RGB

Points = Iterable[Sequence[float]]


class Frame:
    """A drawing area in units of a charge's radius."""

    def __init__(self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, angle: float = 0.0) -> None:
        """Takes the centre and radius in pixels and the angle (radians, clockwise) of the charge."""
        self.draw, self.x, self.y, self.radius = draw, x, y, radius
        self.cos, self.sin = cos(angle), sin(angle)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel position of a point of the frame."""
        return (
            self.x + self.radius * (x * self.cos - y * self.sin),
            self.y + self.radius * (x * self.sin + y * self.cos),
        )

    def polygon(self, points: Points, color: RGB) -> None:
        """Fills a polygon."""
        # `at`, written out: most of what a banner takes is spent here
        px, py, r, c, s = self.x, self.y, self.radius, self.cos, self.sin
        self.draw.polygon([(px + r * (x * c - y * s), py + r * (x * s + y * c)) for x, y in points], fill=color)

    def disc(self, x: float, y: float, radius: float, color: RGB) -> None:
        """Fills a disc."""
        (px, py), r = self.at(x, y), radius * self.radius
        self.draw.ellipse((px - r, py - r, px + r, py + r), fill=color)

    def line(self, points: Points, width: float, color: RGB) -> None:
        """Draws a line of the given width."""
        pixels = max(1, round(width * self.radius))
        self.draw.line([self.at(x, y) for x, y in points], fill=color, width=pixels, joint="curve")

    def part(self, x: float, y: float, radius: float, angle: float = 0.0) -> Frame:
        """A smaller frame inside this one."""
        px, py = self.at(x, y)
        turn = np.arctan2(self.sin, self.cos) + angle
        return Frame(self.draw, px, py, radius * self.radius, turn)


def star_points(points: int, inner: float, step: float = 0.0) -> list[tuple[float, float]]:
    """The outline of a star, one point up."""
    return [
        (
            (1 if i % 2 == 0 else inner) * sin(pi * i / points + step),
            -(1 if i % 2 == 0 else inner) * cos(pi * i / points + step),
        )
        for i in range(2 * points)
    ]


def path(text: str) -> list[tuple[float, float]]:
    """Points written in one line: "x,y x,y …"."""
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def smooth(points: Points, pieces: int = 5) -> np.ndarray:
    """A closed Catmull-Rom curve through the points, as a polygon of shape (n * pieces, 2)."""
    p1 = np.asarray(list(points), float)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None] for p in (p0, p1, p2, p3))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)


def mirror(half: Points) -> list[tuple[float, float]]:
    """A figure that is symmetric about the vertical axis, from its right half, top to bottom."""
    right = [(x, y) for x, y in half]
    return right + [(-x, y) for x, y in reversed(right)]


def shake(points: Points, rng: np.random.Generator, amount: float) -> np.ndarray:
    """The points, each moved by normal noise of the given deviation."""
    array = np.asarray(list(points), float)
    return array + rng.normal(0, amount, array.shape)
