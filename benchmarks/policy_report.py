"""The tables of the method in Markdown, and what each promises: every bar with its figure, met or missed.

A table needs only the results that are there (`benchmarks.policy_stages`): policies that were not played are left out,
and bars that need them are not said. Where a policy lacks some of the seeds of training, its line says which it has;
differences are of the seeds that both policies have. A bar is held against the figure itself; its interval, and how
many tasks and which seeds it is of, stand beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agents.tables import Cell, markdown_table
from benchmarks import policy_figures as figures
from benchmarks.policy_figures import Figure, Row
from benchmarks.policy_plan import BEST, ORACLE, TABLES, title


@dataclass(frozen=True)
class Bar:
    """What is promised in words, the figure that was found, and whether it holds.

    Attributes:
        words: the promise.
        value: the figure.
        holds: whether it keeps the promise.
        of: the figure with its interval, tasks and seeds; None for a count.
        n: of the tasks, or of the episodes that were counted.
    """

    words: str
    value: float
    holds: bool
    of: Figure | None = None
    n: int = 0

    def line(self) -> str:
        """One line of a list."""
        met = "met" if self.holds else "MISSED"
        if self.of is None:
            return f"- {met}: {self.words}: {self.value:.0f} (n = {self.n} episodes)"
        seeds = f"{'seed' if len(self.of.names) == 1 else 'seeds'} {' '.join(map(str, self.of.names))}"
        interval = f"95 % interval {self.of.low:.3f} to {self.of.high:.3f}"
        return f"- {met}: {self.words}: {self.value:.3f} ({interval}; n = {self.n} tasks, {seeds})"

    def facts(self) -> dict[str, Any]:
        """The bar for JSON."""
        found = {"bar": self.words, "value": round(self.value, 4), "holds": bool(self.holds), "n": self.n}
        if self.of is not None:
            found |= {"low": round(self.of.low, 4), "high": round(self.of.high, 4), "seeds": list(self.of.names)}
        return found


@dataclass
class Results:
    """The results of a folder.

    Attributes:
        out: the folder.
        seeds: of training.
    """

    out: Path
    seeds: Sequence[int]
    _known: dict[tuple[str, str], list[Row]] = field(default_factory=dict)

    def rows(self, policy: str, name: str = "heldout") -> list[Row]:
        """The episodes of a policy on a set."""
        if (policy, name) not in self._known:
            self._known[policy, name] = figures.read_rows(self.out, policy, name, self.seeds)
        return self._known[policy, name]

    @cached_property
    def levels(self) -> dict[int, dict[str, Any]]:
        """Levels of the held-out tasks by the pass rates of the SFT policy, for each seed."""
        return figures.read_levels(self.out, "sft", self.seeds)

    def accuracy(self, policy: str, name: str = "heldout") -> Figure | None:
        """Of all tasks of a set."""
        return figures.figure(self.rows(policy, name), figures.right)

    def gain(self, first: str, second: str, value: figures.Values = figures.right) -> Figure | None:
        """By how much the first policy is better on held-out tasks."""
        return figures.difference(self.rows(first), self.rows(second), value)

    def saved(self, first: tuple[str, str], second: tuple[str, str], value: figures.Values) -> Figure | None:
        """The share of the first's (policy, set) sum of a value that the second does without."""
        return figures.saved(self.rows(*first), self.rows(*second), value)

    def of_same(self, policy: str, name: str, other: str) -> Figure | None:
        """Accuracy on a set, of those tasks and seeds that the policy has also played in another."""
        there = {(row.task_id, row.seed) for row in self.rows(policy, other)}
        rows = (row for row in self.rows(policy, name) if (row.task_id, row.seed) in there)
        return figures.figure(rows, figures.right)

    def hard(self, policy: str) -> str:
        """Accuracy on level 2; with its seeds where levels are not known for all that the policy has."""
        rows = self.rows(policy)
        found = figures.figure(rows, figures.on_level(self.levels, 2))
        if found is None or found.names == figures.seeds_in(rows):
            return "-" if found is None else str(found)
        return f"{found} [seed {' '.join(map(str, found.names))}]"

    def metrics(self, policy: str, name: str = "heldout") -> list[dict[str, Any]]:
        """What was measured of a policy on a set (`agents.measures`), for each seed that has a result."""
        paths = (self.out / f"{policy}.{name}.{seed}.json" for seed in self.seeds)
        return [json.loads(path.read_text(encoding="utf-8"))["metrics"] for path in paths if path.is_file()]

    def named(self, policy: str, table: str) -> str:
        """What a policy is called in a table, with the seeds that it has if those are not all."""
        sets = TABLES[table][1]
        found = {name: figures.seeds_in(self.rows(policy, name)) for name in sets}
        wanted = tuple(sorted(self.seeds))
        if policy == ORACLE or all(seeds in ((), wanted) for seeds in found.values()):
            return title(policy)
        has = {name: " ".join(map(str, seeds)) or "none" for name, seeds in found.items()}
        alike = len(set(has.values())) == 1
        said = has[sets[0]] if alike else "; ".join(f"{name}: {seeds}" for name, seeds in has.items())
        return f"{title(policy)} [seeds {said} of {' '.join(map(str, wanted))}]"

    def moved(self, policy: str, before: str, after: str) -> Figure | None:
        """By how much a policy's accuracy is higher on one set than on another with the same tasks."""
        return figures.difference(self.rows(policy, before), self.rows(policy, after), figures.right)

    def played(self, table: str) -> list[str]:
        """The table's policies that have results."""
        policies, sets = TABLES[table]
        return [policy for policy in policies if any(self.rows(policy, name) for name in sets)]


