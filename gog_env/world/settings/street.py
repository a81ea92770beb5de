"""A street: a row of painted houses under the sky."""

from __future__ import annotations

from gog_env.world.settings.brushes import Canvas, Dice, hue, lit, mix, near

_WALLS = ("d9b48f", "c98f6b", "e3cfa4", "a9b7a0", "c7a7a0", "b7c3cc", "d8c7b8", "b5705c")


def paint(canvas: Canvas, dice: Dice) -> None:
    """Paints houses, windows and the pavement."""
    canvas.ramp(0, 150, [hue("8fb7d8"), hue("dfe9ee")])
    x, wide = -dice.between(0, 60), canvas.wide
    while x < wide:
        width = dice.between(80, 130)
        wall = near(hue(dice.of(_WALLS)), dice)
        roof = dice.between(8, 50)
        canvas.box(x, roof, x + width, 280, wall)
        canvas.poly(
            [(x - 4, roof), (x + width + 4, roof), (x + width - 8, roof - 26), (x + 8, roof - 26)], hue("8a4b3a")
        )
        count = max(1, int(width // 42))
        for floor in range(3):
            y = roof + 18 + floor * 78
            for i in range(count):
                cx = x + width * (i + 0.5) / count
                canvas.box(cx - 13, y, cx + 13, y + 44, lit(wall, 1.12))
                canvas.box(cx - 10, y + 3, cx + 10, y + 41, mix(hue("33485c"), hue("9fc0d0"), dice.between(0, 0.6)))
        x += width
    canvas.box(0, 276, wide, 336, hue("8d8a84"))
