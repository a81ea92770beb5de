"""What a banner is: colours, patterns, charges; frozen data that `banners.draw` paints and `banners.caption` tells.

Positions are fractions of the banner's width (x) and height (y); sizes of charges are fractions of its height, so that
a disc stays round whatever the proportions. Colours have a name, for captions, and a shade of their own, because two
flags with one layout and nearly the same colours are what a search by picture has to tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Color:
    """A colour by its plain name and its shade (three integers, 0 to 255)."""

    name: str
    rgb: RGB


@dataclass(frozen=True)
class Pattern:
    """Something that divides or covers the field: `kind` names its painter in `patterns`, `values` are its measures."""

    kind: str
    colors: tuple[Color, ...]
    values: tuple[float, ...] = ()
    inner: Banner | None = None


@dataclass(frozen=True)
class Charge:
    """A figure on the field: `kind` names its painter in `charges`, `seed` fixes its details.

    `x`, `y`: centre; `size`: radius as a fraction of the banner's height; `angle`: radians; `number`: points, pieces.
    """

    kind: str
    colors: tuple[Color, ...]
    x: float
    y: float
    size: float
    angle: float = 0.0
    number: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Banner:
    """A design: a field, patterns over it and charges on top, painted in that order."""

    field: Pattern
    overlays: tuple[Pattern, ...] = ()
    charges: tuple[Charge, ...] = ()


# name, weight, shades that flags have; a drawn colour lies between two shades of its name, with a little noise
PALETTE: tuple[tuple[str, float, tuple[RGB, ...]], ...] = (
    ("red", 22, ((206, 17, 38), (237, 28, 36), (255, 0, 0), (190, 10, 30), (218, 41, 28))),
    ("white", 22, ((255, 255, 255), (255, 255, 255), (248, 248, 244))),
    ("blue", 14, ((0, 56, 168), (0, 40, 150), (20, 80, 190), (0, 30, 200), (0, 70, 140))),
    ("green", 14, ((0, 132, 61), (0, 122, 30), (30, 160, 60), (0, 150, 90), (50, 150, 0))),
    ("yellow", 14, ((255, 214, 0), (252, 209, 22), (255, 240, 0), (250, 200, 40))),
    ("black", 9, ((0, 0, 0), (0, 0, 0), (28, 24, 26))),
    ("dark blue", 6, ((0, 20, 90), (10, 10, 80), (0, 36, 100), (20, 24, 110))),
    ("light blue", 7, ((85, 170, 230), (110, 180, 230), (0, 150, 220), (0, 190, 230), (140, 200, 240))),
    ("orange", 4, ((255, 130, 0), (245, 110, 20), (255, 153, 40))),
    ("maroon", 3, ((128, 10, 40), (140, 20, 60), (110, 20, 30))),
    ("dark green", 3, ((0, 84, 48), (0, 70, 30), (10, 90, 60))),
    ("gold", 3, ((200, 150, 40), (222, 170, 40), (190, 140, 60))),
    ("purple", 1, ((90, 40, 130), (110, 30, 110))),
    ("teal", 1, ((0, 140, 140), (0, 120, 130))),
    ("brown", 1, ((120, 70, 30), (96, 60, 40))),
    ("grey", 1, ((140, 144, 150), (170, 170, 175))),
)
_WEIGHTS = np.array([weight for _, weight, _ in PALETTE]) / sum(weight for _, weight, _ in PALETTE)
# a flat cumulative table: rng.choice with weights costs ten times more and this is the innermost call
_CUMULATIVE = np.cumsum(_WEIGHTS)


def shade(name: str, rng: np.random.Generator) -> Color:
    """A shade of a named colour."""
    shades = next(shades for known, _, shades in PALETTE if known == name)
    first, second = (np.array(shades[int(rng.integers(len(shades)))], float) for _ in range(2))
    noise = rng.normal(0, 2.0 if name in ("white", "black") else 6.0, 3)
    rgb = np.clip(first + rng.random() * (second - first) + noise, 0, 255)
    return Color(name, (int(rgb[0]), int(rgb[1]), int(rgb[2])))


def contrast(first: RGB, second: RGB) -> float:
    """How far two colours are apart for the eye, roughly (0 to about 765; "redmean", compuphase.com/cmetric.htm)."""
    (r1, g1, b1), (r2, g2, b2) = first, second
    mean, red, green, blue = (r1 + r2) / 2, r1 - r2, g1 - g2, b1 - b2
    return ((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2) ** 0.5


def pick(rng: np.random.Generator, avoid: tuple[Color, ...] = (), least: float = 190.0) -> Color:
    """A random colour that stands out from all of `avoid`; after many misses the one that does it best."""
    best, best_contrast = None, -1.0
    for _ in range(24):
        name = PALETTE[min(int(np.searchsorted(_CUMULATIVE, rng.random())), len(PALETTE) - 1)][0]
        color = shade(name, rng)
        if not avoid:
            return color
        nearest = min(contrast(color.rgb, other.rgb) for other in avoid)
        if nearest >= least:
            return color
        if nearest > best_contrast:
            best, best_contrast = color, nearest
    assert best is not None
    return best
