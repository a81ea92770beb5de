"""The log-probabilities that GRPO's loss needs, with nothing computed twice: the same numbers as TRL's, in less time.

TRL reads every rollout of a group from its first token, picture included, padded to the longest. Here each picture goes
through the vision tower once, each prompt is read once, the rollouts of a group go on from its keys and values,
rollouts of about one length share a batch, and only what the model wrote itself goes through the head. Gradients flow
through all of it, so loss and gradients are TRL's, up to the order of sums. The head, temperature and entropy are those
of TRL (`add_fused_lm_head`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers.cache_utils import DynamicCache
from trl.trainer import utils as trl_utils

from agents.engine_sampling import batches
from agents.engine_writer import features_of, look

if TYPE_CHECKING:
    from agents.engine import Rollout
    from agents.engine_chat import Picture
    from agents.engine_writer import CachedWriter


def token_logprobs(
    model: Any, writer: CachedWriter, rollouts: Sequence[Rollout], width: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Log-probabilities and entropies of the rollouts' completions.

    Args:
        model: unwrapped, with TRL's fused head.
        writer: of a model of the same class; lends its rule of positions.
        rollouts: with their pictures.
        width: tokens of the longest completion, padding included.

    Returns:
        Both (rollouts, width), 0 where the model wrote nothing (results, and behind a rollout's end); the entropies are
        None where the head computes none.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    body, device = base.model, base.get_input_embeddings().weight.device
    pictures = [*{id(one): one for rollout in rollouts for one in rollout.pictures}.values()]
    looks = dict(zip(map(id, pictures), look(body, pictures, device), strict=True)) if pictures else {}

    def encoded(shown: Sequence[Picture]) -> dict[str, Any]:
        return {"mm_encoder_outputs": {"image": features_of([looks[id(one)] for one in shown])}} if shown else {}

    def padded(pieces: Sequence[Sequence[int]], value: int = 0) -> torch.Tensor:
        return pad_sequence([torch.tensor(piece) for piece in pieces], True, value).to(device)

    # The prompts, each once, without their last token: it is read with the completion, whose first token it predicts.
    distinct = [*{id(rollout.prompt_ids): rollout for rollout in rollouts}.values()]
    which = {id(rollout.prompt_ids): number for number, rollout in enumerate(distinct)}
    heads = [rollout.prompt_ids[:-1] for rollout in distinct]
    shown = [_first(rollout) for rollout in distinct]
    positions, following = writer.positions(heads, shown, [0] * len(distinct))
    prompts = DynamicCache(config=base.config.get_text_config())
    flat = [picture for some in shown for picture in some]
    body(input_ids=padded(heads), position_ids=positions, past_key_values=prompts, use_cache=True, **encoded(flat))
    longest = max(map(len, heads))

    logprobs = torch.zeros((len(rollouts), width), device=device)
    entropies: torch.Tensor | None = torch.zeros_like(logprobs)
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = []
    for rows in batches([len(rollout.completion_ids) for rollout in rollouts]):
        batch = [rollouts[row] for row in rows]
        owners = [which[id(rollout.prompt_ids)] for rollout in batch]
        chunks = [[rollout.prompt_ids[-1], *rollout.completion_ids] for rollout in batch]
        shown = [rollout.pictures[len(_first(rollout)) :] for rollout in batch]
        positions, _ = writer.positions(chunks, shown, [following[owner] for owner in owners])
        ids = padded(chunks)
        labels = padded([[-100, *_written(rollout)] for rollout in batch], -100)
        cache: Any = _expanded(prompts, torch.tensor(owners, device=device))
        hidden = _hidden(torch.tensor([len(heads[owner]) for owner in owners], device=device), longest, ids.shape[1])
        mask = torch.zeros(hidden.shape, dtype=cache.layers[0].keys.dtype, device=device)
        flat = [picture for some in shown for picture in some]
        with _compact_head():
            output = base(
                input_ids=ids, position_ids=positions, attention_mask=mask.masked_fill_(hidden, float("-inf")),
                past_key_values=cache, labels=labels, fused_lm_head=True, **encoded(flat),
            )  # fmt: skip
        parts.append((torch.tensor(rows, device=device), output.log_probs, output.entropy))
    for places, values, spread in parts:
        logprobs = _placed(logprobs, places, values)
        entropies = None if spread is None or entropies is None else _placed(entropies, places, spread)
    return logprobs, entropies


@contextlib.contextmanager
def _compact_head() -> Iterator[None]:
    """Lets TRL's head leave out tokens without a label on a CPU too, as on a GPU: nothing is recompiled here."""
    asked: Any = trl_utils._use_triton
    trl_utils._use_triton = lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = asked


def _written(rollout: Rollout) -> list[int]:
    """The tokens of a completion, -100 for those that the model did not write, which the loss masks."""
    return [token if own else -100 for token, own in zip(rollout.completion_ids, rollout.sampled, strict=True)]


def _first(rollout: Rollout) -> list[Picture]:
    """The pictures of a rollout's prompt: those whose tokens are in it."""
    return rollout.pictures[: rollout.prompt_pictures]


def _expanded(prompts: Any, owners: torch.Tensor) -> DynamicCache:
    """The prompts' keys and values, one row for each owner; gradients flow back to the prompts, added in one order."""
    taken = [(layer.keys.index_select(0, owners), layer.values.index_select(0, owners)) for layer in prompts.layers]
    return DynamicCache(ddp_cache_data=taken)


def _hidden(lengths: torch.Tensor, longest: int, tokens: int) -> torch.Tensor:
    """What the tokens of completions must not see, (rows, 1, tokens, longest prompt + tokens): padding and the future.

    >>> _hidden(torch.tensor([1, 2]), 2, 2)[:, 0].int().tolist()
    [[[0, 1, 0, 1], [0, 1, 0, 0]], [[0, 0, 0, 1], [0, 0, 0, 0]]]
    """
    slots = torch.arange(longest + tokens, device=lengths.device)
    behind = (slots >= lengths[:, None]) & (slots < longest)
    ahead = slots > longest + torch.arange(tokens, device=lengths.device)[:, None]
    return (behind[:, None] | ahead)[:, None]


def _placed(table: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    width = table.shape[1]
    fitted = torch.nn.functional.pad(values.to(table.dtype), (0, width - values.shape[1]))
    return table.index_copy(0, rows, fitted)
