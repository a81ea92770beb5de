"""Charges in an area of a rich banner: one, in a row, in a ring, flanked, strewn."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin

from gog_env.world.designs import Charge
from gog_env.world.marks import Rng
from gog_env.world.tinctures import GRAND, RATIO, SMALL, Area, Scheme, alike, bear, between, choose, weighted


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
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, size, area.under)
    step = min(length / count, size * 2.9)
    offsets = [(k - (count - 1) / 2) * step for k in range(count)]
    return alike(first, [(x, y + u) if upright else (x + u / RATIO, y) for u in offsets])


def line(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    """One to five equal small charges in a lying row."""
    x, y = area.middle
    count = choose(rng, (1, 2, 3, 3, 4, 5))
    size = min(area.across / (2.6 * count), area.tall * 0.34)
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, size, area.under)
    step = min(area.across / count, size * 4.5) / RATIO
    return alike(first, [(x + (k - (count - 1) / 2) * step, y) for k in range(count)])


def _three(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    room = _room(area)
    size, turn = room * 0.4, choose(rng, (1, 1, -1))
    first = bear(rng, colors, choose(rng, (*SMALL, "bird", "ship", "tree", "tower", "fish")), 0, 0, size, area.under)
    wide = min(room * 0.62, area.across / 2 - size)
    places = [(x - wide / RATIO, y - turn * room * 0.42), (x + wide / RATIO, y - turn * room * 0.42)]
    return alike(first, [*places, (x, y + turn * room * 0.48)])


def _ring(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    room, count = _room(area), choose(rng, (5, 6, 7, 8, 9, 10))
    size = room * min(0.2, 1.9 / count)
    first = bear(rng, colors, choose(rng, SMALL[:10]), 0, 0, size, area.under)
    places = [
        (x + (room * 0.74) * sin(2 * pi * k / count) / RATIO, y - room * 0.74 * cos(2 * pi * k / count))
        for k in range(count)
    ]
    inner = bear(rng, colors, choose(rng, GRAND), x, y, room * 0.46, area.under)
    return (*alike(first, places), inner) if rng.random() < 0.75 else alike(first, places)


def _flanked(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    upright = area.across < area.tall
    length, wide = (area.tall, area.across) if upright else (area.across, area.tall)
    size = min(length * 0.22, wide * 0.36)
    small = min(length * 0.12, wide * 0.2)
    step = min(length / 2 - small * 1.2, size + small * 1.7)
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, small, area.under)
    offsets = (-step, step)
    return (
        bear(rng, colors, choose(rng, GRAND), x, y, size, area.under),
        *alike(first, [(x, y + u) if upright else (x + u / RATIO, y) for u in offsets]),
    )


def _quincunx(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    x, y = area.middle
    dx, dy = (area.x1 - area.x0) * 0.29, area.tall * 0.27
    size = min(dx * RATIO, dy) * 0.58
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, size, area.under)
    corners = alike(first, [(x - dx, y - dy), (x + dx, y - dy), (x - dx, y + dy), (x + dx, y + dy)])
    return (*corners, bear(rng, colors, choose(rng, (*SMALL, *GRAND)), x, y, size * 1.3, area.under))


def _above(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    """A charge above a row of small ones, or below it."""
    x, _ = area.middle
    count, turn = choose(rng, (2, 3, 3, 4, 5)), choose(rng, (0, 0, 1))
    upper = Area(area.x0, area.y0 + area.tall * 0.04, area.x1, area.y0 + area.tall * 0.64, area.under)
    size = min(area.across / (2.5 * count), area.tall * 0.13)
    y, line = upper.middle[1], area.y0 + area.tall * 0.79
    if turn:
        y, line = area.y0 + area.y1 - y, area.y0 + area.y1 - line
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, size, area.under)
    step = min(area.across / count, size * 3) / RATIO
    return (
        bear(rng, colors, choose(rng, GRAND), x, y, _room(upper) * 0.8, area.under),
        *alike(first, [(x + (k - (count - 1) / 2) * step, line) for k in range(count)]),
    )


def _semy(rng: Rng, colors: Scheme, area: Area) -> tuple[Charge, ...]:
    rows, columns = choose(rng, ((3, 4), (3, 5), (4, 5), (2, 3)))
    size = min(area.tall / rows, area.across / columns) * 0.3
    first = bear(rng, colors, choose(rng, SMALL[:10]), 0, 0, size, area.under)
    wide = area.x1 - area.x0
    return alike(
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
