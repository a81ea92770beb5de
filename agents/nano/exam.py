"""The exam of the nano school: how much of lessons about unseen scenes and nations a model knows.

Every token is read with the right ones before it, so a reply counts as right if no token of it would be another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from agents.nano.reading import reading
from agents.nano.school import Desk, forward
from index.images import iou

EXAM = 192
"""Lessons of each sort in an exam."""


def examine(model: Any, desk: Desk, seed: int = 5) -> dict[str, float]:
    """How much of unseen lessons a model knows, each token read with the right ones before it.

    Returns:
        `iou50` and `iou85`: shares of boxes (of all that answers contain) with an IoU of at least 0.5 and 0.85;
        `pointing`, `seeing`, `planning`, `following`, `answering`: shares of replies without any wrong token (boxes
        aside).
    """
    import torch

    model.eval()
    right: dict[str, list[float]] = {}
    tokenizer = desk.tokenizer
    for start in range(0, EXAM, 16):
        for sort in ("looking", "reading"):
            made = []
            for place in range(start, start + 16):
                rng = np.random.default_rng([43, seed, sort == "looking", place])
                world = int(rng.integers(len(desk.worlds)))
                made.append(
                    desk.look(rng, 980, 1000) if sort == "looking" else (reading(desk.worlds[world], rng), world)
                )
            batch = desk.batch(made, 0.0)
            with torch.no_grad():
                logits, targets = forward(model, desk, batch)
            guessed, gold = logits.argmax(-1).tolist(), targets[:, 0].long().tolist()
            for said, given in _replies(gold, guessed, tokenizer.eos_token_id):
                _mark(right, tokenizer, sort, said, given)
    model.train()
    return {name: float(np.mean(values)) for name, values in sorted(right.items())}


def _replies(gold: list[int], guessed: list[int], end: int) -> Iterable[tuple[list[int], list[int]]]:
    start = 0
    for place, token in enumerate(gold):
        if token == end:
            yield gold[start : place + 1], guessed[start : place + 1]
            start = place + 1


def _mark(right: dict[str, list[float]], tokenizer: Any, sort: str, gold: list[int], guessed: list[int]) -> None:
    """Marks one reply: its boxes by IoU, the rest as right or wrong."""
    texts, others = (tokenizer.convert_ids_to_tokens(ids) for ids in (gold, guessed))
    coordinate = [text.startswith(("[", ",Ġ", ", ")) and text.strip("[,Ġ ").isdecimal() for text in texts]
    places = [place for place, is_one in enumerate(coordinate) if is_one]
    for start in range(0, len(places) // 4 * 4, 4):
        numbers = [
            [_number(text) for text in (one[place] for place in places[start : start + 4])] for one in (texts, others)
        ]
        if None in numbers[1]:
            overlap = 0.0
        else:
            x0, y0, x1, y1 = (float(value or 0) / 1000 for value in numbers[1])
            a0, b0, a1, b1 = (float(value or 0) / 1000 for value in numbers[0])
            overlap = iou((x0, y0, x1, y1), (a0, b0, a1, b1)) if x1 > x0 and y1 > y0 else 0.0
        right.setdefault("iou50", []).append(float(overlap >= 0.5))
        right.setdefault("iou85", []).append(float(overlap >= 0.85))
    rest = all(a == b for place, (a, b) in enumerate(zip(gold, guessed, strict=True)) if not coordinate[place])
    if places:
        name = "planning" if "<think>" in texts else "pointing"
    elif sort == "looking":
        name = "seeing"
    else:
        name = "answering" if "<answer>" in texts else "following"
    right.setdefault(name, []).append(float(rest))


def _number(text: str) -> int | None:
    kept = text.strip("[,Ġ ")
    return int(kept) if kept.isdecimal() else None
