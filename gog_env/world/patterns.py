"""How a banner's field is divided and covered: bands, crosses, saltires, triangles, cantons, borders and the like.

Each painter gets the canvas in pixels and a `Pattern`. Widths of bands are fractions of the side they divide; widths of
crosses and bends are fractions of the height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, hypot, pi, sin

import numpy as np
from PIL import ImageDraw

from gog_env.world.designs import Pattern
from gog_env.world.frames import star_points

Draw = ImageDraw.ImageDraw
Colors = Sequence[tuple[int, int, int]]
Values = Sequence[float]


def _plain(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    d.rectangle((0, 0, w, h), fill=c[0])


def _edges(widths: Values, length: int) -> list[float]:
    return [float(e) for e in np.concatenate([[0.0], np.cumsum(widths)]) / sum(widths) * length]


def _rows(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    for color, (a, b) in zip(c, pairwise(_edges(v, h)), strict=True):
        d.rectangle((0, round(a), w, round(b)), fill=color)


def _columns(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    for color, (a, b) in zip(c, pairwise(_edges(v, w)), strict=True):
        d.rectangle((round(a), 0, round(b), h), fill=color)


def _waves(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`v`: amplitude, number of waves, then the widths."""
    edges = _edges(v[2:], h)
    d.rectangle((0, 0, w, h), fill=c[0])
    for color, top in zip(c[1:], edges[1:-1], strict=True):
        line = [(x, top + v[0] * h * sin(2 * pi * v[1] * x / w)) for x in range(0, w + 8, 4)]
        d.polygon([*line, (w, h), (0, h)], fill=color)


