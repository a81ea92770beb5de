"""How far long work is: a bar on a terminal, else a plain line now and then, which a log can hold."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

EVERY = 30.0
"""Seconds between lines where stderr is no terminal."""


def watched(items: Iterable[T], what: str, total: int, unit: str, shown: bool = True) -> Iterator[T]:
    """Passes items on and says on stderr how many there have been.

    Args:
        items: what is worked through.
        what: names the work: "knowledge: 1,200 of 4,500 (27 %)".
        total: how many items there are.
        unit: names an item, beside the bar.
        shown: False: nothing is said.

    Returns:
        The items.
    """
    if not shown:
        yield from items
    elif sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, what, total, unit=unit)
    else:
        told = time.monotonic()
        for number, item in enumerate(items, start=1):
            yield item
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                share = f"{100 * number // max(total, 1)} %"
                print(f"{what}: {number:,} of {total:,} ({share})", file=sys.stderr, flush=True)
