"""Makes a loaded processor ready for tools: the chat template where the model's own drops them, and the card's boxes.

Qwen3-VL's own template renders tools, calls and results. Qwen2.5-VL's drops all three without a word, so that a model
would never learn of its tools and a trainer of theirs would refuse it; `qwen2_5_vl.jinja` is ours. It is used only
where the template at hand drops tools: a folder that was trained with ours holds it already.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.card import PolicyCard

#: Models of the family that needs our template and writes boxes in pixels of the resized picture.
PIXEL_MODELS = frozenset({"qwen2_5_vl"})

#: How TRL and transformers read calls back out of a turn in this layout (that of Qwen2.5, Qwen3 and Qwen3-VL).
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


def qwen2_5_vl_template() -> str:
    """Our chat template for Qwen2.5-VL."""
    return Path(__file__).with_name("qwen2_5_vl.jinja").read_text(encoding="utf-8")


def renders_tools(processor: Any) -> bool:
    """Whether the processor's chat template shows a model its tools, its calls and what came back."""
    from jinja2 import TemplateError

    tool = {"type": "function", "function": {"name": "tool-seen", "parameters": {"type": "object", "properties": {}}}}
    call = {"type": "function", "function": {"name": "call-seen", "arguments": {"key-seen": "value-seen"}}}
    chat: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": [{"type": "text", "text": ""}], "tool_calls": [call]},
        {"role": "tool", "name": "call-seen", "content": [{"type": "text", "text": "result-seen"}]},
    ]
    try:
        text = processor.apply_chat_template(chat, tools=[tool], tokenize=False)
    except (TemplateError, TypeError, ValueError):
        return False
    return all(f"{word}-seen" in text for word in ("tool", "call", "key", "value", "result"))


def make_ready(processor: Any, model_type: str, card: PolicyCard, carded: bool) -> PolicyCard:
    """Gives a Qwen2.5-VL processor our template where its own drops tools, and completes the card.

    Args:
        processor: changed in place.
        model_type: of the model's configuration.
        card: as read from the model's folder, or the defaults.
        carded: whether the model's folder holds a card; without one a Qwen2.5-VL writes pixels.

    Returns:
        The card; with boxes in resized pixels it has the processor's own resizing, so that the two never disagree.
    """
    if model_type in PIXEL_MODELS:
        if not renders_tools(processor):
            processor.chat_template = qwen2_5_vl_template()
            processor.tokenizer.chat_template = processor.chat_template
        if getattr(processor.tokenizer, "response_template", None) is None:
            processor.tokenizer.response_template = RESPONSE_TEMPLATE
        if not carded:
            card = replace(card, boxes="resized_pixels")
    if card.boxes != "resized_pixels":
        return card
    pictures = processor.image_processor
    return replace(
        card,
        resize_factor=pictures.patch_size * pictures.merge_size,
        min_pixels=pictures.size["shortest_edge"],
        max_pixels=pictures.size["longest_edge"],
    )
