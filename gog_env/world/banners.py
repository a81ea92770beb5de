"""Random banners: flag-like, endlessly varied, drawn in about a millisecond, told in one line.

    banner = random_banner(np.random.default_rng([7]))
    draw(banner, 240, 160)      # a PIL picture
    caption(banner)             # "three horizontal bands of red, white and blue with a yellow star in the centre"

A design comes from weighted recipes for the families that flags come in (`recipes`) and the charges they bear
(`marks`). No real flag is drawn: what few bands or one figure could meet by chance is listed in `flown` and drawn anew.
`variant` changes one detail, as the flags of neighbours differ. Painting is done at two or three times the size and
reduced, for smooth edges.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from gog_env.world import charges, patterns
from gog_env.world.captions import caption
from gog_env.world.designs import Banner, Charge, Pattern, pick
from gog_env.world.flown import is_flown
from gog_env.world.marks import EMBLEMS, SIMPLE, charges_at, figure, one_of
from gog_env.world.recipes import canton, random_field

__all__ = ["Banner", "caption", "draw", "random_banner", "variant"]


def draw(banner: Banner, width: int = 240, height: int = 160) -> Image.Image:
    """Paints a banner: an RGB picture of `width` x `height` pixels, the same for the same banner."""
    scale = 3 if width <= 200 else 2
    return _paint(banner, width * scale, height * scale).reduce(scale)


def _paint(banner: Banner, width: int, height: int) -> Image.Image:
    picture = Image.new("RGB", (width, height))
    brush = ImageDraw.Draw(picture)
    for pattern in (banner.field, *banner.overlays):
        if pattern.inner is None:
            patterns.paint(brush, width, height, pattern)
            continue
        x, y, w, h = pattern.values
        inner = _paint(pattern.inner, max(round(w * width), 1), max(round(h * height), 1))
        picture.paste(inner, (round(x * width), round(y * height)))
    for charge in banner.charges:
        charges.paint(brush, width, height, charge)
    return picture


def random_banner(rng: np.random.Generator) -> Banner:
    """A random banner that no country flies; its design depends on the generator's state alone."""
    while is_flown(banner := _any_banner(rng)):
        pass
    return banner


def _any_banner(rng: np.random.Generator) -> Banner:
    field, spots, likely, overlays = random_field(rng)
    marks: tuple[Charge, ...] = ()
    if spots and rng.random() < likely:
        if len(spots) > 2:  # equal figures in all places
            kind = one_of(rng, ("star", "cross", "lozenge", "crescent", "leaf"))
            first = figure(rng, kind, 0, 0, spots[0][2], spots[0][3])
            marks = tuple(replace(first, x=x, y=y) for x, y, _, _ in spots)
        else:
            marks = tuple(mark for spot in spots for mark in charges_at(rng, spot))
    if not overlays and field.kind in ("plain", "rows", "columns", "diagonal") and rng.random() < 0.06:
        teeth = float(rng.choice([0, 0, 12, 16]))
        overlays = (Pattern("border", (pick(rng, field.colors),), (float(rng.uniform(0.05, 0.13)), teeth)),)
    elif not overlays and not marks and field.kind in ("rows", "columns", "diagonal", "bend") and rng.random() < 0.12:
        overlays = (canton(rng, field.colors[:1]),)
    return Banner(field, overlays, marks)


def variant(banner: Banner, rng: np.random.Generator) -> Banner:
    """The same design with one thing changed: a colour, the order of the colours, or a charge."""
    while is_flown(changed := _any_variant(banner, rng)):
        pass
    return changed


def _any_variant(banner: Banner, rng: np.random.Generator) -> Banner:
    field, marks = banner.field, banner.charges
    ways = ["color"] + ["order"] * (field.colors != field.colors[::-1]) + ["charge", "charge"] * bool(marks)
    way = one_of(rng, tuple(ways))
    if way == "charge":
        last = marks[-1]
        under = field.colors if len(field.colors) < 4 else field.colors[:1]
        size = max(last.size, 0.18)
        kinds = tuple(kind for kind in SIMPLE + EMBLEMS if kind != last.kind)
        new = figure(rng, one_of(rng, kinds), last.x, last.y, size, under, last.colors[0])
        return replace(banner, charges=(*marks[:-1], new) if len(marks) == 2 else (new,))
    if way == "order":
        return replace(banner, field=replace(field, colors=field.colors[::-1]))
    old = field.colors[int(rng.integers(len(field.colors)))]
    shown = (*field.colors, *(color for mark in marks for color in mark.colors))
    fresh = pick(rng, tuple(dict.fromkeys(shown)), 110)
    return replace(banner, field=replace(field, colors=tuple(fresh if c == old else c for c in field.colors)))
