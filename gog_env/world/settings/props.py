"""What fills settings: clouds, people, lamps, plants, birds, crates, strings of lights. All on the canvas, in units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, sin

from gog_env.world.settings.brushes import RGB, Canvas, Dice, Point, Sprite, Zone, hue, lit, mix, near, sprite

PEOPLE = 64
"""How many people there are; who is there is thrown for every picture."""
SKINS = tuple(map(hue, ("f1cfb0", "dba882", "b97f57", "8c5a3c", "5d3b28")))
HAIRS = tuple(map(hue, ("2b211c", "4a3323", "7a5230", "b8894a", "8d8781", "1c1a1e", "a2492c")))
COATS = tuple(map(hue, ("3f5873", "8b3f3c", "5c7152", "c9a15a", "7b6a8e", "47413f", "b9b0a2", "2f6b74", "a8684a")))
FLOWERS = tuple(map(hue, ("d9486b", "f0b63c", "f3efe2", "a866c0", "ee7a42", "e8a0b4")))


def cloud(canvas: Canvas, x: float, y: float, size: float, color: RGB, dice: Dice) -> None:
    """A heap of discs with a flat foot, lighter above than below."""
    bumps = [(dice.between(-1, 1), dice.between(0.35, 0.62)) for _ in range(dice.whole(4, 6))]
    for shade, lift in ((lit(color, 0.94), 0.0), (color, 0.09)):
        canvas.disc(x, y - lift * size, size * 1.25, shade, size * 0.2)
        for at, radius in bumps:
            canvas.disc(x + at * size * 0.8, y - (0.22 + lift) * size, size * radius * 0.8, shade, size * radius * 0.5)


def clouds(canvas: Canvas, top: float, bottom: float, color: RGB, dice: Dice, count: int = 4) -> None:
    """Some clouds, the lower the smaller."""
    for _ in range(count):
        y = dice.between(top, bottom)
        size = 34 - 22 * (y - top) / max(bottom - top, 1)
        cloud(canvas, dice.between(-10, canvas.wide + 10), y, size, color, dice)


def person(
    canvas: Canvas, x: float, foot: float, tall: float, dice: Dice, haze: RGB | None = None, far: float = 0.0
) -> None:
    """Somebody who stands or walks; `haze` and `far` (0..1): the colour of the air and how much of it lies between."""
    tall = 6 * max(1, round(tall / 6))
    canvas.stamp(_person(canvas.unit, dice.whole(0, PEOPLE - 1), tall, haze, far), x - tall * 0.25, foot - tall * 1.06)


def free(canvas: Canvas, dice: Dice, taken: Sequence[Zone], half: float, top: float) -> float | None:
    """Where something of this half width that reaches up to `top` hides behind no banner; None if hardly anywhere."""
    for _ in range(6):
        x = dice.between(half * 0.6, canvas.wide - half * 0.6)
        if not any(x0 - half - 8 < x < x1 + half + 8 and y1 + 8 > top for x0, _, x1, y1 in taken):
            return x
    return None


def people(
    canvas: Canvas,
    dice: Dice,
    taken: Sequence[Zone],
    count: int,
    feet: tuple[float, float],
    talls: tuple[float, float],
    shadow: RGB,
    air: tuple[RGB, float] | None = None,
    away: float = 0.0,
) -> None:
    """People who stand about, the nearer the larger, none of them behind a banner.

    Args:
        canvas: what they are painted on.
        dice: decides who and where.
        taken: where the banners are.
        count: how many, if there is room.
        feet: from where to where down the picture they stand.
        talls: how tall they are at the one and the other.
        shadow: its colour on the ground.
        air: the colour of the air, and how much of it lies between.
        away: the share that turns away from us.
    """
    for foot in sorted(dice.between(*feet) for _ in range(count)):
        tall = talls[0] + (talls[1] - talls[0]) * (foot - feet[0]) / (feet[1] - feet[0])
        x = free(canvas, dice, taken, tall * 0.2, foot - tall)
        if x is not None:
            canvas.glow(x + 3, foot + 1, tall * 0.28, shadow, 0.8, 0.16)
            number, tall = dice.whole(0, PEOPLE - 1), 6 * round(tall / 6)
            far = -1.0 if dice.chance(away) else air[1] if air else 0.0
            image = _person(canvas.unit, number, tall, air[0] if air else None, far)
            canvas.stamp(image, x - tall * 0.25, foot - tall * 1.06)


@lru_cache(maxsize=2048)
def _person(unit: float, number: int, tall: float, haze: RGB | None, far: float) -> Sprite:
    """A sprite half as wide as somebody is tall; `far` < 0: seen from behind."""
    dice, canvas = Dice(5000 + number), sprite(unit, tall * 0.5, tall * 1.08)
    x, foot = tall * 0.25, tall * 1.06

    def tone(color: RGB) -> RGB:
        return mix(color, haze, far) if haze and far > 0 else color

    coat, skin, hair = tone(near(dice.of(COATS), dice)), tone(dice.of(SKINS)), tone(dice.of(HAIRS))
    trousers = tone(near(hue(dice.of(("2e3440", "4b4238", "5a5f6b", "39322c"))), dice))
    wide, stride = tall * dice.between(0.115, 0.14), tall * dice.between(0.0, 0.09)
    lean, hem = dice.between(-0.02, 0.02) * tall, foot - tall * 0.43
    hip, neck = foot - tall * 0.47, foot - tall * 0.83
    if dice.chance(0.4):  # a long coat or skirt
        low = foot - tall * 0.14
        waist = [(x - wide * 0.7, hip - 2), (x + wide * 0.7, hip - 2)]
        canvas.poly([*waist, (x + wide * 1.25, low), (x - wide * 1.25, low)], coat)
        hip = foot - tall * 0.3
    for side in (-1, 1):
        canvas.line([(x + side * wide * 0.4, hip), (x + side * (wide * 0.45 + stride), foot)], tall * 0.075, trousers)
    left = [(x - wide + lean, neck + tall * 0.05), (x - wide * 0.5 + lean, neck)]
    right = [(x + wide * 0.5 + lean, neck), (x + wide + lean, neck + tall * 0.05)]
    canvas.poly([*left, *right, (x + wide * 0.8, hem), (x - wide * 0.8, hem)], coat)
    canvas.poly([*right, (x + wide * 0.8, hem), (x + wide * 0.3, hem)], lit(coat, 0.82))
    for side in (-1, 1):
        hand = (x + side * wide * dice.between(1.0, 1.5) + lean, foot - tall * dice.between(0.42, 0.52))
        canvas.line([(x + side * wide * 0.9 + lean, neck + tall * 0.05), hand], tall * 0.06, lit(coat, 0.9))
        canvas.disc(hand[0], hand[1], tall * 0.026, skin)
    _head(canvas, x + lean, foot - tall * 0.91, tall * 0.075, skin, hair, far < 0, dice)
    return canvas.cut()


def _head(canvas: Canvas, x: float, y: float, radius: float, skin: RGB, hair: RGB, away: bool, dice: Dice) -> None:
    canvas.box(x - radius * 0.4, y + radius * 0.5, x + radius * 0.4, y + radius * 1.4, lit(skin, 0.85))
    style = dice.whole(0, 3)
    if style == 0:  # long hair
        canvas.round_box(x - radius * 1.1, y - radius * 0.6, x + radius * 1.1, y + radius * 1.2, radius * 0.7, hair)
    canvas.disc(x, y, radius, skin, radius * 1.12)
    for side in (-1, 1):
        canvas.disc(x + side * radius * 0.36, y + radius * 0.18, radius * 0.13, hue("2a2220"))
    canvas.pie(x, y - radius * 0.1, radius * 1.1, 180, 360, hair, radius * 1.15)
    if away:
        canvas.disc(x, y - radius * 0.08, radius * 1.08, hair, radius * 1.1)
    if style == 1:  # a hat
        cap = hue(dice.of(("c9b48a", "4a4440", "7d3b36", "e4dccb", "3d5566")))
        canvas.disc(x, y - radius * 0.45, radius * 1.7, cap, radius * 0.32)
        canvas.pie(x, y - radius * 0.4, radius * 0.95, 180, 360, cap, radius * 1.15)


def back(canvas: Canvas, x: float, y: float, size: float, color: RGB, hair: RGB, dice: Dice) -> None:
    """Somebody near, seen from behind: head and shoulders; `y`: the middle of the head, `size`: its radius."""
    canvas.pie(x, y + size * 3.9, size * 2.3, 180, 360, color, size * 2.7)
    canvas.pie(x + size * 0.5, y + size * 3.9, size * 1.7, 180, 360, lit(color, 0.88), size * 2.3)
    canvas.box(x - size * 0.42, y + size * 0.6, x + size * 0.42, y + size * 1.5, lit(dice.of(SKINS), 0.8))
    canvas.disc(x, y, size, hair, size * 1.15)
    canvas.disc(x - size * 0.25, y - size * 0.3, size * 0.6, lit(hair, 1.18), size * 0.6)


def crowd(canvas: Canvas, line: float, dice: Dice, colors: Sequence[RGB] = COATS, shade: float = 1.0) -> None:
    """Two rows of people seen from behind along the lower edge."""
    for row, (size, darker) in enumerate(((7.0, 1.0), (9.5, 0.8))):
        x = -dice.between(0, 20)
        while x < canvas.wide + 10:
            y = line + row * 17 + dice.between(-7, 7)
            color, hair = lit(near(dice.of(colors), dice), shade * darker), lit(dice.of(HAIRS), shade * darker)
            back(canvas, x, y, size * dice.between(0.88, 1.12), color, hair, dice)
            x += size * dice.between(3.2, 6.0)


def lamp(canvas: Canvas, x: float, foot: float, tall: float, glow: RGB, dice: Dice) -> None:
    """A street lamp of iron and glass."""
    iron, top = hue("2c3033"), foot - tall
    canvas.box(x - 1.6, top + 12, x + 1.6, foot, iron)
    canvas.box(x - 3.4, foot - tall * 0.12, x + 3.4, foot, iron)
    canvas.box(x - 2.4, foot - tall * 0.35, x + 2.4, foot - tall * 0.33, lit(iron, 1.5))
    canvas.poly([(x - 4, top + 13), (x + 4, top + 13), (x + 6.5, top), (x - 6.5, top)], glow)
    canvas.poly([(x - 1, top + 13), (x + 4, top + 13), (x + 6.5, top), (x + 1, top)], lit(glow, 0.9))
    canvas.poly([(x - 8, top), (x + 8, top), (x, top - 8)], iron)
    canvas.disc(x, top - 9, 1.6, iron)


def leaves(canvas: Canvas, x: float, y: float, size: float, green: RGB, dice: Dice, count: int = 9) -> None:
    """A cloud of leaves: discs from dark below to light above."""
    for k in range(count):
        angle, far = k * 2.4, size * 0.72 * ((k + 0.3) / count) ** 0.5
        dx, dy = far * cos(angle), far * sin(angle) * 0.85
        shade = near(lit(green, 0.78 + 0.3 * (size - dy) / (2 * size) + 0.06), dice, 0.05)
        canvas.disc(x + dx, y + dy, size * dice.between(0.34, 0.5), shade)


def tree(canvas: Canvas, x: float, foot: float, tall: float, green: RGB, dice: Dice) -> None:
    """A trunk and its crown."""
    bark = hue("5a4536")
    canvas.poly(
        [
            (x - tall * 0.035, foot),
            (x + tall * 0.035, foot),
            (x + tall * 0.02, foot - tall * 0.6),
            (x - tall * 0.02, foot - tall * 0.6),
        ],
        bark,
    )
    size = tall * 0.3
    leaves(canvas, x - size * 0.5, foot - tall * 0.6, size * 0.8, lit(green, 0.88), dice, 7)
    leaves(canvas, x + size * 0.55, foot - tall * 0.63, size * 0.75, lit(green, 0.92), dice, 7)
    leaves(canvas, x, foot - tall * 0.76, size, green, dice)


def pot(canvas: Canvas, x: float, foot: float, size: float, dice: Dice) -> None:
    """A plant in a pot, in flower or not."""
    clay = near(hue(dice.of(("b5653f", "8f8a80", "5c6f7a", "d0b08a"))), dice)
    leaves(canvas, x, foot - size * 1.25, size * 0.72, near(hue("5d8a48"), dice, 0.15), dice, 7)
    if dice.chance(0.6):
        color = dice.of(FLOWERS)
        for _ in range(6):
            canvas.disc(x + dice.between(-0.6, 0.6) * size, foot - size * dice.between(0.9, 1.8), size * 0.13, color)
    canvas.poly(
        [
            (x - size * 0.5, foot - size * 0.75),
            (x + size * 0.5, foot - size * 0.75),
            (x + size * 0.36, foot),
            (x - size * 0.36, foot),
        ],
        clay,
    )
    canvas.box(x - size * 0.56, foot - size * 0.82, x + size * 0.56, foot - size * 0.64, lit(clay, 1.12))


def gull(canvas: Canvas, x: float, y: float, size: float, color: RGB, dice: Dice) -> None:
    """A bird on the wing: two curved strokes."""
    lift = dice.between(0.25, 0.6)
    for side in (-1, 1):
        wing = [(x, y), (x + side * size * 0.5, y - size * lift), (x + side * size, y - size * lift * 0.55)]
        canvas.line(wing, size * 0.16, color)


def crate(canvas: Canvas, x: float, foot: float, wide: float, tall: float, dice: Dice) -> None:
    """A wooden crate, seen from the front."""
    wood = near(hue(dice.of(("a67c4e", "8c6844", "b99468"))), dice)
    canvas.box(x, foot - tall, x + wide, foot, lit(wood, 0.6))
    boards = 3
    for k in range(boards):
        y = foot - tall + k * tall / boards
        canvas.box(x, y + 0.6, x + wide, y + tall / boards - 0.6, near(wood, dice, 0.06))
    for edge in (x, x + wide - 3):
        canvas.box(edge, foot - tall, edge + 3, foot, lit(wood, 0.8))


def barrel(canvas: Canvas, x: float, foot: float, wide: float, tall: float, dice: Dice) -> None:
    """A barrel with hoops."""
    wood = near(hue("8a5f3a"), dice)
    canvas.round_box(x, foot - tall, x + wide, foot, wide * 0.22, wood)
    canvas.round_box(x + wide * 0.55, foot - tall, x + wide, foot, wide * 0.22, lit(wood, 0.78))
    for share in (0.14, 0.36, 0.64, 0.86):
        canvas.box(x, foot - tall * share - 0.9, x + wide, foot - tall * share + 0.9, hue("3b3a3c"))
    canvas.disc(x + wide / 2, foot - tall, wide * 0.46, lit(wood, 1.2), wide * 0.12)


def sag(start: Point, end: Point, depth: float, steps: int = 12) -> list[Point]:
    """Points of a line that hangs between two others."""
    points = []
    for k in range(steps + 1):
        t = k / steps
        x, y = start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])
        points.append((x, y + depth * 4 * t * (1 - t)))
    return points


def lights(
    canvas: Canvas, start: Point, end: Point, depth: float, colors: Sequence[RGB], dice: Dice, size: float = 2.2
) -> None:
    """Bulbs on a line that sags."""
    points = sag(start, end, depth, 14)
    canvas.line(points, 0.8, hue("35312e"))
    for k, (x, y) in enumerate(points[1:-1]):
        color = colors[k % len(colors)]
        canvas.disc(x, y + size, size * 1.05, color)
        canvas.disc(x - size * 0.3, y + size * 0.7, size * 0.4, mix(color, (255, 255, 255), 0.7))


def lantern(canvas: Canvas, x: float, y: float, size: float, color: RGB) -> None:
    """A paper lantern; `y`: where it hangs from."""
    canvas.line([(x, y), (x, y + size * 0.6)], 0.8, hue("35312e"))
    top = y + size * 0.6
    canvas.disc(x, top + size, size, color, size * 0.95)
    canvas.disc(x - size * 0.1, top + size, size * 0.6, lit(color, 1.12), size * 0.95)
    canvas.disc(x - size * 0.15, top + size, size * 0.22, lit(color, 1.25), size * 0.93)
    for at in (0.02, 1.86):
        canvas.box(x - size * 0.42, top + size * at, x + size * 0.42, top + size * (at + 0.14), hue("3a2c22"))


def hills(canvas: Canvas, base: float, swing: float, color: RGB, dice: Dice, foot: float | None = None) -> None:
    """A soft ridge from edge to edge, filled down to `foot`."""
    waves, phase = dice.between(0.8, 2.2), dice.between(0, 2 * pi)
    second, wide = dice.between(0, 2 * pi), canvas.wide
    line = []
    for k in range(25):
        x = wide * k / 24
        height = sin(waves * 2 * pi * k / 24 + phase) + 0.4 * sin(2.7 * waves * 2 * pi * k / 24 + second)
        line.append((x, base - swing * height))
    low = canvas.size[1] if foot is None else foot
    canvas.poly([(0, low), *line, (wide, low)], color)


def inset(canvas: Canvas, wide: float, high: float) -> Canvas:
    """A canvas for a picture within the picture; cut it out and stamp it when it is painted."""
    return sprite(canvas.unit, wide, high)
