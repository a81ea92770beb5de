"""How long a GRPO step takes: TRL's own tool loop and our engine, side by side on the same rollouts.

    python -m benchmarks.rollout_speed --groups 12 --group-size 8 --steps 5
    python -m benchmarks.rollout_speed --rollouts sampled       # as they come, of the same distribution

Decisions: the two take turns, step by step, each time from the same weights and on the same tasks, so that a busy
machine slows both down, and CPU time is reported beside the clock's; the first pair warms up and is not counted. A step
is everything between two updates: prompts, generation, searches, rewards, loss and gradients. Both write the same
rollouts, token by token: an oracle's, half of them answered wrongly, so that all count in the loss
(`benchmarks.same_rollouts`). Neither logs KL, which stock TRL does not measure without a KL term in the loss. Steps
whose episodes differ are refused. What the rollouts came to is reported beside the times, so that a reader can see it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agents.demonstrations import known_cases
from agents.options import above_zero, natural, positive, several
from agents.settings import check_file, default_model, episode_config, open_world, run_facts, write_json
from agents.tables import text_table
from index import extras
from index.errors import GoGError, cli

ENGINES = ("trl", "fast")
PARTS = ("generate", "search", "loss", "cpu")
SHOWN = ("episode/turns", "episode/accuracy", "groups/without_signal")


def one_step(
    engine: str, model: str, index: Any, cases: Sequence[Any], turn: int, options: argparse.Namespace
) -> dict[str, float]:
    """A GRPO step's log: `step_time`, `seconds/PART`, and what its rollouts came to."""
    from agents import grpo_kl
    from agents.curriculum import make_curriculum
    from agents.engine_chat import ChatTokens
    from agents.lmm import load_model
    from agents.train_rl import train
    from benchmarks.same_rollouts import scripts_of, written_by

    loaded, processor, card = load_model(model)
    config, seed = episode_config(card), options.seed + turn
    by_id = {case.task.id: case for case in cases}
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(grpo_kl, "LARGEST", 0))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if options.rollouts == "scripted":
            drawn = [by_id[one] for one in make_curriculum("uniform", list(by_id), None, seed).draw(options.groups)]
            chat = ChatTokens(loaded, processor, card)
            scripts = scripts_of(drawn, index, chat, card, config, options.group_size, seed)
            stack.enter_context(written_by(loaded, scripts))
        train(
            loaded, processor, card, index, [case.task for case in cases], folder / "trainer", config=config,
            curriculum=make_curriculum("uniform", list(by_id), None, seed), log=folder / "log.jsonl", steps=1,
            engine=engine, groups=options.groups, group_size=options.group_size, micro_batch=options.micro_batch,
            temperature=options.temperature, max_completion=options.max_completion, seed=seed,
        )  # fmt: skip
        rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return next(row for row in rows if "step_time" in row)


def check_same(rows: dict[str, dict[str, float]]) -> None:
    """Raises where two steps that should have written the same had other episodes."""
    for name in SHOWN:
        values = {engine: row.get(name) for engine, row in rows.items()}
        if len({round(value or 0.0, 6) for value in values.values()}) > 1:
            raise GoGError(f"the two loops did not write the same: {name} is {values}; report this as a bug")


def summary(logs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Means by engine, and how many times as long TRL's steps took as ours, by the clock and in CPU time."""

    def mean(rows: list[dict[str, float]], name: str) -> float | None:
        values = [row[name] for row in rows if name in row]
        return round(statistics.fmean(values), 4) if values else None

    engines = {
        name: {
            "seconds": mean(rows, "step_time"),
            "seconds of each step": [round(row["step_time"], 3) for row in rows],
            **{f"seconds {part}": mean(rows, f"seconds/{part}") for part in PARTS},
            **{name: mean(rows, name) for name in SHOWN},
        }
        for name, rows in logs.items()
    }
    ratio = {}
    for what, key in (("clock", "step_time"), ("cpu", "seconds/cpu")):
        pairs = [slow[key] / fast[key] for slow, fast in zip(logs["trl"], logs["fast"], strict=True)]
        total = {name: sum(row[key] for row in rows) for name, rows in logs.items()}
        found = {"all": total["trl"] / total["fast"], "least": min(pairs), "most": max(pairs)}
        ratio[what] = {name: round(value, 2) for name, value in found.items()}
    return {"engines": engines, "ratio": ratio}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rollout_speed",
        description="Time GRPO steps with TRL's tool loop and with our engine, side by side.",
        epilog="example: python -m benchmarks.rollout_speed --groups 12 --group-size 8 --steps 5",
    )
    parser.add_argument("--model", help="model folder or hub id (default: the shipped nano policy)")
    parser.add_argument("--index", help="sealed index (default: the embedded world's)")
    parser.add_argument("--tasks", help="tasks (default: the embedded world's training tasks)")
    parser.add_argument("--rollouts", choices=("scripted", "sampled"), default="scripted", help="(default: scripted)")
    parser.add_argument("--groups", type=positive, default=12, help="tasks a step (default: %(default)s)")
    parser.add_argument("--group-size", type=several, default=8, help="rollouts a task (default: %(default)s)")
    parser.add_argument("--micro-batch", type=positive, help="rollouts a forward pass (default: all of a step)")
    parser.add_argument("--max-completion", type=positive, default=1536, help="tokens after the prompt")
    parser.add_argument("--temperature", type=above_zero, default=1.0, help="of the sampling (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=5, help="steps of each that count (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="of tasks and sampling (default: 0)")
    parser.add_argument("--out", default="docs/results/policy/rollout_speed.json", help="default: %(default)s")
    options = parser.parse_args(argv)
    check_file(options.out)
    extras.need(*extras.TRAINING)

    model = options.model or str(default_model())
    index, tasks = open_world(options.index, options.tasks, split="train", limit=options.groups * 20)
    cases = [case for case in known_cases(tasks, options.tasks) if case.task.evidence is not None]
    logs: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
    for turn in range(options.steps + 1):
        rows = {name: one_step(name, model, index, cases, turn, options) for name in ENGINES}
        if options.rollouts == "scripted":
            check_same(rows)
        for name in ENGINES if turn else ():
            logs[name].append(rows[name])
    found = summary(logs)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, {**run_facts("benchmarks.rollout_speed", argv, options), **found})
    names = list(found["engines"]["trl"])
    table = [[name, *(found["engines"][engine][name] for engine in ENGINES)] for name in names if "each" not in name]
    print(text_table(["", *ENGINES], table))
    for what, by in (("clock", "by the clock"), ("cpu", "in CPU time")):
        print("TRL's steps take {all} times as long {by} ({least} to {most})".format(by=by, **found["ratio"][what]))
    return 0


if __name__ == "__main__":
    cli(main)
