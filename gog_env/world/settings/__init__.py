"""The settings of scenes: a street, a festival, a gallery, a market, a harbour, dusk; each a picture of its own.

A setting is a module with `paint`, which paints all that is behind the banners, and `front`, which paints what stands
before the poles that they hang on, along the lower edge. A new one is a new file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gog_env.world.settings import dusk, festival, gallery, harbour, market, street
from gog_env.world.settings.brushes import Canvas, Dice, Zone


@dataclass(frozen=True)
class Setting:
    """How a setting is painted and what banners do in it.

    Attributes:
        paint: paints everything behind the banners, given where these are (boxes in units).
        front: paints what stands before their poles, given the same.
        zone: where banners may hang, as shares of width and height (x0, y0, x1, y1).
        mounts: what single banners hang on, of `hanging.MOUNTS`; drawn at random.
        line: what the banners of a row hang on.
        things: what may hide a corner of a banner, of `things.THINGS`.
        light: pairs of colours: of the light where it comes from, and in the opposite corner.
        shadow: how dark the shadows of banners are on what is behind them, 0..1 (0 in the open air).
        lean: how far poles may lean, 0..1.
    """

    paint: Callable[[Canvas, Dice, Sequence[Zone]], None]
    front: Callable[[Canvas, Dice, Sequence[Zone]], None]
    zone: Zone
    mounts: tuple[str, ...]
    line: str
    things: tuple[str, ...]
    light: tuple[tuple[str, str], ...]
    shadow: float
    lean: float = 0.35


_DAY = (("ffffff", "d8dcec"), ("fff4dc", "c8cbe0"), ("fffaf0", "dcd6dc"))

SETTINGS: dict[str, Setting] = {
    "street": Setting(
        street.paint, street.front, (0.02, 0.05, 0.98, 0.76), ("rod", "rod", "pole"), "rope",
        ("bird", "garland", "butterfly", "onlooker"), _DAY, 0.4,
    ),
    "festival": Setting(
        festival.paint, festival.front, (0.02, 0.06, 0.98, 0.78), ("pole",), "rope",
        ("balloon", "balloon", "garland", "butterfly"), _DAY, 0.0, lean=1.0,
    ),
    "gallery": Setting(
        gallery.paint, gallery.front, (0.03, 0.1, 0.97, 0.74), ("frame", "frame", "rod"), "frame",
        ("rosette", "onlooker"), (("fff8ec", "cfc6c8"), ("fffdf6", "d8d2cc")), 0.45,
    ),
    "market": Setting(
        market.paint, market.front, (0.02, 0.06, 0.98, 0.76), ("pole", "rod"), "rope",
        ("lantern", "garland", "bird", "onlooker"), (("fff8e6", "d0c8cc"), *_DAY), 0.3,
    ),
    "harbour": Setting(
        harbour.paint, harbour.front, (0.02, 0.04, 0.98, 0.76), ("mast", "mast", "pole"), "rope",
        ("gull", "gull", "garland", "butterfly"), _DAY, 0.0,
    ),
    "dusk": Setting(
        dusk.paint, dusk.front, (0.02, 0.05, 0.98, 0.78), ("pole",), "rope",
        ("lantern", "garland", "butterfly", "onlooker"),
        (("fff2d8", "b6b0cc"), ("ffe8c8", "bcaebc"), ("fff6e6", "b0b4cc")), 0.0,
    ),
}  # fmt: skip
