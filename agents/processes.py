"""Runs on several processes (`accelerate launch`): who writes, and how a model in pieces is put together.

Decisions: the first process writes, the others wait. Where every process has the whole model (one GPU, DDP, ZeRO-2),
it is the first one's. Where weights are in pieces (FSDP2, ZeRO-3), all processes give theirs to the first one, and
adapters are merged there in the gathered weights, W + (alpha / r) B A, since pieces cannot be merged.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def process_count() -> int:
    """How many processes this run has, as `accelerate launch` says."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes() -> tuple[bool, Callable[[], None]]:
    """Whether this process is the first of its run, and the barrier of all."""
    if process_count() == 1:
        return True, lambda: None
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())  # left to itself it takes a CPU's process for a lone one
    return state.is_main_process, state.wait_for_everyone


@dataclass(frozen=True)
class Gathered:
    """A model that was put together from its pieces, ready to be written.

    Attributes:
        model: the model without adapters, for its configuration and names; its own weights are pieces.
        weights: whole weights by name.
    """

    model: Any
    weights: Mapping[str, Any]

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a model folder, as the model itself would."""
        self.model.save_pretrained(folder, state_dict=dict(self.weights))


def finished_model(trainer: Any, adapters: bool) -> Any:
    """What training made, whole and with adapters merged; every process has to call it.

    Args:
        trainer: a transformers trainer after training.
        adapters: whether LoRA adapters were trained.

    Returns:
        Something with `save_pretrained`; None on all processes but the first where weights are in pieces.
    """
    accelerator = trainer.accelerator
    unwrapped = accelerator.unwrap_model(trainer.model)
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    if str(accelerator.distributed_type).endswith("FSDP") or (plugin is not None and plugin.zero_stage == 3):
        weights = accelerator.get_state_dict(trainer.model)
        if not accelerator.is_main_process:
            return None
        scalings = _scalings(unwrapped) if adapters else {}
        base = unwrapped.get_base_model() if adapters else unwrapped
        return Gathered(base, merged(weights, scalings) if adapters else weights)
    return unwrapped.merge_and_unload() if adapters else unwrapped


def _scalings(model: Any) -> dict[str, float]:
    """What peft multiplies each adapter with, by the name of the layer that it is on."""
    found = {name: getattr(module, "scaling", None) for name, module in model.named_modules()}
    return {name: scaling["default"] for name, scaling in found.items() if isinstance(scaling, dict) and scaling}


def merged(weights: Mapping[str, Any], scalings: Mapping[str, float]) -> dict[str, Any]:
    """Merges LoRA adapters into the layers that they are on.

    Args:
        weights: of a peft model, by its names.
        scalings: alpha / r of each layer that has an adapter, by its name in the peft model.

    Returns:
        Weights by the names of the model without adapters, in the dtypes of its layers.
    """
    result: dict[str, Any] = {}
    for name, value in weights.items():
        if ".lora_" in name:
            continue
        if ".base_layer." in name:
            layer = name.partition(".base_layer.")[0]
            if name.endswith(".weight"):
                low, high = (weights[f"{layer}.lora_{one}.default.weight"].float() for one in "AB")
                value = (value.float() + scalings[layer] * (high @ low)).to(value.dtype)
            name = name.replace(".base_layer.", ".")
        result[name.removeprefix("base_model.model.")] = value
    return result
