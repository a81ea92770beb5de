"""A market square: an arcade, stalls with striped awnings, fruit in crates, lanterns; banners on ropes and poles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Sprite, Zone, hue, lit, mix, near, sprite

_SQUARES = (  # wall of the arcade, sky above and below, paving
    ("d8b48a", "8fbcd6", "f0ead6", "b5a58f"),
    ("c99a7a", "a8c8d8", "f6e6cc", "a89480"),
    ("cfc3ad", "9cb4c6", "eceade", "a8a296"),
    ("e0c49a", "f0b88a", "fae6c0", "b89a78"),
    ("a9a08f", "b0bcc4", "e2e4e0", "969088"),
)
_AWNINGS = (
    ("b8453f", "f1ead9"),
    ("3f7a5e", "f1ead9"),
    ("33658f", "eee6d4"),
    ("d0922f", "f6ecd2"),
    ("7a4f7c", "ece2d6"),
    ("c96a3a", "f4e8d0"),
)
_GOODS = ("c8402f", "e08a2f", "8fae3f", "e8c23f", "6f3a5a", "d86a6a", "4f7a3a", "b5794a", "f0e0c0")
_LANTERNS = tuple(map(hue, ("e2583a", "f0a83c", "f6dc8a", "d86a6a", "f2ead2")))
STALLS = 60
"""How many stalls there are; which ones stand in a picture is thrown."""


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints the sky, the arcade behind, paving, and stalls."""
    stone, top, low, paving = map(hue, dice.of(_SQUARES))
    wide = canvas.wide
    canvas.ramp(0, 110, [top, low])
    props.clouds(canvas, 8, 60, mix(low, (255, 255, 255), 0.5), dice, 3)
    if dice.chance(0.5):
        _tower(canvas, dice.between(50, wide - 50), dice.between(14, 26), mix(lit(stone, 0.95), low, 0.25), dice)
    _arcade(canvas, mix(stone, low, 0.12), dice)
    canvas.ramp(246, 336, [lit(paving, 0.85), paving])
    for row in range(5):  # slabs, larger towards us
        y, step = 262 + row * (11 + row * 2.2), 44 + row * 13
        canvas.line([(0, y), (wide, y)], 0.8, lit(paving, 0.78))
        shift = dice.between(0, step)
        for k in range(int(wide / step) + 2):
            x = k * step - shift
            canvas.line([(x, y), (x + (x - wide / 2) * 0.09, y + 12 + row * 2.2)], 0.8, lit(paving, 0.78))
    for _ in range(dice.whole(3, 6)):
        x, foot = dice.between(0, wide), dice.between(256, 268)
        props.person(canvas, x, foot, 46 + (foot - 256), dice, low, 0.18)
    x = -dice.between(10, 70)
    while x < wide:
        canvas.stamp(_stall(canvas.unit, dice.whole(0, STALLS - 1)), x, 166)
        x += dice.between(132, 190)


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints lanterns above, and who is shopping."""
    wide = canvas.wide
    if dice.chance(0.6):
        y = dice.between(-6, 12)
        line = props.sag((-4, y), (wide + 4, y + dice.between(-10, 10)), dice.between(10, 20), 8)
        canvas.line(line, 0.9, hue("3a342e"))
        for at in line[1:-1:2]:
            props.lantern(canvas, at[0], at[1], dice.between(5.5, 7.5), dice.of(_LANTERNS))
    props.people(canvas, dice, taken, dice.whole(2, 4), (306, 330), (84, 103), hue("4a4036"))
    if dice.chance(0.6):
        x = dice.between(0, wide - 60)
        for k in range(dice.whole(1, 3)):
            props.crate(canvas, x + k * 27, 332, 25, 17, dice)
            _heap(canvas, x + k * 27 + 12.5, 315, 10.5, near(hue(dice.of(_GOODS)), dice), dice)
    if dice.chance(0.3):
        props.barrel(canvas, dice.between(4, wide - 30), 330, 24, 32, dice)


def _arcade(canvas: Canvas, stone: RGB, dice: Dice) -> None:
    """A long house with arches below and windows above."""
    top, wide, step = dice.between(52, 84), canvas.wide, dice.whole(52, 68)
    roof = mix(hue(dice.of(("9a5a44", "7f6a5e", "8f5040"))), stone, 0.15)
    canvas.poly([(-5, top), (wide + 5, top), (wide + 5, top - 22), (-5, top - 22)], roof)
    for k in range(3):
        canvas.line([(0, top - 5 - 6 * k), (wide, top - 5 - 6 * k)], 0.8, lit(roof, 0.85))
    x = -dice.between(0, step)
    shutter = near(hue(dice.of(("5c7a6a", "7a4a40", "4f6480", "8a7a5a"))), dice)
    bay = sprite(canvas.unit, step, 250 - top)
    bay.ramp(0, 250 - top, [lit(stone, 1.04), lit(stone, 0.9)])
    _bay(bay, step, top, stone, shutter)
    solid = bay.cut(solid=True)
    while x < wide:
        canvas.stamp(solid, x, top)
        x += step
    for y, tall in ((top - 2, 5), (150, 4)):  # cornices
        canvas.box(0, y, wide, y + tall, lit(stone, 1.14))
        canvas.box(0, y + tall, wide, y + tall + 2, lit(stone, 0.8))


def _bay(canvas: Canvas, step: float, top: float, stone: RGB, shutter: RGB) -> None:
    """One arch and the windows above it, painted once and stamped many times; `top` of the wall is 0 here."""
    cx, rows = step / 2, (12.0, 52.0) if top < 62 else ((146 - top) * 0.3,)
    for y in rows:
        tall = min(30.0, 140 - top - y)
        canvas.box(cx - 10, y - 2, cx + 10, y + tall + 2, lit(stone, 1.16))
        canvas.box(cx - 7.5, y, cx + 7.5, y + tall, mix(hue("4a5a66"), stone, 0.15))
        canvas.poly([(cx - 7.5, y), (cx + 7.5, y), (cx - 7.5, y + tall * 0.7)], mix(hue("8a9aa4"), stone, 0.2))
        canvas.box(cx - 0.6, y, cx + 0.6, y + tall, lit(stone, 1.16))
        canvas.box(cx - 12, y + tall + 2, cx + 12, y + tall + 4, lit(stone, 0.84))
        for side in (-1, 1):
            a, b = sorted((cx + side * 10, cx + side * 16))
            canvas.box(a, y - 1, b, y + tall + 1, shutter)
            canvas.box(a + 1, y + tall * 0.48, b - 1, y + tall * 0.52, lit(shutter, 0.75))
    y = 190 - top
    canvas.pie(cx, y, step * 0.4, 180, 360, lit(stone, 1.12), step * 0.42)
    canvas.pie(cx, y, step * 0.35, 180, 360, lit(stone, 0.5), step * 0.37)
    canvas.box(cx - step * 0.35, y - 0.5, cx + step * 0.35, 250 - top, lit(stone, 0.5))
    canvas.box(cx - step * 0.35, y + 16, cx + step * 0.35, 250 - top, lit(stone, 0.42))


def _tower(canvas: Canvas, x: float, top: float, stone: RGB, dice: Dice) -> None:
    """A clock tower that looks over the roofs."""
    canvas.box(x - 17, top + 12, x + 17, 120, stone)
    canvas.box(x + 6, top + 12, x + 17, 120, lit(stone, 0.9))
    canvas.box(x - 20, top + 10, x + 20, top + 14, lit(stone, 1.12))
    canvas.poly([(x - 19, top + 10), (x + 19, top + 10), (x, top - 14)], mix(hue("7f5a4c"), stone, 0.3))
    canvas.disc(x, top + 29, 9.5, lit(stone, 0.7))
    canvas.disc(x, top + 29, 8, hue("f4eedc"))
    canvas.line([(x, top + 23), (x, top + 29), (x + 4, top + 31)], 1.1, hue("3a3430"))


@lru_cache(maxsize=STALLS)
def _stall(unit: float, number: int) -> Sprite:
    """A stall, 128 to 170 units wide and 130 high: an awning on posts, somebody who sells, goods on a table."""
    dice = Dice(number)
    wide = dice.between(118, 158)
    canvas = sprite(unit, wide + 12, 130)
    first, second = map(hue, dice.of(_AWNINGS))
    left, right = 8.0, wide
    post = hue("6b4f38")
    canvas.box(left + 2, 24, right - 2, 84, (62, 52, 44))
    props.person(canvas, left + (right - left) * dice.between(0.3, 0.7), 122, 82, dice)
    for x in (left + 2, right - 4):
        canvas.box(x, 18, x + 2.6, 124, post)
    _awning(canvas, left - 6, right + 6, first, second)
    if dice.chance(0.7):
        for x in (left + (right - left) * 0.25, left + (right - left) * 0.78):
            props.lantern(canvas, x, 30, 5, dice.of(_LANTERNS))
    cloth = near(hue(dice.of(("8a6a4a", "5a6a5e", "7a4a40", "c9b48a", "4f5a70"))), dice)
    canvas.box(left, 86, right, 124, lit(cloth, 0.8))
    for k in range(9):  # folds of the table cloth
        x = left + (right - left) * k / 9
        canvas.poly([(x, 88), (x + 6, 88), (x + 3.5, 124)], lit(cloth, 0.72))
    canvas.box(left - 2, 83, right + 2, 88, hue("8f6b48"))
    canvas.box(left - 2, 83, right + 2, 84.6, hue("b08a60"))
    count = max(3, round((right - left) / 30))
    for k in range(count):
        x = left + (right - left) * (k + 0.5) / count
        color = near(hue(dice.of(_GOODS)), dice)
        if dice.chance(0.72):
            props.crate(canvas, x - 12, 85, 24, 9, dice)
            _heap(canvas, x, 77, 10, color, dice)
        else:
            for j in range(3):
                canvas.round_box(x - 9 + j * 7, 68, x - 4 + j * 7, 84, 2, near(color, dice, 0.15))
                canvas.box(x - 8 + j * 7, 65.5, x - 5 + j * 7, 68.5, hue("e6dcc4"))
    return canvas.cut()


def _awning(canvas: Canvas, left: float, right: float, first: RGB, second: RGB) -> None:
    stripes = 11
    for k in range(stripes):
        a, b = left + (right - left) * k / stripes, left + (right - left) * (k + 1) / stripes
        inset = (right - left) * 0.05
        ta, tb = (left + inset + (right - left - 2 * inset) * (k + j) / stripes for j in (0, 1))
        color = first if k % 2 == 0 else second
        canvas.poly([(ta, 4), (tb, 4), (b, 28), (a, 28)], color)
        canvas.poly([(a, 28), (b, 28), (b, 33), (a, 33)], lit(color, 0.84))
        canvas.pie((a + b) / 2, 33, (b - a) / 2, 0, 180, lit(color, 0.84), 4)
    canvas.poly([(left + 4, 4), (right - 4, 4), (right - 4, 6), (left + 4, 6)], lit(first, 0.7))


def _heap(canvas: Canvas, x: float, y: float, half: float, color: RGB, dice: Dice) -> None:
    """Fruit in a heap, with a glint on each."""
    size = half * 0.27
    for row, count in ((0, 4), (1, 3), (2, 2)):
        for k in range(count):
            cx, cy = x + (k - (count - 1) / 2) * size * 1.9, y - row * size * 1.35
            shade = near(color, dice, 0.07)
            canvas.disc(cx, cy, size, lit(shade, 0.85))
            canvas.disc(cx - size * 0.2, cy - size * 0.22, size * 0.68, lit(shade, 1.1))
