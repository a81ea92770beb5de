"""What a rich banner is composed of: a scheme of tinctures, a field, ordinaries along its sides, charges in an order.

Everything is laid out for proportions of 3 to 2. Positions are fractions of the width (x) and the height (y), sizes of
charges fractions of the height, as in `designs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin
from typing import TypeVar

from gog_env.world.designs import PALETTE, Banner, Charge, Color, Pattern, contrast
from gog_env.world.marks import EMBLEMS, POINTS, TURNS, Rng

T = TypeVar("T")
RATIO = 1.5
"""Width over height that designs are laid out for."""
_METALS = (("white", 0.5), ("yellow", 0.4), ("light blue", 0.1))
_COLOURS = (
    ("red", 0.2), ("blue", 0.13), ("green", 0.14), ("black", 0.12), ("dark blue", 0.08), ("purple", 0.08),
    ("maroon", 0.06), ("dark green", 0.05), ("orange", 0.06), ("teal", 0.05), ("brown", 0.03),
)  # fmt: skip
PALE = frozenset(name for name, _ in _METALS)
TOKENS = (
    "star",
    "disc",
    "lozenge",
    "cross",
    "crescent",
    "triangle",
    "annulet",
    "billet",
    "heart",
    "lily",
    "arrow",
    "leaf",
)
"""Charges plain enough to be repeated small."""
GRAND = (
    "sun",
    "star",
    "crescent",
    "cross",
    "lily",
    "heart",
    "lozenge",
    "rising sun",
    *(kind for kind in dict.fromkeys(EMBLEMS) if kind not in ("map", "script")),
)
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
    left = [color for color in colors if all(contrast(color.rgb, under.rgb) >= 190 for under in beneath)]
    if not left:
        return max(colors, key=lambda color: min(contrast(color.rgb, under.rgb) for under in beneath))
    pale = {under.name in PALE for under in beneath}
    if len(pale) == 1 and rng.random() < 0.85:
        left = [color for color in left if (color.name in PALE) not in pale] or left
    return left[int(rng.integers(len(left)))]


def bear(rng: Rng, colors: Scheme, kind: str, x: float, y: float, size: float, beneath: tuple[Color, ...]) -> Charge:
    """One charge in tinctures of the scheme."""
    main = on(rng, colors, beneath)
    shown: tuple[Color, ...] = (main,)
    if kind == "shield":
        second = on(rng, colors, (main,))
        shown = (main, on(rng, colors, (main,)), second, on(rng, colors, (second,)))
    elif kind not in TOKENS and kind not in ("sun", "lozenge"):
        shown = (main, on(rng, colors, (main, *beneath[:1])) if rng.random() < 0.7 else beneath[0])
    number = choose(rng, POINTS.get(kind, (0,))) if kind != "crescent" or size > 0.2 else 0
    angle = choose(rng, TURNS.get(kind, (0.0,))) if kind != "star" else 0.0
    size *= 0.88 if kind in ("shield", "wreath") else 1
    return Charge(kind, shown, x, y, size, float(angle), int(number), int(rng.integers(2**31)))


def _like(first: Charge, places: list[tuple[float, float]]) -> tuple[Charge, ...]:
    return tuple(
        Charge(first.kind, first.colors, x, y, first.size, first.angle, first.number, first.seed) for x, y in places
    )


def parted_field(rng: Rng, colors: Scheme) -> Pattern:
    """A field, plain or divided, in two or three tinctures."""
    a = choose(rng, colors)
    b = on(rng, colors, (a,))
    c = on(rng, colors, (b,)) if rng.random() < 0.5 else a
    kind = weighted(rng, _FIELDS)
    if kind == "plain":
        return Pattern(kind, (a,))
    if kind in ("rows", "columns"):
        count = choose(rng, (2, 2, 3, 3, 3, 5, 6, 7))
        if count == 3:
            return Pattern(kind, (a, b, c), (1.0, choose(rng, (1.0, 1.6, 2.4)), 1.0))
        if count == 2:
            return Pattern(kind, (a, b), (1.0, choose(rng, (1.0, 1.0, 0.6, 1.5))))
        return Pattern(kind, ((a, b) * 4)[:count], (1.0,) * count)
    if kind == "waves":
        count, number = choose(rng, (2, 3, 5, 6)), float(choose(rng, (2, 3, 4)))
        return Pattern(kind, ((a, b) * 4)[:count], (between(rng, 0.03, 0.06), number, *(1.0,) * count))
    if kind == "pall":
        hoist = on(rng, colors, (b,))
        return Pattern(kind, (a, c, hoist, b, b), (between(rng, 0.14, 0.24), 0.0, 0.4))
    if kind == "serrated":
        return Pattern(
            kind, (a, b), (between(rng, 0.24, 0.42), between(rng, 0.06, 0.14), float(choose(rng, (4, 6, 8))))
        )
    if kind == "chevron":
        return Pattern(kind, (a, c, b), (between(rng, 0.2, 0.34), between(rng, 0.62, 0.76), between(rng, 0.2, 0.28)))
    return {
        "diagonal": lambda: Pattern(kind, (a, b), (float(choose(rng, (0, 1))),)),
        "bend": lambda: Pattern(kind, (a, c, b, b), (float(choose(rng, (0, 1))), between(rng, 0.2, 0.4), 0.0)),
        "quarters": lambda: Pattern(kind, (a, b, b, a) if rng.random() < 0.6 else (a, b, c, a), (0.5, 0.5)),
        "cross": lambda: Pattern(kind, (a, b, b), (choose(rng, (0.5, 0.5, 0.36)), 0.5, between(rng, 0.14, 0.3), 0.0)),
        "saltire": lambda: Pattern(kind, (a, c, b, b), (between(rng, 0.14, 0.28), 0.0)),
        "rays": lambda: Pattern(kind, (a, b), (0.5, 0.5, float(choose(rng, (8, 12, 16))), choose(rng, (0.0, 0.5)))),
        "lozenge": lambda: Pattern(kind, (a, b, b), (between(rng, 0.34, 0.46), between(rng, 0.36, 0.46), 0.0)),
        "checks": lambda: Pattern(kind, (a, b), (float(choose(rng, (3, 4, 6))), float(choose(rng, (2, 4))))),
    }[kind]()


_FIELDS = (
    ("plain", 0.18), ("rows", 0.12), ("columns", 0.12), ("diagonal", 0.07), ("quarters", 0.07), ("cross", 0.07),
    ("saltire", 0.06), ("bend", 0.06), ("waves", 0.05), ("rays", 0.05), ("lozenge", 0.05), ("pall", 0.02),
    ("checks", 0.02), ("serrated", 0.03), ("chevron", 0.03),
)  # fmt: skip


# ordinaries: strips along the sides, a border, a canton


def strip(
    rng: Rng, colors: Scheme, side: int, depth: float, area: Area, beneath: tuple[Color, ...], charged: float
) -> tuple[tuple[Pattern], tuple[Charge, ...]]:
    """A chief (0), base (1), hoist (2) or fly (3) strip, often with small charges in a row."""
    color = on(rng, colors, beneath)
    line = choose(rng, (0, 0, 0, 1, 2, 3))
    share = depth if side < 2 else depth / RATIO
    teeth = float(choose(rng, (5, 7, 9, 11) if side < 2 else (4, 5, 7)))
    tall = 0.06 if side < 2 else 0.06 / RATIO
    ground = Pattern("side", (color,), (float(side), share, float(line), teeth if line else 0.0, tall if line else 0.0))
    if rng.random() >= charged:
        return (ground,), ()
    number, size = choose(rng, (1, 2, 3, 3, 4, 5) if side < 2 else (1, 2, 3, 3, 4)), depth * 0.34
    if number == 1:
        size = depth * 0.4
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, size, (color,))
    low, high = (area.x0, area.x1) if side < 2 else (area.y0, area.y1)
    spread = [low + (high - low) * (k + 0.5) / number for k in range(number)]
    middle = share / 2 if side in (0, 2) else 1 - share / 2
    return (ground,), _like(first, [(u, middle) if side < 2 else (middle, u) for u in spread])


def ordinaries(
    rng: Rng, colors: Scheme, under: tuple[Color, ...], deepest: float = 0.3
) -> tuple[tuple[Pattern, ...], tuple[Charge, ...], Area]:
    """Strips, a border or a canton over a field of the colours `under`: overlays, their charges, and the area left."""
    kind = weighted(rng, _ORDINARIES)
    x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
    overlays: list[Pattern] = []
    marks: list[Charge] = []
    if kind == "border":
        width = between(rng, 0.07, 0.12)
        overlays = [Pattern("border", (on(rng, colors, under),), (width, choose(rng, (0.0, 0.0, 9.0, 12.0, 15.0))))]
        rim = width * (1.9 if overlays[0].values[1] else 1)
        return tuple(overlays), (), Area(rim / RATIO, rim, 1 - rim / RATIO, 1 - rim, under)
    if kind == "canton":
        ground = on(rng, colors, under)
        w, h = between(rng, 0.34, 0.42), between(rng, 0.4, 0.5)
        inner = _canton(rng, colors, ground)
        return (Pattern("canton", (), (0.0, 0.0, w, h), inner),), (), Area(w, 0.04, 1, 0.96, under)
    sides = {"chief": (0,), "base": (1,), "hoist": (2,), "fly": (3,), "flanks": (2, 3), "fesses": (0, 1),
             "corner": (0, 2), "none": ()}[kind]  # fmt: skip
    for side in sides:
        depth = between(rng, 0.2, deepest) * (0.8 if len(sides) > 1 else 1)
        area = Area(x0, y0, x1, y1, under)
        if kind in ("flanks", "fesses") and overlays:  # the second like the first
            first = overlays[0]
            overlays.append(Pattern("side", first.colors, (float(side), *first.values[1:])))
            marks += [
                Charge(
                    m.kind,
                    m.colors,
                    *((1 - m.x, m.y) if side == 3 else (m.x, 1 - m.y)),
                    m.size,
                    m.angle,
                    m.number,
                    m.seed,
                )
                for m in tuple(marks)
            ]
            reach = first.values[1] + first.values[4]
        else:
            laid, more = strip(rng, colors, side, depth, area, under, 0.6)
            overlays += laid
            marks += more
            reach = laid[0].values[1] + laid[0].values[4]
        x0, x1 = (reach, x1) if side == 2 else (x0, 1 - reach) if side == 3 else (x0, x1)
        y0, y1 = (reach, y1) if side == 0 else (y0, 1 - reach) if side == 1 else (y0, y1)
    return tuple(overlays), tuple(marks), Area(x0, y0, x1, y1, under)


_ORDINARIES = (
    ("none", 0.14), ("chief", 0.14), ("base", 0.1), ("hoist", 0.14), ("fly", 0.06), ("flanks", 0.08), ("fesses", 0.08),
    ("border", 0.14), ("canton", 0.1), ("corner", 0.02),
)  # fmt: skip


def _canton(rng: Rng, colors: Scheme, ground: Color) -> Banner:
    if rng.random() < 0.3:
        cross = on(rng, colors, (ground,))
        kind, values = ("cross", (0.5, 0.5, 0.24, 0.0)) if rng.random() < 0.5 else ("saltire", (0.22, 0.0))
        shown = (ground, cross, cross) if kind == "cross" else (ground, ground, cross, cross)
        return Banner(Pattern(kind, shown, values))
    area = Area(0, 0, 1, 1, (ground,))
    style = choose(rng, ("single", "single", "row", "three", "ring"))
    return Banner(Pattern("plain", (ground,)), (), ARRANGEMENTS[style](rng, colors, area))


# arrangements of charges in an area


def _room(area: Area) -> float:
    return min(area.tall, area.across) / 2


def _single(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    return (bear(rng, colors, choose(rng, GRAND), *area.middle, _room(area) * between(rng, 0.68, 0.86), area.under),)


def _charged(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    size = _room(area) * between(rng, 0.74, 0.88)
    ground = bear(rng, colors, choose(rng, ("disc", "disc", "lozenge", "billet")), x, y, size, area.under)
    inner = size * {"disc": 0.66, "billet": 0.62}.get(ground.kind, 0.4)
    return ground, bear(rng, colors, choose(rng, GRAND), x, y, inner, ground.colors[:1])


def _row(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    upright = area.across < area.tall * 0.8 or rng.random() < 0.15
    count = choose(rng, (2, 3, 3, 4, 5))
    length, wide = (area.tall, area.across) if upright else (area.across, area.tall)
    size = min(length / (2.35 * count), wide * 0.3)
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, size, area.under)
    step = min(length / count, size * 2.9)
    offsets = [(k - (count - 1) / 2) * step for k in range(count)]
    return _like(first, [(x, y + u) if upright else (x + u / RATIO, y) for u in offsets])


def line(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    """One to five equal small charges in a lying row."""
    x, y = area.middle
    count = choose(rng, (1, 2, 3, 3, 4, 5))
    size = min(area.across / (2.6 * count), area.tall * 0.34)
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, size, area.under)
    step = min(area.across / count, size * 4.5) / RATIO
    return _like(first, [(x + (k - (count - 1) / 2) * step, y) for k in range(count)])


def _three(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    room = _room(area)
    size, turn = room * 0.4, choose(rng, (1, 1, -1))
    first = bear(rng, colors, choose(rng, (*TOKENS, "bird", "ship", "tree", "tower", "fish")), 0, 0, size, area.under)
    wide = min(room * 0.62, area.across / 2 - size)
    places = [(x - wide / RATIO, y - turn * room * 0.42), (x + wide / RATIO, y - turn * room * 0.42)]
    return _like(first, [*places, (x, y + turn * room * 0.48)])


def _ring(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    room, count = _room(area), choose(rng, (5, 6, 7, 8, 9, 10))
    size = room * min(0.2, 1.9 / count)
    first = bear(rng, colors, choose(rng, TOKENS[:10]), 0, 0, size, area.under)
    places = [
        (x + (room * 0.74) * sin(2 * pi * k / count) / RATIO, y - room * 0.74 * cos(2 * pi * k / count))
        for k in range(count)
    ]
    inner = bear(rng, colors, choose(rng, GRAND), x, y, room * 0.46, area.under)
    return (*_like(first, places), inner) if rng.random() < 0.75 else _like(first, places)


def _flanked(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    upright = area.across < area.tall
    length, wide = (area.tall, area.across) if upright else (area.across, area.tall)
    size = min(length * 0.22, wide * 0.36)
    small = min(length * 0.12, wide * 0.2)
    step = min(length / 2 - small * 1.2, size + small * 1.7)
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, small, area.under)
    offsets = (-step, step)
    return (
        bear(rng, colors, choose(rng, GRAND), x, y, size, area.under),
        *_like(first, [(x, y + u) if upright else (x + u / RATIO, y) for u in offsets]),
    )


def _quincunx(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    dx, dy = (area.x1 - area.x0) * 0.29, area.tall * 0.27
    size = min(dx * RATIO, dy) * 0.58
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, size, area.under)
    corners = _like(first, [(x - dx, y - dy), (x + dx, y - dy), (x - dx, y + dy), (x + dx, y + dy)])
    return (*corners, bear(rng, colors, choose(rng, (*TOKENS, *GRAND)), x, y, size * 1.3, area.under))


def _above(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    """A charge above a row of small ones, or below it."""
    x, _ = area.middle
    count, turn = choose(rng, (2, 3, 3, 4, 5)), choose(rng, (0, 0, 1))
    upper = Area(area.x0, area.y0 + area.tall * 0.04, area.x1, area.y0 + area.tall * 0.64, area.under)
    size = min(area.across / (2.5 * count), area.tall * 0.13)
    y, line = upper.middle[1], area.y0 + area.tall * 0.79
    if turn:
        y, line = area.y0 + area.y1 - y, area.y0 + area.y1 - line
    first = bear(rng, colors, choose(rng, TOKENS), 0, 0, size, area.under)
    step = min(area.across / count, size * 3) / RATIO
    return (
        bear(rng, colors, choose(rng, GRAND), x, y, _room(upper) * 0.8, area.under),
        *_like(first, [(x + (k - (count - 1) / 2) * step, line) for k in range(count)]),
    )


def _semy(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    rows, columns = choose(rng, ((3, 4), (3, 5), (4, 5), (2, 3)))
    size = min(area.tall / rows, area.across / columns) * 0.3
    first = bear(rng, colors, choose(rng, TOKENS[:10]), 0, 0, size, area.under)
    wide = area.x1 - area.x0
    return _like(
        first,
        [
            (area.x0 + wide * (i + 0.5 + (0.22 if j % 2 else -0.22)) / columns, area.y0 + area.tall * (j + 0.5) / rows)
            for j in range(rows)
            for i in range(columns)
        ],
    )


ARRANGEMENTS: dict[str, Callable[[Rng, Scheme, Area], tuple[Charge, ...]]] = {
    "single": _single, "charged": _charged, "row": _row, "three": _three, "ring": _ring, "flanked": _flanked,
    "quincunx": _quincunx, "above": _above, "semy": _semy,
}  # fmt: skip
_ARRANGED = (
    ("single", 0.2), ("charged", 0.15), ("row", 0.13), ("three", 0.1), ("ring", 0.09), ("flanked", 0.12),
    ("quincunx", 0.08), ("above", 0.1), ("semy", 0.03),
)  # fmt: skip


def arranged(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    """Charges in an area, in an order that suits it."""
    style = weighted(rng, _ARRANGED)
    if style in ("quincunx", "semy", "ring", "three") and _room(area) < 0.3:
        style = "row"
    return ARRANGEMENTS[style](rng, colors, area)
