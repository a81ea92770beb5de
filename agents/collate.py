"""Chats as batches for supervised training, with labels on what the assistant is to learn and on nothing else.

- Learned are, token by token, the assistant's turns: reason, call or answer, and the token that ends the turn. Nothing
  of prompts, questions, results and pictures, and nothing of an assistant's turn with `"train": false`.
- Where the assistant's turns are is said by the generation marks of the chat template; TRL's training template is taken
  where a model's own has none. Which of them are learned is decided here, so that it holds for every template.
- Tools are rendered into the prompt exactly as when the model is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from index.errors import ModelError

IGNORED = -100
"""The label of tokens that are not learned."""


class ChatCollator:
    """Makes batches of chats.

    Args:
        processor: chat template, tokenizer and picture processor.
        tools: JSON schemas that the template shows the model; None for none.

    Raises:
        ModelError: the template does not mark the assistant's turns, and TRL knows no other for it.
    """

    def __init__(self, processor: Any, tools: list[dict[str, Any]] | None = None) -> None:
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers

        self.processor, self.tools, self.template = processor, tools, None
        if not has_generation_markers(processor.chat_template):
            try:
                self.template = get_training_chat_template(processor)
            except ValueError:
                raise ModelError(
                    "the model's chat template does not mark the assistant's turns ({% generation %}), and TRL has no "
                    "other for it; put the marks into the template"
                ) from None

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The batch of rows with `messages`, pictures in their places: tensors, right-padded, and their `labels`.

        Raises:
            ModelError: the template did not mark each assistant's turn once.
        """
        import torch

        chats = [[_unmarked(message) for message in row["messages"]] for row in examples]
        batch = self.processor.apply_chat_template(
            chats,
            tools=self.tools,
            chat_template=self.template,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            # with tensors of torch, transformers makes the masks one token at a time, which takes most of the time
            processor_kwargs={
                "padding": True, "padding_side": "right", "add_special_tokens": False, "return_tensors": "np",
            },
        )  # fmt: skip
        masks = batch.pop("assistant_masks")
        batch = {name: torch.as_tensor(values) for name, values in batch.items()}
        labels = batch["input_ids"].clone()
        labels[batch["attention_mask"] == 0] = IGNORED
        for row, mask, kept in zip(examples, masks, labels, strict=True):
            said = [message for message in row["messages"] if message["role"] == "assistant"]
            wanted = [message.get("train") is not False for message in said]
            kept[self._ignored([bool(one) for one in mask], wanted, kept.tolist())] = IGNORED
        batch["labels"] = labels
        return batch

    def _ignored(self, mask: list[bool], wanted: list[bool], ids: list[int]) -> list[int]:
        """The places of a row that are not learned."""
        turns = runs(mask)
        if len(turns) != len(wanted):
            raise ModelError(
                f"the chat template marks {len(turns)} turns of an assistant that has {len(wanted)}; each must stand "
                "once between {% generation %} and {% endgeneration %}"
            )
        learned: set[int] = set()
        for (start, stop), learn in zip(turns, wanted, strict=True):
            end = max((i for i in range(start, stop) if ids[i] == self.processor.tokenizer.eos_token_id), default=stop)
            if learn:
                learned.update(range(start, min(end + 1, stop)))  # some templates mark the line's end, too
        return [place for place in range(len(ids)) if place not in learned]


def _unmarked(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "train"}


def runs(mask: Sequence[bool]) -> list[tuple[int, int]]:
    """Where the stretches of True begin and end.

    >>> runs([False, True, True, False, True])
    [(1, 3), (4, 5)]
    """
    edges = [i for i in range(len(mask) + 1) if (i < len(mask) and mask[i]) != (i > 0 and mask[i - 1])]
    return list(zip(edges[::2], edges[1::2], strict=True))
