"""What the proof of the method trains and plays: the numbers of a plan, the policies, and which table needs which.

A plan is a JSON object with some of the fields of `Plan`; what it leaves out is as below. Policies are trained by the
project's own commands (`Recipe`), each from the base model or from another policy, with every seed of the plan.

Two things to know of the RL policies. Pass rates, which all curricula but the uniform one begin with, are measured on
training tasks that the SFT policy was fine-tuned on: they are higher than on tasks that it never saw. And "the same
number of rollouts" is that of the RL steps: the rollouts that measure pass rates (`pool` times `rollouts`) come on top
for those curricula, and uniform does without.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from index.errors import TaskError


@dataclass(frozen=True)
class Plan:
    """The numbers of all runs.

    Attributes:
        nations: size of the world; 4000 is `world-m`.
        world_seed: of the world and its tasks.
        train, heldout: tasks that are written of each split.
        tasks: how many held-out ones are played (the first); the rest is for knowledge that changes.
        side_tasks: how many are played at most with noise, with poison, and on each side of knowledge that changes.
        pool: how many training tasks RL draws from, and how many have their pass rates measured.
        seeds: of training.
        ablation_seeds: those of `seeds` with which the policies of `ABLATIONS` are trained; None: all.
        side_seeds: those of `seeds` whose policies play any other set than the held-out tasks (noise, poison, knowledge
            that changes, flags), and by whose SFT policy the held-out tasks have levels; None: all.
        rollouts: of each training task for its pass rate; on tasks that SFT saw, see above.
        level_rollouts: of each held-out task for its level.
        sft_steps, sft_batch, sft_lr, optimizer: of supervised training, alike for all variants.
        rl_steps, groups, group_size, rl_lr, beta: of RL, alike for all curricula: equal numbers of rollouts, those for
            pass rates not counted.
        call_cost: the price of a call where there is one.
        noise, poison: shares of wrong hits and of poisoned results.
        flag_sft_steps, flag_rl_steps: of training on real flags.
        unseen: scenes with flags that training never shows.
        save_every: RL steps between checkpoints; 0: none.
        max_completion: tokens of a rollout.
    """

    nations: int = 4000
    world_seed: int = 0
    train: int = 4000
    heldout: int = 4000
    tasks: int = 1000
    side_tasks: int = 1000
    pool: int = 2000
    seeds: tuple[int, ...] = (0, 1, 2)
    ablation_seeds: tuple[int, ...] | None = None
    side_seeds: tuple[int, ...] | None = None
    rollouts: int = 8
    level_rollouts: int = 8
    sft_steps: int = 600
    sft_batch: int = 32
    sft_lr: float = 0.01
    optimizer: str = "muon"
    rl_steps: int = 100
    groups: int = 12
    group_size: int = 8
    rl_lr: float = 1e-4
    beta: float = 0.0
    call_cost: float = 0.05
    noise: float = 0.2
    poison: float = 0.2
    flag_sft_steps: int = 300
    flag_rl_steps: int = 60
    unseen: int = 300
    save_every: int = 20
    max_completion: int = 1536

    def __post_init__(self) -> None:
        for one in fields(self):
            self._check(one.name, getattr(self, one.name), one.default)
        object.__setattr__(self, "seeds", tuple(self.seeds))
        for name in ("ablation_seeds", "side_seeds"):
            if (some := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(some))
        if not self.seeds or self.tasks > self.heldout or self.pool > self.train:
            raise TaskError("a plan needs a seed, no more --tasks than heldout ones, and no larger pool than train")

    @staticmethod
    def _check(name: str, value: Any, default: Any) -> None:
        """Refuses what a field cannot be: seeds that are no lists of numbers, counts below 1, other than numbers."""
        if name.endswith("seeds"):
            wanted, right = "a list of whole numbers", value is None and default is None
            right = right or (isinstance(value, (list, tuple)) and all(type(one) is int and one >= 0 for one in value))
        elif isinstance(default, str):
            wanted, right = "a word", isinstance(value, str)
        elif isinstance(default, int):
            least = 0 if name in ("world_seed", "save_every") else 1
            wanted, right = f"a whole number, at least {least}", type(value) is int and value >= least
        else:
            wanted, right = "a number, at least 0", type(value) in (int, float) and 0 <= value < float("inf")
        if not right:
            raise TaskError(f"a plan's {name} is {wanted}, not {value!r}")

    def numbers(self) -> dict[str, Any]:
        """All but the seeds, for JSON: what has to be alike for results to stand in one table."""
        return {name: value for name, value in asdict(self).items() if not name.endswith("seeds")}

    def seeds_of(self, policy: str, name: str = "heldout") -> tuple[int, ...]:
        """The seeds of training whose policies play a set; the oracle, which is not trained, has the first."""
        if policy == ORACLE:
            return self.seeds[:1]
        some = set(self.seeds)
        if policy in ABLATIONS and self.ablation_seeds is not None:
            some &= set(self.ablation_seeds)
        if name != "heldout" and self.side_seeds is not None:
            some &= set(self.side_seeds)
        return tuple(seed for seed in self.seeds if seed in some)


QUICK = Plan(
    nations=60, train=100, heldout=80, tasks=8, side_tasks=8, pool=8, seeds=(0,), rollouts=2, level_rollouts=2,
    sft_steps=2, sft_batch=2, rl_steps=1, groups=2, group_size=2, flag_sft_steps=2, flag_rl_steps=1, unseen=4,
    save_every=0, max_completion=160,
)  # fmt: skip
"""So small that everything is done in minutes, with results that mean nothing."""


def read_plan(path: str | Path | None, quick: bool = False, **changes: Any) -> Plan:
    """A plan from a file, changed by options.

    Args:
        path: JSON; None: the plan as above.
        quick: starts from `QUICK` instead.
        **changes: fields; None leaves as it is.

    Raises:
        TaskError: the file cannot be read, or has fields that a plan has not.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
            unknown = sorted(set(values) - {field.name for field in fields(Plan)})
        except (OSError, ValueError, TypeError) as error:
            raise TaskError(f"plan {path} cannot be read ({error}); write a JSON object") from None
        if unknown:
            raise TaskError(f"plan {path} has {unknown[0]!r}; its fields are {', '.join(f.name for f in fields(Plan))}")
    values |= {name: value for name, value in changes.items() if value is not None}
    return replace(QUICK if quick else Plan(), **values)