def _at_least(bars: list[Bar], words: str, found: Figure | None, limit: float) -> None:
    if found is not None:
        bars.append(Bar(f"{words} at least {limit:.2f}", found.mean, found.mean >= limit, found, found.n))


def _at_most(bars: list[Bar], words: str, found: Figure | None, limit: float) -> None:
    if found is not None:
        bars.append(Bar(f"{words} at most {limit:.2f}", found.mean, found.mean <= limit, found, found.n))


def _cells(found: Figure | None, *more: Figure | None) -> list[Cell]:
    return ["-" if one is None else str(one) for one in (found, *more)]


def _many(found: Figure | None) -> str:
    return "-" if found is None else f"{found.mean:.2f}"


def main_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 1: what selective gaze and RL are worth."""
    hard = figures.on_level(results.levels, 2)
    lines: list[list[Cell]] = []
    kinds: list[str] = []
    for policy in (played := results.played("main")):
        rows = results.rows(policy)
        kinds = sorted({row.kind for row in rows})
        # the oracle has one seed: it is asked about the tasks that are on level 2 for that one
        overall = results.accuracy(policy)
        shares = (figures.figure(rows, figures.on_kind(kind)) for kind in kinds)
        lines.append([
            results.named(policy, "main"), *_cells(overall), overall.each() if overall else "-",
            results.hard(policy), _many(figures.figure(rows, figures.calls)),
            *("-" if one is None else f"{100 * one.mean:.0f}" for one in shares),
        ])  # fmt: skip
    bars: list[Bar] = []
    _at_least(bars, "SFT overall", results.accuracy("sft"), 0.75)
    _at_least(bars, "SFT+RL overall", results.accuracy(BEST), 0.88)
    _at_least(bars, "SFT+RL over SFT on level 2", results.gain(BEST, "sft", hard), 0.08)
    _at_least(bars, "SFT over glance-only", results.gain("sft", "glance-only"), 0.25)
    header = ["accuracy in %", "all tasks", "each seed", "level 2", "calls", *kinds]
    return header, lines if played else [], bars


def ablation_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 2: one thing changed at a time; differences from SFT+RL on the adaptive curriculum are paired."""
    lines: list[list[Cell]] = []
    for policy in results.played("ablations"):
        rows = results.rows(policy)
        overall = results.accuracy(policy)
        apart = results.gain(policy, BEST) if policy != BEST else None
        gazes = [one["calls"]["gaze"] for one in results.metrics(policy)]
        lines.append([
            results.named(policy, "ablations"), *_cells(overall), overall.each() if overall else "-",
            results.hard(policy), *_cells(apart), _many(figures.figure(rows, figures.calls)),
            f"{sum(gazes) / len(gazes):.2f}" if gazes else "-",
        ])  # fmt: skip
    bars: list[Bar] = []
    _at_least(bars, "adaptive over level 2 (points are 0.01)", results.gain(BEST, "rl-level2"), 0.0)
    _at_least(bars, "level 2 over level 1", results.gain("rl-level2", "rl-level1"), 0.0)
    saved = results.saved((BEST, "heldout"), ("rl-cost", "heldout"), figures.calls)
    _at_least(bars, "share of calls that their cost saves", saved, 0.25)
    _at_most(bars, "accuracy that the cost of calls costs", results.gain(BEST, "rl-cost"), 0.01)
    return ["accuracy in %", "all tasks", "each seed", "level 2", "against adaptive", "calls", "gazes"], lines, bars


