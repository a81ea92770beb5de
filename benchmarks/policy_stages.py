"""The stages of `benchmarks.policy_table`: train a policy, measure its pass rates, play it; each once.

A stage leaves a file or a folder that appears when it is complete, and is not made again where it is there. Training
calls `agents.train_sft` and `agents.train_rl` with the options that one would type; each run's `run.json` holds them.
RL that was killed goes on from its last checkpoint.

Results are small JSON files, `POLICY.SET.SEED.json`: the measures, and for every task one character that says whether
it was right, how many calls it took, whether the answer declined. So differences can be computed from results alone.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents import curriculum, measures, train_rl, train_sft
from agents.card import load_card
from agents.checkpoints import last_checkpoint
from agents.evaluate import evaluate, turns_needed
from agents.pass_rates import PassRates
from agents.policies import BASELINES
from agents.settings import episode_config, versions
from benchmarks.policy_data import Data
from benchmarks.policy_plan import RECIPES, Recipe
from gog_env import trajectory

FORWARD = 8
"""Demonstrations in a forward pass, at most."""


@dataclass(frozen=True)
class Stages:
    """Makes what is not there yet.

    Attributes:
        data: tasks, indexes and demonstrations.
        base: model folder that all training begins with.
        out: folder of the results.
    """

    data: Data
    base: Path
    out: Path

    def model(self, policy: str, seed: int) -> Path:
        """The model folder of a policy, trained where it is missing, and before it those that it goes on from."""
        recipe = RECIPES[policy]
        folder = self.data.work / "models" / f"{policy}-{seed}"
        if not (folder / "run.json").is_file():
            start = self.base if recipe.start == "base" else self.model(recipe.start, seed)
            print(f"\n== training {policy}, seed {seed}", flush=True)
            if recipe.demos:
                self._sft(recipe, start, folder, seed)
            else:
                self._rl(recipe, start, folder, seed)
        return folder / "model"

    def _sft(self, recipe: Recipe, start: Path, folder: Path, seed: int) -> None:
        plan = self.data.plan
        demos = self.data.demos(recipe.demos, load_card(start.absolute()), recipe.flags)
        steps = plan.flag_sft_steps if recipe.flags else plan.sft_steps
        size = math.gcd(plan.sft_batch, FORWARD)
        train_sft.main(
            ["--model", str(start), "--demos", str(demos), "--steps", str(steps), "--batch-size", str(size),
             "--accumulate", str(plan.sft_batch // size), "--lr", str(plan.sft_lr), "--optimizer", plan.optimizer,
             "--precision", "bfloat16", "--freeze-vision", "--group-by-length", "--seed", str(seed),
             "--out", str(folder)]
        )  # fmt: skip

    def _rl(self, recipe: Recipe, start: Path, folder: Path, seed: int) -> None:
        plan, flags = self.data.plan, recipe.flags
        given = [
            "--model", str(start), "--index", str(self.data.index_path("flags" if flags else "world")),
            "--tasks", str(self.data.training_tasks(flags)), "--limit", str(plan.pool),
            "--steps", str(plan.flag_rl_steps if flags else plan.rl_steps), "--groups", str(plan.groups),
            "--group-size", str(plan.group_size), "--lr", str(plan.rl_lr), "--beta", str(plan.beta),
            "--schedule", "linear", "--freeze-vision",
            "--max-completion", str(plan.max_completion), "--trajectories", "8", "--save-every", str(plan.save_every),
            "--curriculum", recipe.curriculum, "--seed", str(seed), "--out", str(folder),
        ]  # fmt: skip
        if recipe.curriculum != "uniform":
            given += ["--rates", str(self.rates(recipe.start, seed, "flags" if flags else "train"))]
        if recipe.costly:
            given += ["--call-cost", str(plan.call_cost)]
        if last_checkpoint(folder.with_name(f".{folder.name}.unfinished")) is not None:
            given.append("--resume")
        train_rl.main(given)

    def rates(self, policy: str, seed: int, split: str) -> Path:
        """The file of a policy's pass rates on `train`, `heldout` or `flags` (the atlas's training scenes)."""
        path = self.data.work / "rates" / f"{policy}-{seed}.{split}.jsonl"
        if not path.is_file():
            plan = self.data.plan
            tasks, limit, rollouts = self.data.training_tasks(split == "flags"), plan.pool, plan.rollouts
            if split == "heldout":
                tasks, limit, rollouts = self.data.world() / "heldout", plan.tasks, plan.level_rollouts
            print(f"\n== pass rates of {policy}, seed {seed}, on {split}", flush=True)
            model = self.model(policy, seed)
            curriculum.main(
                ["--model", str(model), "--index", str(self.data.index_path("flags" if split == "flags" else "world")),
                 "--tasks", str(tasks), "--limit", str(limit), "--rollouts", str(rollouts),
                 "--seed", str(seed), "--out", str(path)]
            )  # fmt: skip
        return path

    def levels(self, policy: str, seed: int) -> None:
        """Writes the levels of the held-out tasks by a policy's pass rates beside the results."""
        path = self.out / f"{policy}.levels.{seed}.json"
        if not path.is_file():
            rates = PassRates.load(self.rates(policy, seed, "heldout"))
            write_whole(path, {"levels": {task_id: one.level for task_id, one in rates.items()}})

    def play(self, policy: str, name: str, seed: int) -> None:
        """Plays a policy on a set of tasks and writes the result."""
        path = self.out / f"{policy}.{name}.{seed}.json"
        if path.is_file():
            return
        index, tasks = self.data.asked(name)
        if policy in BASELINES:
            player: Any = BASELINES[policy](tasks, index, seed)
            card = load_card(self.base.absolute())
        else:
            from agents.lmm import LmmPolicy

            player = LmmPolicy(self.model(policy, seed))
            card = player.card
        config = episode_config(card, max_turns=max(card.max_turns, turns_needed(tasks)))
        print(f"\n== playing {policy}, seed {seed}, on {name}: {len(tasks)} tasks", flush=True)
        metrics, records = evaluate(player, tasks, index, config, progress=True)
        gazes = metrics["calls"]["gaze"]
        print(f"accuracy {metrics['accuracy']['mean']:.3f}, gazes an episode {gazes:.2f}", flush=True)
        trajectory.write(self.data.work / "trajectories" / f"{path.stem}.jsonl", records)
        facts = {"policy": policy, "set": name, "seed": seed, "index": index.fingerprint, "versions": versions()}
        write_whole(path, {**facts, "episodes": brief(records), "metrics": {**metrics, "policy": policy}})


def brief(records: Sequence[measures.Record]) -> dict[str, Any]:
    """Of each episode what tables need: parallel lists as short as can be.

    Returns:
        `task_id` and `kind`, lists; and texts with one character a task: `right`, `declined`, `needs_none`,
        `unanswerable` (0 or 1), `calls` (0 to 9, more count as 9).
    """

    def digits(values: Any) -> str:
        return "".join(str(min(int(value), 9)) for value in values)

    return {
        "task_id": [record["task_id"] for record in records],
        "kind": [record["kind"] for record in records],
        "right": digits(record["reward"]["accuracy"] >= 1.0 for record in records),
        "declined": digits(measures.declines(record["answer"]) for record in records),
        "needs_none": digits(measures.needs_none(record) for record in records),
        "unanswerable": digits(measures.unanswerable(record) for record in records),
        "calls": digits(record["reward"]["calls"] for record in records),
    }


def write_whole(path: Path, value: Any) -> None:
    """Writes JSON that appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(value, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)
