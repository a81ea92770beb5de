"""What an evaluation measures, computed from trajectory records alone, so that old runs can be measured again.

Definitions, over `n` episodes (`None` where nothing was there to be measured):

- accuracy: mean of 0/1 accuracies; an episode without an answer counts 0. Interval: percentile bootstrap over episodes.
- hit@1, hit@k: share of the episodes with evidence in which the first hit (any of the k hits) of at least one call was
  an evidence document; `picture_` the same over glances and gazes alone. recall: mean share of the evidence that came.
- calls: mean number of glances, gazes and searches in an episode. no_search: share of episodes without any.
- box_iou: mean over the episodes whose task has regions of the best IoU between a gaze's box and the first region; an
  episode without a gaze counts 0; None if there was no gaze at all. box_iou_gazed: over those with a gaze alone.
- invalid_actions: malformed actions / all actions. truncated: share of episodes that ran out of turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from agents.tables import Cell
from index.images import iou

CALLS = ("glance", "gaze", "search")
RESAMPLES = 10_000
Record = Mapping[str, Any]


def bootstrap_interval(values: Sequence[float], seed: int = 0, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979), from 10,000 resamples.

    A resample of n values is a multinomial draw over the distinct ones: cheap for any n where few are distinct.

    >>> low, high = bootstrap_interval([0.0] * 50 + [1.0] * 50)
    >>> round(low, 2), round(high, 2)
    (0.4, 0.6)
    """
    distinct, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    draws = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    low, high = np.quantile(draws @ distinct / counts.sum(), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def measure(records: Sequence[Record], seed: int = 0) -> dict[str, Any]:
    """All measures of a policy's episodes, by the definitions above.

    Args:
        records: what `gog_env.trajectory.record` returned, one for each episode; at least one.
        seed: of the bootstrap.
    """
    kinds = sorted({record["kind"] for record in records})
    turns = [turn for record in records for turn in record["turns"]]
    return {
        "n": len(records),
        "accuracy": _accuracy(records, seed),
        "by_kind": {kind or "other": _accuracy([r for r in records if r["kind"] == kind], seed) for kind in kinds},
        "retrieval": retrieval(records),
        "calls": {name: _mean(len(list(_turns(record, [name]))) for record in records) for name in CALLS},
        "no_search": _mean(not any(_turns(record, CALLS)) for record in records),
        "box_iou": _box_iou(records, with_gaze_only=False),
        "box_iou_gazed": _box_iou(records, with_gaze_only=True),
        "reward": _mean(record["reward"]["total"] for record in records),
        "invalid_actions": _mean(turn["action"]["type"] == "malformed" for turn in turns),
        "truncated": _mean(record["outcome"] == "truncated" for record in records),
        "turns": len(turns) / len(records),
    }


def retrieval(records: Sequence[Record]) -> dict[str, float | int | None]:
    """hit@1, hit@k (over all calls, and over glances and gazes alone) and recall, over the episodes with evidence.

    Tasks that need none (`[]`), and tasks that do not say (None), are no such episodes.
    """
    asking = [record for record in records if record["evidence"]]

    def hit(record: Record, names: Sequence[str], k: int | None) -> bool:
        returned = {one["document_id"] for turn in _turns(record, names) for one in turn["hits"][:k]}
        return not returned.isdisjoint(record["evidence"])

    def recall(record: Record) -> float:
        returned = {one["document_id"] for turn in _turns(record, CALLS) for one in turn["hits"]}
        return len(returned.intersection(record["evidence"])) / len(set(record["evidence"]))

    return {
        "n": len(asking),
        "k": max((record["config"]["hits"] for record in records), default=None),
        "hit@1": _mean(hit(record, CALLS, 1) for record in asking),
        "hit@k": _mean(hit(record, CALLS, None) for record in asking),
        "picture_hit@1": _mean(hit(record, CALLS[:2], 1) for record in asking),
        "picture_hit@k": _mean(hit(record, CALLS[:2], None) for record in asking),
        "recall": _mean(recall(record) for record in asking),
    }


def rows(results: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    """The comparison as header and rows for `agents.tables`: one column a policy, one row a measure.

    Args:
        results: metrics by policy's name, as `measure` returns them (plus `seconds`).
    """
    metrics = list(results.values())
    kinds = list(dict.fromkeys(kind for one in metrics for kind in one["by_kind"]))
    k = metrics[0]["retrieval"]["k"]

    def row(label: str, value: Callable[[Mapping[str, Any]], Cell]) -> list[Cell]:
        return [label, *(value(one) for one in metrics)]

    def kind_row(kind: str) -> list[Cell]:
        n = max(one["by_kind"][kind]["n"] for one in metrics if kind in one["by_kind"])
        return row(f"  {kind} ({n})", lambda one: one["by_kind"].get(kind, {}).get("mean"))

    def call_row(name: str) -> list[Cell]:
        return row(f"{name} calls", lambda one: one["calls"][name])

    lines = [
        row(f"accuracy ({max(one['n'] for one in metrics)})", lambda one: one["accuracy"]["mean"]),
        row("  95 % interval", lambda one: "{low:.2f}-{high:.2f}".format(**one["accuracy"])),
        *map(kind_row, kinds),
        row("evidence hit@1", lambda one: one["retrieval"]["hit@1"]),
        row(f"evidence hit@{k}", lambda one: one["retrieval"]["hit@k"]),
        *map(call_row, CALLS),
        row("no-search rate", lambda one: one["no_search"]),
        row("box IoU", lambda one: one["box_iou"]),
        row("mean reward", lambda one: one["reward"]),
        row("invalid actions", lambda one: one["invalid_actions"]),
        row("seconds", lambda one: f"{one['seconds']:.1f}" if "seconds" in one else None),
    ]
    return ["", *results], lines


def _accuracy(records: Sequence[Record], seed: int) -> dict[str, Any]:
    values = [record["reward"]["accuracy"] for record in records]
    low, high = bootstrap_interval(values, seed)
    return {"n": len(values), "mean": _mean(values), "low": low, "high": high}


def _box_iou(records: Iterable[Record], with_gaze_only: bool) -> float | None:
    best: list[float] = []
    gazed = False
    for record in records:
        if not record["regions"]:
            continue
        boxes = [turn["action"]["box"] for turn in _turns(record, ["gaze"])]
        gazed |= bool(boxes)
        if boxes or not with_gaze_only:
            best.append(max((iou(box, record["regions"][0]) for box in boxes), default=0.0))
    return _mean(best) if gazed else None


def _turns(record: Record, names: Sequence[str]) -> Iterable[Record]:
    return (turn for turn in record["turns"] if turn["action"]["type"] in names)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return float(np.mean(listed)) if listed else None
