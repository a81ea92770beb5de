"""Dusk by a river: a glowing sky, a town with lit windows, lamps and strings of bulbs; banners in warm light."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Sprite, Zone, hue, lit, mix, near, sprite

_EVENINGS = (  # sky from above to the horizon
    ("2b3a6b", "6a5a94", "d87f7a", "f6c283"),
    ("1f2f5a", "4a5590", "a978a0", "f0a890"),
    ("3a4a7c", "8a7aa4", "f0a07a", "fbdc9a"),
    ("243f5c", "4f7a8c", "c8a890", "f6d09a"),
    ("2f2a58", "6f4a84", "d0607a", "f8a868"),
)
_WARM = tuple(map(hue, ("ffd98a", "ffe6ae", "ffb868", "ffcf78")))
_SHORE = 226.0
_BLOCK, _TALL = 118.0, (110.0, 86.0)
BLOCKS = 12
"""How many blocks of houses there are in each light; which ones make a skyline is thrown."""


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints the sky, the town on the other bank, and the river."""
    palette = dice.whole(0, len(_EVENINGS) - 1)
    evening = [hue(code) for code in _EVENINGS[palette]]
    wide = canvas.wide
    canvas.ramp(0, _SHORE, evening)
    for _ in range(22):
        canvas.disc(
            dice.between(0, wide), dice.between(0, 90), dice.between(0.4, 0.9), mix(evening[0], (255, 255, 255), 0.7)
        )
    if dice.chance(0.5):
        x, y, size = dice.between(30, wide - 30), dice.between(24, 70), dice.between(9, 14)
        canvas.glow(x, y, size * 4, (255, 244, 214), 0.5)
        canvas.disc(x, y, size, (255, 246, 222))
    else:
        canvas.glow(dice.between(40, wide - 40), _SHORE - 12, 80, (255, 226, 160), 0.9, 0.6)
    for k in range(dice.whole(2, 4)):  # bars of cloud, lit from below
        x, y, half = dice.between(0, wide), dice.between(50, 150), dice.between(50, 110)
        color = mix(evening[2], evening[1], 0.5 - 0.1 * k)
        canvas.disc(x, y, half, color, 3.2)
        canvas.disc(x + half * 0.4, y + 4, half * 0.6, lit(color, 1.12), 2.4)
    for row in (0, 1):
        x = -dice.between(0, _BLOCK)
        while x < wide:
            canvas.stamp(_town(canvas.unit, row, dice.whole(0, BLOCKS - 1), palette), x, _SHORE - _TALL[row])
            x += _BLOCK - 3
    canvas.box(0, _SHORE - 3, wide, _SHORE, lit(mix(evening[0], evening[1], 0.5), 0.45))
    water = [mix(evening[2], evening[0], 0.45), lit(evening[0], 0.8)]
    canvas.ramp(_SHORE, 292, water)
    for _ in range(34):  # lights in the water
        x, y = dice.between(0, wide), dice.between(_SHORE + 2, 288)
        half = 1.5 + (y - _SHORE) * 0.09
        canvas.line(
            [(x - half, y), (x + half, y)], 1, mix(water[0], dice.of((evening[3], *_WARM)), dice.between(0.3, 0.8))
        )


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints the promenade with lamps, strings of bulbs and people who stroll."""
    wide, ground = canvas.wide, hue(dice.of(("4a4658", "544a52", "40465a")))
    canvas.ramp(290, 336, [lit(ground, 1.05), lit(ground, 0.8)])
    canvas.box(0, 288, wide, 292, lit(ground, 1.3))
    rail = hue("23222e")
    canvas.box(0, 268, wide, 270, rail)
    for k in range(int(wide / 9) + 1):
        canvas.box(k * 9, 269, k * 9 + 1, 289, rail)
    step = dice.between(110, 170)
    x = dice.between(10, step)
    while x < wide:
        canvas.glow(x, 304, 60, (255, 206, 130), 0.55, 0.3)
        canvas.glow(x, 180, 50, (255, 214, 140), 0.75)
        props.lamp(canvas, x, 304, 130, (255, 240, 196), dice)
        x += step * dice.between(0.9, 1.15)
    if dice.chance(0.75):
        y = dice.between(0, 14)
        bulbs = dice.of((_WARM, (*_WARM[:2], *map(hue, ("ff9a8a", "9fd0e8")))))
        points = props.sag((-4, y), (wide + 4, y + dice.between(-8, 8)), dice.between(8, 26), 14)
        for px, py in points[1:-1]:
            canvas.glow(px, py + 2, 10, (255, 214, 140), 0.7)
        props.lights(canvas, points[0], points[-1], points[7][1] - (points[0][1] + points[-1][1]) / 2, bulbs, dice)
    air = (hue("201e34"), 0.36)
    props.people(canvas, dice, taken, dice.whole(2, 5), (302, 330), (66, 86), hue("16141e"), air=air)


@lru_cache(maxsize=2 * BLOCKS * len(_EVENINGS))
def _town(unit: float, row: int, number: int, palette: int) -> Sprite:
    """A few houses and towers with lit windows; `row`: 0 far, 1 near."""
    dice, foot = Dice(2000 + 2 * number + row), _TALL[row]
    above, middle, low, _ = (hue(code) for code in _EVENINGS[palette])
    color = lit(mix(above, middle, 0.5), 0.62) if row else lit(mix(middle, low, 0.45), 0.8)
    canvas = sprite(unit, _BLOCK, foot)
    x, least, most = 0.0, *((22, 58) if row else (34, 82))
    while x < _BLOCK - 6:
        broad, tall = dice.between(16, 40), dice.between(least, most)
        broad = _BLOCK - x if _BLOCK - x - broad < 14 else broad
        top, shade = foot - tall, near(color, dice, 0.05)
        canvas.box(x, top, x + broad, foot, shade)
        _roof(canvas, x, top, broad, shade, dice.whole(0, 5))
        for j in range(int(tall / 8)):
            for i in range(int(broad / 7)):
                if dice.chance(0.42 if row else 0.3):
                    wx, wy = x + 3 + i * 7, top + 4 + j * 8
                    canvas.box(wx, wy, wx + 2.6, wy + 3.8, mix(shade, dice.of(_WARM), dice.between(0.45, 1)))
        x += broad
    hidden = 0 if row else 22 * unit  # the foot of the far houses is behind the near ones
    return canvas.cut().part(0, 0, canvas.image.width, round(canvas.image.height - hidden))


def _roof(canvas: Canvas, x: float, top: float, broad: float, shade: RGB, kind: int) -> None:
    if kind == 0:
        canvas.poly([(x, top), (x + broad, top), (x + broad / 2, top - broad * 0.5)], shade)
    elif kind == 1:
        canvas.poly([(x + broad * 0.3, top), (x + broad * 0.7, top), (x + broad / 2, top - 26)], shade)
    elif kind == 2:
        canvas.pie(x + broad / 2, top + 1, broad * 0.42, 180, 360, shade)
        canvas.line([(x + broad / 2, top - broad * 0.4), (x + broad / 2, top - broad * 0.4 - 9)], 1.2, shade)
    elif kind == 3:
        canvas.box(x + broad * 0.2, top - 7, x + broad * 0.5, top, shade)