def _diagonal(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    d.rectangle((0, 0, w, h), fill=c[0])
    d.polygon([(0, 0), (w, h), (0, h)] if v[0] else [(w, 0), (w, h), (0, h)], fill=c[1])


def _strip(d: Draw, a: tuple[float, float], b: tuple[float, float], width: float, color: tuple[int, int, int]) -> None:
    """A straight strip of `width` pixels from a to b, lengthened at both ends."""
    length = hypot(b[0] - a[0], b[1] - a[1]) or 1.0
    ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    a, b = (a[0] - ux * width, a[1] - uy * width), (b[0] + ux * width, b[1] + uy * width)
    ox, oy = -uy * width / 2, ux * width / 2
    d.polygon(
        [(a[0] + ox, a[1] + oy), (b[0] + ox, b[1] + oy), (b[0] - ox, b[1] - oy), (a[0] - ox, a[1] - oy)], fill=color
    )


def _bend(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: upper field, lower field, edge, band; `v`: direction, width, edge."""
    _diagonal(d, w, h, c[:2], v)
    a, b = ((0, 0), (w, h)) if v[0] else ((0, h), (w, 0))
    _strip(d, a, b, (v[1] + 2 * v[2]) * h, c[2])
    _strip(d, a, b, v[1] * h, c[3])


def _bars(d: Draw, w: int, h: int, x: float, y: float, width: float, color: tuple[int, int, int]) -> None:
    half = width * h / 2
    d.rectangle((round(x * w - half), 0, round(x * w + half), h), fill=color)
    d.rectangle((0, round(y * h - half), w, round(y * h + half)), fill=color)


def _cross(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: field, edge, cross; `v`: x, y, width, edge."""
    d.rectangle((0, 0, w, h), fill=c[0])
    _bars(d, w, h, v[0], v[1], v[2] + 2 * v[3], c[1])
    _bars(d, w, h, v[0], v[1], v[2], c[2])


def _saltire(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: sides, top and bottom, edge, saltire; `v`: width, edge."""
    d.rectangle((0, 0, w, h), fill=c[0])
    for y in (0, h):
        d.polygon([(0, y), (w, y), (w / 2, h / 2)], fill=c[1])
    for color, width in ((c[2], v[0] + 2 * v[1]), (c[3], v[0])):
        _strip(d, (0, 0), (w, h), width * h, color)
        _strip(d, (0, h), (w, 0), width * h, color)


def _union(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A cross over a saltire. `c`: field, edge, saltire, cross; `v`: saltire's width, cross's width, edge."""
    _saltire(d, w, h, (c[0], c[0], c[1], c[2]), (v[0], v[2]))
    _bars(d, w, h, 0.5, 0.5, v[1] + 2 * v[2], c[1])
    _bars(d, w, h, 0.5, 0.5, v[1], c[3])


def _quarters(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    x, y = round(v[0] * w), round(v[1] * h)
    for color, box in zip(c, ((0, 0, x, y), (x, 0, w, y), (0, y, x, h), (x, y, w, h)), strict=True):
        d.rectangle(box, fill=color)


def _rays(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """Rays about a point. `v`: x, y, number, turn."""
    x, y, number, reach = v[0] * w, v[1] * h, int(v[2]), 2.5 * w
    d.rectangle((0, 0, w, h), fill=c[0])
    for i in range(number):
        a, b = (2 * pi * (i + k + v[3]) / number for k in (0, 1))
        d.polygon(
            [(x, y), (x + reach * cos(a), y + reach * sin(a)), (x + reach * cos(b), y + reach * sin(b))],
            fill=c[i % len(c)],
        )


def _pall(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A Y on its side. `c`: top, bottom, hoist, edge, band; `v`: width, edge, x where the arms meet."""
    d.rectangle((0, 0, w, h / 2), fill=c[0])
    d.rectangle((0, h / 2, w, h), fill=c[1])
    middle = (v[2] * w, h / 2)
    d.polygon([(0, 0), middle, (0, h)], fill=c[2])
    for color, width in ((c[3], v[0] + 2 * v[1]), (c[4], v[0])):
        pixels, half = round(width * h), width * h / 2
        d.line([(-w * v[2], -h / 2), middle, (-w * v[2], 1.5 * h)], fill=color, width=pixels, joint="curve")
        d.rectangle((round(middle[0]), round(h / 2 - half), w, round(h / 2 + half)), fill=color)


def _lozenge(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: field, edge, lozenge; `v`: half width, half height, edge."""
    d.rectangle((0, 0, w, h), fill=c[0])
    for color, k in ((c[1], v[2]), (c[2], 0.0)):
        x, y = (v[0] + k) * w, (v[1] + 1.5 * k) * h
        d.polygon([(w / 2 - x, h / 2), (w / 2, h / 2 - y), (w / 2 + x, h / 2), (w / 2, h / 2 + y)], fill=color)


def _serrated(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: hoist, fly; `v`: x of the teeth's foot, their depth, their number."""
    d.rectangle((0, 0, w, h), fill=c[1])
    x, tip, teeth = v[0] * w, (v[0] + v[1]) * w, int(v[2])
    edge: list[tuple[float, float]] = [(x, 0)]
    for i in range(teeth):
        edge += [(tip, h * (i + 0.5) / teeth), (x, h * (i + 1) / teeth)]
    d.polygon([(0, 0), *edge, (0, h)], fill=c[0])


def _checks(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    columns, rows = int(v[0]), int(v[1])
    for i in range(columns):
        for j in range(rows):
            d.rectangle(
                (i * w / columns, j * h / rows, (i + 1) * w / columns, (j + 1) * h / rows), fill=c[(i + j) % len(c)]
            )


def _pile(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A banded triangle from the top (`v[0]` 1: the foot). `c`: sides, then the bands; `v`: direction, base."""
    d.rectangle((0, 0, w, h), fill=c[0])
    bands = c[1:]
    for k, color in enumerate(bands):
        y = k / len(bands)
        near, far = (y, 1.0)
        half = v[1] / 2 * (1 - near)
        points = [(0.5 - half, near), (0.5 + half, near), (0.5, far)]
        d.polygon([(x * w, (1 - p if v[0] else p) * h) for x, p in points], fill=color)


def _triangle(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """At the hoist. `c`: edge, triangle; `v`: depth, edge."""
    d.polygon([(0, -v[1] * h), ((v[0] + v[1]) * w, h / 2), (0, h + v[1] * h)], fill=c[0])
    d.polygon([(0, 0), (v[0] * w, h / 2), (0, h)], fill=c[1])


def _bar(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A rectangle: x0, y0, x1, y1."""
    d.rectangle((round(v[0] * w), round(v[1] * h), round(v[2] * w), round(v[3] * h)), fill=c[0])


def _border(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`v`: width, then teeth along the top (0: straight)."""
    band = round(v[0] * h)
    for box in ((0, 0, w, band), (0, h - band, w, h), (0, 0, band, h), (w - band, 0, w, h)):
        d.rectangle(box, fill=c[0])
    if v[1]:
        step = w / v[1]
        for x in np.arange(0, w, step).tolist():
            for foot, tip in ((band, 2 * band), (h - band, h - 2 * band)):
                d.polygon([(x, foot), (x + step / 2, tip), (x + step, foot)], fill=c[0])
        for y in np.arange(0, h, step).tolist():
            for foot, tip in ((band, 2 * band), (w - band, w - 2 * band)):
                d.polygon([(foot, y), (tip, y + step / 2), (foot, y + step)], fill=c[0])


def _ornament(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A strip of repeated figures at the hoist. `c`: ground, figures; `v`: x, width, number, kind, inner."""
    x0, x1, number = v[0] * w, (v[0] + v[1]) * w, int(v[2])
    d.rectangle((round(x0), 0, round(x1), h), fill=c[0])
    middle, step = (x0 + x1) / 2, h / number
    for i in range(number):
        y = (i + 0.5) * step
        for k, color in enumerate(c[1:]):
            rx, ry = (x1 - x0) * 0.42 * (1 - 0.4 * k), step * 0.46 * (1 - 0.4 * k)
            points = (
                [(0, -1), (1, 0), (0, 1), (-1, 0)],
                star_points(8, v[4]),
                star_points(4, v[4]),
                star_points(6, 0.9),
            )[int(v[3])]
            d.polygon([(middle + rx * px, y + ry * py) for px, py in points], fill=color)


def _teeth(line: int, number: float, u: np.ndarray) -> np.ndarray:
    """How far a line of partition leaves the straight one, 0 to 1; `line`: 1 wavy, 2 indented, 3 embattled."""
    phase = u * number % 1
    if line == 1:
        return 0.5 - 0.5 * np.cos(2 * pi * phase)
    return 1 - np.abs(2 * phase - 1) if line == 2 else (phase >= 0.5).astype(float)


def _side(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A strip along a side. `v`: side (0 top, 1 foot, 2 hoist, 3 fly), depth, line of partition, teeth, their size."""
    side, line = int(v[0]), int(v[2])
    u = np.linspace(0, 1, 2 if not line else 8 * int(v[3]) + 1)
    reach = v[1] + (v[4] * _teeth(line, v[3], u) if line else 0 * u)
    inner = [*zip(u.tolist(), reach.tolist(), strict=True), (1.0, -0.1), (0.0, -0.1)]
    points = [(a * w, b * h) if side < 2 else (b * w, a * h) for a, b in inner]
    if side % 2:
        points = [(x, h - y) if side == 1 else (w - x, y) for x, y in points]
    d.polygon(points, fill=c[0])


def _chevron(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """`c`: above, below, chevron; `v`: height of its point, height of its feet (upper edges), width."""
    top = [(0, v[1] * h), (w / 2, v[0] * h), (w, v[1] * h)]
    under = [(x, y + v[2] * h) for x, y in top]
    d.rectangle((0, 0, w, h), fill=c[0])
    d.polygon([*under, (w, h), (0, h)], fill=c[1])
    d.polygon([*top, *reversed(under)], fill=c[2])


def _orle(d: Draw, w: int, h: int, c: Colors, v: Values) -> None:
    """A thin frame. `v`: distance from the edge, thickness (fractions of the width), style (its place in `ORLES`)."""
    inset, thick, style = v[0] * w, v[1] * w, ORLES[int(v[2])]
    x0, y0, x1, y1 = inset, inset, w - inset, h - inset
    lines = ((0.0, 1.0),) if style != "double" else ((0.0, 0.4), (1.0, 1.4))
    if style in ("single", "double", "embattled", "indented"):
        for near, far in lines:
            a, b = near * thick, far * thick
            for box in ((x0 + a, y0 + a, x1 - a, y0 + b), (x0 + a, y1 - b, x1 - a, y1 - a),
                        (x0 + a, y0 + a, x0 + b, y1 - a), (x1 - b, y0 + a, x1 - a, y1 - a)):  # fmt: skip
                d.rectangle(box, fill=c[0])
    if style in ("single", "double"):
        return
    step = thick * 2.6
    for (ax, ay), (bx, by) in (((x0, y0), (x1, y0)), ((x1, y0), (x1, y1)), ((x1, y1), (x0, y1)), ((x0, y1), (x0, y0))):
        length = abs(bx - ax) + abs(by - ay)
        ux, uy = (bx - ax) / length, (by - ay) / length
        nx, ny = -uy, ux  # inwards
        number = max(round(length / step), 2)
        for i in range(number):
            shape = _BEADS[style]
            s = length / number
            d.polygon(
                [
                    (
                        ax + ux * (i + 0.5 + p * 0.5) * s + nx * q * thick,
                        ay + uy * (i + 0.5 + p * 0.5) * s + ny * q * thick,
                    )
                    for p, q in shape
                ],
                fill=c[0],
            )


ORLES = ("single", "double", "dashed", "dotted", "embattled", "indented", "lozengy", "slanted")
"""Styles of an orle: the meaning of its third value."""
# a bead along the frame: u along it (-1 to 1), v inwards in units of the thickness
_BEADS: dict[str, list[tuple[float, float]]] = {
    "dashed": [(-0.7, 0), (0.7, 0), (0.7, 1), (-0.7, 1)],
    "dotted": [(0.42 * cos(t), 0.5 + 0.55 * sin(t)) for t in np.linspace(0, 2 * pi, 10, endpoint=False).tolist()],
    "embattled": [(-0.5, 0.9), (0.5, 0.9), (0.5, 2), (-0.5, 2)],
    "indented": [(-1, 0.9), (0, 2.2), (1, 0.9)],
    "lozengy": [(-0.9, 0.5), (0, -0.5), (0.9, 0.5), (0, 1.5)],
    "slanted": [(-0.8, -0.1), (0, -0.1), (0.8, 1.1), (0, 1.1)],
}

PAINTERS: dict[str, Callable[[Draw, int, int, Colors, Values], None]] = {
    "plain": _plain, "rows": _rows, "columns": _columns, "waves": _waves, "diagonal": _diagonal, "bend": _bend,
    "cross": _cross, "saltire": _saltire, "union": _union, "quarters": _quarters, "rays": _rays, "pall": _pall,
    "lozenge": _lozenge, "serrated": _serrated, "checks": _checks, "pile": _pile, "triangle": _triangle, "bar": _bar,
    "border": _border, "ornament": _ornament, "side": _side, "chevron": _chevron, "orle": _orle,
}  # fmt: skip


def paint(draw: Draw, width: int, height: int, pattern: Pattern) -> None:
    """Paints a pattern on a canvas of `width` x `height` pixels (cantons are `banners.draw`'s)."""
    PAINTERS[pattern.kind](draw, width, height, [color.rgb for color in pattern.colors], pattern.values)
