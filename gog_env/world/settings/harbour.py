"""A harbour: sea and far coast, sails, fishing boats, a quay with crates and gulls; banners on masts and lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from gog_env.world.settings import props
from gog_env.world.settings.brushes import RGB, Canvas, Dice, Sprite, Zone, hue, lit, mix, near, sprite

_DAYS = (  # sky above, sky at the horizon, sea far, sea near
    ("5f9fce", "dcecee", "7fb0bd", "2f6a86"),
    ("86b0c4", "f2ead2", "9cb8b0", "43707c"),
    ("8f9fc4", "f6d4b4", "b0a8b4", "4f6484"),
    ("e09a70", "fae0ae", "c8a890", "5f6a84"),
    ("a3b4bc", "e4e8e4", "a4b8ba", "54707a"),
)
_HULLS = ("a8403a", "2f5a78", "3f6a52", "e6dcc6", "37373c", "c98a3a")
HORIZON = 168.0
_QUAY = 284.0
BOATS = 40
"""How many boats there are; which ones lie in a picture is thrown."""


def paint(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints sky, coast, sea and boats."""
    top, low, far, close = map(hue, dice.of(_DAYS))
    wide = canvas.wide
    canvas.ramp(0, HORIZON, [top, mix(top, low, 0.55), low])
    sun = dice.between(20, wide - 20)
    canvas.glow(sun, dice.between(40, 140), 80, (255, 250, 228), 0.8)
    props.clouds(canvas, 18, 120, mix(low, (255, 255, 255), 0.6), dice, dice.whole(3, 5))
    _coast(canvas, mix(hue("5f7a6a"), low, 0.45), low, dice)
    canvas.ramp(HORIZON, _QUAY + 4, [far, mix(far, close, 0.6), close])
    canvas.glow(sun, HORIZON + 20, 60, (255, 250, 228), 0.5, 0.5)
    for _ in range(46):  # ripples, longer towards us
        y = HORIZON + 3 + (_QUAY - HORIZON) * dice.between(0, 1) ** 1.4
        half = 2 + (y - HORIZON) * 0.1
        x, shade = dice.between(0, wide), mix(far, close, (y - HORIZON) / 120)
        canvas.line(
            [(x - half, y), (x + half, y)], 0.5 + (y - HORIZON) * 0.011, lit(shade, dice.of((0.86, 1.16, 1.22)))
        )
    for _ in range(dice.whole(1, 3)):
        y = dice.between(HORIZON + 3, HORIZON + 18)
        _sail(canvas, dice.between(10, wide - 10), y, 18 + (y - HORIZON) * 1.6, mix(hue("f4ecdc"), low, 0.25), dice)
    for y in sorted(dice.between(HORIZON + 34, _QUAY - 14) for _ in range(dice.whole(1, 3))):
        canvas.stamp(_boat(canvas.unit, dice.whole(0, BOATS - 1)), dice.between(-30, wide - 60), y - 74)


def front(canvas: Canvas, dice: Dice, taken: Sequence[Zone]) -> None:
    """Paints the quay and what stands on it, and gulls."""
    wide, stone = canvas.wide, near(hue(dice.of(("a39a8c", "8f8a84", "b5a68e"))), dice, 0.04)
    canvas.ramp(_QUAY + 6, 336, [lit(stone, 1.02), lit(stone, 0.82)])
    canvas.box(0, _QUAY, wide, _QUAY + 6, lit(stone, 1.18))
    canvas.box(0, _QUAY + 6, wide, _QUAY + 8, lit(stone, 0.7))
    x = -dice.between(0, 50)
    while x < wide:
        canvas.line([(x, _QUAY + 8), (x + (x - wide / 2) * 0.2, 336)], 0.8, lit(stone, 0.72))
        x += dice.between(44, 60)
    canvas.line([(0, 306), (wide, 306)], 0.8, lit(stone, 0.72))
    for _ in range(dice.whole(1, 2)):
        _bollard(canvas, dice.between(16, wide - 16), 298)
    x = dice.of((dice.between(4, 40), dice.between(wide - 120, wide - 90)))
    for k in range(dice.whole(1, 3)):
        props.crate(canvas, x + k * 30, 324, 28, 22, dice)
    if dice.chance(0.5):
        props.crate(canvas, x + 12, 302, 26, 20, dice)
    if dice.chance(0.6):
        props.barrel(canvas, dice.between(10, wide - 36), 326, 22, 30, dice)
    props.people(canvas, dice, taken, dice.whole(1, 3), (300, 328), (66, 86), hue("3a342e"))
    for _ in range(dice.whole(2, 6)):
        props.gull(canvas, dice.between(10, wide - 10), dice.between(14, 190), dice.between(5, 10), hue("f6f4ee"), dice)


