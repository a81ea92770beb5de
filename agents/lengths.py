"""Chats of about one length go through a model together, so that little is padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from index.errors import TaskError

POOL = 4
"""Steps whose chats are sorted together."""


def lengths_of(chats: Any) -> list[int]:
    """About how many characters each chat of a table has (`agents.chats`)."""
    return [
        sum(len(block["text"] or "") for message in chat for block in message["content"])
        for chat in chats.with_format(None)["messages"]
    ]


def by_length(lengths: Sequence[int], steps: int, size: int, passes: int, seed: int) -> list[int]:
    """The order in which a run takes its chats: shuffled in each epoch, then near ones of about one length.

    Args:
        lengths: of the chats.
        steps: optimizer steps.
        size: chats in a forward pass.
        passes: forward passes a step.
        seed: of the order.

    Returns:
        `steps * passes * size` places; chats of one forward pass stand together.

    Raises:
        TaskError: there are too few.

    >>> by_length([1, 9, 2, 8, 1, 9, 2, 8], steps=2, size=2, passes=1, seed=0)
    [0, 4, 6, 2]
    """
    pool = POOL * passes * size
    if len(lengths) < pool:
        raise TaskError(f"{len(lengths)} chats are too few to be grouped by length; give {pool}, or smaller batches")
    rng = np.random.default_rng([seed, 3])
    order: list[int] = []
    while len(order) < steps * passes * size:
        rows = rng.permutation(len(lengths))
        for start in range(0, len(rows) - pool + 1, pool):
            drawn = rows[start : start + pool]
            drawn = drawn[np.argsort(np.asarray(lengths)[drawn], kind="stable")].reshape(-1, size)
            order += drawn[rng.permutation(len(drawn))].ravel().tolist()
    return order[: steps * passes * size]
