"""Mosaics: pictures full of banners, to learn from what they bear.

A scene shows four or five banners, and most of its tokens none: whoever learns to see from scenes alone learns places
within minutes and what is borne in hours. A mosaic is laid of thirty or so banners, cut out of scenes with a little of
what is behind them, in any size that scenes have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from agents.nano.architecture import MERGE, PATCH
from agents.nano.scenes import Scenes

MARGIN = 0.06
"""What is cut out around a banner, as a share of its sides."""
LEAST = 20
"""Pixels of a banner's shorter side, at least."""
ACROSS, DOWN = (3, 4, 5, 6, 7), (3, 4, 5, 6)
"""Columns and rows of a mosaic."""


class Mosaics:
    """Lays mosaics of the banners of scenes.

    Args:
        tables: scenes; the last fiftieth of each is left for exams.
    """

    def __init__(self, tables: Sequence[Scenes]) -> None:
        """Cuts out all banners."""
        self.grid = tables[0].grid
        self._cuts: list[tuple[np.ndarray, list[str]]] = []
        for table in tables:
            for place in range(len(table.rows) * 49 // 50):
                row = table.rows[place]
                picture = np.ascontiguousarray(joined(table.patches[place], self.grid).transpose(1, 2, 0))
                for box, bears in zip(row["boxes"], row["bears"], strict=True):
                    if bears and (cut := _cut(picture, box)) is not None:
                        self._cuts.append((cut, bears))

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """A mosaic.

        Args:
            rng: decides.

        Returns:
            `uint8[patches, values]`, and `boxes` (0..1) and `bears` of its banners.
        """
        height, width = self.grid[0] * PATCH, self.grid[1] * PATCH
        picture = np.empty((height, width, 3), dtype=np.uint8)
        picture[:] = rng.integers(40, 216, 3)
        columns, rows = int(rng.choice(ACROSS)), int(rng.choice(DOWN))
        wide, high = width // columns, height // rows
        boxes, bears = [], []
        for place in range(columns * rows):
            cut, borne = self._cuts[int(rng.integers(len(self._cuts)))]
            scale = min(wide / cut.shape[1], high / cut.shape[0]) * rng.uniform(0.75, 1.0)
            scale = min(scale, 1.25)  # nothing is seen better than it was drawn
            size = (max(4, int(cut.shape[1] * scale)), max(4, int(cut.shape[0] * scale)))
            piece = np.asarray(Image.fromarray(cut).resize(size, Image.Resampling.BILINEAR))
            x = place % columns * wide + int(rng.integers(wide - size[0] + 1))
            y = place // columns * high + int(rng.integers(high - size[1] + 1))
            picture[y : y + size[1], x : x + size[0]] = piece
            inner = MARGIN / (1 + 2 * MARGIN)
            edges = (x + inner * size[0], y + inner * size[1], x + (1 - inner) * size[0], y + (1 - inner) * size[1])
            boxes.append([edges[0] / width, edges[1] / height, edges[2] / width, edges[3] / height])
            bears.append(borne)
        return parted(picture.transpose(2, 0, 1), self.grid), {"boxes": boxes, "bears": bears, "ranked": False}


def _cut(picture: np.ndarray, box: Sequence[float]) -> np.ndarray | None:
    """A banner with a margin; None where the picture ends before, or it is too small."""
    height, width, _ = picture.shape
    x0, y0, x1, y1 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    across, down = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
    edges = [round(value) for value in (x0 - across, y0 - down, x1 + across, y1 + down)]
    if min(x1 - x0, y1 - y0) < LEAST or min(edges) < 0 or edges[2] > width or edges[3] > height:
        return None
    return picture[edges[1] : edges[3], edges[0] : edges[2]].copy()


def joined(cut: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Patches in the order of Qwen's processors as the picture that they were cut from, `uint8[3, height, width]`."""
    rows, columns = grid
    parts = cut.reshape(rows // MERGE, columns // MERGE, MERGE, MERGE, 3, PATCH, PATCH)
    return parts.transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * PATCH, columns * PATCH)


def parted(picture: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The reverse of `joined`."""
    rows, columns = grid
    parts = picture.reshape(3, rows // MERGE, MERGE, PATCH, columns // MERGE, MERGE, PATCH)
    return np.ascontiguousarray(parts.transpose(1, 4, 2, 5, 0, 3, 6)).reshape(rows * columns, -1)
