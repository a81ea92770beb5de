"""What one rollout's tokens are to the engine, and the rule by which the next one is chosen.

Decisions: a token is drawn by one number of the rollout's own generator, through the inverse of the distribution's
cumulative sum (in float64): the rule needs nothing of the other rows, and a number stands for the same token in any
batch, up to rounding in the forward pass. Log-probabilities are those of the whole distribution at the temperature, as
TRL computes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from agents.engine_chat import Picture, Prompt
from agents.engine_stops import Stops

#: A batch holds lengths down to this share of its longest, and at least so many rollouts.
_LIKE, _LEAST = 0.75, 8


@dataclass(eq=False)
class Stream:
    """The tokens of one rollout as the model reads and writes them.

    Attributes:
        prompt: what it begins with; members of a group share the object.
        ids: all tokens so far.
        pictures: all pictures so far, in the order of their places.
        read: how many tokens the model has read, `seen` how many pictures.
        position: of the next token, the same in time, height and width.
        row: in the cache; -1 before the prompt is read.
        begun: how many tokens stood before the turn that is being written.
    """

    prompt: Prompt
    ids: list[int]
    pictures: list[Picture]
    read: int = 0
    seen: int = 0
    position: int = 0
    row: int = -1
    begun: int = 0


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen: `temperature` 0 takes the likeliest; `ends` end a turn; `never` are not written.

    With `spread` the entropy of each token's distribution is kept too. A turn also ends behind one of the `stops`.
    """

    temperature: float
    ends: list[int]
    never: list[int]
    pad: int = 0
    spread: bool = False
    stops: Stops | None = None


@dataclass
class Written:
    """One turn: its tokens, the log-probability of each, and the entropy of what it was drawn from, if wanted.

    Attributes:
        ended: False for the part of a turn that goes on in the next call.
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    ended: bool = True


def choose(
    logits: torch.Tensor, sampling: Sampling, numbers: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Chooses a token for each row and says how likely it was.

    Args:
        logits: (rows, vocabulary).
        sampling: temperature and tokens that are never written.
        numbers: one for each row, uniform in 0..1 (float64); not needed at temperature 0.

    Returns:
        Tokens, log-probabilities and entropies (0 unless they are wanted), each (rows,).
    """
    scaled = logits.float() / (sampling.temperature or 1.0)
    allowed = scaled
    if sampling.never:
        allowed = scaled.clone()
        allowed[:, sampling.never] = float("-inf")
    if sampling.temperature > 0:
        assert numbers is not None
        below = torch.cumsum(torch.softmax(allowed, dim=-1, dtype=torch.float64), dim=-1)
        tokens = torch.searchsorted(below, numbers[:, None] * below[:, -1:], right=True)[:, 0]
        tokens = tokens.clamp_(max=scaled.shape[1] - 1)
    else:
        tokens = allowed.argmax(dim=-1)
    everything = torch.logsumexp(scaled, dim=-1)
    logprobs = scaled.gather(1, tokens[:, None])[:, 0] - everything
    if not sampling.spread:
        return tokens, logprobs, torch.zeros_like(logprobs)
    return tokens, logprobs, everything - (torch.softmax(scaled, dim=-1) * scaled).sum(dim=-1)


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Groups rows of about one length.

    >>> list(batches([10, 11, 100, 12, 10, 11, 10, 12, 99]))
    [[2, 8, 3, 7, 1, 5, 0, 4], [6]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if len(batch) >= _LEAST and lengths[row] < _LIKE * lengths[batch[0]]:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
