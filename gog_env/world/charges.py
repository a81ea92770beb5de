"""The figures on banners: stars, suns, crescents, shields, birds, beasts, ships, trees, wheels and more.

Each painter draws into a `Frame`: the circle that a charge fills, with (0, 0) at its centre, 1 its radius, y downwards.
Details come from the charge's own seed, so that two eagles are two different eagles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import cos, pi, sin

import numpy as np
from PIL import ImageDraw

from gog_env.world.designs import RGB, Charge

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
        self.draw.polygon([self.at(x, y) for x, y in points], fill=color)

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
        ((1 if i % 2 == 0 else inner) * sin(pi * i / points + step), -(1 if i % 2 == 0 else inner) * cos(pi * i / points + step))
        for i in range(2 * points)
    ]


def smooth(points: Points, pieces: int = 5) -> np.ndarray:
    """A closed Catmull-Rom curve through the points, as a polygon of shape (n * pieces, 2)."""
    p1 = np.asarray(list(points), float)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, pieces, endpoint=False)[None, :, None]
    a, b, c, d = (p[:, None] for p in (p0, p1, p2, p3))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return curve.reshape(-1, 2)


def _mirror(half: Points) -> list[tuple[float, float]]:
    """A figure that is symmetric about the vertical axis, from its right half, top to bottom."""
    right = [(x, y) for x, y in half]
    return right + [(-x, y) for x, y in reversed(right)]


def _shake(points: Points, rng: np.random.Generator, amount: float) -> np.ndarray:
    array = np.asarray(list(points), float)
    return array + rng.normal(0, amount, array.shape)


def _star(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 5
    inner = 0.382 if n == 5 else float(rng.uniform(0.3, 0.7) if n > 4 else rng.uniform(0.25, 0.45))
    if len(c) > 1:
        f.polygon(star_points(n, inner), c[1])
        f.part(0, 0, 0.78).polygon(star_points(n, inner), c[0])
    else:
        f.polygon(star_points(n, inner), c[0])


def _disc(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    f.disc(0, 0, 1, c[0])
    if len(c) > 1:
        f.disc(0, 0, float(rng.uniform(0.6, 0.9)), c[1])


def _crescent(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A crescent as one outline, so that what lies under its opening stays visible; `n`: points of the star in it."""
    shift, hole = float(rng.uniform(0.2, 0.45)), float(rng.uniform(0.72, 0.84))
    x = (1 + shift**2 - hole**2) / (2 * shift)
    outer, cut = np.arccos(np.clip(x, -1, 1)), np.arccos(np.clip((x - shift) / hole, -1, 1))
    out = [(cos(t), sin(t)) for t in np.linspace(outer, 2 * pi - outer, 60)]
    back = [(shift + hole * cos(t), hole * sin(t)) for t in np.linspace(2 * pi - cut, cut, 60)]
    f.polygon(out + back, c[0])
    if n:
        f.part(shift + float(rng.uniform(0.1, 0.45)), 0, 0.38, float(rng.choice([0, -pi / 2, 0.3]))).polygon(
            star_points(n, 0.4), c[-1]
        )


