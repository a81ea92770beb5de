"""What a model weighs before it is loaded: parameters counted from its configuration, and an estimate of memory.

Parameters are exact: the model's class is built on torch's meta device, which has shapes and no storage. Memory is an
estimate from them, for one device:

  * weights, and their casts where float32 weights compute in bfloat16 (autocast keeps one cast of each);
  * gradients and the optimizer's states of what is trained, in float32 (AdamW: two states, Muon: one);
  * activations: what autograd keeps of each layer a token, as counted from the classes of transformers 5.23 with SDPA
    attention, which keeps no attention matrix (`tests/agents/test_model_size.py` measures it). With gradient
    checkpointing a layer keeps its input only, and one layer at a time is whole;
  * logits: three copies in float32 (logits, softmax, gradient), usually the largest single thing at a vocabulary of
    150,000;
  * the key/value cache of the rollouts that are generated at once.

Left out: CUDA's own context (about 0.5 GiB), fragmentation, kernels' workspaces, and vLLM's second copy of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from index.errors import ModelError

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_SHARDED = {
    "none": (),
    "zero2": ("gradients", "optimizer"),
    "full": ("weights", "gradients", "optimizer"),
}
_LOGIT_COPIES = 3


@dataclass(frozen=True)
class ModelSize:
    """Counts of a model.

    Attributes:
        total, vision: parameters of the whole and of the picture tower (tied embeddings once).
        trainable: of them, or of the LoRA adapters added to them.
        layers, hidden, intermediate, query, key_value, vocabulary: of the text model (query, key_value: heads x size).
        query_norm: queries and keys are normalised (Qwen3).
        vision_layers, vision_hidden, vision_intermediate: of the picture tower.
        vision_gated: its MLPs have gates (Qwen2.5-VL).
        merge: patches of the picture tower a picture token.
    """

    total: int
    vision: int
    trainable: int
    layers: int
    hidden: int
    intermediate: int
    query: int
    key_value: int
    vocabulary: int
    query_norm: bool
    vision_layers: int
    vision_hidden: int
    vision_intermediate: int
    vision_gated: bool
    merge: int

    def layer_activations(self) -> tuple[int, int]:
        """Numbers that autograd keeps of one text layer a token: (in the residual stream's width, elsewhere)."""
        norms = 2 if self.query_norm else 1
        return 6 * self.hidden, 2 * norms * (self.query + self.key_value) + 4 * self.intermediate

    def vision_activations(self) -> tuple[int, int]:
        """The same of one layer of the picture tower a patch."""
        if self.vision_gated:
            return 6 * self.vision_hidden, 7 * self.vision_hidden + 4 * self.vision_intermediate
        return 6 * self.vision_hidden, 5 * self.vision_hidden + 2 * self.vision_intermediate

    def cache_bytes(self, tokens: int, dtype: str = "bfloat16") -> int:
        """Bytes of the key/value cache of so many tokens."""
        return 2 * self.layers * self.key_value * tokens * _BYTES[dtype]


@dataclass(frozen=True)
class Load:
    """What one device has to carry at once.

    Attributes:
        batch, tokens, pictures: sequences of a training pass, tokens of each, and picture tokens among them.
        scored: tokens of each whose logits are needed (SFT: all; RL: the completion).
        rollouts: sequences that are generated at once; 0 for none.
        weights, compute: dtypes of the stored weights and of the computation.
        optimizer: `muon` has one state; every other is taken for AdamW, with two.
        checkpointing: gradient checkpointing.
        reference: a second copy of the weights for the KL term (not with LoRA, whose base is the reference).
        sharding: `none`, `zero2` (gradients and optimizer) or `full` (weights too: FSDP2, ZeRO-3).
        processes: devices that share.
    """

    batch: int
    tokens: int
    pictures: int
    scored: int
    rollouts: int = 0
    weights: str = "float32"
    compute: str = "bfloat16"
    optimizer: str = "adamw"
    checkpointing: bool = True
    reference: bool = False
    sharding: str = "none"
    processes: int = 1


@dataclass(frozen=True)
class Memory:
    """Bytes on one device; see the file's docstring for what each is."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    cache: int

    @property
    def standing(self) -> int:
        """What is there all the time."""
        return self.weights + self.optimizer

    @property
    def peak(self) -> int:
        """The larger one of training and generating."""
        return self.standing + max(self.gradients + self.activations + self.logits, self.cache)


def model_size(config: Any, lora_rank: int = 0) -> ModelSize:
    """Counts a model's parameters from its configuration alone.

    Args:
        config: a transformers configuration of an image-text-to-text model.
        lora_rank: rank of adapters on all linear layers but the output head; 0 trains all weights.

    Raises:
        ModelError: the configuration is of no class whose towers we know how to measure.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
        text, picture = config.text_config, config.vision_config
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        vision = sum(weight.numel() for weight in model.model.visual.parameters())
        linear = [
            module
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
        ]
        total = sum(weight.numel() for weight in model.parameters())
        names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
        return ModelSize(
            total=total,
            vision=vision,
            trainable=sum(lora_rank * (one.in_features + one.out_features) for one in linear) if lora_rank else total,
            layers=text.num_hidden_layers,
            hidden=text.hidden_size,
            intermediate=text.intermediate_size,
            query=text.num_attention_heads * head,
            key_value=text.num_key_value_heads * head,
            vocabulary=text.vocab_size,
            query_norm="q_norm" in names,
            vision_layers=picture.depth,
            vision_hidden=picture.hidden_size,
            vision_intermediate=picture.intermediate_size,
            vision_gated=any("visual" in name and name.endswith("gate_proj") for name, _ in model.named_modules()),
            merge=picture.spatial_merge_size**2,
        )
    except (AttributeError, ValueError, TypeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"cannot size a model of type {getattr(config, 'model_type', '?')} ({first}); a dry run knows models like "
            "Qwen3-VL and Qwen2.5-VL"
        ) from None


def memory(size: ModelSize, load: Load) -> Memory:
    """Estimates the memory of one device.

    Raises:
        ModelError: a dtype or way of sharding that is not known.
    """
    if load.weights not in _BYTES or load.compute not in _BYTES:
        raise ModelError(f"dtypes are {', '.join(_BYTES)}, not {load.weights} and {load.compute}")
    if load.sharding not in _SHARDED:
        raise ModelError(f"weights are shared as {', '.join(_SHARDED)}, not {load.sharding!r}")
    share = {part: load.processes for part in _SHARDED[load.sharding]}
    stored, computed = _BYTES[load.weights], _BYTES[load.compute]
    casts = computed if stored > computed else 0
    adapters = size.trainable if size.trainable != size.total else 0
    copies = 2 if load.reference and not adapters else 1
    weights = copies * size.total * stored // share.get("weights", 1) + size.total * casts // share.get("weights", 1)
    weights += 4 * adapters
    states = 4 if load.optimizer == "muon" else 8
    return Memory(
        weights=weights,
        gradients=4 * size.trainable // share.get("gradients", 1),
        optimizer=states * size.trainable // share.get("optimizer", 1),
        activations=_activations(size, load, computed),
        logits=_LOGIT_COPIES * 4 * load.batch * load.scored * size.vocabulary,
        cache=size.cache_bytes(load.rollouts * load.tokens, load.compute),
    )


def _activations(size: ModelSize, load: Load, computed: int) -> int:
    """Text layers a token and vision layers a patch; norms and the residual stream stay in float32."""
    total = 0
    towers = (
        (size.layers, size.hidden, size.layer_activations(), load.batch * load.tokens),
        (size.vision_layers, size.vision_hidden, size.vision_activations(), load.batch * load.pictures * size.merge),
    )
    for layers, hidden, (stream, inner), count in towers:
        layer = count * (4 * stream + computed * inner)
        total += layers * count * computed * hidden + layer if load.checkpointing else layers * layer
    return total
