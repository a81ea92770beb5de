"""Random banners: flag-like, endlessly varied, drawn in a few milliseconds, told in one line.

A design is drawn from weighted recipes for the families that flags come in (bands, crosses, cantons, triangles, emblems …);
no real flag is drawn on purpose, though a plain one of few bands can be met by chance. `variant` changes one detail of a
design, as the flags of neighbours differ. Painting is done at two or three times the size and reduced, for smooth edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from gog_env.world import charges, patterns
from gog_env.world.designs import Banner, Charge, Color, Pattern, pick, shade

__all__ = ["Banner", "caption", "draw", "random_banner", "variant"]

Rng = np.random.Generator
Spot = tuple[float, float, float, tuple[Color, ...]]
"""A place for a charge: x, y, the largest radius there (fraction of the height), the colours under it."""

SIMPLE = ("star", "disc", "crescent", "sun", "cross", "lozenge", "triangle", "rising sun")
EMBLEMS = (
    "shield", "shield", "shield", "bird", "bird", "beast", "fish", "ship", "tree", "leaf", "tower", "map", "wreath", "wreath",
    "crossed swords", "trident", "script", "serpent", "mountain", "crown", "wheel", "rosette", "rosette",
)  # fmt: skip


def draw(banner: Banner, width: int = 240, height: int = 160) -> Image.Image:
    """Paints a banner: an RGB picture of `width` x `height` pixels, the same for the same banner."""
    scale = 3 if width <= 200 else 2
    return _paint(banner, width * scale, height * scale).reduce(scale)


def _paint(banner: Banner, width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height))
    brush = ImageDraw.Draw(picture)
    for pattern in (banner.field, *banner.overlays):
        if pattern.inner is not None:
            x, y, w, h = (round(v * side) for v, side in zip(pattern.values, (width, height, width, height), strict=True))
            picture.paste(_paint(pattern.inner, max(w, 1), max(h, 1)), (x, y))
        else:
            patterns.paint(brush, width, height, pattern)
    for charge in banner.charges:
        charges.paint(brush, width, height, charge)
    return picture


# ---- charges -------------------------------------------------------------------------------------------------------------


def _distinct(rng: Rng, count: int, least: float = 190.0) -> tuple[Color, ...]:
    colors: tuple[Color, ...] = ()
    for _ in range(count):
        colors += (pick(rng, colors, least),)
    return colors


def _figure(rng: Rng, kind: str, x: float, y: float, size: float, beneath: tuple[Color, ...], color: Color | None = None) -> Charge:
    """One charge that stands out from what lies beneath it."""
    main = color or pick(rng, beneath, 170)
    second = pick(rng, (main, *beneath) if rng.random() < 0.6 else (main,), 150)
    colors: tuple[Color, ...] = (main, second)
    if kind == "shield":
        colors = (main, pick(rng, (main,)), second, pick(rng, (second,)))
    elif (kind == "star" and rng.random() < 0.85) or (kind in ("disc", "cross", "sun", "lozenge", "triangle") and rng.random() < 0.6):
        colors = (main,)
    elif kind not in ("star", "disc", "sun", "cross") and rng.random() < 0.3:
        colors = (main, beneath[0])  # an emblem in one colour, its details in the field's
    number = {
        "star": int(rng.choice([5, 5, 5, 5, 4, 6, 7, 8, 9, 12, 14])),
        "sun": int(rng.choice([8, 12, 16, 20, 24, 32])),
        "rising sun": int(rng.choice([7, 9, 11])),
        "crescent": int(rng.choice([0, 5, 5, 5, 6, 8, 12])),
        "wheel": int(rng.choice([8, 12, 16, 24])),
        "rosette": int(rng.choice([5, 6, 8, 10, 12, 16])),
        "wreath": int(rng.integers(7, 12)),
        "shield": int(rng.random() < 0.4),
        "crown": int(rng.choice([5, 7])),
    }.get(kind, 0)
    turns = {"star": (0, 0, 0, 0.3, pi / 5), "crescent": (0, 0, 0, -pi / 2, -0.8, pi), "script": (0, 0, 0, 0)}
    angle = float(rng.choice(turns.get(kind, (0.0,))))
    return Charge(kind, colors, x, y, size * (0.85 if kind in ("shield", "script") else 1), angle, number, int(rng.integers(2**31)))


def _constellation(rng: Rng, x: float, y: float, size: float, beneath: tuple[Color, ...]) -> tuple[Charge, ...]:
    """Several small charges in a ring, an arc, a line, a grid or strewn; stars mostly."""
    kind = str(rng.choice(["star"] * 9 + ["lozenge", "disc", "cross", "leaf"]))
    style = int(rng.integers(6))
    if style == 0:
        count = int(rng.integers(5, 16))
        places = [(sin(2 * pi * i / count), -cos(2 * pi * i / count)) for i in range(count)]
    elif style == 1:
        count, wide, turn = int(rng.integers(3, 9)), float(rng.uniform(1.2, 3.6)), float(rng.choice([0, pi / 2, -pi / 2, pi]))
        places = [(sin(t + turn), -cos(t + turn)) for t in np.linspace(-wide / 2, wide / 2, count)]
    elif style == 2:
        count, slope = int(rng.integers(2, 6)), float(rng.choice([0, 0, 0, 1, -1, 9]))
        line = np.linspace(-1, 1, count)
        places = [(0.0, u) if slope == 9 else (u, u * slope) for u in line]
    elif style == 3:
        columns, rows = int(rng.integers(2, 6)), int(rng.integers(2, 5))
        places = [(u + (0.5 / columns if j % 2 else 0), v * 0.8) for j, v in enumerate(np.linspace(-1, 1, rows)) for u in np.linspace(-1, 1, columns)]
    elif style == 4:
        places = [(float(a), float(b)) for a, b in rng.uniform(-1, 1, (int(rng.integers(4, 8)), 2))]
    else:
        places = [(0.0, -1.0), (0.87, 0.5), (-0.87, 0.5)]
    gap = min((np.hypot(a - c, b - d) for i, (a, b) in enumerate(places) for c, d in places[:i]), default=1.0)
    small = size * float(np.clip(gap * 0.42, 0.14, 0.34))
    first = _figure(rng, kind, 0, 0, small, beneath)
    grow = rng.choice([1.0, 1.0, 1.4], len(places)) if style == 4 else np.ones(len(places))
    upright = rng.random() < 0.75
    found = tuple(
        replace(first, x=x + a * (size - small) * 0.66, y=y + b * (size - small), size=small * float(k), angle=first.angle if upright else float(np.arctan2(a, -b)))
        for (a, b), k in zip(places, grow, strict=True)
    )
    return found + ((_figure(rng, str(rng.choice(SIMPLE + EMBLEMS)), x, y, size * 0.5, beneath),) if style == 0 and rng.random() < 0.4 else ())


def _charge(rng: Rng, spot: Spot, emblem: float = 0.45) -> tuple[Charge, ...]:
    """What is laid at a spot: a simple figure, an emblem (with probability `emblem`), several figures, one on a disc …"""
    x, y, room, beneath = spot
    size = room * float(rng.uniform(0.6, 1.0))
    roll = rng.random()
    if roll < emblem:
        figure = _figure(rng, str(rng.choice(EMBLEMS)), x, y, size, beneath)
        if rng.random() < 0.25:
            ground = _figure(rng, str(rng.choice(["disc", "disc", "disc", "lozenge", "sun"])), x, y, size, beneath)
            return (ground, _figure(rng, figure.kind, x, y, size * (0.68 if ground.kind == "disc" else 0.42), ground.colors[:1]))
        return (figure,)
    if roll < emblem + 0.2:
        return _constellation(rng, x, y, size, beneath)
    figure = _figure(rng, str(rng.choice(SIMPLE, p=[0.36, 0.14, 0.18, 0.12, 0.08, 0.04, 0.03, 0.05])), x, y, size, beneath)
    if figure.kind in ("disc", "star", "lozenge") and rng.random() < 0.25:
        inside = str(rng.choice(["star", "crescent", "sun", "rosette", "bird", "tree", "cross", "wheel"]))
        return (figure, _figure(rng, inside, x, y, size * (0.6 if figure.kind == "disc" else 0.35), figure.colors[-1:]))
    return (figure,)


# ---- fields --------------------------------------------------------------------------------------------------------------


def _widths(rng: Rng, count: int) -> tuple[float, ...]:
    roll = rng.random()
    if roll < 0.5:
        return (1.0,) * count
    if roll < 0.75 and count % 2:  # symmetric, the middle wide or narrow
        half = [float(rng.uniform(0.4, 1.4)) for _ in range(count // 2)]
        return (*half, float(rng.uniform(0.5, 2.2)), *reversed(half))
    return tuple(float(v) for v in rng.uniform(0.4, 1.6, count))


def _bands(rng: Rng, upright: bool | None = None, count: int = 0) -> tuple[Pattern, list[Spot]]:
    count = count or int(rng.choice([2, 3, 4, 5, 7], p=[0.24, 0.52, 0.09, 0.12, 0.03]))
    upright = bool(rng.random() < 0.35) if upright is None else upright
    widths = _widths(rng, count)
    colors: tuple[Color, ...] = ()
    for i in range(count):
        colors += (pick(rng, colors[-1:] if rng.random() < 0.4 else colors[-2:], 150),)
    if count >= 3 and count % 2 and rng.random() < 0.35:
        colors = colors[: count // 2 + 1] + colors[: count // 2][::-1]
    edges = np.concatenate([[0.0], np.cumsum(widths)]) / sum(widths)
    middle = int(np.searchsorted(edges, 0.5, side="right") - 1) if count % 2 else -1
    under: tuple[Color, ...] = (colors[middle],) if middle >= 0 else colors
    band = float(edges[middle + 1] - edges[middle]) if middle >= 0 else 1.0
    room = min(0.42, band * (0.7 if upright else 0.5) * float(rng.choice([0.85, 1.5], p=[0.7, 0.3])))
    x = 0.5
    if not upright and rng.random() < 0.3:
        x = float(rng.choice([0.2, 0.3, 0.36]))
    if not upright and count == 2 and rng.random() < 0.3:  # in the upper band, at the hoist
        return Pattern("rows", colors, widths), [(0.2, float(edges[1]) / 2, 0.4 * float(edges[1]), colors[:1])]
    return Pattern("columns" if upright else "rows", colors, widths), [(x, 0.5, max(room, 0.1), under)]


def _stripes(rng: Rng) -> tuple[Pattern, list[Spot]]:
    count = int(rng.choice([5, 6, 7, 9, 11, 13, 14]))
    first, second = _distinct(rng, 2)
    return Pattern("rows" if rng.random() < 0.85 else "columns", tuple((first, second)[i % 2] for i in range(count)), (1.0,) * count), []


def _cross(rng: Rng, nordic: bool) -> tuple[Pattern, list[Spot]]:
    x = float(rng.uniform(0.3, 0.4)) if nordic else 0.5
    edge = float(rng.choice([0, rng.uniform(0.03, 0.07)]))
    field, cross = _distinct(rng, 2)
    rim = pick(rng, (field, cross), 150) if edge else cross
    spots = [(x, 0.5, float(rng.uniform(0.14, 0.3)), (cross,))]
    if rng.random() < 0.25:  # quarters, each with its charge
        spots = [(a, b, 0.13, (field,)) for a in (x / 2, (1 + x) / 2) for b in (0.24, 0.76)]
    return Pattern("cross", (field, rim, cross), (x, 0.5, float(rng.uniform(0.1, 0.24)), edge)), spots


def _saltire(rng: Rng) -> tuple[Pattern, list[Spot]]:
    sides, cross = _distinct(rng, 2)
    top = pick(rng, (cross,)) if rng.random() < 0.5 else sides
    edge = float(rng.choice([0, 0, rng.uniform(0.02, 0.06)]))
    rim = pick(rng, (sides, top, cross), 130) if edge else cross
    return Pattern("saltire", (sides, top, rim, cross), (float(rng.uniform(0.08, 0.24)), edge)), [(0.5, 0.5, 0.26, (cross,))]


def _union(rng: Rng) -> Pattern:
    field, edge = _distinct(rng, 2)
    cross = pick(rng, (field, edge), 130)
    saltire = cross if rng.random() < 0.7 else pick(rng, (field, edge), 130)
    return Pattern("union", (field, edge, saltire, cross), (float(rng.uniform(0.06, 0.14)), float(rng.uniform(0.12, 0.24)), float(rng.uniform(0.04, 0.08))))


def _canton(rng: Rng, field: tuple[Color, ...], union: float = 0.3) -> Pattern:
    """A smaller banner in the upper hoist corner."""
    w, h = float(rng.uniform(0.33, 0.5)), float(rng.uniform(0.38, 0.56))
    if rng.random() < union:
        inner = Banner(_union(rng))
        w, h = 0.5, 0.5
    else:
        ground = pick(rng, field, 150)
        if rng.random() < 0.6:
            spot: Spot = (0.5, 0.5, float(rng.uniform(0.26, 0.46)), (ground,))
            marks = _constellation(rng, *spot) if rng.random() < 0.45 else _charge(rng, spot, 0.2)
            inner = Banner(Pattern("plain", (ground,)), (), marks)
        else:
            roll = rng.random()
            inner = Banner(_cross(rng, False)[0] if roll < 0.3 else _saltire(rng)[0] if roll < 0.45 else _bands(rng)[0])
    return Pattern("canton", (), (0.0, 0.0, w, h), inner)


def _fields(rng: Rng) -> tuple[Pattern, tuple[Pattern, ...], list[Spot], float]:
    """A field, what lies over it, where charges may go, and how likely they are."""
    family = str(rng.choice(_FAMILIES, p=_SHARES))
    if family == "bands":
        field, spots = _bands(rng)
        return field, (), spots, 0.5
    if family == "plain":
        color = pick(rng)
        spots = [(float(rng.choice([0.5, 0.5, 0.5, 0.3, 0.7])), 0.5, 0.42, (color,))]
        return Pattern("plain", (color,)), (), spots, 1.0
    if family == "ensign":
        color = shade(str(rng.choice(["dark blue", "blue", "red", "light blue", "green", "white", "yellow"], p=[0.3, 0.15, 0.2, 0.15, 0.08, 0.07, 0.05])), rng)
        field = Pattern("plain", (color,)) if rng.random() < 0.85 else _bands(rng, False)[0]
        return field, (_canton(rng, (color,), 0.8),), [(0.75, float(rng.choice([0.5, 0.5, 0.6])), 0.36, field.colors)], 0.97
    if family == "stripes":
        field, _ = _stripes(rng)
        roll = rng.random()
        if roll < 0.75:
            return field, (_canton(rng, field.colors[:2], 0.15),), [], 0.0
        return field, (), [(0.5, 0.5, 0.32, field.colors[:2])], 0.7
    if family in ("nordic", "cross"):
        field, spots = _cross(rng, family == "nordic")
        return field, (), spots, 0.2
    if family == "saltire":
        field, spots = _saltire(rng)
        return field, (), spots, 0.35
    if family == "triangle":
        field, _ = _bands(rng, False, int(rng.choice([2, 3, 4, 5], p=[0.35, 0.4, 0.1, 0.15])))
        depth, edge = float(rng.choice([0.35, 0.43, 0.5, 0.6, 1.0], p=[0.3, 0.3, 0.22, 0.1, 0.08])), float(rng.choice([0, 0, 0.05]))
        color = pick(rng, field.colors, 120)
        rim = pick(rng, (color, *field.colors), 120) if edge else color
        return field, (Pattern("triangle", (rim, color), (depth, edge)),), [(depth * 0.36, 0.5, min(0.26, depth * 0.45), (color,))], 0.55
    if family == "hoist":
        field, _ = _bands(rng, False, int(rng.choice([1, 2, 3])))
        color, width = pick(rng, field.colors, 130), float(rng.uniform(0.16, 0.4))
        over = Pattern("bar", (color,), (0, 0, width, 1))
        if rng.random() < 0.35:
            figures = (pick(rng, (color,)), *((pick(rng, (color,)),) if rng.random() < 0.5 else ()))
            over = Pattern("ornament", (color, *figures), (float(rng.choice([0, 0.08])), width * 0.6, float(rng.integers(3, 9)), float(rng.integers(4)), float(rng.uniform(0.4, 0.8))))
        spot: Spot = (width / 2, 0.3, width * 0.55, (color,)) if over.kind == "bar" else (0.62, 0.45, 0.3, field.colors)
        return field, (over,), [spot], 0.45
    if family == "bend":
        direction, edge = float(rng.integers(2)), float(rng.choice([0, rng.uniform(0.03, 0.07)]))
        upper, band = _distinct(rng, 2)
        lower = pick(rng, (band,)) if rng.random() < 0.5 else upper
        rim = pick(rng, (band, upper, lower), 130) if edge else band
        spots = [(0.24 if not direction else 0.76, 0.26, 0.2, (upper,)), (0.76 if not direction else 0.24, 0.74, 0.2, (lower,)), (0.5, 0.5, 0.2, (band,))]
        return Pattern("bend", (upper, lower, rim, band), (direction, float(rng.uniform(0.12, 0.34)), edge)), (), [spots[int(rng.integers(3))]], 0.5
    if family == "diagonal":
        direction, pair = float(rng.integers(2)), _distinct(rng, 2)
        spots = [(0.5, 0.5, 0.4, pair), (0.25 if not direction else 0.75, 0.27, 0.22, pair[:1])]
        return Pattern("diagonal", pair, (direction,)), (), [spots[int(rng.integers(2))]], 0.7
    if family == "quarters":
        a, b = _distinct(rng, 2)
        four = (a, b, b, a) if rng.random() < 0.5 else (a, b, pick(rng, (a,)), pick(rng, (b,)))
        spots = [(0.25, 0.25, 0.18, four[:1]), (0.75, 0.75, 0.18, four[3:])]
        return Pattern("quarters", four, (0.5, 0.5)), (), spots if rng.random() < 0.6 else [(0.5, 0.5, 0.26, four)], 0.6
    if family == "rays":
        corner, count = rng.random() < 0.4, int(rng.choice([6, 8, 10, 12, 16, 24]))
        colors = _distinct(rng, int(rng.choice([2, 2, 3])) if not corner else 5, 120)
        values = (0.0, float(rng.choice([0, 1])), float(count + 8), 0.0) if corner else (0.5, 0.5, float(count), float(rng.choice([0, 0.5])))
        return Pattern("rays", colors, values), (), [(0.5, 0.5, 0.26, colors)] if not corner else [], 0.7
    if family == "pall":
        top, band = _distinct(rng, 2)
        bottom, hoist = pick(rng, (band,)), pick(rng, (band,))
        edge = float(rng.choice([0, 0.04, 0.06]))
        rim = pick(rng, (band, top, bottom), 120) if edge else band
        return Pattern("pall", (top, bottom, hoist, rim, band), (float(rng.uniform(0.12, 0.26)), edge, float(rng.uniform(0.3, 0.5)))), (), [(0.13, 0.5, 0.16, (hoist,))], 0.4
    if family == "lozenge":
        field, shape = _distinct(rng, 2)
        edge = float(rng.choice([0, 0, 0.03]))
        w, h = float(rng.uniform(0.3, 0.47)), float(rng.uniform(0.34, 0.48))
        return Pattern("lozenge", (field, pick(rng, (field, shape), 120) if edge else shape, shape), (w, h, edge)), (), [(0.5, 0.5, 0.27, (shape,))], 0.8
    if family == "serrated":
        pair = _distinct(rng, 2)
        x = float(rng.uniform(0.2, 0.4))
        return Pattern("serrated", pair, (x, float(rng.uniform(0.06, 0.16)), float(rng.integers(4, 12)))), (), [(0.68, 0.5, 0.3, pair[1:])], 0.5
    if family == "waves":
        colors = _distinct(rng, int(rng.choice([2, 3, 3])))
        if rng.random() < 0.5:
            colors = tuple((colors * 4)[: int(rng.integers(4, 9))])
        return Pattern("waves", colors, (float(rng.uniform(0.03, 0.07)), float(rng.choice([1, 2, 3, 4])), *_widths(rng, len(colors)))), (), [(0.5, 0.3, 0.24, colors)], 0.5
    if family == "pile":
        colors = _distinct(rng, int(rng.integers(2, 5)), 130)
        spot = (0.5, 0.2, 0.16, colors[1:2])
        direction = float(rng.integers(2))
        return Pattern("pile", colors, (direction, float(rng.uniform(0.7, 1.0)))), (), [spot if not direction else (0.5, 0.8, 0.16, colors[1:2])], 0.6
    if family == "lines":  # thin lines low on a plain field
        color = pick(rng)
        line = pick(rng, (color,))
        at, wide = float(rng.uniform(0.55, 0.75)), float(rng.uniform(0.05, 0.1))
        bars = tuple(Pattern("bar", (line,), (0, at + k * 2 * wide, 1, at + k * 2 * wide + wide)) for k in range(int(rng.integers(1, 3))))
        return Pattern("plain", (color,)), bars, [(float(rng.choice([0.2, 0.5])), 0.28, 0.22, (color,))], 0.9
    pair = _distinct(rng, 2)  # checks
    return Pattern("checks", pair, (float(rng.integers(3, 9)), float(rng.integers(2, 6)))), (), [(0.5, 0.5, 0.3, pair)], 0.4


_FAMILY_WEIGHTS = {
    "bands": 34, "plain": 10, "ensign": 11, "stripes": 4, "nordic": 4, "cross": 3, "saltire": 3, "triangle": 9, "hoist": 5,
    "bend": 5, "diagonal": 3, "quarters": 2, "rays": 2.5, "pall": 1.5, "lozenge": 2, "serrated": 2, "waves": 1.5, "pile": 1.5,
    "lines": 2, "checks": 0.5,
}  # fmt: skip
_FAMILIES = tuple(_FAMILY_WEIGHTS)
_SHARES = np.array(list(_FAMILY_WEIGHTS.values())) / sum(_FAMILY_WEIGHTS.values())


def random_banner(rng: Rng) -> Banner:
    """A random banner; its design depends on the generator's state alone."""
    field, overlays, spots, likely = _fields(rng)
    marks: tuple[Charge, ...] = ()
    if spots and rng.random() < likely:
        if len(spots) > 2:  # equal figures in all places
            first = _figure(rng, str(rng.choice(["star", "cross", "lozenge", "crescent", "leaf"])), 0, 0, spots[0][2], spots[0][3])
            marks = tuple(replace(first, x=x, y=y) for x, y, _, _ in spots)
        else:
            marks = tuple(mark for spot in spots for mark in _charge(rng, spot, 0.5))
    if not overlays and field.kind in ("plain", "rows", "columns", "diagonal") and rng.random() < 0.06:
        rim = pick(rng, field.colors)
        overlays = (Pattern("border", (rim,), (float(rng.uniform(0.05, 0.13)), float(rng.choice([0, 0, 12, 16])))),)
    if field.kind in ("rows", "columns", "diagonal", "bend") and not marks and not overlays and rng.random() < 0.12:
        overlays = (_canton(rng, field.colors[:1]),)
    return Banner(field, overlays, marks)


