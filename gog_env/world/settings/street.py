"""A street: painted houses with shutters and shops, cobbles, passers-by; banners on the walls, or strung across."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Sprite, Zone, hue, lit, mix, near, sprite

_PALETTES = (  # walls that go together, and a sky
    (("e0b98c", "cf8f68", "ead3a2", "c9785a", "e8c9b0"), ("7fb0d8", "dcebf2")),
    (("a9bfb2", "c8d4cf", "e6dcc4", "8fa9b3", "d8c3a5"), ("9cb8cc", "edeee6")),
    (("d99a8b", "e9c4a0", "b98a8f", "f0dcc0", "a9788a"), ("f0c9a8", "f7ead2")),
    (("b5604a", "c98764", "8f5b4a", "d8b48c", "a3705a"), ("a8c4d4", "f2e8d8")),
    (("c9c2b4", "ddd6c8", "b0a898", "e8e0d0", "a39c90"), ("b8c2c8", "e4e6e4")),
)
_ROOFS = ("8a4b3a", "6f5a50", "5b6670", "7a3f35")
_SHUTTERS = ("4f6f5c", "3f6078", "7a3f3a", "c7b18a", "5a5560")
_GROUND, _EAVES, _BODY = 272.0, 4.0, 54.0
HOUSES = 5
"""How many houses there are in each colour; which ones stand in a street is thrown."""


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints sky, houses and the pavement."""
    walls, sky = dice.of(_PALETTES)
    canvas.ramp(0, 110, [hue(sky[0]), hue(sky[1])])
    props.clouds(canvas, 10, 60, mix(hue(sky[1]), (255, 255, 255), 0.6), dice, 2)
    x, last = -dice.between(0, 70), ""
    while x < canvas.wide:
        wall = dice.of([code for code in walls if code != last])
        roof, body = _house(canvas.unit, wall, dice.whole(0, HOUSES - 1))
        canvas.stamp(roof, x - _EAVES, 0)
        canvas.stamp(body, x, _BODY)
        width = body.colors.width / canvas.unit
        x, last = x + width, wall
    stone = near(hue(dice.of(("a39d94", "9a948f", "b0a594"))), dice, 0.04)
    canvas.box(0, _GROUND, canvas.wide, _GROUND + 7, lit(stone, 1.12))
    canvas.box(0, _GROUND + 7, canvas.wide, _GROUND + 10, lit(stone, 0.7))
    canvas.ramp(_GROUND + 10, 336, [lit(stone, 0.8), lit(stone, 0.95)])
    for row in range(6):  # cobbles, larger towards us
        y, step = _GROUND + 13 + row * row * 1.5 + row * 3.2, 15 + row * 4.5
        shift = dice.between(0, step)
        for k in range(int(canvas.wide / step) + 2):
            shade = lit(stone, dice.between(0.78, 1.02))
            canvas.disc(k * step - shift, y, step * 0.4, shade, 1.4 + row * 0.55)


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints who and what stands in the street."""
    if dice.chance(0.5):
        props.lamp(canvas, dice.between(20, canvas.wide - 20), 290, dice.between(120, 150), hue("f4e6b8"), dice)
    props.people(canvas, dice, taken, dice.whole(2, 4), (284, 318), (52, 78), hue("3a3632"))
    for _ in range(dice.whole(0, 2)):
        props.pot(canvas, dice.between(10, canvas.wide - 10), 279, dice.between(12, 17), dice)
    if dice.chance(0.4):
        _bicycle(canvas, dice.between(30, canvas.wide - 30), dice.between(284, 300), dice)


@lru_cache(maxsize=HOUSES * sum(len(walls) for walls, _ in _PALETTES))
def _house(unit: float, code: str, number: int) -> tuple[Sprite, Sprite]:
    """A house in two parts: roof and eaves, with air around them, and the solid rest down to the pavement."""
    dice = Dice(int(code, 16) * 100 + number)
    x, width, wall = _EAVES, dice.whole(86, 138), near(hue(code), dice, 0.05)
    canvas = sprite(unit, width + 2 * _EAVES, _GROUND)
    top, roof = dice.between(20, 46), near(hue(dice.of(_ROOFS)), dice)
    _roof(canvas, x, width, top, roof, wall, dice)
    canvas.box(x, top, x + width, _GROUND, wall)
    canvas.box(x, top, x + 5, _GROUND, lit(wall, 0.9))
    canvas.box(x - 2, top - 3, x + width + 2, top + 3, lit(wall, 1.16))
    canvas.box(x, top + 3, x + width, top + 6, lit(wall, 0.82))
    shop = _GROUND - 62
    canvas.box(x, shop - 4, x + width, shop, lit(wall, 1.14))
    canvas.box(x, shop, x + width, shop + 2, lit(wall, 0.8))
    count = max(2, int(width // dice.between(36, 46)))
    floors = 2 if top > 34 and dice.chance(0.6) else 3
    step = (shop - 6 - top - 10) / floors
    shutter = near(hue(dice.of(_SHUTTERS)), dice) if dice.chance(0.6) else None
    glass = hue(dice.of(("3d5266", "4a5f6e", "5a6b70")))
    for floor in range(floors):
        y = top + 11 + floor * step
        for i in range(count):
            cx = x + width * (i + 0.5) / count
            _window(canvas, cx, y, min(9.5, width / count * 0.24), min(step * 0.72, 46), wall, glass, shutter, dice)
    _shop(canvas, x + 5, shop + 6, x + width - 5, wall, dice)
    left, right, split = round(x * unit), round((x + width) * unit), round(_BODY * unit)
    house = canvas.cut()
    body = house.part(left, split, right, round(_GROUND * unit))
    return house.part(0, 0, canvas.image.width, split), Sprite(body.colors)


def _roof(canvas: Canvas, x: float, width: float, top: float, roof: RGB, wall: RGB, dice: Dice) -> None:
    kind, peak = dice.whole(0, 2), dice.between(14, 30)
    if dice.chance(0.6):
        cx = x + width * dice.between(0.2, 0.75)
        canvas.box(cx, top - peak - 8, cx + 9, top, lit(hue("8d5a48"), 0.9))
        canvas.box(cx - 1.5, top - peak - 10, cx + 10.5, top - peak - 7, hue("6d4a40"))
    if kind == 0:
        points = [(x - 3, top), (x + width + 3, top), (x + width / 2, top - peak * 1.5)]
    else:
        points = [(x - 3, top), (x + width + 3, top), (x + width - 9, top - peak), (x + 9, top - peak)]
    canvas.poly(points, roof)
    if kind == 1:  # dormers
        for share in (0.3, 0.7):
            cx = x + width * share
            canvas.poly([(cx - 8, top - peak * 0.6), (cx + 8, top - peak * 0.6), (cx, top - peak - 3)], lit(roof, 0.8))
            canvas.box(cx - 6, top - peak * 0.6, cx + 6, top, lit(wall, 1.1))
            canvas.box(cx - 3.5, top - peak * 0.5, cx + 3.5, top - 3, hue("46586a"))


def _window(
    canvas: Canvas, x: float, y: float, half: float, tall: float, wall: RGB, glass: RGB, shutter: RGB | None, dice: Dice
) -> None:
    frame = lit(wall, 1.25)
    canvas.box(x - half - 2, y - 2, x + half + 2, y + tall + 1, frame)
    canvas.box(x - half, y, x + half, y + tall, glass)
    mood = dice.whole(0, 5)
    if mood == 0:  # curtains
        curtain = hue("e9e2d2")
        canvas.poly([(x - half, y), (x - half * 0.1, y), (x - half, y + tall * 0.9)], curtain)
        canvas.poly([(x + half, y), (x + half * 0.1, y), (x + half, y + tall * 0.9)], curtain)
    elif mood < 3:  # the sky in the glass
        canvas.poly(
            [(x - half, y + tall * 0.55), (x + half, y + tall * 0.1), (x + half, y), (x - half, y)], lit(glass, 1.6)
        )
    canvas.box(x - 0.6, y, x + 0.6, y + tall, frame)
    canvas.box(x - half, y + tall * 0.42, x + half, y + tall * 0.42 + 1.1, frame)
    canvas.box(x - half - 3, y + tall + 1, x + half + 3, y + tall + 3.4, lit(wall, 1.12))
    canvas.box(x - half - 3, y + tall + 3.4, x + half + 3, y + tall + 5, lit(wall, 0.8))
    if shutter:
        for side in (-1, 1):
            a, b = x + side * (half + 2), x + side * (half * 1.75 + 2)
            canvas.box(min(a, b), y - 1, max(a, b), y + tall + 1, shutter)
            canvas.box(min(a, b) + 1, y + tall * 0.48, max(a, b) - 1, y + tall * 0.52, lit(shutter, 0.7))
    if dice.chance(0.22):  # a flower box
        canvas.box(x - half - 1, y + tall - 2, x + half + 1, y + tall + 3, hue("7a5236"))
        bloom = dice.of(props.FLOWERS)
        for k in range(5):
            canvas.disc(x - half + k * half / 2, y + tall - 3, 2.5, hue("5d8a48"))
            canvas.disc(x - half + k * half / 2 + dice.between(-1, 1), y + tall - 4.4, 1.5, bloom)


def _shop(canvas: Canvas, x0: float, top: float, x1: float, wall: RGB, dice: Dice) -> None:
    """The ground floor: a door, and a shop window under an awning, or an arch."""
    wood = near(hue(dice.of(("5c3f2e", "2f4a4a", "6b2f2c", "3a4658", "4a4038"))), dice)
    door = x0 + 4 if dice.chance(0.5) else x1 - 24
    if dice.chance(0.7):
        a, b = (door + 26, x1 - 2) if door < (x0 + x1) / 2 else (x0 + 2, door - 6)
        canvas.box(a - 2, top + 8, b + 2, _GROUND, wood)
        canvas.box(a, top + 12, b, _GROUND - 10, mix(hue("e8d9a8"), hue("54656c"), dice.between(0.2, 0.8)))
        for k in range(3):
            px = a + (b - a) * (k + 0.5) / 3
            canvas.round_box(px - 4, _GROUND - 22, px + 4, _GROUND - 10, 2, near(dice.of(props.COATS), dice))
        canvas.box((a + b) / 2 - 0.7, top + 12, (a + b) / 2 + 0.7, _GROUND - 10, wood)
        color, stripes = near(hue(dice.of(("b8453f", "4d7a5e", "3f6a92", "d09a3a", "8a5a7a"))), dice), 7
        for k in range(stripes):
            left, right = a - 3 + (b - a + 6) * k / stripes, a - 3 + (b - a + 6) * (k + 1) / stripes
            shade = color if k % 2 else hue("f1ead9")
            canvas.poly([(left, top + 4), (right, top + 4), (right, top + 19), (left, top + 19)], shade)
            canvas.pie((left + right) / 2, top + 19, (right - left) / 2, 0, 180, lit(shade, 0.88), 3)
    else:
        cx = (x0 + x1) / 2 + (10 if door < (x0 + x1) / 2 else -10)
        canvas.pie(cx, top + 26, 17, 180, 360, lit(wall, 0.62))
        canvas.box(cx - 17, top + 26, cx + 17, _GROUND, lit(wall, 0.62))
        canvas.pie(cx, top + 28, 13, 180, 360, lit(wall, 0.4))
        canvas.box(cx - 13, top + 28, cx + 13, _GROUND, lit(wall, 0.4))
    canvas.box(door - 2, top + 8, door + 22, _GROUND, lit(wall, 1.15))
    canvas.box(door, top + 10, door + 20, _GROUND, wood)
    canvas.box(door + 3, top + 13, door + 17, top + 24, hue("5a6a72"))
    canvas.disc(door + 17, top + 40, 1.1, hue("d8b860"))


def _bicycle(canvas: Canvas, x: float, foot: float, dice: Dice) -> None:
    color, u = near(hue(dice.of(("8b3f3c", "3f6a72", "2e3440", "c9a15a"))), dice), canvas.unit
    for cx in (x - 14, x + 14):
        canvas.pen.ellipse(((cx - 9) * u, (foot - 18) * u, (cx + 9) * u, foot * u), outline=hue("2a2a2c"), width=3)
    canvas.line(
        [(x - 14, foot - 9), (x - 4, foot - 22), (x + 9, foot - 22), (x - 1, foot - 9), (x - 14, foot - 9)], 1.5, color
    )
    canvas.line([(x - 1, foot - 9), (x - 5, foot - 26)], 1.5, color)
    canvas.line([(x + 14, foot - 9), (x + 8, foot - 28), (x + 13, foot - 29)], 1.5, color)
    canvas.box(x - 9, foot - 28, x - 1, foot - 26, hue("2a2422"))
