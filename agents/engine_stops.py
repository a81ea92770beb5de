"""Ends a turn behind a mark, as the programs do that some models were trained with (`STOPS` of a dialect).

Search-R1 writes on after `</search>` and makes up its results, if nobody stops it: what is not cut off stays in its
context. A mark rarely is a token of its own (`</`, `search`, `>` and what comes with it), hence it is looked for in the
text of the last tokens. A turn is cut behind the token that completes the mark, so a line's end that the
token holds as well stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stops:
    """The marks behind which a turn ends, and the tokenizer that spells them."""

    marks: tuple[str, ...]
    tokenizer: Any

    def __bool__(self) -> bool:
        return bool(self.marks)

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the last of these tokens of a turn completes a mark."""
        if not self.marks:
            return False
        longest = max(map(len, self.marks))
        # A token of a mark is at least one of its characters; the one before it may hold the mark's beginning.
        tail = self.tokenizer.decode(list(ids[-longest - 1 :]))
        return any(mark in tail for mark in self.marks)

    def length(self, ids: Sequence[int]) -> int:
        """How many tokens of a turn stand before its end: the first mark, completed, or all of them."""
        if self.marks and any(mark in self.tokenizer.decode(list(ids)) for mark in self.marks):
            for end in range(1, len(ids) + 1):
                if self.reached(ids[:end]):
                    return end
        return len(ids)

    def options(self) -> dict[str, Any]:
        """What transformers' `generate` takes to the same end."""
        return {"stop_strings": list(self.marks), "tokenizer": self.tokenizer} if self.marks else {}
