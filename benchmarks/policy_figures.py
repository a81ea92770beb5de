"""Figures from the results of `benchmarks.policy_stages`: means over training seeds, intervals, paired differences.

A policy has one result a training seed, all on the same tasks. Policies are compared by the seeds that both have, each
with itself and never with another; the oracle alone, which is not trained, has one seed by design. A figure is the mean
over tasks and seeds. Its interval is a bootstrap over tasks, each with all its seeds: 2,000 resamples, percentiles,
95 %. So it says how far other tasks would have moved the figure; how far another training run would have is said by the
seeds, which stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import TaskError

RESAMPLES = 2000
COLUMNS = ("right", "declined", "needs_none", "unanswerable", "calls")


@dataclass(frozen=True)
class Row:
    """One episode: a task, the seed of the policy that played it, and what came of it."""

    task_id: str
    kind: str
    seed: int
    right: int
    declined: int
    needs_none: int
    unanswerable: int
    calls: int


Values = Callable[[Row], float | None]
"""A figure of one episode; None where it has none."""


@dataclass(frozen=True)
class Figure:
    """A mean with its 95 % interval, over `n` tasks; `seeds` are the means of the training seeds `names`."""

    mean: float
    low: float
    high: float
    n: int
    seeds: tuple[float, ...] = ()
    names: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f})"

    def each(self) -> str:
        """The seeds' own means."""
        return " ".join(f"{100 * one:.1f}" for one in self.seeds) if len(self.seeds) > 1 else "-"


def read_rows(out: Path, policy: str, name: str, seeds: Sequence[int]) -> list[Row]:
    """The episodes of a policy on a set of tasks, of those of the seeds that have a result; none where none has.

    Raises:
        TaskError: the results of two seeds are of different tasks.
    """
    found = [(seed, path) for seed in seeds if (path := out / f"{policy}.{name}.{seed}.json").is_file()]
    rows: list[Row] = []
    first: list[str] = []
    for seed, path in found:
        one = json.loads(path.read_text(encoding="utf-8"))["episodes"]
        first = first or one["task_id"]
        if one["task_id"] != first:
            raise TaskError(f"{path} is of other tasks than the seeds before it; remove it and play again")
        digits = zip(*([int(digit) for digit in one[column]] for column in COLUMNS), strict=True)
        named = zip(one["task_id"], one["kind"], digits, strict=True)
        rows += [Row(task_id, kind, seed, *values) for task_id, kind, values in named]
    return rows


def seeds_in(rows: Iterable[Row]) -> tuple[int, ...]:
    """The training seeds that some episodes are of."""
    return tuple(sorted({row.seed for row in rows}))


def figure(rows: Iterable[Row], value: Values, seed: int = 0) -> Figure | None:
    """The mean of a value with its interval; None if no episode has one."""
    found = ((row, value(row)) for row in rows)
    return _mean_of([(row, one, 1.0) for row, one in found if one is not None], seed)


def difference(first: Sequence[Row], second: Sequence[Row], value: Values, seed: int = 0) -> Figure | None:
    """By how much a value is higher for the first policy, task by task and seed by seed (paired bootstrap).

    Episodes that only one of them has a value for, or only one has played with that seed, are left out.
    """
    return _mean_of([(row, one - two, 1.0) for row, one, two in _pairs(first, second, value)], seed)


def saved(first: Sequence[Row], second: Sequence[Row], value: Values, seed: int = 0) -> Figure | None:
    """The share of a value's sum for the first policy that the second does without (paired bootstrap of the ratio).

    Episodes are paired as in `difference`; None too where the first has none of it.
    """
    return _mean_of([(row, one - two, one) for row, one, two in _pairs(first, second, value)], seed)


def _pairs(first: Sequence[Row], second: Sequence[Row], value: Values) -> list[tuple[Row, float, float]]:
    other = {(row.task_id, row.seed): value(row) for row in second}
    both = ((row, value(row), other.get((row.task_id, row.seed))) for row in first)
    return [(row, one, two) for row, one, two in both if one is not None and two is not None]


def _mean_of(parts: Sequence[tuple[Row, float, float]], seed: int) -> Figure | None:
    """The sum of the parts' second over that of their third, by tasks for the interval, and by seeds."""
    of: dict[str, list[tuple[float, float]]] = {}
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for row, above, below in parts:
        of.setdefault(row.task_id, []).append((above, below))
        by_seed.setdefault(row.seed, []).append((above, below))
    found = clustered(of, seed)
    if found is None:
        return None
    totals = {name: np.sum(by_seed[name], axis=0) for name in sorted(by_seed)}
    means = tuple(float(above / below) if below else float("nan") for above, below in totals.values())
    return replace(found, seeds=means, names=tuple(totals))


def clustered(of: Mapping[str, Sequence[tuple[float, float]]], seed: int = 0) -> Figure | None:
    """Sum of all first values over sum of all second ones, with the bootstrap over their groups (tasks).

    >>> clustered({"a": [(1.0, 1.0), (1.0, 1.0)], "b": [(1.0, 1.0)]})
    Figure(mean=1.0, low=1.0, high=1.0, n=2, seeds=(), names=())
    """
    sums = np.array([np.sum(values, axis=0) for values in of.values()])
    if not len(sums) or not (total := sums.sum(axis=0))[1]:
        return None
    rng, n = np.random.default_rng([52, seed]), len(sums)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    drawn = weights @ sums
    drawn = drawn[drawn[:, 1] > 0]  # a resample with nothing to save tells nothing
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Figure(float(total[0] / total[1]), float(low), float(high), n)


# values of episodes


def right(row: Row) -> float:
    """Accuracy."""
    return row.right


def calls(row: Row) -> float:
    """Glances, gazes and searches."""
    return row.calls


def on_kind(kind: str) -> Values:
    """Accuracy on the tasks of a kind."""
    return lambda row: row.right if row.kind == kind else None


def on_level(levels: Mapping[int, Mapping[str, int]], level: int) -> Values:
    """Accuracy on the tasks of a level, by each seed's own levels (seed → task id → level)."""
    return lambda row: row.right if levels.get(row.seed, {}).get(row.task_id) == level else None


def searched(row: Row) -> float | None:
    """Whether there was a call, where one is needed."""
    return None if row.needs_none else float(row.calls > 0)


def unsearched(row: Row) -> float | None:
    """Whether there was no call, where none is needed."""
    return float(row.calls == 0) if row.needs_none else None


def declined(row: Row) -> float | None:
    """Whether the answer was that it is not known, where it is not."""
    return float(row.declined) if row.unanswerable else None


def wrongly_declined(row: Row) -> float | None:
    """The same where it is known."""
    return None if row.unanswerable else float(row.declined)


def read_levels(out: Path, policy: str, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The levels of the held-out tasks by each seed of a policy; without those that were not measured."""
    paths = {seed: out / f"{policy}.levels.{seed}.json" for seed in seeds}
    return {seed: json.loads(path.read_text())["levels"] for seed, path in paths.items() if path.is_file()}
