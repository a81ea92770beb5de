"""Small plain charges that stay legible at a few pixels: annulets, billets, arrows, hearts, lilies, parted roundels."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

import numpy as np

from gog_env.world.designs import RGB
from gog_env.world.frames import Frame, mirror, path, smooth

_CIRCLE = [(cos(t), sin(t)) for t in np.linspace(0, 2 * pi, 36, endpoint=False).tolist()]
_RING = [*_CIRCLE, _CIRCLE[0], *((0.56 * x, 0.56 * y) for x, y in (_CIRCLE[0], *reversed(_CIRCLE)))]
_HEART = smooth(mirror(path("0.02,-0.5 0.3,-0.85 0.8,-0.75 0.9,-0.2 0.45,0.45 0.03,0.95")), 4).tolist()
_LILY = mirror(
    path(
        "0,-1 0.22,-0.6 0.24,-0.3 0.14,0.1 0.3,0.05 0.42,-0.25 0.62,-0.5 0.9,-0.4 0.95,-0.1 0.74,0.02 "
        "0.66,-0.16 0.52,0 0.5,0.28 0.5,0.42 0.18,0.42 0.3,0.75 0,1"
    )
)
DIVISIONS = ("pale", "fess", "bend", "bend sinister", "quarters", "saltire", "cross", "stripes")
"""How a roundel is parted: the meaning of its `number`."""


def annulet(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A ring."""
    f.polygon(_RING, c[0])


def billet(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A square, or `n` upright stripes of as many colours in one."""
    n = n or 1
    edges = np.linspace(-0.85, 0.85, n + 1).tolist()
    for k in range(n):
        f.polygon([(edges[k], -0.85), (edges[k + 1], -0.85), (edges[k + 1], 0.85), (edges[k], 0.85)], c[k % len(c)])


def arrow(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """An arrow that points up."""
    f.polygon(path("0,-1 0.8,0 0.27,0 0.27,1 -0.27,1 -0.27,0 -0.8,0"), c[0])


def heart(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A heart."""
    f.polygon(_HEART, c[0])


def lily(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A fleur-de-lis."""
    f.polygon(_LILY, c[0])


def roundel(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A disc parted in two colours; `n`: a place in `DIVISIONS`."""
    f.disc(0, 0, 1, c[0])
    way, second = DIVISIONS[n], c[-1]
    if way in ("pale", "fess", "bend", "bend sinister"):
        turn = {"pale": -pi / 2, "fess": 0, "bend": pi / 4, "bend sinister": -pi / 4}[way]
        f.polygon([(cos(turn + t), sin(turn + t)) for t in np.linspace(0, pi, 20).tolist()], second)
    elif way in ("quarters", "saltire"):
        for start in (pi, 0.0) if way == "quarters" else (pi / 4, 5 * pi / 4):
            arc = np.linspace(start, start + pi / 2, 12).tolist()
            f.polygon([(0, 0), *((cos(t), sin(t)) for t in arc)], second)
    elif way == "cross":
        for x, y in ((0.97, 0.24), (0.24, 0.97)):
            f.polygon([(-x, -y), (x, -y), (x, y), (-x, y)], second)
    else:
        f.polygon([(-0.98, -0.2), (0.98, -0.2), (0.98, 0.2), (-0.98, 0.2)], second)


TOKENS: dict[str, Callable[[Frame, list[RGB], int, np.random.Generator], None]] = {
    "annulet": annulet, "billet": billet, "arrow": arrow, "heart": heart, "lily": lily, "roundel": roundel,
}  # fmt: skip
