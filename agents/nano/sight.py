"""Sight: that the tokens of a picture tell what colours are where, as long as a nano model learns.

A language model of this size learns from words alone where things are, and hardly what they look like: its vision tower
keeps colours up to the last layer, and the mergers that hand them on lose them. So linear heads give back from each
merged token, and from each that is fed in deeper, the mean colours of its 8-pixel cells. The heads are thrown away.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from agents.nano.architecture import MERGE, PATCH

CELL = 8
"""Pixels of a cell's side."""
RATE = 0.003


class Sight:
    """The heads, their optimizer, and hooks that hold what the mergers hand on in a forward pass.

    Args:
        model: a nano model, in training.
    """

    def __init__(self, model: Any) -> None:
        vision = model.model.visual
        mergers = [vision.merger, *vision.deepstack_merger_list]
        self._held: list[Any] = [None] * len(mergers)
        for number, merger in enumerate(mergers):
            merger.register_forward_hook(self._hold(number))
        width, values = model.config.text_config.hidden_size, 3 * (PATCH * MERGE // CELL) ** 2
        generator = torch.Generator().manual_seed(0)
        self.heads = nn.ModuleList(nn.Linear(width, values) for _ in mergers)
        with torch.no_grad():
            for weight in self.heads.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02)
        self.optimizer = torch.optim.AdamW(self.heads.parameters(), RATE, weight_decay=0.0)

    def _hold(self, number: int) -> Any:
        def hook(module: Any, given: Any, handed_on: Any) -> None:
            self._held[number] = handed_on

        return hook

    def loss(self, pixels: Any) -> Any:
        """How badly the last forward pass's tokens tell colours: squared error, 1 for one who knows the mean alone.

        Args:
            pixels: `float[patches, values]`, what that pass was given.
        """
        wanted = cells(pixels)
        spread = wanted.var(0).clamp_min(1e-3)
        errors = [
            ((head(held.float()) - wanted).square().mean(0) / spread).mean()
            for head, held in zip(self.heads, self._held, strict=True)
        ]
        return sum(errors) / len(errors)

    def step(self) -> None:
        """Improves the heads by the gradients that a backward pass left."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Heads and optimizer."""
        return {"heads": self.heads.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])


def cells(pixels: Any) -> Any:
    """Mean colours of the cells of each merged token.

    Args:
        pixels: `float[patches, 3 x PATCH x PATCH]`; the patches of a merged token follow each other.

    Returns:
        `float[patches / MERGE**2, 3 x cells of a merged token]`.
    """
    side = PATCH // CELL
    patches = pixels.view(-1, 3, side, CELL, side, CELL).mean((3, 5))
    return patches.reshape(len(pixels) // MERGE**2, -1)
