"""How long a GRPO step takes: TRL's own tool loop and our engine, side by side on the same tasks.

    python -m benchmarks.rollout_speed --groups 12 --group-size 8 --steps 5

Decisions: the two take turns, step by step, each time from the same weights and on the same tasks, so that a busy
machine slows both down, and CPU time is reported beside the clock's; the first pair warms up and is not counted. A step
is everything between two updates: prompts, generation, searches, rewards, loss and gradients. The rollouts are not the
same (each has its own random numbers) but of the same distribution, and what they came to is reported beside the
times, so that a reader can see it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.options import above_zero, natural, positive, several
from agents.settings import check_file, default_model, episode_config, open_world, run_facts, write_json
from agents.tables import text_table
from index.errors import cli

ENGINES = ("trl", "fast")
PARTS = ("generate", "search", "loss", "cpu")
SHOWN = ("episode/turns", "episode/accuracy", "completions/mean_length")


def one_step(
    engine: str, model: str, index: Any, tasks: Sequence[Any], turn: int, options: argparse.Namespace
) -> dict[str, float]:
    """A GRPO step's log: `step_time`, `seconds/PART`, and what its rollouts came to."""
    from agents.curriculum import make_curriculum
    from agents.lmm import load_model
    from agents.train_rl import train

    loaded, processor, card = load_model(model)
    curriculum = make_curriculum("uniform", [task.id for task in tasks], None, options.seed + turn)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        train(
            loaded, processor, card, index, tasks, Path(folder) / "trainer", config=episode_config(card),
            curriculum=curriculum, log=log, steps=1, engine=engine, groups=options.groups,
            group_size=options.group_size, micro_batch=options.micro_batch, temperature=options.temperature,
            max_completion=options.max_completion, seed=options.seed + turn,
        )  # fmt: skip
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return next(row for row in rows if "step_time" in row)


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

    model = options.model or str(default_model())
    index, tasks = open_world(options.index, options.tasks, split="train", limit=options.groups * 20)
    logs: dict[str, list[dict[str, float]]] = {name: [] for name in ENGINES}
    for turn in range(options.steps + 1):
        for name in ENGINES:
            row = one_step(name, model, index, tasks, turn, options)
            if turn:
                logs[name].append(row)
    found = summary(logs)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, {**run_facts("benchmarks.rollout_speed", argv, options), **found})
    names = list(found["engines"]["trl"])
    rows = [[name, *(found["engines"][engine][name] for engine in ENGINES)] for name in names if "each" not in name]
    print(text_table(["", *ENGINES], rows))
    for what, by in (("clock", "by the clock"), ("cpu", "in CPU time")):
        print("TRL's steps take {all} times as long {by} ({least} to {most})".format(by=by, **found["ratio"][what]))
    return 0


if __name__ == "__main__":
    cli(main)
