"""The figures on banners: simple ones, emblems made of others, and the table of all painters by name.

A painter draws into a `Frame` with a list of colours, a number (points, spokes; 0: its own choice) and a generator that
comes from the charge's seed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import cos, pi, sin
from typing import Any, cast

import numpy as np
from PIL import ImageDraw

from gog_env.world import figures
from gog_env.world.designs import RGB, Charge
from gog_env.world.frames import Frame, mirror, path, shake, smooth, star_points
from gog_env.world.tokens import TOKENS


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
            f.part(0, 0, 1, 2 * pi * i / n).polygon(
                [(-0.04, -core - 0.06), (0.04, -core - 0.06), (0.07, -1), (-0.07, -1)], c[0]
            )
        f.disc(0, 0, core, c[0])
    else:
        f.polygon(star_points(n, core + float(rng.uniform(0, 0.15))), c[0])
    if len(c) > 1:
        f.disc(0, 0, core * 0.95, c[1])
        f.disc(0, 0, core * 0.8, c[0])


def _half_sun(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 9
    rays = []
    for i in range(2 * n + 1):
        t, r = pi + pi * i / (2 * n), 1.0 if i % 2 else 0.62
        rays.append((r * cos(t), r * sin(t) + 0.4))
    f.polygon(rays, c[0])
    if len(c) > 1:
        for k in range(int(rng.integers(1, 4))):
            wave = path("-1,0.5 -0.3,0.42 0.3,0.52 1,0.44 1,0.53 0,0.56 -1,0.58")
            f.polygon(smooth((x, y + k * 0.2) for x, y in wave), c[1])


def _cross(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w, flare = float(rng.uniform(0.15, 0.34)), float(rng.choice([0, 0, 0.12, 0.25]))
    arm = (
        [(-w / 2 - 0.02, 0), (-w - flare, -1), (w + flare, -1), (w / 2 + 0.02, 0)]
        if flare
        else [(-w, 0), (-w, -1), (w, -1), (w, 0)]
    )
    for layer, color in enumerate(c[:2]):
        for i in range(4):
            f.part(0, 0, 1 - 0.14 * layer, pi * i / 2).polygon(
                arm if not layer else [(x * 0.6, y) for x, y in arm], color
            )
    f.polygon(
        [(-w, -w), (w, -w), (w, w), (-w, w)]
        if not flare
        else [(-w / 2, -w / 2), (w / 2, -w / 2), (w / 2, w / 2), (-w / 2, w / 2)],
        c[min(1, len(c) - 1)] if flare else c[0],
    )
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


def _lozenge(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w = float(rng.uniform(0.55, 1))
    for layer, color in enumerate(c):
        k = 1 - 0.3 * layer
        f.polygon([(0, -k), (w * k, 0), (0, k), (-w * k, 0)], color)


def _triangle(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    for layer, color in enumerate(c):
        f.part(0, 0.1, 1 - 0.35 * layer).polygon([(sin(t), -cos(t)) for t in (0, 2 * pi / 3, 4 * pi / 3)], color)


def _shield(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    w, foot = float(rng.uniform(0.66, 0.84)), float(rng.uniform(0.2, 0.6))
    half = [(w, -0.9), (w, foot * 0.6), (w * 0.78, foot + 0.2), (0.02, 1.0)]
    f.polygon(mirror(half), c[0])
    inner = [(x * 0.86, y * 0.88) for x, y in half]
    f.polygon(mirror(inner), c[1])
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
            f.polygon(
                [
                    (-w * 0.8, 0.0 + k * 0.22),
                    (w * 0.8, 0.0 + k * 0.22),
                    (w * 0.7, 0.1 + k * 0.22),
                    (-w * 0.7, 0.1 + k * 0.22),
                ],
                third,
            )
    else:
        f.polygon([(-w * 0.86, -0.8), (w * 0.86, -0.8), (-w * 0.8, 0.3)], third)
    choice = (
        _star,
        _rosette,
        figures.tree,
        figures.ship,
        figures.bird,
        figures.beast,
        figures.tower,
        figures.fish,
        figures.leaf,
        _sun,
    )
    for spot in ((0, -0.5), (-0.34, -0.1), (0.34, -0.1), (0, 0.35))[: int(rng.integers(1, 5))]:
        choice[int(rng.integers(len(choice)))](
            f.part(spot[0], spot[1], float(rng.uniform(0.18, 0.34))), [c[3 % len(c)], third], 0, rng
        )
    if n:  # a crest above and supporters at the sides
        f.part(0, -1.12, 0.26).polygon(star_points(5, 0.5), c[3 % len(c)])
        for side in (-1, 1):
            figure = shake(path("0,-0.8 0.2,-0.5 0.14,0.2 0.26,0.8 -0.04,0.9 -0.12,0.1 -0.16,-0.4"), rng, 0.05)
            f.polygon(smooth([(side * (x + w + 0.1), y) for x, y in figure]), c[2 % len(c)])
        f.polygon(smooth(path("-1,0.96 0,1.2 1,0.96 1,1.14 0,1.38 -1,1.14")), c[0])


def _wreath(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    n = n or 9
    for side in (-1, 1):
        for k in range(n):
            t = pi / 2 - side * (0.25 + 2.3 * k / n)
            for out in (0.78, 1.0):
                f.part(out * cos(t) * 0.92, out * sin(t) * 0.92, 0.2, t + side * -0.6).polygon(
                    [(0, -0.9), (0.4, 0), (0, 0.9), (-0.4, 0)], c[0]
                )
    choice = (_star, figures.tree, _sun, figures.bird, figures.tower, figures.land, _rosette)
    choice[int(rng.integers(len(choice)))](f.part(0, -0.05, 0.52), [c[-1], c[0]], 0, rng)


PAINTERS: dict[str, Callable[[Frame, list[RGB], int, np.random.Generator], None]] = {
    "star": _star, "disc": _disc, "crescent": _crescent, "sun": _sun, "rising sun": _half_sun, "cross": _cross,
    "wheel": _wheel, "rosette": _rosette, "shield": _shield, "wreath": _wreath, "lozenge": _lozenge,
    "triangle": _triangle, "bird": figures.bird, "beast": figures.beast, "fish": figures.fish, "ship": figures.ship,
    "tree": figures.tree, "leaf": figures.leaf, "tower": figures.tower, "map": figures.land,
    "crossed swords": figures.swords, "trident": figures.trident, "script": figures.script, "serpent": figures.serpent,
    "mountain": figures.mountain, "crown": figures.crown, **TOKENS,
}  # fmt: skip


class _Later:
    """A generator that is made when it is first asked: making one takes as long as painting one of the many figures
    that ask nothing.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def _made(self) -> np.random.Generator:
        return np.random.default_rng([self._seed])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._made, name)


def paint(draw: ImageDraw.ImageDraw, width: int, height: int, charge: Charge) -> None:
    """Paints a charge on a canvas of `width` x `height` pixels."""
    frame = Frame(draw, charge.x * width, charge.y * height, charge.size * height, charge.angle)
    rng = cast(np.random.Generator, _Later(charge.seed))
    PAINTERS[charge.kind](frame, [color.rgb for color in charge.colors], charge.number, rng)
