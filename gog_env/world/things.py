"""Things that may hide a little of a banner: a bird on its edge, a lantern, leaves, a balloon, somebody's head.

Each is a small RGBA picture that knows at which edges of a banner it may be, and how much of itself lies on the cloth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

from PIL import Image

from gog_env.world.settings import props
from gog_env.world.settings.brushes import Canvas, Dice, hue, lit, mix, near, ring, sprite


@dataclass(frozen=True)
class Thing:
    """A thing: `paint` fills a canvas of 2 x 2 units around (1, 1) (`high` units where it reaches down).

    Attributes:
        paint: paints it.
        sides: where at a banner it may be: "top", "bottom", "left", "right", "corner" (one of the upper two).
        overlap: the share of its extent that lies over the cloth.
        tall: its height by its width; None: it reaches down to the lower edge of the picture.
    """

    paint: Callable[[Canvas, float, Dice], None]
    sides: tuple[str, ...]
    overlap: float
    tall: float | None = 1.0


_AROUND = ("top", "bottom", "left", "right")
FINE = 2


def _garland(canvas: Canvas, high: float, dice: Dice) -> None:
    green = hue(dice.of(("4f7a3a", "6b8f3f", "2f5c3c", "7a8a3c")))
    bloom = dice.of(props.FLOWERS)
    for k in range(16):
        angle, far = k * 2.4, 0.72 * ((k + 0.5) / 16) ** 0.5
        x, y, turn = 1 + far * cos(angle), 1 + far * sin(angle), dice.between(0, 2 * pi)
        along, aside = (0.32 * cos(turn), 0.32 * sin(turn)), (-0.12 * sin(turn), 0.12 * cos(turn))
        ends = (along, aside, (-along[0], -along[1]), (-aside[0], -aside[1]))
        canvas.poly([(x + a, y + b) for a, b in ends], near(green, dice, 0.2))
    for k in range(4):
        x, y = 1 + 0.42 * cos(k * 1.7), 1 + 0.42 * sin(k * 1.7)
        for px, py in ring(x, y, 0.13, 5, k):
            canvas.disc(px, py, 0.1, bloom)
        canvas.disc(x, y, 0.08, hue("f6d860"))


def _lantern(canvas: Canvas, high: float, dice: Dice) -> None:
    glow = hue(dice.of(("e2483a", "f0a030", "f4d06a", "e87a5a", "f2efe2")))
    canvas.line([(1, 0), (1, 0.5)], 0.06, hue("33302c"))
    canvas.disc(1, 1.15, 0.72, glow, 0.66)
    canvas.disc(0.95, 1.15, 0.45, lit(glow, 1.12), 0.66)
    canvas.disc(0.9, 1.15, 0.18, lit(glow, 1.25), 0.64)
    for y in (0.46, 1.74):
        canvas.box(0.72, y, 1.28, y + 0.13, hue("3a2a20"))
    canvas.line([(1, 1.86), (1, 2)], 0.08, hue("c8a040"))


def _balloon(canvas: Canvas, high: float, dice: Dice) -> None:
    color = hue(dice.of(("d94f4f", "4f8fd9", "f0b840", "7bbf6a", "c77fd0", "f08fa8")))
    canvas.line([(1, 1.6), (0.94, 1.8), (1, 2)], 0.05, hue("e8e4dc"))
    canvas.disc(1, 0.84, 0.66, color, 0.8)
    canvas.disc(0.9, 0.76, 0.5, lit(color, 1.1), 0.62)
    canvas.disc(0.76, 0.52, 0.14, mix(color, (255, 255, 255), 0.7), 0.2)
    canvas.poly([(0.9, 1.7), (1.1, 1.7), (1, 1.58)], lit(color, 0.8))


def _perched(canvas: Canvas, dice: Dice, body: str, wing: str, beak: str) -> None:
    color, way = hue(body), dice.of((1, -1))

    def at(x: float) -> float:
        return 1 + way * x

    for x in (-0.06, 0.1):
        canvas.line([(at(x), 1.5), (at(x), 1.86)], 0.06, hue("c88a3a"))
    canvas.poly([(at(-0.35), 1.05), (at(-0.95), 1.45), (at(-0.8), 1.58), (at(-0.2), 1.4)], hue(wing))
    canvas.disc(at(0.05), 1.2, 0.48, color, 0.38)
    canvas.disc(at(0.38), 0.78, 0.26, color)
    canvas.poly([(at(0.16), 0.74), (at(0.5), 1.02), (at(0.1), 1.3)], color)
    canvas.poly([(at(0.2), 1.0), (at(-0.62), 1.32), (at(-0.1), 1.44)], hue(wing))
    canvas.poly([(at(0.6), 0.7), (at(0.86), 0.8), (at(0.58), 0.88)], hue(beak))
    canvas.disc(at(0.45), 0.72, 0.05, hue("141414"))


def _bird(canvas: Canvas, high: float, dice: Dice) -> None:
    body, wing = dice.of((("7d8a96", "56616e"), ("4a4640", "35322e"), ("c8b8a0", "8a7a64"), ("5a7a9a", "3f5a78")))
    _perched(canvas, dice, body, wing, "e0a030")


def _gull(canvas: Canvas, high: float, dice: Dice) -> None:
    _perched(canvas, dice, "f6f4ee", "a8b0ba", "e8a83a")


def _butterfly(canvas: Canvas, high: float, dice: Dice) -> None:
    color, turn = hue(dice.of(("e8963a", "f0d050", "5a8ad0", "d05a7a", "f4f0e4"))), dice.between(-0.5, 0.5)
    c, s = cos(turn), sin(turn)

    def at(x: float, y: float) -> tuple[float, float]:
        return 1 + x * c - y * s, 1 + x * s + y * c

    for side in (-1, 1):
        for wing, shade in (((0.0, -0.1, 0.85, -0.85, 0.9, -0.1), 1.0), ((0.0, 0.0, 0.7, 0.2, 0.45, 0.75), 0.85)):
            points = [at(0, 0)] + [at(side * wing[i], wing[i + 1]) for i in (0, 2, 4)]
            canvas.poly(points, lit(color, shade))
        canvas.disc(*at(side * 0.6, -0.5), 0.12, lit(color, 0.5))
    canvas.line([at(0, -0.5), at(0, 0.6)], 0.12, hue("2a2420"))


def _rosette(canvas: Canvas, high: float, dice: Dice) -> None:
    color = hue(dice.of(("c8403f", "3f6aa8", "d8a838", "4f8a5a", "8a4f8a")))
    for side in (-1, 1):
        canvas.poly([(1, 1), (1 + side * 0.75, 1.9), (1 + side * 0.35, 1.95), (1 + side * 0.1, 1.2)], lit(color, 0.75))
    for k, (x, y) in enumerate(ring(1, 0.85, 0.5, 12)):
        canvas.disc(x, y, 0.22, lit(color, 0.9 if k % 2 else 1.1))
    canvas.disc(1, 0.85, 0.42, hue("f6efdc"))
    canvas.disc(1, 0.85, 0.26, lit(color, 1.05))


def _onlooker(canvas: Canvas, high: float, dice: Dice) -> None:
    coat, hair = lit(near(dice.of(props.COATS), dice), 0.72), lit(dice.of(props.HAIRS), 0.8)
    canvas.box(0.12, 1.94, 1.88, high, coat)
    canvas.pie(1, 1.95, 0.88, 180, 360, coat, 0.55)
    shade = [(1.25, 1.45), (1.5, 1.53), (1.7, 1.66), (1.84, 1.85), (1.88, 1.95), (1.88, high), (1.4, high)]
    canvas.poly(shade, lit(coat, 0.86))
    canvas.box(0.78, 1.0, 1.22, 1.5, lit(dice.of(props.SKINS), 0.7))
    canvas.disc(1, 0.62, 0.5, hair, 0.6)
    canvas.disc(0.86, 0.45, 0.28, lit(hair, 1.2), 0.3)
    if dice.chance(0.35):
        hat = hue(dice.of(("b8a47c", "4a4440", "6d3b36", "d4ccbb")))
        canvas.disc(1, 0.42, 0.8, hat, 0.16)
        canvas.pie(1, 0.44, 0.5, 180, 360, lit(hat, 1.08), 0.44)


THINGS: dict[str, Thing] = {
    "garland": Thing(_garland, ("corner",), 0.45),
    "lantern": Thing(_lantern, ("top",), 0.3),
    "balloon": Thing(_balloon, _AROUND, 0.4),
    "bird": Thing(_bird, ("top",), 0.14),
    "gull": Thing(_gull, ("top",), 0.14),
    "butterfly": Thing(_butterfly, (*_AROUND, "corner"), 0.5),
    "rosette": Thing(_rosette, ("corner",), 0.4),
    "onlooker": Thing(_onlooker, ("bottom",), 0.09, None),
}


def lay(name: str, box: tuple[int, int, int, int], floor: int, dice: Dice) -> tuple[Image.Image, int, int]:
    """Makes a thing for a banner and finds its place.

    Args:
        name: of `THINGS`.
        box: of the banner, in pixels.
        floor: the lower edge of the picture, in pixels.
        dice: decides size, side and looks.

    Returns:
        An RGBA picture, and where its upper left corner belongs.
    """
    what = THINGS[name]
    x0, y0, x1, y1 = box
    across, down = x1 - x0, y1 - y0
    wide = max(8, round(dice.between(0.22, 0.4) * min(down, floor * 0.35)))
    side, along = dice.of(what.sides), dice.between(0.08, 0.92)
    if what.tall is None:
        wide = round(dice.between(0.15, 0.2) * floor)
        hidden = round(what.overlap * down * dice.between(0.4, 1.1))
        left, top = round(x0 + along * across - wide / 2), y1 - hidden
        tall = max(wide, floor - top)
    else:
        tall = round(wide * what.tall)
        over = what.overlap
        x, y = {
            "top": (x0 + along * across - wide / 2, y0 - (1 - over) * tall),
            "bottom": (x0 + along * across - wide / 2, y1 - over * tall),
            "left": (x0 - (1 - over) * wide, y0 + along * down - tall / 2),
            "right": (x1 - over * wide, y0 + along * down - tall / 2),
            "corner": ((x0 if along < 0.5 else x1) - wide / 2, y0 - (1 - over) * tall),
        }[side]
        left, top = round(x), round(y)
    canvas = sprite(wide * FINE / 2, 2, 2 * tall / wide)
    what.paint(canvas, 2 * tall / wide, dice)
    return canvas.done(), left, top