def _sun(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n, core = n or 16, float(rng.uniform(0.4, 0.66))
    if rng.random() < 0.3:
        for i in range(n):
            f.part(0, 0, 1, 2 * pi * i / n).polygon([(-0.04, -core - 0.06), (0.04, -core - 0.06), (0.07, -1), (-0.07, -1)], c[0])
        f.disc(0, 0, core, c[0])
    else:
        f.polygon(star_points(n, core + float(rng.uniform(0, 0.15))), c[0])
    if len(c) > 1:
        f.disc(0, 0, core * 0.95, c[1])
        f.disc(0, 0, core * 0.8, c[0])


def _half_sun(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 9
    rays = [(0 if i == 0 else 0, 0) for i in range(0)]
    for i in range(2 * n + 1):
        t, r = pi + pi * i / (2 * n), 1.0 if i % 2 else 0.62
        rays.append((r * cos(t), r * sin(t) + 0.4))
    f.polygon(rays, c[0])
    if len(c) > 1:
        for k in range(int(rng.integers(1, 4))):
            f.polygon(smooth([(-1, 0.5 + k * 0.2), (-0.3, 0.42 + k * 0.2), (0.3, 0.52 + k * 0.2), (1, 0.44 + k * 0.2), (1, 0.53 + k * 0.2), (0, 0.56 + k * 0.2), (-1, 0.58 + k * 0.2)]), c[1])


def _cross(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w, flare = float(rng.uniform(0.15, 0.34)), float(rng.choice([0, 0, 0.12, 0.25]))
    arm = [(-w / 2 - 0.02, 0), (-w - flare, -1), (w + flare, -1), (w / 2 + 0.02, 0)] if flare else [(-w, 0), (-w, -1), (w, -1), (w, 0)]
    for layer, color in enumerate(c[:2]):
        for i in range(4):
            f.part(0, 0, 1 - 0.14 * layer, pi * i / 2).polygon(arm if not layer else [(x * 0.6, y) for x, y in arm], color)
    f.polygon([(-w, -w), (w, -w), (w, w), (-w, w)] if not flare else [(-w / 2, -w / 2), (w / 2, -w / 2), (w / 2, w / 2), (-w / 2, w / 2)], c[min(1, len(c) - 1)] if flare else c[0])
    if not flare and len(c) > 1:
        f.polygon([(-w * 0.6, -w), (w * 0.6, -w), (w * 0.6, w), (-w * 0.6, w)], c[1])


def _wheel(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n, rim = n or 12, float(rng.uniform(0.1, 0.2))
    circle = [(cos(t), sin(t)) for t in np.linspace(0, 2 * pi, 60)]
    f.line([(x * (1 - rim / 2), y * (1 - rim / 2)) for x, y in circle], rim, c[0])
    for i in range(n):
        f.line([(0, 0), (cos(2 * pi * i / n) * 0.9, sin(2 * pi * i / n) * 0.9)], 0.06, c[0])
    if rng.random() < 0.4:
        for i in range(n):
            f.part(0, 0, 1, 2 * pi * i / n).polygon([(-0.1, -0.95), (0.1, -0.95), (0.07, -1.18), (-0.07, -1.18)], c[0])
    f.disc(0, 0, 0.2, c[-1])


def _rosette(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 8
    for layer in range(int(rng.integers(2, 5))):
        r, color, kind = 1 - 0.26 * layer, c[layer % len(c)], int(rng.integers(3))
        if kind == 0:
            f.part(0, 0, r, float(rng.random())).polygon(star_points(n, float(rng.uniform(0.4, 0.85))), color)
        elif kind == 1:
            for i in range(n):
                t = 2 * pi * i / n
                f.disc(0.66 * r * cos(t), 0.66 * r * sin(t), r * min(0.34, 2.2 / n), color)
            f.disc(0, 0, 0.5 * r, color)
        else:
            f.disc(0, 0, r, color)


def _shield(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w, foot = float(rng.uniform(0.66, 0.84)), float(rng.uniform(0.2, 0.6))
    half = [(w, -0.9), (w, foot * 0.6), (w * 0.78, foot + 0.2), (0.02, 1.0)]
    f.polygon(_mirror(half), c[0])
    inner = [(x * 0.86, y * 0.88) for x, y in half]
    f.polygon(_mirror(inner), c[1])
    style = int(rng.integers(6))
    third = c[2 % len(c)]
    if style == 0:
        f.polygon([(0, -0.8), (w * 0.86, -0.8), (w * 0.86, 0), (0, 0)], third)
    elif style == 1:
        f.polygon([(-w * 0.86, -0.8), (w * 0.86, -0.8), (w * 0.86, -0.3), (-w * 0.86, -0.3)], third)
    elif style == 2:
        f.polygon([(-w * 0.86, 0.1), (0, -0.5), (w * 0.86, 0.1), (w * 0.8, 0.35), (0, -0.2), (-w * 0.8, 0.35)], third)
    elif style == 3:
        f.polygon([(-0.12, -0.8), (0.12, -0.8), (0.12, 0.86), (-0.12, 0.86)], third)
        f.polygon([(-w * 0.86, -0.3), (w * 0.86, -0.3), (w * 0.86, -0.06), (-w * 0.86, -0.06)], third)
    elif style == 4:
        for k in range(3):
            f.polygon([(-w * 0.8, 0.0 + k * 0.22), (w * 0.8, 0.0 + k * 0.22), (w * 0.7, 0.1 + k * 0.22), (-w * 0.7, 0.1 + k * 0.22)], third)
    else:
        f.polygon([(-w * 0.86, -0.8), (w * 0.86, -0.8), (-w * 0.8, 0.3)], third)
    figures = (_star, _rosette, _tree, _ship, _bird, _beast, _tower, _fish, _leaf, _sun)
    for spot in ((0, -0.5), (-0.34, -0.1), (0.34, -0.1), (0, 0.35))[: int(rng.integers(1, 5))]:
        figures[int(rng.integers(len(figures)))](f.part(*spot, float(rng.uniform(0.18, 0.34))), [c[3 % len(c)], third], 0, rng)
    if n:  # a crest above and supporters at the sides
        f.part(0, -1.12, 0.26).polygon(star_points(5, 0.5), c[3 % len(c)])
        for side in (-1, 1):
            figure = _shake([(0, -0.8), (0.2, -0.5), (0.14, 0.2), (0.26, 0.8), (-0.04, 0.9), (-0.12, 0.1), (-0.16, -0.4)], rng, 0.05)
            f.polygon(smooth([(side * (x + w + 0.1), y) for x, y in figure]), c[2 % len(c)])
        f.polygon(smooth([(-1, 0.96), (0, 1.2), (1, 0.96), (1, 1.14), (0, 1.38), (-1, 1.14)]), c[0])


def _bird(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    if rng.random() < 0.55:  # displayed, wings spread
        span, lift = float(rng.uniform(0.8, 1.05)), float(rng.uniform(-0.9, -0.3))
        half = [(0.02, -0.62), (0.16, -0.5), (0.14, -0.3), (0.4, lift + 0.15), (span, lift), (span * 0.96, lift + 0.4), (span * 0.8, lift + 0.62), (0.5, lift + 0.9), (0.26, 0.25), (0.18, 0.5), (0.36, 0.95), (0.12, 0.86), (0.02, 1)]
        points = np.asarray(half) + rng.normal(0, 0.03, (len(half), 2))
        points[:, 0] = np.maximum(points[:, 0], 0.02)
        f.polygon(_mirror(points.tolist()), c[0])
        if rng.random() < 0.4:  # two heads
            for side in (-1, 1):
                f.disc(side * 0.16, -0.68, 0.16, c[0])
                f.polygon([(side * 0.28, -0.74), (side * 0.48, -0.64), (side * 0.28, -0.6)], c[0])
        else:
            f.disc(0.03, -0.68, 0.17, c[0])
            f.polygon([(0.14, -0.76), (0.4, -0.64), (0.14, -0.6)], c[-1])
        if len(c) > 1:
            f.polygon([(-0.14, -0.15), (0.14, -0.15), (0.12, 0.2), (0, 0.36), (-0.12, 0.2)], c[1])
    else:  # in flight
        outline = [(-1, 0.1), (-0.7, -0.02), (-0.3, 0.05), (-0.5, -0.9), (-0.1, -0.6), (0.2, 0.0), (0.62, -0.12), (0.82, -0.02), (1, 0.06), (0.75, 0.14), (0.4, 0.34), (0.3, 0.85), (0.05, 0.6), (-0.1, 0.36), (-0.6, 0.4), (-0.98, 0.34)]
        f.polygon(smooth(_shake(outline, rng, 0.05), 3), c[0])
        f.disc(0.72, 0.02, 0.05, c[-1])


def _beast(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    leg, neck, side = float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.1, 0.55)), float(rng.choice([-1, 1]))
    body = [(-0.8, -0.1), (-0.3, -0.24), (0.3, -0.22), (0.5, -0.3 - neck), (0.72, -0.46 - neck), (1.0, -0.26 - neck), (0.96, -0.14 - neck), (0.74, -0.1 - neck), (0.66, 0.2), (0.4, 0.34), (-0.4, 0.28), (-0.75, 0.36)]
    f.polygon([(side * x, y) for x, y in smooth(_shake(body, rng, 0.035), 4)], c[0])
    for x in (-0.7, -0.42, 0.36, 0.6):
        stride = float(rng.uniform(-0.16, 0.16))
        f.polygon([(side * u, v) for u, v in ((x - 0.1, 0.1), (x + 0.12, 0.1), (x + 0.06 + stride, 0.3 + leg), (x - 0.08 + stride, 0.3 + leg))], c[0])
    tail = smooth(_shake([(-0.75, 0), (-1, -0.2), (-0.9, -0.6), (-1.06, -0.5), (-1.12, -0.2), (-0.85, 0.14)], rng, 0.06))
    f.polygon([(side * x, y) for x, y in tail], c[0])
    if rng.random() < 0.5:
        f.disc(side * 0.6, -0.22 - neck, 0.3, c[-1])
        f.disc(side * 0.7, -0.28 - neck, 0.18, c[0])
    else:
        f.line([(side * 0.66, -0.42 - neck), (side * 0.56, -0.8 - neck)], 0.07, c[0])
        f.line([(side * 0.78, -0.42 - neck), (side * 0.86, -0.8 - neck)], 0.07, c[0])


def _fish(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    body = [(1, 0), (0.6, -0.3), (0, -0.4), (-0.5, -0.16), (-1, -0.42), (-0.84, 0), (-1, 0.42), (-0.5, 0.16), (0, 0.4), (0.6, 0.3)]
    f.polygon(smooth(_shake(body, rng, 0.04), 4), c[0])
    f.polygon([(-0.1, -0.35), (0.1, -0.66), (0.4, -0.34)], c[0])
    f.disc(0.62, -0.08, 0.08, c[-1])


def _ship(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    f.polygon([(-0.95, 0.4), (0.95, 0.35), (0.65, 0.8), (-0.7, 0.8)], c[0])
    masts = int(rng.integers(1, 4))
    for k in range(masts):
        x, top = (k - (masts - 1) / 2) * 0.55, -1 + 0.2 * float(rng.random())
        f.line([(x, 0.4), (x, top)], 0.07, c[0])
        if rng.random() < 0.5:
            f.polygon([(x + 0.05, top + 0.1), (x + 0.5, 0.25), (x + 0.05, 0.25)], c[-1])
        else:
            for y in (top + 0.1, top + 0.62):
                f.polygon([(x - 0.22, y), (x + 0.22, y), (x + 0.28, y + 0.42), (x - 0.28, y + 0.42)], c[-1])
    if rng.random() < 0.6:
        f.polygon(smooth([(-1, 0.86), (-0.5, 0.78), (0, 0.88), (0.5, 0.78), (1, 0.88), (1, 1), (0, 1), (-1, 1)], 3), c[-1])


def _tree(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    trunk, crown = c[-1], c[0]
    f.polygon([(-0.08, 0.95), (-0.05, -0.4), (0.05, -0.4), (0.08, 0.95)], trunk)
    style = int(rng.integers(3))
    if style == 0:
        for _ in range(int(rng.integers(6, 10))):
            f.disc(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.7, 0.05)), float(rng.uniform(0.22, 0.36)), crown)
    elif style == 1:
        for k in range(3):
            y = -1 + k * 0.45
            f.polygon([(0, y), (0.35 + k * 0.16, y + 0.62), (-0.35 - k * 0.16, y + 0.62)], crown)
    else:
        for k in range(7):
            t = pi + pi * k / 6
            f.polygon(smooth([(0, -0.4), (0.5 * cos(t), -0.62 + 0.35 * sin(t)), (0.9 * cos(t), -0.4 + 0.45 * sin(t) + 0.2), (0.5 * cos(t), -0.5 + 0.3 * sin(t))], 4), crown)
    if rng.random() < 0.5:
        f.polygon(smooth([(-0.7, 0.95), (0, 0.8), (0.7, 0.95), (0, 1.05)], 4), crown)


def _leaf(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    lobes = int(rng.integers(2, 5))
    half: list[tuple[float, float]] = [(0.02, -1)]
    for k in range(lobes):
        y, reach = -0.7 + 1.2 * k / lobes, float(rng.uniform(0.5, 0.95))
        half += [(0.22, y), (reach, y - 0.12), (reach * 0.85, y + 0.14), (0.28, y + 1.0 / lobes * 0.8)]
    half += [(0.2, 0.6), (0.05, 0.55), (0.05, 1)]
    f.polygon(_mirror(half), c[0])


def _tower(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    towers = int(rng.choice([1, 3]))
    for k in range(towers):
        x, y, w = ((k - 1) * 0.62 if towers == 3 else 0.0), (-0.3 if towers == 3 and k != 1 else -0.75), (0.24 if towers == 3 else 0.5)
        f.polygon([(x - w, 0.8), (x - w, y), (x + w, y), (x + w, 0.8)], c[0])
        for i in range(3):
            cx = x - w + w * (i + 0.5) * 2 / 3
            f.polygon([(cx - w * 0.22, y - 0.2), (cx + w * 0.22, y - 0.2), (cx + w * 0.22, y + 0.02), (cx - w * 0.22, y + 0.02)], c[0])
        f.polygon([(x - 0.07, y + 0.25), (x + 0.07, y + 0.25), (x + 0.07, y + 0.5), (x - 0.07, y + 0.5)], c[-1])
    f.polygon([(-0.95, 0.4), (0.95, 0.4), (0.95, 0.9), (-0.95, 0.9)] if towers == 3 else [(-0.65, 0.7), (0.65, 0.7), (0.65, 0.9), (-0.65, 0.9)], c[0])
    f.polygon([(-0.14, 0.9), (-0.14, 0.62), (0, 0.5), (0.14, 0.62), (0.14, 0.9)], c[-1])


def _blob(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """The outline of a land: a random smooth closed curve, now and then with islands."""
    count = int(rng.integers(9, 18))
    radii = np.clip(0.7 + 0.28 * np.convolve(np.tile(rng.normal(0, 1, count), 3), [0.3, 0.5, 0.3], "same")[count : 2 * count], 0.25, 1.05)
    stretch = rng.uniform(0.5, 1.0, 2) / 1.0
    t = 2 * pi * np.arange(count) / count
    f.polygon(smooth(np.stack([radii * np.cos(t) * max(stretch[0], 0.7), radii * np.sin(t) * stretch[1]], 1)), c[0])
    for _ in range(int(rng.integers(0, 3))):
        f.disc(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.7, 0.95)), float(rng.uniform(0.05, 0.12)), c[0])


def _wreath(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 9
    for side in (-1, 1):
        for k in range(n):
            t = pi / 2 - side * (0.25 + 2.3 * k / n)
            for out in (0.78, 1.0):
                f.part(out * cos(t) * 0.92, out * sin(t) * 0.92, 0.2, t + side * -0.6).polygon([(0, -0.9), (0.4, 0), (0, 0.9), (-0.4, 0)], c[0])
    figures = (_star, _tree, _sun, _bird, _tower, _blob, _rosette)
    figures[int(rng.integers(len(figures)))](f.part(0, -0.05, 0.52), [c[-1], c[0]], 0, rng)


def _swords(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    bend = float(rng.uniform(0, 0.5))
    for side in (-1, 1):
        blade = [(side * 0.75, 0.8), (side * 0.1 + side * bend * 0.4, -0.05), (-side * 0.85, -0.85)]
        f.line(blade, 0.13, c[0])
        f.line([(side * 0.4, 0.72), (side * 0.78, 0.36)], 0.1, c[-1])
    if rng.random() < 0.5:
        f.part(0, -0.5, 0.3).polygon(star_points(5, 0.382), c[-1])


def _trident(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    f.line([(0, 1), (0, -0.95)], 0.13, c[0])
    reach, y = float(rng.uniform(0.4, 0.7)), float(rng.uniform(-0.2, 0.2))
    for side in (-1, 1):
        f.line([(0, y + 0.2), (side * reach * 0.8, y), (side * reach, -0.3), (side * reach, -0.8)], 0.12, c[0])
    for x in (-reach, 0, reach):
        f.polygon([(x - 0.2, -0.66), (x, -1.05), (x + 0.2, -0.66)], c[0])


def _script(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """Strokes that look like writing."""
    x = -1.3
    while x < 1.2:
        width = float(rng.uniform(0.16, 0.5))
        points = [(x + width * u, float(rng.uniform(-0.42, 0.3))) for u in np.linspace(0, 1, 4)]
        f.line(smooth([*points, *[(px, py + 0.05) for px, py in reversed(points)]], 4), 0.1, c[0])
        if rng.random() < 0.5:
            f.line([(x + width, 0.2), (x + width, -0.6)], 0.1, c[0])
        if rng.random() < 0.4:
            f.disc(x + width / 2, 0.5, 0.07, c[0])
        x += width + 0.08


def _serpent(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    waves, phase = float(rng.uniform(1.0, 2.2)), float(rng.uniform(0, 2 * pi))
    path = [(u, 0.45 * sin(waves * pi * u + phase) - 0.35 * u) for u in np.linspace(-1, 0.9, 30)]
    f.line(path, 0.24, c[0])
    x, y = path[-1]
    f.disc(x, y, 0.24, c[0])
    f.polygon([(x + 0.1, y - 0.2), (x + 0.42, y), (x + 0.1, y + 0.16)], c[0])
    for k in range(4, 28, 4):
        px, py = path[k]
        f.polygon([(px - 0.1, py - 0.08), (px, py - 0.34), (px + 0.1, py - 0.08)], c[0])
        if k % 8 == 0:
            f.line([(px, py), (px + 0.06, py + 0.38)], 0.09, c[0])
    f.disc(x + 0.06, y - 0.06, 0.06, c[-1])


def _mountain(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    peaks = int(rng.integers(1, 4))
    for k in range(peaks):
        x, top = (k - (peaks - 1) / 2) * 0.6, float(rng.uniform(-0.9, -0.4))
        f.polygon([(x, top), (x + 0.6, 0.7), (x - 0.6, 0.7)], c[0])
        f.polygon([(x, top), (x + 0.16, top + 0.4), (x, top + 0.28), (x - 0.16, top + 0.4)], c[-1])
    f.polygon([(-1, 0.76), (1, 0.76), (0.8, 0.95), (-0.8, 0.95)], c[-1])


def _crown(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 5
    top = []
    for i in range(n):
        x = -0.9 + 1.8 * i / (n - 1)
        top += [(x, -0.6 - 0.2 * (i % 2)), (x + 0.9 / (n - 1), 0.05)]
    f.polygon([*top[:-1], (0.75, 0.6), (-0.75, 0.6)], c[0])
    f.polygon([(-0.75, 0.66), (0.75, 0.66), (0.75, 0.86), (-0.75, 0.86)], c[-1])
    for i in range(n):
        f.disc(-0.9 + 1.8 * i / (n - 1), -0.66 - 0.2 * (i % 2), 0.11, c[-1])


def _lozenge(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w = float(rng.uniform(0.55, 1))
    for layer, color in enumerate(c):
        k = 1 - 0.3 * layer
        f.polygon([(0, -k), (w * k, 0), (0, k), (-w * k, 0)], color)


def _triangle(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    for layer, color in enumerate(c):
        f.part(0, 0.1, 1 - 0.35 * layer).polygon([(sin(t), -cos(t)) for t in (0, 2 * pi / 3, 4 * pi / 3)], color)


PAINTERS: dict[str, Callable[[Frame, list[RGB], int, np.random.Generator], None]] = {
    "star": _star, "disc": _disc, "crescent": _crescent, "sun": _sun, "rising sun": _half_sun, "cross": _cross,
    "wheel": _wheel, "rosette": _rosette, "shield": _shield, "bird": _bird, "beast": _beast, "fish": _fish,
    "ship": _ship, "tree": _tree, "leaf": _leaf, "tower": _tower, "map": _blob, "wreath": _wreath, "crossed swords": _swords,
    "trident": _trident, "script": _script, "serpent": _serpent, "mountain": _mountain, "crown": _crown,
    "lozenge": _lozenge, "triangle": _triangle,
}  # fmt: skip


def paint(draw: ImageDraw.ImageDraw, width: int, height: int, charge: Charge) -> None:
    """Paints a charge on a canvas of `width` x `height` pixels."""
    frame = Frame(draw, charge.x * width, charge.y * height, charge.size * height, charge.angle)
    rng = np.random.default_rng([charge.seed])
    PAINTERS[charge.kind](frame, [color.rgb for color in charge.colors], charge.number, rng)
