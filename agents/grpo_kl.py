"""How far RL has moved a policy: the KL divergence from the starting model, logged without a KL term in the loss too.

TRL logs `kl` only where the loss has a KL term (`beta` above 0). Here a small model (`LARGEST` parameters at most)
keeps a frozen copy of its beginning, which reads what the policy wrote. The estimate is TRL's own, k3 over the tokens
of the loss (http://joschu.net/blog/kl-approx.html): exp(d) - d - 1, where d is by how much the starting model finds a
token likelier. It is never negative, and its mean over tokens that the policy sampled is the divergence a token.
Where the policy has moved on since it sampled (`num_iterations` above 1), each token weighs by the ratio, as in TRL.
Larger models log `kl` with `beta` only: a copy would cost their size in memory and a forward pass a step.
"""

from __future__ import annotations

import copy
from typing import Any

from index import torchvision_ops  # noqa: F401  (must come before transformers)

# isort: split
import torch
from trl import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

LARGEST = 50_000_000
"""Parameters of the largest model of which a copy is kept."""


class KlTrainer(GRPOTrainer):
    """GRPO that logs `kl` for small models whatever `beta` is.

    Args:
        model: the policy as it is in the beginning.
        **trl: as `GRPOTrainer` takes it.
    """

    args: Any
    model: Any

    def __init__(self, *, model: Any, **trl: Any) -> None:
        """Builds TRL's trainer, with a copy of the model where the loss needs none."""
        self._start: Any = None
        self._asked: tuple[Any, ...] = ()
        if trl["args"].beta == 0.0 and sum(one.numel() for one in model.parameters()) <= LARGEST:
            self._start = copy.deepcopy(model).eval().requires_grad_(False)
        super().__init__(model=model, **trl)
        if self._start is not None:
            self._start.to(self.accelerator.device)
            add_fused_lm_head(self._start, temperature=self.temperature)

    @property
    def measured(self) -> dict[str, list[float]]:
        """TRL's figures of the step that is under way."""
        return self._metrics["train" if self.model.training else "eval"]

    def _get_per_token_logps_and_entropies(self, model: Any, *given: Any, **options: Any) -> tuple[Any, Any, Any]:
        """As TRL's; what the loss asks for is noted, to be asked of the starting model too."""
        found = self._logprobs(model, *given, **options)
        if torch.is_grad_enabled():
            self._asked = (found[0].detach(), given, {**options, "compute_entropy": False, "compute_aux_loss": False})
        return found

    def _logprobs(self, model: Any, *given: Any, **options: Any) -> tuple[Any, Any, Any]:
        return super()._get_per_token_logps_and_entropies(model, *given, **options)

    def _start_logprobs(self, mask: torch.Tensor) -> tuple[Any, torch.Tensor]:
        """Which rows of the batch the starting model reads, and its log-probabilities of their tokens."""
        _, given, options = self._asked
        return slice(None), self._logprobs(self._start, *given, **options)[0]

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        """TRL's loss; `kl` is logged beside it."""
        loss = super()._compute_loss(model, inputs)
        if self._start is not None:
            self._log_kl(inputs["completion_mask"] * inputs.get("tool_mask", 1), inputs.get("old_per_token_logps"))
        self._asked = ()
        return loss

    def _log_kl(self, mask: torch.Tensor, old: torch.Tensor | None) -> None:
        """The mean of k3 over the tokens that count in the loss, of all processes; nothing where there are none."""
        totals = torch.zeros(2, device=mask.device)
        if mask.any():
            with torch.no_grad():
                rows, start = self._start_logprobs(mask)
            now, counted = self._asked[0][rows].float(), mask[rows]
            apart = start.float() - now
            estimate = torch.exp(apart) - apart - 1
            if old is not None and self.args.use_bias_correction_kl:
                estimate = estimate * torch.exp(now - old[rows])
            totals = torch.stack([(estimate * counted).sum(), counted.sum().float()])
        total, count = self.accelerator.reduce(totals, reduction="sum").tolist()
        if count:
            self.measured["kl"].append(total / count)
