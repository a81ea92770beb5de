"""Things that may hide a corner of a banner: leaves, lanterns, balloons, birds; each a small RGBA picture."""

from __future__ import annotations

from math import cos, pi, sin

from PIL import Image, ImageDraw

from gog_env.world.settings.brushes import Dice, hue, lit, near, ring

_FINE = 2


def _leaves(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    green = hue(dice.of(("4f7a3a", "6b8f3f", "2f5c3c", "8a9a3c", "b0752f")))
    pen.line([(r * 0.1, r * 1.9), (r, r)], fill=hue("4a3a2a"), width=3)
    for k in range(9):
        angle, far = k * 2.4, r * 0.75 * ((k + 0.5) / 9) ** 0.5
        x, y, long = r + far * cos(angle), r + far * sin(angle), r * 0.42
        turn = dice.between(0, 2 * pi)
        tip, side = (long * cos(turn), long * sin(turn)), (-long * 0.4 * sin(turn), long * 0.4 * cos(turn))
        points = [
            (x - tip[0], y - tip[1]),
            (x + side[0], y + side[1]),
            (x + tip[0], y + tip[1]),
            (x - side[0], y - side[1]),
        ]
        pen.polygon(points, fill=near(green, dice, 0.2))


def _lantern(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    glow = hue(dice.of(("e2483a", "f0a030", "f4d06a", "e87a5a", "f2efe2")))
    pen.line([(r, 0), (r, r * 0.4)], fill=hue("33302c"), width=2)
    pen.ellipse((r * 0.25, r * 0.4, r * 1.75, r * 1.7), fill=glow)
    pen.ellipse((r * 0.55, r * 0.4, r * 1.45, r * 1.7), fill=lit(glow, 1.14))
    pen.rectangle((r * 0.7, r * 0.32, r * 1.3, r * 0.46), fill=hue("3a2a20"))
    pen.rectangle((r * 0.7, r * 1.64, r * 1.3, r * 1.78), fill=hue("3a2a20"))


def _balloon(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    color = hue(dice.of(("d94f4f", "4f8fd9", "f0b840", "7bbf6a", "c77fd0", "f08fa8")))
    pen.line([(r, r * 1.6), (r * 0.9, r * 2)], fill=hue("e8e4dc"), width=2)
    pen.ellipse((r * 0.3, r * 0.05, r * 1.7, r * 1.65), fill=color)
    pen.ellipse((r * 0.55, r * 0.25, r * 0.95, r * 0.7), fill=tuple(min(255, c + 55) for c in color))


def _bird(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    color = hue(dice.of(("4a4e58", "7d7f86", "efeeea", "3a3230")))
    pen.ellipse((r * 0.5, r * 0.8, r * 1.5, r * 1.4), fill=color)
    pen.ellipse((r * 1.2, r * 0.5, r * 1.7, r), fill=color)
    pen.polygon([(r * 0.6, r), (r * 0.05, r * 1.3), (r * 0.6, r * 1.3)], fill=color)
    pen.polygon([(r * 1.66, r * 0.68), (r * 1.95, r * 0.78), (r * 1.66, r * 0.86)], fill=hue("e0a030"))
    pen.ellipse((r * 1.42, r * 0.64, r * 1.52, r * 0.74), fill=hue("101010"))


def _flower(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    color = hue(dice.of(("e0567a", "f2b33d", "f4f0e4", "b06fc4", "ef7d4a")))
    for x, y in ring(r, r, r * 0.55, 6, dice.between(0, 1)):
        pen.ellipse((x - r * 0.36, y - r * 0.36, x + r * 0.36, y + r * 0.36), fill=color)
    pen.ellipse((r * 0.68, r * 0.68, r * 1.32, r * 1.32), fill=hue("f6d860"))


def _gull(pen: ImageDraw.ImageDraw, r: float, dice: Dice) -> None:
    white, grey = hue("f6f4ee"), hue("b8bcc2")
    pen.polygon([(r * 0.9, r), (r * 0.15, r * 0.25), (r * 0.35, r * 0.75), (r * 0.8, r * 1.25)], fill=grey)
    pen.polygon([(r * 1.1, r), (r * 1.85, r * 0.2), (r * 1.6, r * 0.75), (r * 1.2, r * 1.25)], fill=grey)
    pen.ellipse((r * 0.72, r * 0.72, r * 1.28, r * 1.7), fill=white)
    pen.ellipse((r * 0.78, r * 0.45, r * 1.22, r * 0.95), fill=white)
    pen.polygon([(r * 0.9, r * 0.5), (r * 1.1, r * 0.5), (r, r * 0.2)], fill=hue("e8a83a"))


THINGS = {"leaves": _leaves, "lantern": _lantern, "balloon": _balloon, "bird": _bird, "gull": _gull, "flower": _flower}


def thing(name: str, radius: float, dice: Dice) -> Image.Image:
    """A thing as an RGBA picture of about twice `radius` (pixels) on each side."""
    side = max(6, round(2 * radius))
    fine = Image.new("RGBA", (side * _FINE, side * _FINE))
    THINGS[name](ImageDraw.Draw(fine), side * _FINE / 2, dice)
    return fine.reduce(_FINE)
