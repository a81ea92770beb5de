"""What a step's rollouts did, as numbers for a curve: reward and its parts, calls by kind of action and of task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.measures import CALLS, measure


def step_metrics(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Measures of a step, from the trajectories' records; those that say nothing this time are left out.

    Keys: `episode/…` (accuracy, format, calls' cost, evidence hit rate, box IoU, turns), `calls/…` (mean number by kind
    of action, no-search rate, invalid share of actions), `kind/KIND/…` (by kind of task: accuracy, mean number of
    glances, gazes and searches, no-search rate).
    """
    values = measure(records)
    count = len(records)
    metrics: dict[str, float | None] = {
        "episode/accuracy": values["accuracy"]["mean"],
        "episode/format": sum(record["reward"]["format"] for record in records) / count,
        "episode/cost": sum(record["reward"]["cost"] for record in records) / count,
        "episode/evidence_hit": values["retrieval"]["hit@k"],
        "episode/box_iou": values["box_iou"],
        "episode/turns": sum(len(record["turns"]) for record in records) / count,
        "calls/no_search_rate": values["no_search"],
        "calls/invalid_rate": values["invalid_actions"],
        **{f"calls/{name}": value for name, value in values["calls"].items()},
    }
    for kind in sorted({record["kind"] or "other" for record in records}):
        some = [record for record in records if (record["kind"] or "other") == kind]
        called = [[turn["action"]["type"] for turn in record["turns"]] for record in some]
        metrics[f"kind/{kind}/accuracy"] = sum(record["reward"]["accuracy"] for record in some) / len(some)
        metrics |= {f"kind/{kind}/{name}": sum(types.count(name) for types in called) / len(some) for name in CALLS}
        metrics[f"kind/{kind}/no_search_rate"] = sum(not set(CALLS) & set(types) for types in called) / len(some)
    return {name: float(value) for name, value in metrics.items() if value is not None}
