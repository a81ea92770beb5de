"""Tiny random models of the Qwen-VL classes, for tests: the published processors, small towers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.dialects.templates import RESPONSE_TEMPLATE
from index import torchvision_ops  # noqa: F401  (must come before transformers' processors)

#: What the hub's preprocessor_config.json say: Qwen3-VL-*-Instruct and Qwen2.5-VL-*-Instruct.
PUBLISHED: dict[str, dict[str, Any]] = {
    "qwen3_vl": {"patch_size": 16, "merge_size": 2, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
    "qwen2_5_vl": {"patch_size": 14, "merge_size": 2, "size": {"shortest_edge": 3136, "longest_edge": 12845056}},
}
WORDS = [
    "You answer questions about a picture, with tools: glance, gaze at a box, search texts, and then answer.",
    '{"type": "function", "function": {"name": "gaze", "description": "Crop a region", "parameters": {}}}',
    '<tool_call>\n{"name": "gaze", "arguments": {"box": [120, 300, 400, 500]}}\n</tool_call><answer>unknown</answer>',
]


def make_tokenizer(vocabulary: int = 420) -> Any:
    """Qwen's special tokens on a small byte-level BPE; calls are plain text, as in Qwen's own tokenizers."""
    from agents.nano import architecture

    tokenizer = architecture.make_tokenizer(WORDS * 20, vocabulary)
    tokenizer.chat_template = None
    tokenizer.response_template = RESPONSE_TEMPLATE
    return tokenizer


def image_processor(family: str, **changes: Any) -> Any:
    """The family's image processor with its published parameters."""
    from transformers import Qwen2VLImageProcessor

    return Qwen2VLImageProcessor(**{**PUBLISHED[family], **changes})


def make_processor(family: str, tokenizer: Any, template: str | None, **changes: Any) -> Any:
    """The family's processor; `changes` to its resizing, so that tests have few picture tokens."""
    import transformers

    name = {"qwen3_vl": "Qwen3VL", "qwen2_5_vl": "Qwen2_5_VL"}[family]
    video = transformers.Qwen3VLVideoProcessor if family == "qwen3_vl" else transformers.Qwen2VLVideoProcessor
    return getattr(transformers, f"{name}Processor")(
        image_processor=image_processor(family, **changes),
        tokenizer=tokenizer,
        video_processor=video(),
        chat_template=template,
    )


def make_model(family: str, tokenizer: Any, seed: int = 0, depth: int = 2, **text: Any) -> Any:
    """A randomly initialised model of the family's class: two layers a tower, 32 wide, unless changed."""
    import torch
    import transformers

    token = tokenizer.convert_tokens_to_ids
    words = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "pad_token_id": tokenizer.pad_token_id, **text,
    }  # fmt: skip
    vision = {
        "depth": depth, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
        "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    common = {
        "image_token_id": token("<|image_pad|>"), "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"), "vision_end_token_id": token("<|vision_end|>"),
        "tie_word_embeddings": True,
    }  # fmt: skip
    if family == "qwen3_vl":
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1], "mrope_interleaved": True}
        config: Any = transformers.Qwen3VLConfig(
            text_config={**words, "head_dim": 8, "rope_parameters": rope},
            vision_config={
                **vision, "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
            },
            **common,
        )  # fmt: skip
        model_class: Any = transformers.Qwen3VLForConditionalGeneration
    else:
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
        config = transformers.Qwen2_5_VLConfig(
            text_config={**words, "rope_parameters": rope},
            vision_config={**vision, "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56},
            **common,
        )
        model_class = transformers.Qwen2_5_VLForConditionalGeneration
    torch.manual_seed(seed)
    model = model_class(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def own_template(family: str) -> str:
    """The template that the family's models come with, from TRL's copies of them."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{family}.jinja").read_text(encoding="utf-8")


def save(family: str, folder: Path) -> Path:
    """Writes a tiny model's folder as the hub would hand it out: the family's own template, no card."""
    tokenizer = make_tokenizer()
    make_model(family, tokenizer).save_pretrained(folder)
    few = {"size": {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}}
    make_processor(family, tokenizer, own_template(family), **few).save_pretrained(folder)
    return folder
