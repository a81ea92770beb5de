"""Scenes: one to four banners that hang before clutter, as a photo would show them, and where they are.

A banner is drawn, bent by a mesh (perspective, slope, wave), shaded like cloth, dimmed and pasted with its shadow; then
small things hide a little of it. Its box hugs what is still to be seen. Banners never overlap, and `place_names` says
in words where each is: a scene whose words could be misread is composed anew, so that questions are unambiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from gog_env.world.backdrops import backdrop, thing
from gog_env.world.banners import Banner, draw
from index.images import Box

SIZE = (448, 336)
"""Width and height of a scene, in pixels."""
_GAP = 0.02
_FOUR = ("top left", "top right", "bottom left", "bottom right")
_LAYOUTS: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("left", "right"), ("left", "right"), _FOUR[::3], _FOUR[1:3], ("top", "bottom")),
    3: (
        ("top left", "top right", "bottom middle"), ("top middle", "bottom left", "bottom right"),
        ("top left", "top middle", "bottom right"), ("top right", "bottom left", "bottom middle"),
        ("top left", "bottom left", "bottom right"), ("top left", "top right", "bottom right"),
        ("top left", "top middle", "top right"),
    ),
    4: (
        _FOUR, _FOUR,
        ("top left", "top middle", "top right", "bottom middle"),
        ("top left", "top middle", "bottom middle", "bottom right"),
        ("top middle", "bottom left", "bottom middle", "bottom right"),
        ("top middle", "top right", "bottom left", "bottom middle"),
    ),
}  # fmt: skip
_COLUMNS = {"left": 0.23, "middle": 0.5, "right": 0.77}
_ROWS = {"top": 0.27, "bottom": 0.73}


@dataclass(frozen=True)
class Placed:
    """A banner in a scene: whose it is, its box (0..1 of the picture), and where it is in words ("at the top left")."""

    nation_id: str
    box: Box
    place: str


@dataclass(frozen=True)
class Scene:
    """A picture (RGB) and the banners in it."""

    picture: Image.Image
    placed: tuple[Placed, ...]


def place_names(boxes: Sequence[Box]) -> list[str] | None:
    """Where each of several banners is, in words; None if somebody could take one for another.

    Two banners beside each other are "on the left" and "on the right", two above each other "at the top" and "at the
    bottom"; else each has a row (top, bottom) and a column (left, middle, right), clear of the borders between these.

    >>> place_names([(0.6, 0.3, 0.9, 0.6), (0.1, 0.35, 0.4, 0.6)])
    ['on the right', 'on the left']
    """
    centres = [((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes]
    if len(boxes) == 1:
        return ["in the picture"]
    if len(boxes) == 2:
        across, down = (centres[1][axis] - centres[0][axis] for axis in (0, 1))
        if abs(across) > 0.25 and abs(down) < 0.16:
            return ["on the left", "on the right"] if across > 0 else ["on the right", "on the left"]
        if abs(down) > 0.25 and abs(across) < 0.14:
            return ["at the top", "at the bottom"] if down > 0 else ["at the bottom", "at the top"]
    names = []
    for x, y in centres:
        if abs(y - 0.5) < 0.07 or 0.36 < x < 0.42 or 0.58 < x < 0.64:
            return None
        row = "top" if y < 0.5 else "bottom"
        names.append(f"at the {row} {'left' if x < 0.4 else 'right' if x > 0.6 else 'middle'}")
    if len(set(names)) < len(names):
        return None
    return names


def compose(nations: Sequence[tuple[str, Banner]], rng: np.random.Generator, size: tuple[int, int] = SIZE) -> Scene:
    """Composes a scene that shows the banners of these nations.

    Args:
        nations: one to four, as (id, banner); in the scene they come in an order of its own.
        rng: decides everything.
        size: width and height in pixels.

    Returns:
        The scene; `placed` is in the order of `nations`.
    """
    while (scene := _try(nations, rng, size)) is None:
        pass
    return scene


def _try(nations: Sequence[tuple[str, Banner]], rng: np.random.Generator, size: tuple[int, int]) -> Scene | None:
    spots = _spots(len(nations), rng)
    patches = [_cloth(banner, spot, rng, size) for (_, banner), spot in zip(nations, spots, strict=True)]
    frames = [(x / size[0], y / size[1], (x + p.width) / size[0], (y + p.height) / size[1]) for p, x, y in patches]
    if any(_touch(a, b) for i, a in enumerate(frames) for b in frames[:i]):
        return None
    if place_names(frames) is None:
        return None
    picture = backdrop(rng, size)
    poles = rng.random(len(patches)) < 0.45
    for (patch, x, y), pole in zip(patches, poles, strict=True):
        if pole:
            _pole(picture, x, y, patch.height, rng)
    masks = []
    for patch, x, y in patches:
        alpha = patch.getchannel("A")
        shadow = alpha.point(lambda value: value * 2 // 5)
        picture.paste((0, 0, 0), (x + 3, y + 4), shadow)
        picture.paste(patch, (x, y), alpha)
        masks.append(Image.new("L", size))
        masks[-1].paste(alpha, (x, y))
    masks = _occlude(picture, masks, frames, rng)
    boxes: list[Box] = []
    for mask in masks:
        seen = mask.point(lambda value: 255 * (value > 127)).getbbox()
        if seen is None:
            return None
        x0, y0, x1, y1 = (round(edge / side, 4) for edge, side in zip(seen, size * 2, strict=True))
        boxes.append((x0, y0, x1, y1))
    places = place_names(boxes)
    if places is None:
        return None
    placed = (Placed(i, box, place) for (i, _), box, place in zip(nations, boxes, places, strict=True))
    return Scene(picture, tuple(placed))


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] + _GAP and b[0] < a[2] + _GAP and a[1] < b[3] + _GAP and b[1] < a[3] + _GAP


def _spots(count: int, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Centre and width of each banner, in fractions of the picture, in random order."""
    if count == 1:
        width = float(rng.uniform(0.6, 0.9))
        across, down = 0.47 - width / 2, max(0.43 - width / 2, 0) * 0.6
        return [(0.5 + float(rng.uniform(-across, across)), 0.5 + float(rng.uniform(-down, down)), width)]
    layout = _LAYOUTS[count][int(rng.integers(len(_LAYOUTS[count])))]
    largest = {2: 0.4, 3: 0.32, 4: 0.3}[count]
    spots = []
    for name in layout:
        words = name.split()
        x = next((_COLUMNS[word] for word in words if word in _COLUMNS), 0.5)
        y = next((_ROWS[word] for word in words if word in _ROWS), 0.5)
        most = min(largest, 0.26) if "middle" in " ".join(layout) and count > 2 else largest
        width = float(rng.uniform(0.14, most))
        spots.append((x + float(rng.uniform(-0.07, 0.07)), y + float(rng.uniform(-0.07, 0.07)), width))
    return [spots[int(i)] for i in rng.permutation(count)]


