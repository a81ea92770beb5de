"""Chats for training with a frozen vision tower: each picture is looked at once, and each chat is tokenised once.

What a frozen tower hands on of a picture stays the same for the whole run, and so do a chat's tokens. With a small
model both cost as much as the rest of a step, so they are kept (in half precision, within so many bytes) when they are
first needed; what does not fit any more is made again each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from agents.collate import IGNORED, ChatCollator
from index.errors import ModelError

ROOM = 4 << 30
"""Bytes that are kept, at most."""


@dataclass(frozen=True)
class _Kept:
    """A chat: `ids` and `labels` (`int[tokens]`), the pictures' `grids`, and what the tower handed on of each picture.

    `seen[i]` is `float16[1 + levels, tokens, width]`: merged tokens, then those that are fed in deeper.
    """

    ids: Any
    labels: Any
    grids: Any
    seen: list[Any]


def frozen(model: Any) -> Any:
    """Takes the vision tower out of training and returns it.

    Raises:
        ModelError: the model is none of those whose tower is known.
    """
    tower = getattr(getattr(model, "model", None), "visual", None)
    if tower is None:
        raise ModelError(f"the vision tower of a {type(model).__name__} is not known; train without a frozen one")
    tower.requires_grad_(False)
    return tower


class RememberingCollator:
    """Makes the batches of `ChatCollator`, with what the tower hands on in the place of pixels.

    Args:
        collator: makes batches of chats.
        model: a Qwen-VL whose vision tower is frozen.
        chats: the table of chats; examples are dictionaries with its `row`.
        room: bytes that are kept at most.
    """

    def __init__(self, collator: ChatCollator, model: Any, chats: Any, room: int = ROOM) -> None:
        """Keeps nothing yet."""
        self.collator, self.model, self.chats, self.room = collator, model, chats, room
        self._kept: dict[int, _Kept] = {}

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The batch of some rows: tensors, right-padded, their `labels`, and `mm_encoder_outputs`."""
        import torch

        rows = [int(example["row"]) for example in examples]
        missing = sorted({row for row in rows if row not in self._kept})
        fresh = dict(zip(missing, self._encode(missing), strict=True)) if missing else {}
        for row, kept in fresh.items():
            size = sum(one.nbytes for one in (kept.ids, kept.labels, *kept.seen))
            if size <= self.room:
                self._kept[row], self.room = kept, self.room - size
        chosen = [self._kept.get(row) or fresh[row] for row in rows]
        length, padding = max(len(one.ids) for one in chosen), self.collator.processor.tokenizer.pad_token_id
        ids = torch.full((len(chosen), length), padding)
        labels, mask = torch.full_like(ids, IGNORED), torch.zeros_like(ids)
        for place, one in enumerate(chosen):
            ids[place, : len(one.ids)], labels[place, : len(one.ids)] = one.ids, one.labels
            mask[place, : len(one.ids)] = 1
        batch: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        batch["mm_token_type_ids"] = (ids == self.model.config.image_token_id).long()
        seen = [picture.to(self.model.device).float() for one in chosen for picture in one.seen]
        if seen:
            levels = range(1, len(seen[0]))
            given = SimpleNamespace(
                pooler_output=[one[0] for one in seen],
                deepstack_features=[[one[level] for one in seen] for level in levels],
            )
            batch["image_grid_thw"] = torch.cat([one.grids for one in chosen])
            batch["mm_encoder_outputs"] = {"image": given}
        return batch

    def _encode(self, rows: Sequence[int]) -> list[_Kept]:
        """Chats as they are kept."""
        import torch

        chats = [self.chats[row] for row in rows]
        batch = self.collator(chats)
        pictures = [
            sum(block["type"] == "image" for message in chat["messages"] for block in message["content"])
            for chat in chats
        ]
        grids = batch.get("image_grid_thw", torch.zeros((0, 3), dtype=torch.long))
        seen = iter(self._look(batch["pixel_values"], grids) if len(grids) else [])
        found, lengths = [], batch["attention_mask"].sum(1).tolist()
        for place, (count, length, own) in enumerate(zip(pictures, lengths, grids.split(pictures), strict=True)):
            ids, labels = batch["input_ids"][place, :length].clone(), batch["labels"][place, :length].clone()
            found.append(_Kept(ids, labels, own, [next(seen) for _ in range(count)]))
        return found

    def _look(self, pixels: Any, grids: Any) -> list[Any]:
        """What the tower hands on of each picture."""
        import torch

        tower, device = self.model.model.visual, self.model.device
        precision = torch.autocast(device.type, torch.bfloat16, enabled=next(tower.parameters()).dtype != torch.float16)
        with torch.no_grad(), precision:
            looked = tower(pixels.to(device), grids.to(device))
        both = torch.stack([looked.pooler_output, *(getattr(looked, "deepstack_features", None) or ())]).half().cpu()
        sizes = (grids.prod(1) // tower.spatial_merge_size**2).tolist()
        return [one.clone() for one in both.split(sizes, dim=1)]
