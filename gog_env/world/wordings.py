"""How questions are worded: templates in `wordings.json`, two disjoint lists for each thing that can be said.

One list is for training, the other for held-out use, so that a policy is not tested on sentences that it learned by
heart. Whole templates are disjoint; the phrases that refer to one banner ("the largest flag", see `refer`), which fill
slots, are shared by both splits. Slots: {b} is "banner" or "flag", {ref} the words for one banner, {x} a nation, {one}
and {two} two banners or places, {other} a nation's name, {part} and {parts} a charge, one or many, {on} "on" or "of".
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from index.errors import TaskError

SPLITS = ("train", "heldout")
WORDS = ("banner", "flag")
"""What a banner is called, in both splits."""


@cache
def wordings() -> dict[str, dict[str, tuple[str, ...]]]:
    """All templates: `{key: {split: (template, ...)}}`. Do not change what comes back."""
    read = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return {key: {split: tuple(texts) for split, texts in lists.items()} for key, lists in read.items()}


def say(key: str, split: str, rng: np.random.Generator, **slots: str) -> str:
    """One of a split's wordings of `key`, its slots filled.

    Args:
        key: an entry of `wordings.json`.
        split: `train` or `heldout`.
        rng: draws the wording.
        slots: what to put in.

    Raises:
        TaskError: there is no such split.
    """
    if split not in SPLITS:
        raise TaskError(f"there is no split {split!r}; choose {' or '.join(SPLITS)}")
    texts = wordings()[key][split]
    return texts[int(rng.integers(len(texts)))].format(**slots)


def sentence(text: str) -> str:
    """The text with a capital letter at its start.

    >>> sentence("the flag")
    'The flag'
    """
    return text[:1].upper() + text[1:]
