"""What banners hang on: poles, rods on a wall, ropes, frames. Painted behind the cloth, on the fine canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gog_env.world.settings import harbour
from gog_env.world.settings.brushes import HIGH, RGB, Canvas, Dice, Point, hue, lit

MOUNTS = ("pole", "mast", "rod", "rope", "frame")
WAY_OF = {"pole": "flown", "mast": "flown", "rod": "hung", "rope": "hung", "frame": "flat"}
"""How the cloth behaves on each mount (see `cloth.WAYS`)."""
_WOODS = ("6b4a32", "8a6a48", "54463c", "9c8a70", "d8d4cc", "3c4650")


@dataclass(frozen=True)
class Hung:
    """A banner's corners (upper left, upper right, lower left, lower right) in units, its mount and its row."""

    corners: tuple[Point, Point, Point, Point]
    mount: str
    row: int = 0


def hang(canvas: Canvas, banners: Sequence[Hung], dice: Dice) -> None:
    """Paints what all of the banners hang on: one rope for those of a row, else each its own."""
    ropes: dict[int, list[Hung]] = {}
    for hung in banners:
        if hung.mount == "rope":
            ropes.setdefault(hung.row, []).append(hung)
        else:
            {"pole": _pole, "mast": _mast, "rod": _rod, "frame": _frame}[hung.mount](canvas, hung.corners, dice)
    for row in sorted(ropes):
        _rope(canvas, [hung.corners for hung in ropes[row]], dice)


def _beyond(a: Point, b: Point, share: float) -> Point:
    """The point that lies beyond b, by a share of the way from a."""
    return b[0] + (b[0] - a[0]) * share, b[1] + (b[1] - a[1]) * share


def _pole(canvas: Canvas, corners: tuple[Point, ...], dice: Dice) -> None:
    top, _, foot, _ = corners
    color, thick = hue(dice.of(_WOODS)), dice.between(2.6, 4.2)
    ground = max(foot[1] + 6, dice.between(0.87, 0.97) * HIGH)
    head, end = _beyond(foot, top, 0.08), _beyond(top, foot, (ground - foot[1]) / max(foot[1] - top[1], 1))
    shift = -thick / 2
    points = [(head[0] + shift, head[1]), (end[0] + shift, end[1])]
    canvas.line(points, thick, lit(color, 0.8))
    canvas.line([(x - thick * 0.2, y) for x, y in points], thick * 0.4, lit(color, 1.25))
    canvas.disc(head[0] + shift, head[1] - thick * 0.6, thick * 0.95, hue(dice.of(("c9a24b", "b8b8b4", "7c5a34"))))


def _mast(canvas: Canvas, corners: tuple[Point, ...], dice: Dice) -> None:
    """A mast, and the boat that it stands in."""
    top, _, foot, _ = corners
    color, thick = hue(dice.of(_WOODS)), dice.between(2.4, 3.4)
    water = max(foot[1] + 26, harbour.HORIZON + dice.between(28, 92))
    head, x = _beyond(foot, top, 0.1), foot[0] + (foot[0] - top[0]) * 0.3
    canvas.line([(head[0], head[1] + 2), (x - 36, water - 16)], 0.6, hue("4a4038"))
    canvas.line([(head[0], head[1] + 2), (x + 38, water - 18)], 0.6, hue("4a4038"))
    canvas.line([(head[0] - thick / 2, head[1]), (x - thick / 2, water - 8)], thick, color)
    canvas.disc(head[0] - thick / 2, head[1], thick * 0.8, lit(color, 1.2))
    harbour.hull(
        canvas, x, water, dice.between(34, 46), hue(dice.of(("a8403a", "2f5a78", "3f6a52", "e6dcc6", "37373c")))
    )


def _rod(canvas: Canvas, corners: tuple[Point, ...], dice: Dice) -> None:
    left, right = corners[:2]
    color, thick = hue(dice.of(_WOODS)), dice.between(2.2, 3.4)
    a, b = _beyond(right, left, 0.04), _beyond(left, right, 0.04)
    nail = ((a[0] + b[0]) / 2, min(a[1], b[1]) - dice.between(0.1, 0.2) * (b[0] - a[0]))
    canvas.line([a, nail, b], 0.8, hue("3a342e"))
    canvas.disc(nail[0], nail[1], 1.5, hue("2a2622"))
    canvas.line([a, b], thick, color)
    for x, y in (a, b):
        canvas.disc(x, y, thick * 0.8, lit(color, 1.2))


def _frame(canvas: Canvas, corners: tuple[Point, ...], dice: Dice) -> None:
    a, b, d, c = corners
    color: RGB = hue(dice.of(("8c6a2f", "b08d4a", "2c2722", "5a3d28", "e6e1d6")))
    middle = (sum(p[0] for p in corners) / 4, sum(p[1] for p in corners) / 4)
    wide = dice.between(5, 9)

    def grown(by: float) -> list[Point]:
        points = []
        for x, y in (a, b, c, d):
            points.append((x + by * (1 if x > middle[0] else -1), y + by * (1 if y > middle[1] else -1)))
        return points

    canvas.poly([(x + 3, y + 4) for x, y in grown(wide + 1)], hue("4a443e"))
    canvas.poly(grown(wide), color)
    canvas.poly(grown(wide * 0.62), lit(color, 1.25))
    canvas.poly(grown(wide * 0.4), lit(color, 0.75))
    canvas.poly(grown(1.2), hue("26221e"))


def _rope(canvas: Canvas, rows: list[tuple[Point, ...]], dice: Dice) -> None:
    """A rope from edge to edge through the upper corners of all banners of a row."""
    rows = sorted(rows, key=lambda corners: corners[0][0])
    points: list[Point] = [(-6.0, rows[0][0][1] - dice.between(6, 26))]
    for corners in rows:
        for corner in corners[:2]:
            points += _slack(points[-1], (corner[0], corner[1] + 1.0))
    points += _slack(points[-1], (canvas.wide + 6, rows[-1][1][1] - dice.between(6, 26)))
    canvas.line(points, 1.3, hue(dice.of(("4a4038", "6e5c48", "e8e2d4", "3b3f46"))))


def _slack(start: Point, end: Point) -> list[Point]:
    """A piece of rope that sags a little more the longer it is."""
    length = abs(end[0] - start[0])
    sag = 0.05 * length
    steps = 5 if length > 12 else 1
    line = []
    for k in range(1, steps + 1):
        t = k / steps
        line.append((start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1]) + sag * 4 * t * (1 - t)))
    return line
