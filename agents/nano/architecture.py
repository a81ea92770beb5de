"""The nano policy before it has learned anything: tokenizer, processor, and a randomly initialised Qwen3-VL.

It is a real `Qwen3VLForConditionalGeneration` of a few million parameters, saved in the layout that `AutoProcessor` and
`AutoModelForImageTextToText` load offline, so that everything written for it also runs on `Qwen/Qwen3-VL-*`.

Decisions:
  * A byte-level BPE of 1,024 tokens, trained on the text given, in the tokenizer class of Qwen. Digits stay single,
    as in Qwen. The fixed parts of a tool call are one token each: a nano model should spend its capacity on the box,
    not on JSON.
  * Pictures of at most 16,384 pixels (128 x 128) in patches of 8, merged 2 x 2: one token per 16 x 16 pixels.
  * Tied embeddings, deepstack from one vision layer, as small relatives of the large configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index import torchvision_ops  # noqa: F401  (must come before transformers' processors)

TEMPLATE = Path(__file__).with_name("chat_template.jinja")
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
PHRASES = (
    "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>",
    "<answer>", "</answer>", "<think>", "</think>",
    '{"name": "glance", "arguments": {}}', '{"name": "gaze", "arguments": {"box": [', "]}}",
    '{"name": "search", "arguments": {"query": "', '"}}', "user\n", "assistant\n",
)  # fmt: skip
# How TRL and transformers read a tool call back out of the text (the layout of Qwen3).
RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<think>", "close_pattern": r"</think>\s*", "content": "text"},
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}


@dataclass(frozen=True)
class Size:
    """Sizes of a nano model; the defaults give about 2 million parameters.

    Attributes:
        hidden: width of text and vision layers.
        text_layers: decoder layers.
        vision_layers: ViT layers; the second one feeds deepstack.
        heads: attention heads of both towers.
        vocabulary: tokens of the BPE, special ones and phrases included.
        max_pixels: pixels of the largest picture after resizing.
    """

    hidden: int = 160
    text_layers: int = 4
    vision_layers: int = 3
    heads: int = 4
    vocabulary: int = 1024
    max_pixels: int = 128 * 128


def make_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> Any:
    """Trains a byte-level BPE on `texts` and returns it as a `Qwen2Tokenizer` with our special tokens and phrases."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX, Qwen2Tokenizer

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    room = vocabulary - len(SPECIAL) - len(PHRASES)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=room, initial_alphabet=sorted(alphabet), show_progress=False)
    bpe.train_from_iterator(texts, trainer)
    import json

    state = json.loads(bpe.to_str())["model"]
    merges: list[Any] = [
        tuple(merge) if not isinstance(merge, str) else tuple(merge.split(" ")) for merge in state["merges"]
    ]
    tokenizer = Qwen2Tokenizer(
        vocab=state["vocab"], merges=merges, eos_token="<|im_end|>", pad_token="<|endoftext|>", padding_side="left"
    )
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL], special_tokens=True)
    tokenizer.add_tokens([AddedToken(phrase, special=False, normalized=False) for phrase in PHRASES])
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    tokenizer.response_template = RESPONSE_TEMPLATE
    return tokenizer


def make_processor(tokenizer: Any, size: Size = Size()) -> Any:
    """A `Qwen3VLProcessor` for pictures of at most `size.max_pixels` pixels."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    shape: dict[str, Any] = {"patch_size": 8, "merge_size": 2, "temporal_patch_size": 1}
    pixels = {"shortest_edge": 16 * 16, "longest_edge": size.max_pixels}
    normal: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=pixels, **shape, **normal),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(size=pixels, **shape, **normal),
        chat_template=tokenizer.chat_template,
    )


def make_model(tokenizer: Any, size: Size = Size(), seed: int = 0) -> Any:
    """A randomly initialised `Qwen3VLForConditionalGeneration` in float32, the same for the same seed."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    head = size.hidden // size.heads
    sections = [head // 2 - 2 * (head // 6), head // 6, head // 6]
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": size.hidden, "intermediate_size": size.hidden * 3,
            "num_hidden_layers": size.text_layers, "num_attention_heads": size.heads, "num_key_value_heads": size.heads,
            "head_dim": head, "max_position_embeddings": 4096, "tie_word_embeddings": True,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections,
            "mrope_interleaved": True},
        },
        vision_config={
            "depth": size.vision_layers, "hidden_size": size.hidden, "intermediate_size": size.hidden * 3,
            "num_heads": size.heads, "patch_size": 8, "spatial_merge_size": 2, "temporal_patch_size": 1,
            "out_hidden_size": size.hidden, "num_position_embeddings": 256, "deepstack_visual_indexes": [1],
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"), vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float()
