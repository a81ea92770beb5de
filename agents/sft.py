"""TRL's `SFTTrainer` with checkpoints that a killed run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents.saving import WholeCheckpoints

# isort: split
from trl import SFTTrainer


class PolicySftTrainer(WholeCheckpoints, SFTTrainer):
    """Supervised fine-tuning.

    Args:
        more_state: what a checkpoint holds besides (such as sizes of files that are appended to).
        **trl: as `SFTTrainer` takes it.
    """

    def __init__(self, *, more_state: Callable[[], dict[str, Any]] = dict, **trl: Any) -> None:
        """Builds TRL's trainer."""
        self._more_state = more_state
        super().__init__(**trl)

    def kept_state(self) -> dict[str, Any]:
        """What a checkpoint holds besides."""
        return {"tokens": self._total_train_tokens, **self._more_state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what `kept_state` kept."""
        self._total_train_tokens = state["tokens"]