def hull(canvas: Canvas, x: float, y: float, half: float, color: RGB) -> None:
    """A small boat with a mast at `x`; `y`: its waterline. For `hanging`, where banners fly from masts."""
    canvas.poly(
        [
            (x - half, y - half * 0.34),
            (x + half * 1.05, y - half * 0.42),
            (x + half * 0.8, y + 1),
            (x - half * 0.82, y + 1),
        ],
        color,
    )
    canvas.poly(
        [
            (x - half * 0.9, y - half * 0.12),
            (x + half * 0.93, y - half * 0.14),
            (x + half * 0.8, y + 1),
            (x - half * 0.82, y + 1),
        ],
        lit(color, 0.72),
    )
    canvas.line([(x - half, y - half * 0.34), (x + half * 1.05, y - half * 0.42)], 1.6, hue("f0e6d0"))
    canvas.poly(
        [
            (x - half * 0.8, y + 1),
            (x + half * 0.8, y + 1),
            (x + half * 0.6, y + half * 0.22),
            (x - half * 0.6, y + half * 0.22),
        ],
        mix(lit(color, 0.5), hue("2f5a70"), 0.5),
    )
    canvas.line([(x - half * 1.1, y + 1.4), (x + half * 1.1, y + 1.4)], 1.2, hue("dfeaea"))


def _coast(canvas: Canvas, land: RGB, haze: RGB, dice: Dice) -> None:
    """Far hills, a village at their foot, perhaps a lighthouse."""
    wide = canvas.wide
    props.hills(canvas, 152, 9, mix(land, haze, 0.4), dice, HORIZON + 1)
    props.hills(canvas, 160, 5, land, dice, HORIZON + 1)
    x = dice.between(0, wide * 0.7)
    for _ in range(dice.whole(5, 12)):
        tall, broad = dice.between(5, 11), dice.between(6, 11)
        wall = mix(hue(dice.of(("f0e2cc", "e0b49a", "d8c8a8", "c8d0cc", "e8c8a8"))), haze, 0.3)
        canvas.box(x, HORIZON - tall, x + broad, HORIZON, wall)
        canvas.poly(
            [(x - 0.6, HORIZON - tall), (x + broad + 0.6, HORIZON - tall), (x + broad / 2, HORIZON - tall - 3.6)],
            mix(hue("a85a44"), haze, 0.3),
        )
        canvas.box(x + broad * 0.3, HORIZON - tall * 0.6, x + broad * 0.5, HORIZON - tall * 0.35, lit(wall, 0.6))
        x += broad + dice.between(0, 3)
    if dice.chance(0.5):
        x = dice.between(20, wide - 20)
        for k in range(4):
            color = mix(hue("f4eee2" if k % 2 else "b8453f"), haze, 0.2)
            a, b = 5.4 - k * 0.6, 5.4 - (k + 1) * 0.6
            y0, y1 = HORIZON - 1 - k * 9, HORIZON - 1 - (k + 1) * 9
            canvas.poly([(x - a, y0), (x + a, y0), (x + b, y1), (x - b, y1)], color)
        canvas.box(x - 3, HORIZON - 43, x + 3, HORIZON - 37, hue("fff0b0"))
        canvas.poly([(x - 4, HORIZON - 43), (x + 4, HORIZON - 43), (x, HORIZON - 48)], hue("5a4440"))


