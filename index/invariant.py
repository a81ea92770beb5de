"""A picture's features, the same to the bit whatever else is in its batch (ViTs on CPU, for a given number of threads).

Matrix products choose their kernels by the number of rows. Measured on the nano encoder and ViT-B-32 with one and two
threads (torch 2.13, MKL): rows agree to the bit in all batches whose size is a multiple of `ROWS`; sizes between differ
in the last bit, and so does a single picture, by its projection alone. Therefore:

- A batch of several is filled up to a multiple of `ROWS` with its last picture.
- A single picture goes through the tower alone, because four would cost three times as much, and its tokens are
  repeated just before the projection. That place is known of open_clip's `VisionTransformer`; other towers take
  the filled batch. Convolutions (ResNets) choose by the size of the batch itself: there 1e-6 remains.

A difference of 1e-7 would hardly ever show in a score of five decimals, but it would now and then, and an episode could
not be replayed to the same bytes beside others.
"""

from __future__ import annotations

import threading
from typing import Any

import torch

#: Batches are filled up to a multiple of this.
ROWS = 4


class Features:
    """Calls `encode_image` of an open_clip model so that rows do not depend on their batch.

    Args:
        model: in evaluation mode; its picture tower gets a hook that acts in `__call__` only.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._state = threading.local()  # other threads' batches pass the hook untouched
        norm = _norm_before_projection(model)
        #: Whether rows are the same to the bit in any batch, on a CPU in full precision.
        self.holds = norm is not None
        if norm is not None:
            norm.register_forward_hook(self._repeat)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Features (pictures, dimension) of a batch (pictures, 3, height, width)."""
        rows = len(batch)
        if rows == 1 and self.holds:
            self._state.alone = True
            try:
                return self._model.encode_image(batch)[:1]  # type: ignore[operator]
            finally:
                self._state.alone = False
        if short := -rows % ROWS:
            batch = torch.cat([batch, batch[-1:].expand(short, *batch.shape[1:])])
        return self._model.encode_image(batch)[:rows]  # type: ignore[operator]

    def _repeat(self, module: torch.nn.Module, inputs: Any, tokens: torch.Tensor) -> torch.Tensor | None:
        return torch.cat([tokens] * ROWS) if getattr(self._state, "alone", False) else None


def _norm_before_projection(model: torch.nn.Module) -> torch.nn.Module | None:
    """The layer norm after which a `VisionTransformer` only pools and projects; None for other towers."""
    from open_clip.transformer import VisionTransformer

    tower = getattr(model, "visual", None)
    if not isinstance(tower, VisionTransformer) or tower.attn_pool is not None or tower.output_tokens:
        return None
    return tower.ln_post
