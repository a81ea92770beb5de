"""Which charges a banner bears: one figure, an emblem, a figure on another, or many small ones in an order."""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi, sin

import numpy as np

from gog_env.world.designs import Charge, Color, pick

Rng = np.random.Generator
Spot = tuple[float, float, float, tuple[Color, ...]]
"""A place for a charge: x, y, the largest radius there (fraction of the height), the colours under it."""

SIMPLE = ("star", "disc", "crescent", "sun", "cross", "lozenge", "triangle", "rising sun")
_SIMPLE_SHARES = (0.36, 0.14, 0.18, 0.12, 0.08, 0.04, 0.03, 0.05)
EMBLEMS = (
    "shield", "shield", "shield", "bird", "bird", "beast", "fish", "ship", "tree", "leaf", "tower", "map", "wreath",
    "wreath", "crossed swords", "trident", "script", "serpent", "mountain", "crown", "wheel", "rosette", "rosette",
)  # fmt: skip
_ON_OTHERS = ("star", "crescent", "sun", "rosette", "bird", "tree", "cross", "wheel")
POINTS = {
    "star": (5, 5, 5, 5, 4, 6, 7, 8, 9, 12, 14),
    "sun": (8, 12, 16, 20, 24, 32),
    "rising sun": (7, 9, 11),
    "crescent": (0, 5, 5, 5, 6, 8, 12),
    "wheel": (8, 12, 16, 24),
    "rosette": (5, 6, 8, 10, 12, 16),
    "wreath": (7, 8, 9, 10, 11),
    "shield": (0, 0, 1),
    "crown": (5, 7),
}
TURNS = {"star": (0, 0, 0, 0.3, pi / 5), "crescent": (0, 0, 0, -pi / 2, -0.8, pi)}
SMALLEST = 0.12
"""Radius under which a charge is a speck (fraction of the height); those of a constellation may be smaller."""


def one_of(rng: Rng, names: tuple[str, ...]) -> str:
    """A name at random."""
    return names[int(rng.integers(len(names)))]


def figure(
    rng: Rng, kind: str, x: float, y: float, size: float, beneath: tuple[Color, ...], color: Color | None = None
) -> Charge:
    """One charge that stands out from what lies beneath it; `color`: its main colour, if it is given."""
    main = color or pick(rng, beneath, 170)
    second = pick(rng, (main, *beneath) if rng.random() < 0.6 else (main,), 150)
    colors: tuple[Color, ...] = (main, second)
    roll = rng.random()
    if kind == "shield":
        colors = (main, pick(rng, (main,)), second, pick(rng, (second,)))
    elif roll < {"star": 0.85, "disc": 0.6, "cross": 0.6, "sun": 0.6, "lozenge": 0.6, "triangle": 0.6}.get(kind, 0):
        colors = (main,)
    elif roll < 0.3:
        colors = (main, beneath[0])  # an emblem in one colour, its details in the field's
    number = int(rng.choice(POINTS.get(kind, (0,))))
    angle = float(rng.choice(TURNS.get(kind, (0.0,))))
    size *= 0.85 if kind in ("shield", "script") else 1
    return Charge(kind, colors, x, y, size, angle, number, int(rng.integers(2**31)))


def _places(rng: Rng, style: str) -> list[tuple[float, float]]:
    """Where the charges of a constellation lie, within -1 and 1."""
    if style == "ring":
        angles = 2 * pi * np.arange(int(rng.integers(5, 16)))
        return [(sin(t), -cos(t)) for t in angles / len(angles)]
    if style == "arc":
        wide, turn = float(rng.uniform(1.2, 3.6)), float(rng.choice([0, pi / 2, -pi / 2, pi]))
        return [(sin(t + turn), -cos(t + turn)) for t in np.linspace(-wide / 2, wide / 2, int(rng.integers(3, 9)))]
    if style == "line":
        line = [float(u) for u in np.linspace(-1, 1, int(rng.integers(2, 6)))]
        slope = int(rng.choice([0, 0, 0, 1, -1, 9]))
        return [(0.0, u) if slope == 9 else (u, u * slope) for u in line]
    if style == "grid":
        columns, rows = int(rng.integers(2, 6)), int(rng.integers(2, 5))
        lines = enumerate(np.linspace(-1, 1, rows))
        return [(u + j % 2 * 0.5 / columns, v * 0.8) for j, v in lines for u in np.linspace(-1, 1, columns)]
    if style == "strewn":
        return [(float(a), float(b)) for a, b in rng.uniform(-1, 1, (int(rng.integers(4, 8)), 2))]
    return [(0.0, -1.0), (0.87, 0.5), (-0.87, 0.5)]


def constellation(rng: Rng, spot: Spot) -> tuple[Charge, ...]:
    """Several small charges in a ring, an arc, a line, a grid, a triangle or strewn; stars mostly."""
    x, y, size, beneath = spot
    kind = "star" if rng.random() < 0.7 else one_of(rng, ("lozenge", "disc", "cross", "leaf"))
    style = one_of(rng, ("ring", "arc", "line", "grid", "strewn", "three"))
    places = _places(rng, style)
    gap = min((float(np.hypot(a - c, b - d)) for i, (a, b) in enumerate(places) for c, d in places[:i]), default=1.0)
    small = size * float(np.clip(gap * 0.44, 0.17, 0.36))
    first = figure(rng, kind, 0, 0, small, beneath)
    grow = rng.choice([1.0, 1.0, 1.4], len(places)) if style == "strewn" else np.ones(len(places))
    upright = rng.random() < 0.75
    marks = tuple(
        replace(
            first,
            x=x + a * (size - small) * 0.66,
            y=y + b * (size - small),
            size=small * float(k),
            angle=first.angle if upright else float(np.arctan2(a, -b)),
        )
        for (a, b), k in zip(places, grow, strict=True)
    )
    if style == "ring" and rng.random() < 0.4:
        marks += (figure(rng, one_of(rng, SIMPLE + EMBLEMS), x, y, size * 0.5, beneath),)
    return marks


def charges_at(rng: Rng, spot: Spot, emblem: float = 0.5) -> tuple[Charge, ...]:
    """What is laid at a spot: an emblem (with probability `emblem`), a simple figure, several, or one on another."""
    x, y, room, beneath = spot
    size = max(room * float(rng.uniform(0.65, 1.0)), SMALLEST)
    roll = rng.random()
    if roll < emblem:
        kind = one_of(rng, EMBLEMS)
        if rng.random() < 0.25:
            ground = figure(rng, one_of(rng, ("disc", "disc", "disc", "lozenge", "sun")), x, y, size, beneath)
            inner = size * (0.68 if ground.kind == "disc" else 0.42)
            return (ground, figure(rng, kind, x, y, inner, ground.colors[:1]))
        return (figure(rng, kind, x, y, size, beneath),)
    if roll < emblem + 0.2:
        return constellation(rng, (x, y, max(size, 1.3 * SMALLEST), beneath))
    ground = figure(rng, str(rng.choice(SIMPLE, p=_SIMPLE_SHARES)), x, y, size, beneath)
    if ground.kind in ("disc", "star", "lozenge") and rng.random() < 0.25:
        inner = size * (0.6 if ground.kind == "disc" else 0.35)
        return (ground, figure(rng, one_of(rng, _ON_OTHERS), x, y, inner, ground.colors[-1:]))
    return (ground,)
