"""Muon for the matrices, AdamW for the rest, as one optimizer that a `transformers` trainer takes.

A nano policy trained from nothing by AdamW alone learns neither boxes nor copying in the time that two cores allow;
with Muon (Keller Jordan, "Muon: an optimizer for hidden layers", 2024) for the hidden matrices it learns both.
Embeddings, biases, norms and convolutions stay with AdamW, as Muon's author advises.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


class MuonWithAdamW(torch.optim.Optimizer):
    """Steps `torch.optim.Muon` on hidden matrices and `torch.optim.AdamW` on all other parameters.

    `param_groups` holds the groups of both, so that a learning-rate schedule scales both alike.

    Args:
        named_parameters: names and parameters of a model; those that need no gradient are left out.
        muon_lr: Muon's learning rate.
        adamw_lr: AdamW's learning rate.
        embedding_lr: AdamW's learning rate of token embeddings (default: as the rest). Where they start at a standard
            deviation of 1, they need far larger steps than other weights.
        weight_decay: decoupled weight decay of the matrices; nothing else decays.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, nn.Parameter]],
        muon_lr: float = 0.02,
        adamw_lr: float = 3e-3,
        weight_decay: float = 0.0,
        embedding_lr: float | None = None,
    ) -> None:
        """Sorts the parameters and makes the two optimizers."""
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        convolutions: list[nn.Parameter] = []
        embeddings: list[nn.Parameter] = []
        for name, parameter in named_parameters:
            if not parameter.requires_grad:
                continue
            hidden = parameter.ndim == 2 and not any(word in name for word in ("embed", "lm_head"))
            if parameter.ndim > 2:
                convolutions.append(parameter)
            else:
                (embeddings if "embed_tokens" in name else matrices if hidden else others).append(parameter)
        self._muon = torch.optim.Muon(matrices, lr=muon_lr, weight_decay=weight_decay, nesterov=True)
        rest: list[dict[str, Any]] = [{"params": others}]
        # a patch's values are much alike, so that steps of a convolution's weights add up
        rest += [{"params": [one], "lr": adamw_lr / one[0].numel() ** 0.5} for one in convolutions]
        if embeddings:
            rest.append({"params": embeddings, "lr": embedding_lr or adamw_lr})
        self._adamw = torch.optim.AdamW(rest, lr=adamw_lr, betas=(0.9, 0.99), weight_decay=0.0)
        super().__init__([*matrices, *others, *convolutions, *embeddings], {})
        self.param_groups = [*self._muon.param_groups, *self._adamw.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all parameters."""
        self._muon.zero_grad(set_to_none)
        self._adamw.zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """One step of both optimizers."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon.step()
        self._adamw.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"muon": self._muon.state_dict(), "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._muon.load_state_dict(state_dict["muon"])
        self._adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = [*self._muon.param_groups, *self._adamw.param_groups]
