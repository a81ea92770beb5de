"""The pictures that the knowledge holds of a nation: its banner as drawn, and as it looks elsewhere."""

from __future__ import annotations

import numpy as np
from PIL import Image

from gog_env.world.nations import Nation, World
from gog_env.world.portraits import STYLES, portrait


def pictures(nation: Nation, world: World) -> list[tuple[str, Image.Image]]:
    """The style and the picture (RGB) of each of `spec.pictures` portraits: "drawn" first, then others by turns.

    They are the same at every snapshot of the world.
    """
    rng = np.random.default_rng([29, world.spec.seed, nation.number])
    others = [style for style in STYLES if style != "drawn"]
    order = [others[int(i)] for i in rng.permutation(len(others))]
    styles = ["drawn", *(order[i % len(order)] for i in range(world.spec.pictures - 1))]
    return [(style, portrait(nation.banner, style, rng)) for style in styles]
