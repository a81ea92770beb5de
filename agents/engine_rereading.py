"""Writes turns by reading the whole chat again each time: slow, and right for any image-text-to-text class.

The tokens are chosen by the same rule and the same numbers as everywhere (`agents.engine_sampling`), inside `generate`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from agents.engine_sampling import Sampling, Stream, Written, choose


class _Chooser(LogitsProcessor):
    """Leaves of each row's logits only the token that our own rule chooses, and keeps how likely it was."""

    def __init__(self, numbers: torch.Tensor | None, sampling: Sampling) -> None:
        self.numbers, self.sampling = numbers, sampling
        self.logprobs: list[torch.Tensor] = []
        self.entropies: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Chooses the next token of each row."""
        step = len(self.logprobs)
        numbers = None if self.numbers is None else self.numbers[:, step]
        tokens, logprobs, entropies = choose(scores, self.sampling, numbers)
        self.logprobs.append(logprobs)
        self.entropies.append(entropies)
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)


class RereadingWriter:
    """A writer without a cache between turns.

    Args:
        model: any unwrapped image-text-to-text model of `transformers`.
    """

    def __init__(self, model: Any) -> None:
        """Remembers the model."""
        self.model = model

    def reset(self) -> None:
        """Nothing is kept."""

    def drop(self, streams: Sequence[Stream]) -> None:
        """Nothing is kept."""

    def write(
        self, streams: Sequence[Stream], limits: Sequence[int], numbers: np.ndarray | None, sampling: Sampling
    ) -> list[Written]:
        """Lets each rollout write its next turn; see `CachedWriter.write`."""
        device = self.model.get_input_embeddings().weight.device
        width = max(len(stream.ids) for stream in streams)
        ids = torch.tensor([[sampling.pad] * (width - len(one.ids)) + one.ids for one in streams], device=device)
        mask = torch.tensor([[0] * (width - len(one.ids)) + [1] * len(one.ids) for one in streams], device=device)
        batch = {"input_ids": ids, "attention_mask": mask}
        if pictures := [picture for stream in streams for picture in stream.pictures]:
            batch["pixel_values"] = torch.cat([picture.pixels for picture in pictures]).to(device)
            batch["image_grid_thw"] = torch.tensor([picture.grid for picture in pictures], device=device)
            if "mm_token_type_ids" in inspect.signature(self.model.forward).parameters:
                batch["mm_token_type_ids"] = (ids == self.model.config.image_token_id).int()
        chooser = _Chooser(None if numbers is None else torch.from_numpy(numbers).to(device), sampling)
        with torch.no_grad():
            output = self.model.generate(
                **batch, max_new_tokens=max(limits), do_sample=False, eos_token_id=sampling.ends,
                pad_token_id=sampling.pad, logits_processor=LogitsProcessorList([chooser]),
                **(sampling.stops.options() if sampling.stops else {}),
            )  # fmt: skip
        logprobs = torch.stack(chooser.logprobs, dim=1).tolist()
        written = []
        entropies = torch.stack(chooser.entropies, dim=1).tolist()
        for new, values, spread, limit in zip(output[:, width:].tolist(), logprobs, entropies, limits, strict=True):
            end = next((place for place, token in enumerate(new) if token in sampling.ends), len(new) - 1)
            length = min(end + 1, limit)
            if sampling.stops:
                length = sampling.stops.length(new[:length])
            written.append(Written(new[:length], values[:length], spread[:length]))
        for stream, one in zip(streams, written, strict=True):
            stream.ids += one.ids
        return written