def _sail(canvas: Canvas, x: float, y: float, tall: float, cloth: RGB, dice: Dice) -> None:
    """A sailing boat far out."""
    way = 1 if dice.chance(0.5) else -1
    color = near(dice.of((cloth, cloth, mix(cloth, hue("c8643f"), 0.6))), dice, 0.04)
    canvas.line([(x, y), (x, y - tall)], 0.9, hue("6a5446"))
    canvas.poly(
        [(x + way, y - tall * 0.97), (x + way, y - tall * 0.14), (x + way * tall * 0.5, y - tall * 0.16)], color
    )
    canvas.poly(
        [(x - way, y - tall * 0.85), (x - way, y - tall * 0.14), (x - way * tall * 0.3, y - tall * 0.14)],
        lit(color, 0.88),
    )
    canvas.poly(
        [
            (x - tall * 0.32, y - tall * 0.1),
            (x + tall * 0.36, y - tall * 0.1),
            (x + tall * 0.26, y),
            (x - tall * 0.24, y),
        ],
        hue("5a463a"),
    )
    canvas.poly(
        [(x - tall * 0.1, y + 1), (x + tall * 0.3 * way, y + 1), (x + tall * 0.1 * way, y + tall * 0.28)],
        mix(color, hue("5f8a9a"), 0.65),
    )


@lru_cache(maxsize=BOATS)
def _boat(unit: float, number: int) -> Sprite:
    """A fishing boat with a cabin, 120 units wide and 92 high, its waterline at 74."""
    dice = Dice(1000 + number)
    canvas = sprite(unit, 124, 92)
    color, way = near(hue(dice.of(_HULLS)), dice), dice.of((1, -1))

    def at(x: float) -> float:
        return 62 + way * x

    mast = dice.between(6, 22)
    canvas.line([(at(12), 60), (at(12), mast)], 1.8, hue("6a5040"))
    canvas.line([(at(12), mast), (at(-44), 58)], 0.6, hue("4a4038"))
    canvas.line([(at(12), mast), (at(54), 50)], 0.6, hue("4a4038"))
    canvas.box(min(at(-30), at(-2)), 40, max(at(-30), at(-2)), 62, hue("efe6d4"))
    canvas.box(min(at(-33), at(1)), 37, max(at(-33), at(1)), 41, near(hue(dice.of(_HULLS)), dice))
    for k in (-25, -12):
        a, b = sorted((at(k), at(k + 8)))
        canvas.box(a, 45, b, 53, hue("4a6474"))
    canvas.poly([(at(-52), 60), (at(58), 50), (at(44), 75), (at(-46), 75)], color)
    canvas.poly([(at(-49), 69), (at(48), 67), (at(44), 75), (at(-46), 75)], lit(color, 0.7))
    canvas.line([(at(-52), 60), (at(58), 50)], 2.2, hue("f2e8d2"))
    for k in range(3):
        canvas.disc(at(-30 + k * 24), 67, 3.4, hue("e8dcc0"))
        canvas.disc(at(-30 + k * 24), 67, 1.7, lit(color, 0.6))
    canvas.poly([(at(-46), 75), (at(44), 75), (at(34), 86), (at(-36), 86)], mix(lit(color, 0.6), hue("3f6a7c"), 0.6))
    for k in range(4):
        y = 77.5 + k * 3
        canvas.line([(at(-48 + k * 6), y), (at(40 - k * 5), y)], 0.8, hue("a8c4c8"))
    canvas.line([(at(-56), 75.4), (at(52), 75.4)], 1.2, hue("e0ecec"))
    return canvas.cut()


def _bollard(canvas: Canvas, x: float, foot: float) -> None:
    iron = hue("35383c")
    canvas.box(x - 5, foot - 13, x + 5, foot, iron)
    canvas.round_box(x - 8, foot - 17, x + 8, foot - 11, 3, lit(iron, 1.25))
    for k in range(3):
        canvas.line([(x - 6, foot - 3 - k * 2.4), (x + 6, foot - 4 - k * 2.4)], 1.6, hue("c8b48a"))
