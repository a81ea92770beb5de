"""What goes into an encoder: text as bytes, pictures as tensors.

- Pictures are squashed to the model's size, never centre-cropped: in a crop that a policy chose, the edges matter.
- A text tower too small to afford a vocabulary reads UTF-8 bytes.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from index.images import open_picture

RESIZE = "squash, PIL bicubic"  # goes into fingerprints: another way of resizing gives other vectors


class ByteTokenizer:
    """Text as UTF-8 bytes, for text towers too small to afford a vocabulary.

    Ids: 0 padding, 1..256 the bytes, 257 start, 258 end (the highest, which CLIP's `argmax` pooling looks for).
    """

    vocab_size = 259
    start, end = 257, 258

    def __init__(self, context_length: int = 64) -> None:
        """Keeps the fixed length of its outputs."""
        self.context_length = context_length

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> torch.Tensor:
        """Returns int64 ids of shape (texts, context length); a text that is too long is cut, its end mark kept."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        length = context_length or self.context_length
        ids = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in enumerate(texts):
            plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
            body = [byte + 1 for byte in plain.encode("utf-8", "replace")][: length - 2]
            tokens = [self.start, *body, self.end]
            ids[row, : len(tokens)] = torch.tensor(tokens)
        return ids


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """How pixels become a model's input: `size` is (width, height) in pixels; `mean` and `std` are of RGB in 0..1."""

    size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def array(self, picture: Image.Image) -> np.ndarray:
        """One picture as float32 (3, height, width)."""
        small = np.asarray(open_picture(picture).resize(self.size, Image.Resampling.BICUBIC))
        values = np.empty((3, *small.shape[:2]), np.float32)
        for channel, table in enumerate(self._tables):
            np.take(table, small[..., channel], out=values[channel], mode="clip")  # a byte is never out of range
        return values

    @functools.cached_property
    def _tables(self) -> np.ndarray:
        """float32 (3, 256): what each byte of each channel becomes; looked up it costs a fifth of being computed."""
        bytes_ = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
        return ((bytes_ - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)).T.copy()

    def __call__(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """Pictures as a float32 tensor (pictures, 3, height, width)."""
        return torch.from_numpy(np.stack([self.array(picture) for picture in pictures]))
