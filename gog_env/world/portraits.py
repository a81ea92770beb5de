"""A banner's portraits: what an encyclopaedia shows of it besides the plain drawing.

    portrait(banner, "woven", np.random.default_rng([7]))   # a PIL picture, RGB, 180x120

Every portrait shows the whole banner, and large; what changes is cloth, light, wear and angle. So all of a nation's
pictures speak for the same banner in an index, and none of them is the one in a scene.
"""

from __future__ import annotations

from functools import lru_cache
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageFilter

from gog_env.world.banners import Banner, draw

STYLES = ("drawn", "woven", "photographed", "worn", "dusk")
Size = tuple[int, int]
_GROUNDS = ((214, 208, 196), (188, 196, 200), (120, 112, 104), (164, 140, 112), (92, 104, 96), (226, 226, 222))
_DUST, _NIGHT, _GLOW = (np.array(c, np.float32) for c in ((196, 180, 152), (0.52, 0.56, 0.78), (1.12, 0.86, 0.56)))


def portrait(banner: Banner, style: str, rng: np.random.Generator, size: Size = (180, 120)) -> Image.Image:
    """Draws a portrait.

    Args:
        banner: whose it is.
        style: one of `STYLES`.
        rng: decides folds, light, wear and angle; "drawn" takes nothing from it.
        size: (width, height) in pixels.

    Returns:
        An RGB picture of that size.

    Raises:
        ValueError: the style is unknown.
    """
    if style not in STYLES:
        raise ValueError(f"no portrait is {style!r}; choose from {', '.join(STYLES)}")
    picture = draw(banner, *size)
    if style == "drawn":
        return picture
    if style == "photographed":
        return _photographed(picture, rng)
    pixels = np.asarray(picture, np.float32)
    return _picture({"woven": _woven, "worn": _worn, "dusk": _dusk}[style](pixels, rng))


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@lru_cache(maxsize=16)
def _weave(width: int, height: int) -> np.ndarray:
    """Threads of a twill, as brightness; shape (height, width, 1)."""
    y, x = np.mgrid[0:height, 0:width]
    threads = 0.95 + 0.07 * ((x + y) // 2 % 2) + 0.03 * (x % 2) - 0.05 * (y % 3 == 0)
    threads = threads.astype(np.float32)[..., None]
    threads.flags.writeable = False
    return threads


def _folds(width: int, height: int, rng: np.random.Generator, deep: float) -> np.ndarray:
    """Soft upright folds, as brightness; shape (height, width, 1)."""
    u = np.linspace(0, 1, width, dtype=np.float32)
    v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    waves, phase, slant = (float(a + (b - a) * rng.random()) for a, b in ((1.2, 3.0), (0.0, 2 * pi), (-1.0, 1.0)))
    columns, rows = 2 * pi * waves * u + phase, slant * v
    return (1 + deep * (np.cos(columns) * np.cos(rows) - np.sin(columns) * np.sin(rows)))[..., None]


def _blotches(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise from 0 to 1; shape (height, width, 1)."""
    coarse = Image.fromarray(rng.random((5, 7), dtype=np.float32))
    return np.clip(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)), 0, 1)[..., None]


def _woven(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Coarse cloth with a hem, a little muted."""
    height, width = pixels.shape[:2]
    muted = pixels * 0.92 + 12
    lit = muted * _weave(width, height) * _folds(width, height, rng, 0.07)
    hem = max(round(0.02 * height), 1)
    lit[:hem] *= 0.82
    lit[-hem:] *= 0.82
    lit[:, -hem:] *= 0.82
    return lit


def _worn(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Faded and stained, creased where it was folded, with a frayed fly."""
    height, width = pixels.shape[:2]
    grey = pixels @ np.array((0.3, 0.59, 0.11), np.float32)
    pixels = pixels * 0.78 + grey[..., None] * 0.22
    share = 0.08 + 0.3 * _blotches(width, height, rng)
    pixels = pixels * (1 - share) + _DUST * share
    for axis, length in ((0, height), (1, width)):  # creases: a dark line beside a light one
        for part in (1 / 3, 2 / 3) if axis else (1 / 2,):
            at = int(np.clip(length * (part + float(rng.normal(0, 0.02))), 1, length - 3))
            crease = pixels[at : at + 3] if axis == 0 else pixels[:, at : at + 3]
            crease *= np.array((0.88, 1.1, 1.04), np.float32).reshape((3, 1, 1) if axis == 0 else (1, 3, 1))
    fringe = (width - 0.035 * width * rng.random(height) ** 2).astype(int)
    pixels[np.arange(width)[None] >= fringe[:, None]] = 222, 218, 210
    return pixels * _folds(width, height, rng, 0.04)


def _dusk(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Against the last light: blue and dim, with a warm glow from one side."""
    height, width = pixels.shape[:2]
    turn, reach = float(2 * pi * rng.random()), float(0.5 + 0.4 * rng.random())
    u = np.linspace(-1, 1, width, dtype=np.float32)
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    glow = (np.clip(0.5 + 0.5 * (u * cos(turn) + v * sin(turn)), 0, 1) ** 1.4 * reach)[..., None]
    light = _NIGHT * (1 - glow) + _GLOW * glow
    return (pixels * 0.94 + 8) * light * _folds(width, height, rng, 0.05)


def _photographed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """On a plain ground, seen at an angle, with its shadow and the camera's noise."""
    width, height = picture.size
    ground = _GROUNDS[int(rng.integers(len(_GROUNDS)))]
    margin, lean = 0.045, rng.uniform(0.0, 0.075, 8)
    # corners of the banner in the photo: upper left, upper right, lower right, lower left; each moved inwards
    inwards = np.array(((1, 1), (-1, 1), (-1, -1), (1, -1)), float)
    corners = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), float) + inwards * (margin + lean.reshape(4, 2))
    corners *= (width, height)
    flat = ((0, 0), (width, 0), (width, height), (0, height))
    plane = _projection(corners, flat)
    cut = Image.Transform.PERSPECTIVE
    mask = Image.new("L", (width, height), 255)
    shadow = mask.transform((width, height), cut, _projection(corners + 0.03 * height, flat))
    photo = Image.new("RGB", (width, height), ground)
    dark = Image.new("RGB", (width, height), tuple(int(c * 0.55) for c in ground))
    photo.paste(dark, mask=shadow.filter(ImageFilter.BoxBlur(0.02 * height)))
    bent = picture.transform((width, height), cut, plane, Image.Resampling.BICUBIC)
    photo.paste(bent, mask=mask.transform((width, height), cut, plane, Image.Resampling.BILINEAR))
    u = np.linspace(-1, 1, width, dtype=np.float32)
    v = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    side, top = (float(x) for x in rng.uniform(-0.12, 0.12, 2))
    light = (1 + side * u + top * v)[..., None]
    grain = rng.standard_normal((height, width, 1), np.float32) * 4
    return _picture(np.asarray(photo, np.float32) * light + grain)


def _projection(seen: np.ndarray, flat: tuple[tuple[float, float], ...]) -> tuple[float, ...]:
    """The eight numbers for Pillow's perspective that take each of four points of the photo to one of the picture."""
    rows, right = [], []
    for (x, y), (u, v) in zip(seen.tolist(), flat, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(rows), np.array(right)).tolist())
