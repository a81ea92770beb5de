"""The nano policy before it has learned anything: tokenizer, processor, and a randomly initialised Qwen3-VL.

It is a real `Qwen3VLForConditionalGeneration` of a few million parameters, saved in the layout that `AutoProcessor` and
`AutoModelForImageTextToText` load offline, so that everything written for it also runs on `Qwen/Qwen3-VL-*`.

Decisions:
  * A byte-level BPE of 2,048 tokens, trained on the text given, in the tokenizer class of Qwen. Digits stay single,
    as in Qwen. The fixed parts of a tool call are one token each, and so is each coordinate of a box ("[120", ", 330"):
    a nano model should spend its capacity on where to look, not on JSON, and its turns should be short.
  * Pictures of at most 93,000 pixels (a scene of 448 x 336 becomes 352 x 256) in patches of 16, merged 2 x 2: one token
    for 32 x 32 pixels, 88 for a scene.
  * Heads of width 64: with QK-norm, the logits of narrow heads are too small to single out one of a thousand tokens.
  * Untied embeddings of standard deviation 1, so that pictures and words enter at the same scale, and deepstack from
    one vision layer, as small relatives of the large configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.dialects.templates import RESPONSE_TEMPLATE
from index import torchvision_ops  # noqa: F401  (must come before transformers' processors)

PATCH, MERGE, HEAD = 16, 2, 64
SHARED, FAST = 8, 10
"""How many values all embeddings share, and how many rotary angles the heads take that begin one token back."""
LOUD = 0.7
"""How large the waves are of which a picture's position embeddings are made."""
SHARP = 1.3
"""Where QK-norm's weights begin: a little sharper than 1, so that attention finds single tokens early."""
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
GAZE, SEARCH = (
    '<tool_call>\n{"name": "gaze", "arguments": {"box": ',
    '<tool_call>\n{"name": "search", "arguments": {"query": "',
)
PHRASES = (
    "<answer>", "</answer>", "<think>", "</think>", "user\n", "assistant\n",
    "<tool_response>\n", "\n</tool_response>", GAZE, "]}}\n</tool_call>", SEARCH, '"}}\n</tool_call>',
    '<tool_call>\n{"name": "glance", "arguments": {}}\n</tool_call>',
)  # fmt: skip
COORDINATES = tuple(f"{before}{value}" for before in ("[", ", ") for value in range(0, 1001, 10))


@dataclass(frozen=True)
class Size:
    """Sizes of a nano model; the defaults give about 3 million parameters.

    Attributes:
        hidden: width of text and vision layers.
        text_layers: decoder layers.
        vision_layers: ViT layers; the second one feeds deepstack.
        heads: attention heads of the text layers, each of width 64.
        vision_heads: attention heads of the vision layers.
        vocabulary: tokens of the BPE, special ones and phrases included.
        max_pixels: pixels of the largest picture after resizing.
    """

    hidden: int = 128
    text_layers: int = 5
    vision_layers: int = 4
    heads: int = 2
    vision_heads: int = 2
    vocabulary: int = 2048
    max_pixels: int = 93_000


def make_tokenizer(texts: Iterable[str], vocabulary: int = 2048) -> Any:
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
    room = vocabulary - len(SPECIAL) - len(PHRASES) - len(COORDINATES)
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
    tokenizer.add_tokens([AddedToken(number, special=False, normalized=False) for number in COORDINATES])
    tokenizer.chat_template = TEMPLATE.read_text(encoding="utf-8")
    tokenizer.response_template = RESPONSE_TEMPLATE
    return tokenizer


def _cutting(size: Size) -> dict[str, Any]:
    return {
        "size": {"shortest_edge": 32 * 32, "longest_edge": size.max_pixels},
        "patch_size": PATCH, "merge_size": MERGE, "temporal_patch_size": 1,
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
    }  # fmt: skip


def make_image_processor(size: Size = Size()) -> Any:
    """A `Qwen2VLImageProcessor` for pictures of at most `size.max_pixels` pixels."""
    from transformers import Qwen2VLImageProcessor

    return Qwen2VLImageProcessor(**_cutting(size))


def make_processor(tokenizer: Any, size: Size = Size()) -> Any:
    """A `Qwen3VLProcessor` for pictures of at most `size.max_pixels` pixels."""
    from transformers import Qwen3VLProcessor, Qwen3VLVideoProcessor

    return Qwen3VLProcessor(
        image_processor=make_image_processor(size),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**_cutting(size)),
        chat_template=tokenizer.chat_template,
    )


def make_model(tokenizer: Any, size: Size = Size(), seed: int = 0) -> Any:
    """A randomly initialised `Qwen3VLForConditionalGeneration` in float32, the same for the same seed."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    sections = [HEAD // 2 - 2 * (HEAD // 6), HEAD // 6, HEAD // 6]
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": size.hidden, "intermediate_size": size.hidden * 3,
            "num_hidden_layers": size.text_layers, "num_attention_heads": size.heads, "num_key_value_heads": size.heads,
            "head_dim": HEAD, "max_position_embeddings": 4096, "tie_word_embeddings": False,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections,
            "mrope_interleaved": True},
        },
        vision_config={
            "depth": size.vision_layers, "hidden_size": size.hidden, "intermediate_size": size.hidden * 3,
            "num_heads": size.vision_heads, "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 1,
            "out_hidden_size": size.hidden, "num_position_embeddings": 576, "deepstack_visual_indexes": [1],
        },
        image_token_id=token("<|image_pad|>"), video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"), vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = Qwen3VLForConditionalGeneration(config)
    _begin(model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model.float()


def _begin(model: Any) -> None:
    """Sets weights that a model of this size would spend much of its short training to find.

    Copying takes a head that looks at the token before. Without biases, and with embeddings that have nothing in
    common, no head can look at a place whatever stands there. So all embeddings share a few values (`SHARED`), and the
    first head of the first two layers begins by looking one token back, through them and the fastest rotary angles.

    Saying where something is takes places that can be told from what stands there: position embeddings of a picture
    begin as waves along its height and width, as loud as the patches themselves.
    """
    import torch

    text, places = model.model.language_model, model.model.visual.pos_embed.weight
    side = round(places.shape[0] ** 0.5)
    waves = torch.linspace(0.0, 1.0, side)[:, None] * torch.pi * torch.logspace(-1, 3, places.shape[1] // 4, 2.0)
    waves = torch.cat([waves.sin(), waves.cos()], dim=1)
    with torch.no_grad():
        down, across = waves[:, None].expand(-1, side, -1), waves[None].expand(side, -1, -1)
        places.copy_(LOUD * torch.cat([down, across], dim=-1).reshape(places.shape))
        embeddings = text.embed_tokens.weight
        embeddings.copy_(torch.randn(embeddings.shape))
        embeddings[:, :SHARED] = 2.0
        angles = text.rotary_emb.inv_freq[:FAST]
        for number, layer in enumerate(text.layers):
            attention = layer.self_attn
            attention.q_norm.weight.fill_(SHARP)
            attention.k_norm.weight.fill_(SHARP)
            if number < 2:  # rotary dimensions come in pairs (i, i + HEAD / 2)
                attention.k_proj.weight[:FAST, :SHARED] = 0.1
                attention.q_proj.weight[:FAST, :SHARED] = 0.1 * torch.cos(angles)[:, None]
                attention.q_proj.weight[HEAD // 2 : HEAD // 2 + FAST, :SHARED] = -0.1 * torch.sin(angles)[:, None]
