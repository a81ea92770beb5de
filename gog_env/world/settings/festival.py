"""A festival in a meadow: striped tents, a wheel, balloons, strings of lights, a crowd; banners on poles and ropes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, pi, sin

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Sprite, Zone, hue, lit, mix, sprite

_DAYS = (  # sky above and below, far and near meadow
    ("4f94cf", "cfe8f2", "8fb38a", "6f9e50"),
    ("5aa9c9", "f4ecd0", "a3b57e", "86a14c"),
    ("7a8fc9", "f8d9c0", "9aa88a", "7f9655"),
    ("e8a878", "fbe6bc", "b0a06e", "8f8a48"),
)
_TENTS = (("c8463f", "f4ead6"), ("3f78a8", "f4ead6"), ("d8973a", "fbf0d4"), ("4f8a68", "f0ead8"), ("8f5a94", "f2e6da"))
_BALLOONS = tuple(map(hue, ("d94f4f", "4f8fd9", "f0b840", "7bbf6a", "c77fd0", "f08fa8", "f5f0e6")))
_BULBS = tuple(map(hue, ("ffe08a", "ff9f6a", "fff4c8", "9fd8e8", "ffb8c0")))
CROWDS = 24
"""How many crowds there are; which one comes is thrown for every picture."""


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints sky, hills, the wheel and tents."""
    top, low, far, meadow = map(hue, dice.of(_DAYS))
    wide = canvas.wide
    canvas.ramp(0, 236, [top, mix(top, low, 0.5), low])
    canvas.glow(dice.between(0, wide), dice.between(0, 110), 80, (255, 250, 226), 0.65)
    props.clouds(canvas, 22, 120, mix(low, (255, 255, 255), 0.65), dice, dice.whole(2, 5))
    if dice.chance(0.45):
        _air_balloon(canvas, dice.between(40, wide - 40), dice.between(40, 110), dice.between(13, 22), dice)
    props.hills(canvas, 214, 12, mix(far, low, 0.55), dice, 262)
    if dice.chance(0.6):
        _wheel(canvas, dice.between(50, wide - 50), 176, dice.between(44, 60), mix(hue("a85a50"), low, 0.35), dice)
    props.hills(canvas, 229, 8, mix(far, low, 0.25), dice, 270)
    for _ in range(dice.whole(3, 6)):
        x, size = dice.between(0, wide), dice.between(9, 15)
        props.leaves(canvas, x, 232 - size * 0.5, size, mix(lit(far, 0.8), low, 0.15), dice, 6)
    canvas.ramp(240, 336, [meadow, lit(meadow, 0.8)])
    for _ in range(dice.whole(2, 4)):
        x, size = dice.between(0, wide), 8 * dice.whole(6, 10)
        canvas.stamp(
            _tent(canvas.unit, dice.whole(0, len(_TENTS) - 1), size), x - size / 2, dice.between(252, 264) - size
        )
    for _ in range(dice.whole(4, 8)):
        x, foot = dice.between(0, wide), dice.between(262, 276)
        props.person(canvas, x, foot, 24 + (foot - 262), dice, low, 0.25)


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints lights, balloons and the crowd."""
    wide = canvas.wide
    if dice.chance(0.7):
        y = dice.between(2, 20)
        props.lights(canvas, (-4, y), (wide + 4, y + dice.between(-12, 12)), dice.between(8, 26), _BULBS, dice)
    for _ in range(dice.whole(1, 4)):
        _bunch(canvas, dice.between(10, wide - 10), dice.between(210, 250), dice)
    canvas.stamp(_crowd(canvas.unit, round(wide), dice.whole(0, CROWDS - 1)), 0, 266)
    for _ in range(26):  # confetti
        x, y = dice.between(0, wide), dice.between(0, 270)
        canvas.disc(x, y, dice.between(0.7, 1.5), dice.of(_BALLOONS), dice.between(0.5, 1.2))


@lru_cache(maxsize=CROWDS)
def _crowd(unit: float, wide: int, number: int) -> Sprite:
    canvas = sprite(unit, wide, 70)
    props.crowd(canvas, 26, Dice(number))
    return canvas.cut()


@lru_cache(maxsize=64)
def _tent(unit: float, number: int, wide: int) -> Sprite:
    """A round tent with a pointed roof, striped from top to bottom; as high as it is wide, and a little more."""
    first, second = map(hue, _TENTS[number])
    canvas, x, foot = sprite(unit, wide, wide * 1.1), wide / 2, wide * 1.0
    eaves, top, half, stripes = foot - wide * 0.42, foot - wide * 0.86, wide / 2 - 1, 8
    canvas.disc(x, foot, half, (70, 84, 50), wide * 0.05)
    for k in range(stripes):
        a, b = (
            -cos(pi * k / stripes) * half,
            -cos(pi * (k + 1) / stripes) * half,
        )  # narrower at the sides: it is round
        color = lit(first if k % 2 else second, 1.05 - 0.28 * k / stripes)
        wall = [(x + a * 0.92, eaves), (x + b * 0.92, eaves), (x + b * 0.92, foot), (x + a * 0.92, foot)]
        canvas.poly(wall, lit(color, 0.9))
        canvas.poly([(x, top), (x + b, eaves), (x + a, eaves)], color)
        canvas.pie(x + (a + b) / 2, eaves, (b - a) / 2 + 0.4, 0, 180, lit(color, 0.94), 4)
    canvas.poly([(x - half * 0.16, foot), (x, eaves + 3), (x + half * 0.16, foot)], lit(first, 0.4))
    canvas.line([(x, top), (x, top - 7)], 1.2, hue("4a3a2c"))
    canvas.disc(x, top - 8, 2, hue("e8c25a"))
    return canvas.cut()


def _wheel(canvas: Canvas, x: float, y: float, radius: float, color: RGB, dice: Dice) -> None:
    """A big wheel with its cabins, far away."""
    u, turn = canvas.unit, dice.between(0, 1)
    for side in (-1, 1):
        canvas.line([(x, y), (x + side * radius * 0.5, y + radius * 1.1)], 2.2, lit(color, 0.8))
    for share in (1.0, 0.86):
        r = radius * share
        canvas.pen.ellipse(
            ((x - r) * u, (y - r) * u, (x + r) * u, (y + r) * u), outline=color, width=max(1, round(1.4 * u))
        )
    for k in range(12):
        angle = 2 * pi * k / 12 + turn
        px, py = x + radius * cos(angle), y + radius * sin(angle)
        canvas.line([(x, y), (px, py)], 0.7, color)
        canvas.round_box(px - 3.6, py, px + 3.6, py + 6.5, 1.8, mix(_BALLOONS[k % 6], color, 0.4))
    canvas.disc(x, y, 4, lit(color, 0.8))


def _air_balloon(canvas: Canvas, x: float, y: float, size: float, dice: Dice) -> None:
    first, second = dice.shuffled(_BALLOONS)[:2]
    basket = y + size * 1.75
    for side in (-1, 1):
        canvas.line([(x + side * size * 0.5, y + size * 0.8), (x + side * size * 0.16, basket)], 0.7, hue("5a4636"))
    canvas.poly(
        [
            (x - size * 0.86, y + size * 0.5),
            (x + size * 0.86, y + size * 0.5),
            (x + size * 0.25, y + size * 1.3),
            (x - size * 0.25, y + size * 1.3),
        ],
        lit(first, 0.82),
    )
    for k, share in enumerate((1.0, 0.72, 0.42, 0.14)):
        canvas.disc(x, y, size * share, lit(second if k % 2 else first, 1.06 - 0.05 * k), size)
    canvas.box(x - size * 0.2, basket, x + size * 0.2, basket + size * 0.28, hue("8a623f"))


def _bunch(canvas: Canvas, x: float, y: float, dice: Dice) -> None:
    """Some balloons that somebody in the crowd holds."""
    for k in range(dice.whole(2, 4)):
        bx, by, color = x + (k - 1) * 8 + dice.between(-3, 3), y + dice.between(-10, 10), dice.of(_BALLOONS)
        canvas.line([(bx, by + 8), (x + 2, y + 52)], 0.5, hue("e8e4dc"))
        canvas.disc(bx, by, 6.4, color, 8)
        canvas.disc(bx - 2, by - 3, 1.8, mix(color, (255, 255, 255), 0.6), 2.6)
