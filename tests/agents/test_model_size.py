"""What a model weighs, against models that were built: parameters to the last one, memory within stated bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import agents.recipes
from agents.model_size import Load, ModelSize, memory, model_size
from index.errors import ModelError
from tests.agents import qwen

PUBLISHED = json.loads((Path(agents.recipes.__file__).parent / "published.json").read_text(encoding="utf-8"))["models"]
LOAD = Load(batch=2, tokens=1000, pictures=200, scored=600, rollouts=8)


def tiny(family: str) -> Any:
    return qwen.make_model(family, qwen.make_tokenizer())


def size_of(name: str, rank: int = 0) -> ModelSize:
    from transformers import AutoConfig

    return model_size(AutoConfig.for_model(**PUBLISHED[name]["config"]), rank)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_has_the_parameters_that_are_published(name: str) -> None:
    size, published = size_of(name), PUBLISHED[name]["parameters"]
    assert size.total == pytest.approx(published["total"], rel=0.002)
    if "vision" in published:
        assert size.vision == pytest.approx(published["vision"], rel=0.002)
        assert size.total - size.vision == pytest.approx(published["text"], rel=0.002)


@pytest.mark.parametrize("family", qwen.PUBLISHED)
def test_parameters_are_those_of_a_model_that_was_built(family: str) -> None:
    from peft import LoraConfig, get_peft_model

    model = tiny(family)
    size = model_size(model.config)
    counted = sum(weight.numel() for weight in model.parameters())
    assert (size.total, size.trainable) == (counted, counted)
    assert size.vision == sum(weight.numel() for weight in model.model.visual.parameters())
    assert (size.query_norm, size.vision_gated) == ((True, False) if family == "qwen3_vl" else (False, True))
    adapters = model_size(model.config, 3)
    wrapped = get_peft_model(model, LoraConfig(r=3, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert (adapters.trainable, adapters.total) == (wrapped.get_nb_trainable_parameters()[0], counted)


@pytest.mark.parametrize("family", qwen.PUBLISHED)
def test_the_cache_is_as_large_as_that_of_a_model_that_ran(family: str) -> None:
    model = tiny(family)
    with torch.inference_mode():
        cache = model(input_ids=torch.full((3, 17), 9), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert model_size(model.config).cache_bytes(3 * 17, "float32") == held


def kept_by_autograd(model: Any, batch: Any) -> int:
    """Bytes that a forward pass keeps for the backward one, weights and logits left out."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    storages: dict[int, int] = {}
    alive: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)  # so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.model(**batch)
    return sum(storages.values())


@pytest.mark.parametrize("family", qwen.PUBLISHED)
@pytest.mark.parametrize("words", [{}, {"intermediate_size": 192, "num_key_value_heads": 4}])
@pytest.mark.parametrize("more", [{"num_hidden_layers": 6}, {"depth": 6}])
def test_layers_keep_about_as_much_as_is_estimated(family: str, words: dict[str, int], more: dict[str, int]) -> None:
    """Four more layers of either tower: what is outside the layers drops out of the difference."""
    tokenizer = qwen.make_tokenizer()
    processor = qwen.make_processor(family, tokenizer, None)
    text = "<|vision_start|><|image_pad|><|vision_end|>" + "what is it? " * 40
    batch = processor(text=[text], images=[Image.new("RGB", (448, 336), (200, 10, 10))], return_tensors="pt")
    tokens, pictures = batch["input_ids"].numel(), int((batch["mm_token_type_ids"] == 1).sum())
    load = Load(1, tokens, pictures, tokens, compute="float32", checkpointing=False)
    models = [qwen.make_model(family, tokenizer, **{**words, **changes}).train() for changes in ({}, more)]
    measured = [kept_by_autograd(model, batch) for model in models]
    estimated = [memory(model_size(model.config), load).activations for model in models]
    assert estimated[1] - estimated[0] == pytest.approx(measured[1] - measured[0], rel=0.15)


def test_memory_adds_up_and_is_shared_as_it_is_said() -> None:
    size = size_of("Qwen/Qwen3-VL-8B-Instruct")
    alone = memory(size, LOAD)
    assert alone.weights == size.total * (4 + 2), "float32, and autocast's bfloat16"
    assert (alone.gradients, alone.optimizer) == (size.total * 4, size.total * 8)
    assert alone.logits == 3 * 4 * 2 * 600 * 151936
    assert alone.peak == alone.weights + alone.optimizer + max(
        alone.gradients + alone.activations + alone.logits, alone.cache
    )
    full = memory(size, replace(LOAD, sharding="full", processes=8))
    zero2 = memory(size, replace(LOAD, sharding="zero2", processes=8))
    assert full.weights == pytest.approx(alone.weights / 8, abs=8)
    assert replace(full, weights=0) == replace(zero2, weights=0), "weights make the difference"
    assert zero2 == replace(alone, gradients=alone.gradients // 8, optimizer=alone.optimizer // 8)
    adapters = size_of("Qwen/Qwen3-VL-8B-Instruct", 8)
    light = memory(adapters, replace(LOAD, weights="bfloat16"))
    assert light.weights == size.total * 2 + adapters.trainable * 4 and light.optimizer == adapters.trainable * 8
    assert memory(adapters, replace(LOAD, weights="bfloat16", reference=True)) == light, "the base is the reference"
    assert memory(size, replace(LOAD, reference=True)).weights == size.total * (8 + 2)
    assert memory(size, replace(LOAD, checkpointing=False)).activations > 5 * alone.activations


def test_what_is_not_known_is_one_clear_line() -> None:
    from transformers import AutoConfig

    with pytest.raises(ModelError, match="cannot size a model of type gpt2"):
        model_size(AutoConfig.for_model("gpt2"))
    size = size_of("Qwen/Qwen3-VL-2B-Instruct")
    with pytest.raises(ModelError, match="dtypes are float32"):
        memory(size, replace(LOAD, weights="int4"))
    with pytest.raises(ModelError, match="shared as none, zero2, full"):
        memory(size, replace(LOAD, sharding="fsdp9"))
