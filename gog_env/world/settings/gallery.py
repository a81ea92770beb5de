"""A gallery: painted walls and a polished floor, pictures in frames, visitors; banners framed or on rods."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sin

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Zone, hue, lit, mix, near, ring

_WALLS = ("8f3f3c", "4f6a5e", "c9bda4", "5c6d84", "d8cfc0", "7d5c6a", "a8937a", "3f5560", "b5a08a")
_WOODS = ("8a623f", "a67c4e", "6e4d36", "b38d62")
_GILT = ("b08d4a", "8c6a2f", "3a2f28", "cfae6a", "6b4a30")
_FLOOR = 278.0


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints wall, floor and pictures, these clear of the banners."""
    wall, wide = near(hue(dice.of(_WALLS)), dice, 0.05), canvas.wide
    canvas.ramp(0, 216, [lit(wall, 0.86), lit(wall, 1.06)])
    for x0, y0, x1, y1 in taken:  # lamps above shine on what hangs here
        reach = (x1 - x0) * 0.8 + 8
        canvas.glow((x0 + x1) / 2, (y0 + y1) / 2 - 6, reach, lit(mix(wall, (255, 240, 210), 0.25), 1.15), 0.55, 0.85)
    canvas.box(0, 0, wide, 8, mix(wall, (250, 246, 236), 0.75))
    canvas.box(0, 8, wide, 10.5, lit(wall, 0.6))
    _wainscot(canvas, wall, dice)
    _floor(canvas, dice)
    canvas.line([(0, 17), (wide, 17)], 1.6, hue("2c2a2a"))
    for k in range(5):
        x = wide * (k + 0.5) / 5
        canvas.poly([(x - 4, 17), (x + 4, 17), (x + 6.5, 27), (x - 6.5, 27)], hue("2c2a2a"))
        canvas.disc(x, 27, 6.3, hue("fff3d0"), 1.8)
    hung: list[Zone] = []
    for _ in range(14):
        width, ratio = dice.between(34, 74), dice.of((0.75, 0.8, 1.0, 1.3, 1.45))
        height = min(width / ratio, 84)
        x, y = dice.between(12, wide - width - 12), dice.between(36, 205 - height)
        box = (x - 15, y - 14, x + width + 15, y + height + 14)
        if len(hung) < 4 and not any(_meet(box, other) for other in [*taken, *hung]):
            _picture(canvas, x, y, width, height, wall, dice)
            hung.append((x - 6, y - 6, x + width + 6, y + height + 6))


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints visitors and what stands on the floor."""
    wide = canvas.wide
    if dice.chance(0.6):
        _bench(canvas, dice.between(60, wide - 130), dice.between(312, 324), dice)
    if dice.chance(0.5):
        x = props.free(canvas, dice, taken, 20, 200)
        if x is not None:
            _plinth(canvas, x, 296, dice)
    props.people(canvas, dice, taken, dice.whole(1, 4), (292, 330), (78, 99), hue("2a1c12"), away=0.8)
    if dice.chance(0.4):
        props.pot(canvas, dice.of((16.0, wide - 16)), 294, 20, dice)
    if dice.chance(0.4):  # a rope on brass posts
        xs = [wide * (k + dice.between(0.4, 0.6)) / 4 for k in range(4)]
        for a, b in zip(xs, xs[1:], strict=False):
            canvas.line(props.sag((a, 271), (b, 271), 7), 2.2, hue("8f2f35"))
        for x in xs:
            canvas.box(x - 1.3, 268, x + 1.3, 297, hue("c8a456"))
            canvas.disc(x, 268, 2.4, hue("e0c070"))
            canvas.disc(x, 297, 6, hue("a8863e"), 1.8)


def _meet(a: Zone, b: Zone) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _wainscot(canvas: Canvas, wall: RGB, dice: Dice) -> None:
    panel, wide = mix(wall, dice.of(((246, 240, 228), (60, 46, 38), wall)), 0.55), canvas.wide
    canvas.box(0, 216, wide, _FLOOR, panel)
    canvas.box(0, 214, wide, 218, lit(panel, 1.12))
    canvas.box(0, 218, wide, 220, lit(panel, 0.8))
    step = dice.between(52, 74)
    x = -dice.between(0, step)
    while x < wide:
        canvas.box(x + 6, 227, x + step - 6, 265, lit(panel, 0.86))
        canvas.box(x + 7.4, 228.4, x + step - 6, 265, lit(panel, 1.1))
        canvas.box(x + 7.4, 228.4, x + step - 7.4, 263.6, lit(panel, 0.97))
        x += step
    canvas.box(0, 270, wide, _FLOOR, lit(panel, 1.08))
    canvas.box(0, 276.5, wide, _FLOOR + 1, lit(panel, 0.55))


def _floor(canvas: Canvas, dice: Dice) -> None:
    """Boards that run towards a point far behind the wall, with the sheen of lamps."""
    wood, wide = near(hue(dice.of(_WOODS)), dice), canvas.wide
    canvas.ramp(_FLOOR + 1, 336, [lit(wood, 0.72), lit(wood, 1.05)])
    middle = wide * dice.between(0.35, 0.65)
    for k in range(-14, 15):
        far, close = middle + k * 24, middle + k * 40
        shade = lit(wood, dice.between(0.82, 1.02))
        points = [(far, _FLOOR + 1), (far + 24, _FLOOR + 1), (close + 40, 336), (close, 336)]
        if k % 2:
            canvas.poly(points, shade)
        canvas.line([points[0], points[3]], 0.7, lit(wood, 0.62))
    for k in range(3):
        canvas.glow(wide * (k + 0.5) / 3, 303, 60, lit(mix(wood, (255, 236, 200), 0.4), 1.2), 0.4, 0.3)


def _picture(canvas: Canvas, x: float, y: float, width: float, height: float, wall: RGB, dice: Dice) -> None:
    """A painting in its frame: a landscape, the sea, a portrait, fruit, or something abstract."""
    gilt = near(hue(dice.of(_GILT)), dice)
    canvas.box(x - 3, y - 2, x + width + 8, y + height + 9, lit(wall, 0.6))
    canvas.box(x - 5, y - 5, x + width + 5, y + height + 5, gilt)
    canvas.box(x - 3.6, y - 3.6, x + width + 5, y + height + 5, lit(gilt, 0.72))
    canvas.box(x - 3.6, y - 3.6, x + width + 3.6, y + height + 3.6, lit(gilt, 1.25))
    canvas.box(x - 1.4, y - 1.4, x + width + 1.4, y + height + 1.4, lit(gilt, 0.55))
    inner = props.inset(canvas, width, height)
    {0: _landscape, 1: _sea, 2: _portrait, 3: _fruit, 4: _abstract}[dice.whole(0, 4)](inner, width, height, dice)
    canvas.stamp(inner.cut(solid=True), x, y)
    canvas.box(x + width / 2 - 7, y + height + 11, x + width / 2 + 7, y + height + 15, hue("d8cfae"))


def _landscape(canvas: Canvas, width: float, height: float, dice: Dice) -> None:
    sky, land = dice.of((("c8d8dc", "7d8a52"), ("f0d6a8", "8a7a4a"), ("a8bfd0", "5f7a5c"), ("e8c0a0", "6a5a68")))
    canvas.ramp(0, height, [lit(hue(sky), 0.85), lit(hue(sky), 1.1)])
    canvas.disc(width * dice.between(0.2, 0.8), height * 0.32, height * 0.09, hue("fbeecb"))
    for k in range(3):
        base = height * (0.55 + 0.16 * k)
        phase, color = dice.between(0, 6), mix(hue(sky), hue(land), 0.45 + 0.27 * k)
        line = [(width * i / 10, base + height * 0.08 * sin(i * 0.7 + phase)) for i in range(11)]
        canvas.poly([(0, height), *line, (width, height)], color)
    for _ in range(4):
        tx, ty = dice.between(0, width), height * dice.between(0.66, 0.86)
        canvas.disc(tx, ty, height * 0.06, lit(hue(land), 0.6), height * 0.09)


def _sea(canvas: Canvas, width: float, height: float, dice: Dice) -> None:
    canvas.ramp(0, height * 0.5, [hue("8fa8b8"), hue("e8dcc0")])
    canvas.ramp(height * 0.5, height, [hue("6a8f9a"), hue("35566a")])
    x, s = width * dice.between(0.3, 0.7), height * 0.3
    canvas.poly([(x, height * 0.5 - s), (x, height * 0.56), (x + s * 0.6, height * 0.54)], hue("f2ead8"))
    canvas.poly([(x - 1, height * 0.5 - s * 0.8), (x - 1, height * 0.55), (x - s * 0.4, height * 0.54)], hue("d8cdb4"))
    canvas.poly(
        [
            (x - s * 0.5, height * 0.58),
            (x + s * 0.7, height * 0.58),
            (x + s * 0.45, height * 0.66),
            (x - s * 0.3, height * 0.66),
        ],
        hue("4a3528"),
    )
    for _ in range(7):
        wx, wy = dice.between(0, width), height * dice.between(0.6, 0.98)
        canvas.line([(wx - width * 0.06, wy), (wx + width * 0.06, wy)], 0.7, hue("b8d0d0"))


def _portrait(canvas: Canvas, width: float, height: float, dice: Dice) -> None:
    ground = hue(dice.of(("4a3a30", "3a4640", "5a4a58", "6a5a40")))
    canvas.box(0, 0, width, height, ground)
    canvas.glow(width * 0.4, height * 0.4, height * 0.6, lit(ground, 1.8), 0.7)
    size, x = height * 0.17, width / 2
    coat, skin, hair = near(dice.of(props.COATS), dice), dice.of(props.SKINS), dice.of(props.HAIRS)
    canvas.pie(x, height * 1.02, size * 2.1, 180, 360, lit(coat, 0.75), height * 0.42)
    canvas.poly([(x - size * 0.7, height * 0.63), (x + size * 0.7, height * 0.63), (x, height * 0.84)], hue("ece4d2"))
    canvas.disc(x, height * 0.38, size * 1.15, hair, size * 1.4)
    canvas.disc(x, height * 0.42, size * 0.86, skin, size * 1.15)
    canvas.pie(x, height * 0.36, size * 0.95, 180, 360, hair, size)
    for side in (-1, 1):
        canvas.disc(x + side * size * 0.34, height * 0.42, 0.8, hue("2a2220"))


def _fruit(canvas: Canvas, width: float, height: float, dice: Dice) -> None:
    canvas.ramp(0, height * 0.66, [hue("4a4238"), hue("75664e")])
    canvas.box(0, height * 0.66, width, height, hue("8a6a48"))
    size = min(width, height) * 0.13
    for k in range(5):
        color = hue(dice.of(("b8402f", "d88a2f", "8a9a3a", "e0b84a", "6a3048")))
        x, y = width / 2 + (k % 3 - 1) * size * 1.7 + (k // 3) * size * 0.8, height * 0.62 - (k // 3) * size * 1.3
        canvas.disc(x, y, size, color)
        canvas.disc(x - size * 0.3, y - size * 0.3, size * 0.3, lit(color, 1.4))
    canvas.pie(width / 2, height * 0.66, size * 3.1, 0, 180, hue("d8d2c4"), size * 1.6)


def _abstract(canvas: Canvas, width: float, height: float, dice: Dice) -> None:
    canvas.box(0, 0, width, height, hue("e8e0d0"))
    colors = ("b8503f", "3f5a70", "d8a848", "2f2c2c", "7a9080")
    for _ in range(5):
        x, y, r = dice.between(0, width), dice.between(0, height), height * dice.between(0.08, 0.3)
        color, kind = hue(dice.of(colors)), dice.whole(0, 2)
        if kind == 0:
            canvas.disc(x, y, r, color)
        elif kind == 1:
            canvas.poly(ring(x, y, r, 3, dice.between(0, 2 * pi)), color)
        else:
            canvas.line([(x - r, y + r), (x + r, y - r * 0.4)], 1.6, color)


def _bench(canvas: Canvas, x: float, foot: float, dice: Dice) -> None:
    wood, wide = near(hue(dice.of(("4a3628", "2f2c2c", "7a5a3c"))), dice), dice.between(64, 92)
    canvas.glow(x + wide / 2, foot + 2, wide * 0.6, hue("1c120a"), 0.6, 0.12)
    for leg in (x + 6, x + wide - 10):
        canvas.box(leg, foot - 15, leg + 4, foot, lit(wood, 0.7))
    canvas.round_box(x, foot - 20, x + wide, foot - 13, 2, wood)
    canvas.round_box(x, foot - 21, x + wide, foot - 17.5, 1.5, lit(wood, 1.3))


def _plinth(canvas: Canvas, x: float, foot: float, dice: Dice) -> None:
    stone = hue("d8d2c6")
    canvas.box(x - 13, foot - 50, x + 13, foot, stone)
    canvas.box(x + 4, foot - 50, x + 13, foot, lit(stone, 0.85))
    canvas.box(x - 16, foot - 54, x + 16, foot - 49, lit(stone, 1.06))
    canvas.box(x - 16, foot - 5, x + 16, foot, lit(stone, 0.95))
    glaze = near(hue(dice.of(("3f6a8a", "a8503c", "4f7a62", "c9a24b"))), dice)
    canvas.disc(x, foot - 69, 9.5, glaze, 13)
    canvas.disc(x - 3, foot - 72, 2.6, lit(glaze, 1.5), 5)
    canvas.box(x - 3.6, foot - 86, x + 3.6, foot - 78, glaze)
    canvas.box(x - 5.5, foot - 87.5, x + 5.5, foot - 85, lit(glaze, 1.2))