def variant(banner: Banner, rng: Rng) -> Banner:
    """The same design with one thing changed: a colour, the order of the colours, or a charge."""
    choices = ["recolor"] + (["reverse"] if len(set(banner.field.colors)) > 1 else []) + (["charge", "charge"] if banner.charges else [])
    what = str(rng.choice(choices))
    field = banner.field
    if what == "charge":
        first = banner.charges[-1]
        under = tuple(c for c in field.colors) if len(field.colors) < 4 else field.colors[:1]
        figure = _figure(rng, str(rng.choice(SIMPLE + EMBLEMS)), first.x, first.y, max(first.size, 0.18), under, first.colors[0])
        return replace(banner, charges=(figure, *banner.charges[1:]) if len(banner.charges) <= 2 else (figure,))
    if what == "reverse":
        return replace(banner, field=replace(field, colors=field.colors[::-1]))
    old = field.colors[int(rng.integers(len(field.colors)))]
    marks = tuple(c for mark in banner.charges for c in mark.colors)
    new = pick(rng, tuple(dict.fromkeys((*field.colors, *marks))), 110)
    return replace(banner, field=replace(field, colors=tuple(new if color == old else color for color in field.colors)))


# ---- captions ------------------------------------------------------------------------------------------------------------

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _join(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _tell_field(p: Pattern) -> str:
    names = [color.name for color in p.colors]
    if p.kind in ("rows", "columns", "waves"):
        way = {"rows": "horizontal", "columns": "vertical", "waves": "wavy"}[p.kind]
        if len(names) == 1:
            return _a(f"{names[0]} field")
        if len(names) > 5:
            return f"{_number(len(names))} {way} stripes of {_join(names)}"
        return f"{_number(len(names))} {way} bands of {', '.join(names[:-1])} and {names[-1]}"
    if p.kind == "plain":
        return _a(f"{names[0]} field")
    if p.kind == "cross":
        rim = f" edged {names[1]}" if p.values[3] else ""
        return f"{_a(names[2])} {'Nordic ' if p.values[0] != 0.5 else ''}cross{rim} on {names[0]}"
    if p.kind == "saltire":
        return f"{_a(names[3])} saltire{f' edged {names[2]}' if p.values[1] else ''} on {_join(names[:2])}"
    if p.kind == "union":
        return f"{_a(names[3])} cross over {_a(names[2])} saltire edged {names[1]} on {names[0]}"
    if p.kind == "bend":
        return f"{_a(names[3])} diagonal band{f' edged {names[2]}' if p.values[2] else ''} between {_join(names[:2])}"
    if p.kind == "pall":
        return f"{_a(names[4])} pall between {_join(names[:3])}"
    if p.kind == "lozenge":
        return f"{_a(names[2])} lozenge on {names[0]}"
    if p.kind == "serrated":
        return f"{_a(names[0])} serrated hoist beside {names[1]}"
    if p.kind == "pile":
        return f"a triangle of {_join(names[1:])} from the {'foot' if p.values[0] else 'top'} on {names[0]}"
    plain = {"diagonal": "a diagonal division of", "quarters": "quarters of", "rays": "rays of", "checks": "checks of"}
    return f"{plain[p.kind]} {_join(names)}"


def _tell_place(x: float, y: float) -> str:
    if 0.4 <= x <= 0.6 and 0.4 <= y <= 0.6:
        return "in the centre"
    side = "hoist" if x < 0.4 else "fly" if x > 0.6 else ""
    level = "upper" if y < 0.4 else "lower" if y > 0.6 else ""
    return f"at the {f'{level} {side}'.strip() or 'centre'}" if side else f"in the {level} half"


def _plural(kind: str) -> str:
    return {"leaf": "leaves", "cross": "crosses", "crossed swords": "crossed swords"}.get(kind, f"{kind}s")


def _tell_charges(marks: Sequence[Charge]) -> list[str]:
    groups: dict[tuple[str, str], list[Charge]] = {}
    for mark in marks:
        groups.setdefault((mark.colors[0].name, mark.kind), []).append(mark)
    told = []
    for (color, kind), group in groups.items():
        x, y = (float(np.mean([getattr(mark, axis) for mark in group])) for axis in ("x", "y"))
        pointed = f"{group[0].number}-pointed " if kind == "star" and group[0].number != 5 else ""
        name = f"{color} crescent and star" if kind == "crescent" and group[0].number else f"{color} {pointed}{kind}"
        told.append(f"{_a(name) if len(group) == 1 and kind != 'crossed swords' else f'{color} {kind}' if len(group) == 1 else f'{_number(len(group))} {color} {pointed}{_plural(kind)}'} {_tell_place(x, y)}")
    return told


def caption(banner: Banner) -> str:
    """One line that describes a banner: field, what lies over it, charges; no more than about 200 characters."""
    parts = []
    for over in banner.overlays:
        if over.inner is not None:
            parts.append(f"a canton of {_tell_field(over.inner.field)}" + "".join(f" with {c.rsplit(' in ', 1)[0]}" for c in _tell_charges(over.inner.charges)[:1]))
        else:
            color = over.colors[-1 if over.kind == "triangle" else 0].name
            bar = "bar at the hoist" if over.kind == "bar" and over.values[3] == 1 else "line"
            told = {"triangle": f"{_a(color)} triangle at the hoist", "bar": f"{_a(color)} {bar}", "border": f"{_a(color)} border"}
            parts.append(told.get(over.kind, f"an ornamented {color} strip at the hoist"))
    parts = list(dict.fromkeys(parts)) + _tell_charges(banner.charges)
    return _tell_field(banner.field) + (f" with {_join(parts)}" if parts else "")
