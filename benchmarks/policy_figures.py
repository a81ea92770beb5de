"""Figures from the results of `benchmarks.policy_stages`: means over training seeds, intervals, paired differences.

A policy has one result a training seed, all on the same tasks. A figure is the mean over tasks and seeds. Its interval
is a bootstrap over tasks, each with all its seeds: 2,000 resamples, percentiles, 95 %. So it says how far other tasks
would have moved the figure; how far another training run would have is said by the seeds, which stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    """A mean with its 95 % interval, over `n` tasks; `seeds` are the means of each training seed."""

    mean: float
    low: float
    high: float
    n: int
    seeds: tuple[float, ...] = ()

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ({100 * self.low:.1f}-{100 * self.high:.1f})"

    def each(self) -> str:
        """The seeds' own means."""
        return " ".join(f"{100 * one:.1f}" for one in self.seeds) if len(self.seeds) > 1 else "-"


def read_rows(out: Path, policy: str, name: str, seeds: Sequence[int]) -> list[Row]:
    """The episodes of a policy on a set of tasks, all seeds; empty where no result is there yet.

    Raises:
        TaskError: some of the seeds' results are missing, or they are of other tasks.
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


def figure(rows: Iterable[Row], value: Values, seed: int = 0) -> Figure | None:
    """The mean of a value with its interval; None if no episode has one."""
    of: dict[str, list[float]] = {}
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        if (found := value(row)) is not None:
            of.setdefault(row.task_id, []).append(found)
            by_seed.setdefault(row.seed, []).append(found)
    return clustered(of, tuple(float(np.mean(by_seed[one])) for one in sorted(by_seed)), seed)


def difference(first: Sequence[Row], second: Sequence[Row], value: Values, seed: int = 0) -> Figure | None:
    """By how much a value is higher for the first policy, task by task and seed by seed (paired bootstrap).

    A policy with a single seed is compared with every seed of the other. Episodes that only one of them has a value
    for, or only one has played, are left out.
    """
    whole = {(row.task_id, row.seed): value(row) for row in second}
    single = {row.task_id: value(row) for row in second} if len({row.seed for row in second}) == 1 else {}
    other = {(row.task_id, row.seed): whole.get((row.task_id, row.seed), single.get(row.task_id)) for row in first}
    of: dict[str, list[float]] = {}
    by_seed: dict[int, list[float]] = {}
    for row in first:
        one, two = value(row), other[row.task_id, row.seed]
        if one is not None and two is not None:
            of.setdefault(row.task_id, []).append(one - two)
            by_seed.setdefault(row.seed, []).append(one - two)
    return clustered(of, tuple(float(np.mean(by_seed[name])) for name in sorted(by_seed)), seed)


def clustered(of: Mapping[str, Sequence[float]], seeds: tuple[float, ...] = (), seed: int = 0) -> Figure | None:
    """Mean of all values, with the bootstrap over their groups (tasks).

    >>> clustered({"a": [1.0, 1.0], "b": [1.0]})
    Figure(mean=1.0, low=1.0, high=1.0, n=2, seeds=())
    """
    if not of:
        return None
    sums = np.array([sum(values) for values in of.values()])
    counts = np.array([len(values) for values in of.values()])
    rng, n = np.random.default_rng([52, seed]), len(of)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    low, high = np.quantile((weights @ sums) / (weights @ counts), [0.025, 0.975])
    return Figure(float(sums.sum() / counts.sum()), float(low), float(high), n, seeds)


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