def _cloth(
    banner: Banner, spot: tuple[float, float, float], rng: np.random.Generator, size: tuple[int, int]
) -> tuple[Image.Image, int, int]:
    """A banner bent and lit: an RGBA patch and the pixel at its upper left corner."""
    ratio = float(rng.uniform(1.3, 1.75))
    width = round(min(spot[2] * size[0], 0.8 * ratio * size[1]))
    height = round(width / ratio)
    flat = draw(banner, width, height)
    strips = max(width // 8, 6)
    u = np.linspace(0, 1, strips + 1)
    wave = float(rng.uniform(0, 0.05)) * np.sin(2 * pi * (float(rng.uniform(0.5, 1.6)) * u + float(rng.random())))
    middle = wave + float(rng.uniform(-0.12, 0.12)) * (u - 0.5)  # the slope stands for a small turn
    half = 0.5 * (1 - float(rng.uniform(0, 0.16)) * (u if rng.random() < 0.5 else 1 - u))
    top, bottom = float((middle - half).min()), float((middle + half).max())
    pad = 2
    tall = round((bottom - top) * height)
    source = Image.new("RGBA", (width + 2 * pad, height + 2 * pad))
    source.paste(flat, (pad, pad))
    mesh = []
    for i in range(strips):
        x0, x1 = round(u[i] * width) + pad, round(u[i + 1] * width) + pad
        if i == 0:
            x0 = 0
        if i == strips - 1:
            x1 = width + 2 * pad
        # rows 0 and `tall` of the patch, seen in the source: inverse of y = middle + (v - 0.5) * 2 * half
        ends = []
        for k in (i, i + 1):
            for edge in (top - pad / height, top - pad / height + (tall + 2 * pad) / height):
                v = (edge - middle[k]) / (2 * half[k]) + 0.5
                ends.append(v * height + pad)
        mesh.append(((x0, 0, x1, tall + 2 * pad), (x0, ends[0], x0, ends[1], x1, ends[3], x1, ends[2])))
    bent = source.transform((width + 2 * pad, tall + 2 * pad), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    slope = np.gradient(wave, u)
    light = 1 + float(rng.uniform(0.3, 0.8)) * slope + float(rng.uniform(-0.06, 0.06)) * (u - 0.5)
    light = np.clip(light, 0.68, 1.12) * float(rng.uniform(0.66, 1.04))
    columns = np.interp(np.linspace(0, 1, bent.width), u, light)
    pixels = np.asarray(bent).copy()
    tint = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.05, 0.05, 3)
    lit = pixels[..., :3] * columns[None, :, None].astype(np.float32) * tint.astype(np.float32)
    pixels[..., :3] = np.clip(lit, 0, 255)
    patch = Image.fromarray(pixels)
    x = min(max(round(spot[0] * size[0] - patch.width / 2), 2), size[0] - patch.width - 2)
    y = min(max(round(spot[1] * size[1] - patch.height / 2), 2), size[1] - patch.height - 2)
    return patch, x, y


def _pole(picture: Image.Image, x: int, y: int, height: int, rng: np.random.Generator) -> None:
    color = tuple(int(v) for v in rng.integers(60, 200, 3) // 3 + 70)
    thick = max(height // 40, 2)
    foot = min(picture.height, y + int(height * float(rng.uniform(1.1, 1.5))))
    brush = ImageDraw.Draw(picture)
    brush.rectangle((x - thick, max(y - height // 14, 0), x, foot), fill=color)
    brush.ellipse((x - 2 * thick, y - height // 14 - 2 * thick, x + thick, y - height // 14 + thick), fill=color)


def _occlude(
    picture: Image.Image, masks: list[Image.Image], frames: Sequence[Box], rng: np.random.Generator
) -> list[Image.Image]:
    """Lays small things over the edges of some banners; returns what is still seen of each."""
    width, height = picture.size
    for x0, y0, x1, y1 in frames:
        if rng.random() > 0.45:
            continue
        small = float(rng.uniform(0.06, 0.15)) * (x1 - x0) * width
        edge = float(rng.random())
        x, y = ((edge, float(rng.integers(2))), (float(rng.integers(2)), edge))[int(rng.integers(2))]
        cx, cy = (x0 + x * (x1 - x0)) * width, (y0 + y * (y1 - y0)) * height
        cover = thing(picture, cx, cy, small, rng)
        masks = [ImageChops.subtract(mask, cover) for mask in masks]
    return masks
