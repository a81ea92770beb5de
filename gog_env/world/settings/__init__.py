"""The settings of scenes: a street, a festival, a gallery, a market, a harbour, dusk; each a picture of its own.

A setting is a module with four things: `ZONES` (where banners may hang), `MOUNTS` (what they hang on), `paint`, which
paints all that is behind them, and `LIGHT`, how the light falls on everything. A new one is a new file and a line here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gog_env.world.settings import street
from gog_env.world.settings.brushes import Canvas, Dice


@dataclass(frozen=True)
class Setting:
    """How a setting is painted and what banners do in it.

    Attributes:
        paint: paints everything behind the banners; given the canvas and the dice.
        zone: where banners may hang, as shares of width and height (x0, y0, x1, y1).
        mounts: what single banners hang on, of `hanging.MOUNTS`; drawn at random.
        line: what a row of banners hangs on.
        things: what may hide a corner of a banner, of `things.THINGS`.
        light: warm and cold ends of the light, as hexadecimal colours (corner that it comes from; opposite corner).
    """

    paint: Callable[[Canvas, Dice], None]
    zone: tuple[float, float, float, float]
    mounts: tuple[str, ...]
    line: str
    things: tuple[str, ...]
    light: tuple[tuple[str, str], ...]


SETTINGS: dict[str, Setting] = {
    "street": Setting(
        street.paint, (0.02, 0.05, 0.98, 0.78), ("rod", "rod", "pole"), "rope", ("leaves", "lantern", "bird"),
        (("ffffff", "d8dcec"), ("fff4dc", "c8cbe0")),
    ),
}  # fmt: skip
