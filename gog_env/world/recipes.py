"""The families of fields that banners come in: a recipe for each, with its weight in `FAMILIES`.

A recipe draws colours and measures and says where charges may lie. Weights follow roughly how often flags use a layout,
with rare ones kept in, since an encoder that is trained on banners has to tell apart flags that nobody drew here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gog_env.world.designs import Banner, Color, Pattern, pick, shade
from gog_env.world.marks import Rng, Spot, charges_at, constellation


class Field(NamedTuple):
    """A field, the spots for charges on it, how likely they are, and what lies over the field but under the charges."""

    pattern: Pattern
    spots: tuple[Spot, ...] = ()
    likely: float = 0.0
    overlays: tuple[Pattern, ...] = ()


def _between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _some(rng: Rng, *values: float) -> float:
    return float(values[int(rng.integers(len(values)))])


def _distinct(rng: Rng, count: int, least: float = 190.0) -> tuple[Color, ...]:
    colors: tuple[Color, ...] = ()
    for _ in range(count):
        colors += (pick(rng, colors, least),)
    return colors


def _widths(rng: Rng, count: int) -> tuple[float, ...]:
    roll = rng.random()
    if roll < 0.5:
        return (1.0,) * count
    if roll < 0.75 and count % 2:  # symmetric, the middle wide or narrow
        half = [_between(rng, 0.4, 1.4) for _ in range(count // 2)]
        return (*half, _between(rng, 0.5, 2.2), *reversed(half))
    return tuple(_between(rng, 0.4, 1.6) for _ in range(count))


def bands(rng: Rng, upright: bool | None = None, count: int = 0) -> Field:
    """Two to seven bands, lying or upright."""
    count = count or int(rng.choice([2, 3, 4, 5, 7], p=[0.24, 0.52, 0.09, 0.12, 0.03]))
    upright = bool(rng.random() < 0.35) if upright is None else upright
    kind = "columns" if upright else "rows"
    widths = _widths(rng, count)
    colors: tuple[Color, ...] = ()
    for _ in range(count):
        colors += (pick(rng, colors[-1:] if rng.random() < 0.4 else colors[-2:], 150),)
    if count >= 3 and count % 2 and rng.random() < 0.35:
        colors = colors[: count // 2 + 1] + colors[: count // 2][::-1]
    edges = [float(edge) for edge in np.cumsum((0.0, *widths)) / sum(widths)]
    if not upright and count == 2 and rng.random() < 0.3:  # a charge in the upper band, at the hoist
        return Field(Pattern(kind, colors, widths), ((0.2, edges[1] / 2, 0.4 * edges[1], colors[:1]),), 0.5)
    under, band = colors, 1.0
    if count % 2:
        middle = max(i for i in range(count) if edges[i] <= 0.5)
        under, band = (colors[middle],), edges[middle + 1] - edges[middle]
    room = min(0.42, band * (0.7 if upright else 0.5) * (1.5 if rng.random() < 0.3 else 0.85))
    x = _some(rng, 0.2, 0.3, 0.36) if not upright and rng.random() < 0.3 else 0.5
    return Field(Pattern(kind, colors, widths), ((x, 0.5, max(room, 0.14), under),), 0.5)


def _plain(rng: Rng) -> Field:
    color = pick(rng)
    return Field(Pattern("plain", (color,)), ((_some(rng, 0.5, 0.5, 0.5, 0.3, 0.7), 0.5, 0.42, (color,)),), 1.0)


def _cross(rng: Rng, nordic: bool = False) -> Field:
    x = _between(rng, 0.3, 0.4) if nordic else 0.5
    edge = _some(rng, 0, _between(rng, 0.03, 0.07))
    field, cross = _distinct(rng, 2)
    rim = pick(rng, (field, cross), 150) if edge else cross
    spots: tuple[Spot, ...] = ((x, 0.5, _between(rng, 0.14, 0.3), (cross,)),)
    if rng.random() < 0.25:  # one in each quarter
        spots = tuple((a, b, 0.14, (field,)) for a in (x / 2, (1 + x) / 2) for b in (0.24, 0.76))
    return Field(Pattern("cross", (field, rim, cross), (x, 0.5, _between(rng, 0.1, 0.24), edge)), spots, 0.25)


def _nordic(rng: Rng) -> Field:
    return _cross(rng, True)


def _saltire(rng: Rng) -> Field:
    sides, cross = _distinct(rng, 2)
    top = pick(rng, (cross,)) if rng.random() < 0.5 else sides
    edge = _some(rng, 0, 0, _between(rng, 0.02, 0.06))
    rim = pick(rng, (sides, top, cross), 130) if edge else cross
    values = (_between(rng, 0.08, 0.24), edge)
    return Field(Pattern("saltire", (sides, top, rim, cross), values), ((0.5, 0.5, 0.26, (cross,)),), 0.35)


def _union(rng: Rng) -> Field:
    field, edge = _distinct(rng, 2)
    cross = pick(rng, (field, edge), 130)
    saltire = cross if rng.random() < 0.7 else pick(rng, (field, edge), 130)
    values = (_between(rng, 0.06, 0.14), _between(rng, 0.12, 0.24), _between(rng, 0.04, 0.08))
    return Field(Pattern("union", (field, edge, saltire, cross), values))


def canton(rng: Rng, field: tuple[Color, ...], union: float = 0.3) -> Pattern:
    """A smaller banner in the upper corner at the hoist; `union`: how likely it is a cross over a saltire."""
    if rng.random() < union:
        return Pattern("canton", (), (0.0, 0.0, 0.5, 0.5), Banner(_union(rng).pattern))
    corner = (0.0, 0.0, _between(rng, 0.33, 0.5), _between(rng, 0.38, 0.56))
    if rng.random() < 0.4:
        inner = (_cross, _cross, _saltire, bands, bands, bands)[int(rng.integers(6))](rng).pattern
        return Pattern("canton", (), corner, Banner(inner))
    ground = pick(rng, field, 150)
    spot: Spot = (0.5, 0.5, _between(rng, 0.28, 0.46), (ground,))
    marks = constellation(rng, spot) if rng.random() < 0.45 else charges_at(rng, spot, 0.2)
    return Pattern("canton", (), corner, Banner(Pattern("plain", (ground,)), (), marks))


def _ensign(rng: Rng) -> Field:
    names, shares = zip(*_ENSIGN_COLORS, strict=True)
    color = shade(str(rng.choice(names, p=shares)), rng)
    pattern = Pattern("plain", (color,)) if rng.random() < 0.85 else bands(rng, False).pattern
    spot: Spot = (0.75, _some(rng, 0.5, 0.5, 0.6), 0.36, pattern.colors)
    return Field(pattern, (spot,), 0.97, (canton(rng, (color,), 0.8),))


_ENSIGN_COLORS = (
    ("dark blue", 0.3), ("blue", 0.15), ("red", 0.2), ("light blue", 0.15), ("green", 0.08), ("white", 0.07),
    ("yellow", 0.05),
)  # fmt: skip


def _stripes(rng: Rng) -> Field:
    count, pair = int(_some(rng, 5, 6, 7, 9, 11, 13, 14)), _distinct(rng, 2)
    pattern = Pattern("rows" if rng.random() < 0.85 else "columns", (pair * count)[:count], (1.0,) * count)
    if rng.random() < 0.75:
        return Field(pattern, overlays=(canton(rng, pair, 0.15),))
    return Field(pattern, ((0.5, 0.5, 0.32, pair),), 0.7)


def _triangle(rng: Rng) -> Field:
    pattern = bands(rng, False, int(rng.choice([2, 3, 4, 5], p=[0.35, 0.4, 0.1, 0.15]))).pattern
    depth = float(rng.choice([0.35, 0.43, 0.5, 0.6, 1.0], p=[0.3, 0.3, 0.22, 0.1, 0.08]))
    edge = _some(rng, 0, 0, 0.05)
    color = pick(rng, pattern.colors, 120)
    rim = pick(rng, (color, *pattern.colors), 120) if edge else color
    over = Pattern("triangle", (rim, color), (depth, edge))
    return Field(pattern, ((depth * 0.36, 0.5, min(0.28, depth * 0.45), (color,)),), 0.55, (over,))


def _hoist(rng: Rng) -> Field:
    pattern = bands(rng, False, int(_some(rng, 1, 2, 3))).pattern
    color, width = pick(rng, pattern.colors, 130), _between(rng, 0.16, 0.4)
    if rng.random() < 0.35:  # a strip of ornaments
        figures = (pick(rng, (color,)), *((pick(rng, (color,)),) if rng.random() < 0.5 else ()))
        values = (_some(rng, 0, 0.08), width * 0.6, _some(rng, 3, 4, 5, 6, 8), _some(rng, 0, 1, 2, 3))
        over = Pattern("ornament", (color, *figures), (*values, _between(rng, 0.4, 0.8)))
        return Field(pattern, ((0.62, 0.45, 0.3, pattern.colors),), 0.5, (over,))
    bar = Pattern("bar", (color,), (0, 0, width, 1))
    return Field(pattern, ((width / 2, _some(rng, 0.3, 0.5), width * 0.55, (color,)),), 0.45, (bar,))


def _bend(rng: Rng) -> Field:
    direction, edge = _some(rng, 0, 1), _some(rng, 0, _between(rng, 0.03, 0.07))
    upper, band = _distinct(rng, 2)
    lower = pick(rng, (band,)) if rng.random() < 0.5 else upper
    rim = pick(rng, (band, upper, lower), 130) if edge else band
    x = 0.76 if direction else 0.24
    spots: tuple[Spot, ...] = ((x, 0.26, 0.2, (upper,)), (1 - x, 0.74, 0.2, (lower,)), (0.5, 0.5, 0.2, (band,)))
    values = (direction, _between(rng, 0.12, 0.34), edge)
    return Field(Pattern("bend", (upper, lower, rim, band), values), (spots[int(rng.integers(3))],), 0.5)


def _diagonal(rng: Rng) -> Field:
    direction, pair = _some(rng, 0, 1), _distinct(rng, 2)
    spot: Spot = (0.5, 0.5, 0.4, pair) if rng.random() < 0.5 else (0.75 if direction else 0.25, 0.27, 0.22, pair[:1])
    return Field(Pattern("diagonal", pair, (direction,)), (spot,), 0.7)


def _quarters(rng: Rng) -> Field:
    a, b = _distinct(rng, 2)
    four = (a, b, b, a) if rng.random() < 0.5 else (a, b, pick(rng, (a,)), pick(rng, (b,)))
    spots: tuple[Spot, ...] = ((0.25, 0.25, 0.18, four[:1]), (0.75, 0.75, 0.18, four[3:]))
    return Field(Pattern("quarters", four, (0.5, 0.5)), spots if rng.random() < 0.6 else ((0.5, 0.5, 0.26, four),), 0.6)


def _rays(rng: Rng) -> Field:
    number = _some(rng, 6, 8, 10, 12, 16, 24)
    if rng.random() < 0.4:  # from a corner
        return Field(Pattern("rays", _distinct(rng, 5, 120), (0, _some(rng, 0, 1), number + 8, 0)))
    colors = _distinct(rng, 2 if rng.random() < 0.7 else 3, 120)
    return Field(Pattern("rays", colors, (0.5, 0.5, number, _some(rng, 0, 0.5))), ((0.5, 0.5, 0.26, colors),), 0.7)


def _pall(rng: Rng) -> Field:
    top, band = _distinct(rng, 2)
    bottom, hoist = pick(rng, (band,)), pick(rng, (band,))
    edge = _some(rng, 0, 0.04, 0.06)
    rim = pick(rng, (band, top, bottom), 120) if edge else band
    values = (_between(rng, 0.12, 0.26), edge, _between(rng, 0.3, 0.5))
    return Field(Pattern("pall", (top, bottom, hoist, rim, band), values), ((0.12, 0.5, 0.13, (hoist,)),), 0.4)


def _lozenge(rng: Rng) -> Field:
    field, shape = _distinct(rng, 2)
    edge = _some(rng, 0, 0, 0.03)
    rim = pick(rng, (field, shape), 120) if edge else shape
    values = (_between(rng, 0.3, 0.47), _between(rng, 0.34, 0.48), edge)
    return Field(Pattern("lozenge", (field, rim, shape), values), ((0.5, 0.5, 0.27, (shape,)),), 0.8)


def _serrated(rng: Rng) -> Field:
    pair = _distinct(rng, 2)
    values = (_between(rng, 0.2, 0.4), _between(rng, 0.06, 0.16), _some(rng, *range(4, 12)))
    return Field(Pattern("serrated", pair, values), ((0.68, 0.5, 0.3, pair[1:]),), 0.5)


def _waves(rng: Rng) -> Field:
    colors = _distinct(rng, int(_some(rng, 2, 3, 3)))
    if rng.random() < 0.5:
        colors = (colors * 4)[: int(rng.integers(4, 9))]
    values = (_between(rng, 0.03, 0.07), _some(rng, 1, 2, 3, 4), *_widths(rng, len(colors)))
    return Field(Pattern("waves", colors, values), ((0.5, 0.3, 0.24, colors),), 0.5)


def _pile(rng: Rng) -> Field:
    colors, foot = _distinct(rng, int(rng.integers(2, 5)), 130), _some(rng, 0, 1)
    spot: Spot = (0.5, 0.8 if foot else 0.2, 0.16, colors[1:2])
    return Field(Pattern("pile", colors, (foot, _between(rng, 0.7, 1.0))), (spot,), 0.6)


def _lines(rng: Rng) -> Field:
    """Thin lines low on a plain field."""
    color, line = _distinct(rng, 2)
    top, wide = _between(rng, 0.55, 0.75), _between(rng, 0.05, 0.1)
    tops = [top + 2 * k * wide for k in range(int(rng.integers(1, 3)))]
    bars = tuple(Pattern("bar", (line,), (0, y, 1, y + wide)) for y in tops)
    return Field(Pattern("plain", (color,)), ((_some(rng, 0.2, 0.5), 0.28, 0.22, (color,)),), 0.9, bars)


def _checks(rng: Rng) -> Field:
    pair = _distinct(rng, 2)
    return Field(
        Pattern("checks", pair, (_some(rng, 3, 4, 6, 8), _some(rng, 2, 3, 4, 5))), ((0.5, 0.5, 0.3, pair),), 0.4
    )


FAMILIES: tuple[tuple[Callable[[Rng], Field], float], ...] = (
    (bands, 34), (_plain, 10), (_ensign, 11), (_stripes, 4), (_nordic, 4), (_cross, 3), (_saltire, 3), (_triangle, 9),
    (_hoist, 5), (_bend, 5), (_diagonal, 3), (_quarters, 2), (_rays, 2.5), (_pall, 1.5), (_lozenge, 2), (_serrated, 2),
    (_waves, 1.5), (_pile, 1.5), (_lines, 2), (_checks, 0.5),
)  # fmt: skip
_CUMULATIVE = np.cumsum([weight for _, weight in FAMILIES])


def random_field(rng: Rng) -> Field:
    """A field of a random family."""
    number = int(np.searchsorted(_CUMULATIVE, rng.random() * _CUMULATIVE[-1], side="right"))
    return FAMILIES[number][0](rng)