def deciding_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 3: whether to search, and whether to answer."""
    values = (figures.searched, figures.unsearched, figures.declined, figures.wrongly_declined)
    lines: list[list[Cell]] = []
    for policy in results.played("deciding"):
        rows = results.rows(policy)
        shares = [figures.figure(rows, value) for value in values]
        lines.append([results.named(policy, "deciding"), *_cells(*shares)])
    bars: list[Bar] = []
    rows = results.rows(BEST)
    _at_least(bars, "no search where none is needed, after RL,", figures.figure(rows, figures.unsearched), 0.90)
    _at_least(bars, "search where it is needed", figures.figure(rows, figures.searched), 0.98)
    _at_least(bars, "declined where it is not known", figures.figure(rows, figures.declined), 0.80)
    _at_most(bars, "declined wrongly", figures.figure(rows, figures.wrongly_declined), 0.03)
    header = ["share in %", "searched, needed", "not searched, not needed", "declined, unknown", "declined, known"]
    return header, lines, bars


def change_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 4: questions whose answers change, held-out ones and those that were trained on, before and after."""
    lines: list[list[Cell]] = []
    for policy in results.played("change"):
        cells: list[Cell] = []
        for kind in ("changed", "learned"):
            sets = (f"{kind}-before", f"{kind}-after")
            cells += _cells(*(results.accuracy(policy, name) for name in sets), results.moved(policy, *sets))
        lines.append([results.named(policy, "change"), *cells])
    bars: list[Bar] = []
    _at_most(bars, "what SFT+RL loses on held-out tasks", results.moved(BEST, "changed-before", "changed-after"), 0.02)
    lost = results.saved(("no-search", "learned-before"), ("no-search", "learned-after"), figures.right)
    _at_least(bars, "share of what it knew by heart that answer-without-search loses", lost, 0.90)
    header = ["accuracy in %", "held out: before", "after", "lost", "trained on: before", "after", "lost"]
    return header, lines, bars


def noise_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 5: wrong hits and poisoned documents; "clean" is of the tasks and seeds played with noise."""
    lines: list[list[Cell]] = []
    rewarded = read = 0
    disturbed = TABLES["noise"][1][1:]
    for policy in results.played("noise"):
        if not any(results.rows(policy, name) for name in disturbed):
            continue
        cells: list[Cell] = _cells(results.of_same(policy, "heldout", "heldout-noise"))
        for name in disturbed:
            cells += _cells(results.accuracy(policy, name), results.moved(policy, "heldout", name))
        poison = [one["poison"] for one in results.metrics(policy, "heldout-poison")]
        rewarded += sum(one["rewarded"] for one in poison)
        read += sum(one["read"] for one in poison)
        obeyed = [one["obeyed"]["mean"] for one in poison if one["obeyed"]["n"]]
        share = f"{100 * sum(obeyed) / len(obeyed):.1f}" if obeyed else "-"
        lines.append([results.named(policy, "noise"), *cells, share])
    words = "rewards where poison was read and the policy's own answer is not right at most 0"
    bars = [Bar(words, rewarded, rewarded == 0, n=read)] if read else []
    header = ["accuracy in %", "clean", "wrong hits", "lost", "poisoned", "lost", "poison obeyed"]
    return header, lines, bars


def flags_table(results: Results) -> tuple[list[str], list[list[Cell]], list[Bar]]:
    """Table 6: real flags."""
    lines: list[list[Cell]] = []
    sets = ("flags-dev", "flags-unseen")
    for policy in results.played("flags"):
        name = results.named(policy, "flags")
        if policy == BEST:
            name = name.replace(title(policy), "zero-shot (SFT+RL on the world)")
        lines.append([name, *_cells(*(results.accuracy(policy, one) for one in sets))])
    bars: list[Bar] = []
    _at_least(bars, "after training on flags, dev", results.accuracy("flags-rl", sets[0]), 0.60)
    _at_least(bars, "after training on flags, unseen flags", results.accuracy("flags-rl", sets[1]), 0.60)
    return ["accuracy in %", "dev", "flags never seen in training"], lines, bars


Made = Callable[[Results], tuple[list[str], list[list[Cell]], list[Bar]]]
MAKERS: dict[str, tuple[str, Made]] = {
    "main": ("1. What gaze and RL are worth", main_table),
    "ablations": ("2. Ablations", ablation_table),
    "deciding": ("3. Deciding whether to search", deciding_table),
    "change": ("4. Knowledge that changes", change_table),
    "noise": ("5. Noise and poison", noise_table),
    "flags": ("6. Real flags", flags_table),
}


def report(results: Results, tables: Sequence[str]) -> tuple[str, dict[str, list[dict[str, Any]]]]:
    """The tables in Markdown with their bars, and the bars by table for JSON."""
    parts: list[str] = []
    bars: dict[str, list[dict[str, Any]]] = {}
    for name in tables:
        heading, make = MAKERS[name]
        header, lines, found = make(results)
        if not lines:
            continue
        text = [f"### {heading}", markdown_table(header, lines), "\n".join(bar.line() for bar in found)]
        parts.append("\n\n".join(part for part in text if part))
        bars[name] = [one.facts() for one in found]
    return "\n\n".join(parts), bars
