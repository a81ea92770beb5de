"""The schemes of tinctures of rich banners, the charges they bear, and the areas where those lie.

Everything is laid out for proportions of 3 to 2. Positions are fractions of the width (x) and the height (y), sizes of
charges fractions of the height, as in `designs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TypeVar

from gog_env.world.designs import PALETTE, Charge, Color, contrast
from gog_env.world.marks import EMBLEMS, POINTS, TURNS, Rng

T = TypeVar("T")
RATIO = 1.5
"""Width over height that designs are laid out for."""
_METALS = (("white", 0.5), ("yellow", 0.4), ("light blue", 0.1))
_COLOURS = (
    ("red", 0.2), ("blue", 0.13), ("green", 0.14), ("black", 0.12), ("dark blue", 0.08), ("purple", 0.08),
    ("maroon", 0.06), ("dark green", 0.05), ("orange", 0.06), ("teal", 0.05), ("brown", 0.03),
)  # fmt: skip
_first = itemgetter(0)
PALE = frozenset(name for name, _ in _METALS)
SMALL = (
    "star", "disc", "lozenge", "cross", "crescent", "triangle", "annulet", "billet", "heart", "lily", "arrow", "leaf",
)  # fmt: skip
"""Charges plain enough to be repeated small."""
GRAND = (
    "sun", "star", "crescent", "cross", "lily", "heart", "lozenge", "rising sun",
    *(kind for kind in dict.fromkeys(EMBLEMS) if kind not in ("map", "script")),
)  # fmt: skip
"""Charges for a place of honour."""


@dataclass(frozen=True)
class Area:
    """A free rectangle of the banner and the colours that lie under it."""

    x0: float
    y0: float
    x1: float
    y1: float
    under: tuple[Color, ...]

    @property
    def middle(self) -> tuple[float, float]:
        """Its centre."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def across(self) -> float:
        """Its width in heights of the banner."""
        return (self.x1 - self.x0) * RATIO

    @property
    def tall(self) -> float:
        """Its height."""
        return self.y1 - self.y0


Scheme = tuple[Color, ...]


def between(rng: Rng, low: float, high: float) -> float:
    """A number between two."""
    return low + (high - low) * float(rng.random())


def choose(rng: Rng, items: tuple[T, ...]) -> T:
    """One of the items."""
    return items[int(rng.integers(len(items)))]


def weighted(rng: Rng, table: tuple[tuple[str, float], ...]) -> str:
    """A name at random by its share; shares sum up to 1."""
    roll = float(rng.random())
    for name, share in table:
        roll -= share
        if roll < 0:
            return name
    return table[0][0]


def _tint(rng: Rng, name: str) -> Color:
    """A shade of a named colour, between two of the palette's."""
    shades = _SHADES[name]
    roll = rng.random(3).tolist()
    first, second = (shades[int(u * len(shades))] for u in roll[:2])
    red, green, blue = (round(a + (b - a) * roll[2]) for a, b in zip(first, second, strict=True))
    return Color(name, (red, green, blue))


_SHADES = {name: shades for name, _, shades in PALETTE}


def scheme(rng: Rng) -> Scheme:
    """Two metals and three colours, each well apart from the others."""
    chosen: list[Color] = []
    for table, count in ((_METALS, 2), (_COLOURS, 5)):
        for _ in range(14):
            color = _tint(rng, weighted(rng, table))
            if all(contrast(color.rgb, other.rgb) >= 200 for other in chosen):
                chosen.append(color)
            if len(chosen) == count:
                break
    return tuple(chosen)


def on(rng: Rng, colors: Scheme, beneath: tuple[Color, ...]) -> Color:
    """A tincture of the scheme that stands out from what lies beneath; metal on colour and colour on metal mostly."""
    apart = [(min([contrast(color.rgb, under.rgb) for under in beneath]), color) for color in colors]
    left = [pair for pair in apart if pair[0] >= 190]
    if not left:
        return max(apart, key=_first)[1]
    if any(under.name in PALE for under in beneath):  # no metal on metal, not even on a part
        left = [pair for pair in left if pair[1].name not in PALE] or left
    elif rng.random() < 0.85:
        left = [pair for pair in left if pair[1].name in PALE] or left
    drawn = [left[int(u * len(left))] for u in rng.random(1 if len(beneath) == 1 else 3).tolist()]
    return max(drawn, key=_first)[1]


def bear(rng: Rng, colors: Scheme, kind: str, x: float, y: float, size: float, beneath: tuple[Color, ...]) -> Charge:
    """One charge in tinctures of the scheme."""
    main = on(rng, colors, beneath)
    shown: tuple[Color, ...] = (main,)
    if kind == "shield":
        second = on(rng, colors, (main,))
        shown = (main, on(rng, colors, (main,)), second, on(rng, colors, (second,)))
    elif kind not in SMALL and kind not in ("sun", "lozenge"):
        shown = (main, on(rng, colors, (main, *beneath[:1])) if rng.random() < 0.7 else beneath[0])
    number = choose(rng, POINTS.get(kind, (0,))) if kind != "crescent" or size > 0.2 else 0
    angle = choose(rng, TURNS.get(kind, (0.0,))) if kind != "star" else 0.0
    size *= 0.88 if kind in ("shield", "wreath") else 1
    return Charge(kind, shown, x, y, size, float(angle), int(number), int(rng.integers(2**31)))


def alike(first: Charge, places: list[tuple[float, float]]) -> tuple[Charge, ...]:
    """The same charge in several places."""
    return tuple(
        Charge(first.kind, first.colors, x, y, first.size, first.angle, first.number, first.seed) for x, y in places
    )
