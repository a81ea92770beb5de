"""A banner as a thing in the world: cloth that flies from a pole, hangs from a rope or lies flat on a wall.

The drawn banner is shaded where its folds turn from the light, faded and frayed where it is worn, and bent by a mesh:
top and bottom edge are curves over its width, columns are narrower where the cloth turns away, and all is turned by a
small angle. Bending moves no detail by more than a few hundredths, so that a crop of the cloth still is the banner.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin

import numpy as np
from PIL import Image

from gog_env.world.banners import Banner, draw
from gog_env.world.settings.brushes import Dice, Point

WAYS = ("flown", "hung", "flat")
_PAD = 3
_COLUMNS = 11


@dataclass(frozen=True)
class Cloth:
    """A banner bent and lit: an RGBA patch, and where in it the corners lie (pixels; two at the top, two below)."""

    patch: Image.Image
    corners: tuple[Point, Point, Point, Point]


def cloth(
    banner: Banner, width: int, ratio: float, tilt: float, way: str, dice: Dice, wave: float = 1.0, worn: float = 0.0
) -> Cloth:
    """Makes cloth of a banner.

    Args:
        banner: its design.
        width: of the flat cloth, in pixels; its height is `width / ratio`.
        ratio: width by height.
        tilt: how far it is turned, in radians, clockwise.
        way: "flown" from a pole on its left, "hung" by its upper corners, or "flat".
        dice: decides the folds.
        wave: how strongly it waves (1: as a rule).
        worn: 0 (new) to 1 (faded, stained, frayed).

    Returns:
        The patch and its corners.
    """
    height = max(8, round(width / ratio))
    u = _steps(33)
    turns, phase = dice.between(0.9, 1.9), dice.between(0, 2 * pi)
    angle = 2 * pi * turns * u + phase
    swing = {"flown": dice.between(0.015, 0.055), "hung": dice.between(0.0, 0.012), "flat": 0.0}[way] * wave
    rise = swing * (0.25 + 0.75 * u) * np.sin(angle)
    top, bottom = rise.copy(), 1 + rise + swing * 0.4 * np.sin(angle + 0.9)
    if way == "flown":
        droop = dice.between(0.0, 0.06) * wave
        top, bottom = top + droop * u**2, bottom + droop * u**2 - dice.between(0, 0.06) * u
    elif way == "hung":
        top = top + dice.between(0.0, 0.03) * wave * (1 - (2 * u - 1) ** 2)
        bottom = bottom + dice.between(0.004, 0.02) * wave * np.sin(2 * angle + 1) + dice.between(-0.02, 0.02)
    squeeze = {"flown": 0.22, "hung": 0.16, "flat": 0.0}[way] * wave * dice.between(0.3, 1)
    across = u + squeeze * (np.sin(angle + 1.2) - np.sin(phase + 1.2)) / (2 * pi * turns)
    across = across / across[-1]
    pixels = np.asarray(draw(banner, width, height))
    light = _light(width, height, (2 * pi * turns, phase), way, dice, wave)
    lit = np.minimum(pixels * light[..., None], 255)
    source = np.zeros((height + 2 * _PAD, width + 2 * _PAD, 4), np.uint8)
    inner = source[_PAD:-_PAD, _PAD:-_PAD]
    inner[..., 3] = 255
    inner[..., :3] = _worn(lit, inner[..., 3], worn, dice) if worn > 0 else lit
    return _bent(Image.fromarray(source), (width, height), (u, across, top, bottom), tilt)


@lru_cache(maxsize=512)
def _steps(count: int) -> np.ndarray:
    """Numbers from 0 to 1; cached, since making them takes longer than using them."""
    steps = np.linspace(0, 1, count, dtype=np.float32)
    steps.flags.writeable = False
    return steps


def _light(width: int, height: int, fold: tuple[float, float], way: str, dice: Dice, wave: float) -> np.ndarray:
    """Brightness of cloth: darker where folds turn away, and uneven from side to side; shape (height, width)."""
    across, down = _steps(width), _steps(height)[:, None]
    deep = {"flown": dice.between(0.08, 0.2), "hung": dice.between(0.05, 0.13), "flat": 0.0}[way] * min(wave, 1.2)
    light = (0.97 + dice.between(-0.13, 0.13) * (2 * across - 1)) + dice.between(-0.1, 0.06) * (2 * down - 1)
    if deep:
        slant = dice.between(-1.2, 1.2)
        columns = fold[0] * across + fold[1]
        # cos(a + b) by its parts: a cosine for every column and every row, not for every pixel
        light += deep * (np.cos(columns) * np.cos(slant * down) - np.sin(columns) * np.sin(slant * down))
        if way == "hung":
            light += 0.5 * deep * np.cos(2.7 * columns + 1)
    return np.minimum(np.maximum(light, 0.66, out=light), 1.12, out=light)


def _worn(pixels: np.ndarray, alpha: np.ndarray, worn: float, dice: Dice) -> np.ndarray:
    """Fades towards the colour of dust, with stains, and frays the fly; changes `alpha` in place."""
    height, width = alpha.shape
    dust = np.array((168, 156, 138), np.float32)
    spots = np.asarray(
        Image.fromarray(np.array([[dice.between(0, 1) for _ in range(7)] for _ in range(5)], np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
    )
    share = worn * (0.07 + 0.17 * np.clip(spots, 0, 1))[..., None]
    pixels = pixels * (1 - share) + dust * share
    # a fly that is torn in long bites and short threads
    bites = np.interp(np.arange(height), np.linspace(0, height, 9), [dice.between(0, 1) ** 3 for _ in range(9)])
    for y in range(height):
        if cut := int(worn * width * (0.025 * bites[y] + 0.014 * dice.between(0, 1) ** 3)):
            alpha[y, width - cut :] = 0
    return pixels


def _bent(source: Image.Image, flat: tuple[int, int], curves: tuple[np.ndarray, ...], tilt: float) -> Cloth:
    """Bends a padded patch by its curves and turns it, in one pass."""
    width, height = flat
    u, across, top, bottom = curves
    turn = np.array([[cos(tilt), -sin(tilt)], [sin(tilt), cos(tilt)]])
    x = (across - 0.5) * width
    edges = np.concatenate([np.stack([x, (edge - 0.5) * height]) for edge in (top, bottom)], 1)
    points = turn @ edges
    low, high = np.floor(points.min(1)) - _PAD, np.ceil(points.max(1)) + _PAD
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    grid_x = [size[0] * i // _COLUMNS for i in range(_COLUMNS + 1)]
    # where the upper and lower corners of the mesh's columns are before the turn
    there = np.array([[x + low[0] for x in grid_x] * 2, [low[1]] * len(grid_x) + [high[1]] * len(grid_x)])
    back = turn.T @ there
    part = back[0] / width + 0.5
    # beyond the cloth the curves go on as they end, so that the mesh stays whole
    inside = np.interp(part, across, u) + (part - np.minimum(np.maximum(part, 0), 1))
    upper, lower = np.interp(part, across, top), np.interp(part, across, bottom)
    down = (back[1] / height + 0.5 - upper) / (lower - upper)
    sx, sy = (inside * width + _PAD).tolist(), (down * height + _PAD).tolist()
    mesh, n = [], _COLUMNS + 1
    for i in range(_COLUMNS):
        quad = (sx[i], sy[i], sx[n + i], sy[n + i], sx[n + i + 1], sy[n + i + 1], sx[i + 1], sy[i + 1])
        mesh.append(((grid_x[i], 0, grid_x[i + 1], size[1]), quad))
    patch = source.transform(size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    corners = points[:, [0, -1 - len(u), len(u), -1]] - low[:, None]
    a, b, c, d = ((float(px), float(py)) for px, py in corners.T)
    return Cloth(patch, (a, b, c, d))