@dataclass(frozen=True)
class Recipe:
    """How a policy is made.

    Attributes:
        name: of the policy.
        start: the policy that it goes on from; "base" is the model folder named by option.
        demos: which demonstrations it is fine-tuned on (`benchmarks.policy_data`); "" for RL.
        curriculum: which tasks RL draws; "" for fine-tuning.
        costly: calls have their price.
        flags: trained on real flags instead of the world.
        title: in tables.
    """

    name: str
    start: str
    demos: str = ""
    curriculum: str = ""
    costly: bool = False
    flags: bool = False
    title: str = ""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("no-search", "base", demos="answers", title="answer without search"),
        Recipe("glance-only", "base", demos="glances", title="glance only (no gaze)"),
        Recipe("no-reflection", "base", demos="plain", title="SFT, no reflection"),
        Recipe("sft", "base", demos="reflective", title="SFT"),
        Recipe("rl-uniform", "sft", curriculum="uniform", title="SFT+RL, uniform"),
        Recipe("rl-level1", "sft", curriculum="level1", title="SFT+RL, level 1"),
        Recipe("rl-level2", "sft", curriculum="level2", title="SFT+RL, level 2"),
        Recipe("rl-adaptive", "sft", curriculum="adaptive", title="SFT+RL, adaptive"),
        Recipe("rl-cost", "sft", curriculum="adaptive", costly=True, title="SFT+RL, adaptive, calls cost"),
        Recipe("flags-sft", "rl-adaptive", demos="reflective", flags=True, title="after SFT on flags"),
        Recipe("flags-rl", "flags-sft", curriculum="adaptive", flags=True, title="after SFT+RL on flags"),
    )
}
ORACLE = "oracle-reflect"
BEST = "rl-adaptive"
ABLATIONS = frozenset({"no-reflection", "rl-uniform", "rl-level1", "rl-level2", "rl-cost"})
"""Policies that may have fewer seeds (`Plan.ablation_seeds`); glance-only is of the main table and has all."""

#: Which policies a table plays, and on which sets of tasks.
TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "main": (("no-search", "glance-only", "sft", BEST, ORACLE), ("heldout",)),
    "ablations": (
        ("sft", "glance-only", "no-reflection", "rl-uniform", "rl-level1", "rl-level2", BEST, "rl-cost"), ("heldout",)
    ),
    "deciding": (("sft", BEST, "rl-cost"), ("heldout",)),
    "change": (("no-search", BEST), ("changed-before", "changed-after", "learned-before", "learned-after")),
    "noise": (("sft", BEST, ORACLE), ("heldout", "heldout-noise", "heldout-poison")),
    "flags": ((BEST, "flags-sft", "flags-rl"), ("flags-dev", "flags-unseen")),
}  # fmt: skip


def title(policy: str) -> str:
    """What a policy is called in tables."""
    return RECIPES[policy].title if policy in RECIPES else "perfect-reader oracle"


def evaluations(tables: Sequence[str], plan: Plan) -> Iterator[tuple[str, str, int]]:
    """Policy, set of tasks and training seed of all that the tables play."""
    known = set()
    for table in tables:
        policies, sets = TABLES[table]
        for policy in policies:
            for name in sets:
                for seed in plan.seeds_of(policy, name):
                    if (policy, name, seed) not in known:
                        known.add((policy, name, seed))
                        yield policy, name, seed
