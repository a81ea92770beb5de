"""The main job in one command: index, warm-started policy, GRPO, and one table of before, after and the baselines.

    python -m agents.demo            (make demo)

It builds the embedded world's index at first use, takes the shipped nano policy (SFT), trains it by GRPO on training
tasks, and evaluates it before and after on held-out tasks beside the baselines that read perfectly. Everything is
written to `runs/demo`.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from index.errors import cli


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.demo",
        description="Build, train and compare on the embedded world; prints one table.",
        epilog="example: python -m agents.demo --steps 20 --limit 100",
    )
    parser.add_argument("--out", default="runs/demo", help="folder of the run, replaced (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="GRPO steps (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=200, help="held-out tasks to evaluate on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args(argv)

    from agents import policies, train_rl
    from agents.evaluate import evaluate, save, table
    from agents.lmm import LmmPolicy
    from agents.settings import default_model, episode_config, open_world

    start = time.perf_counter()
    out = Path(options.out)
    model = default_model()
    print("1/4  knowledge: the embedded world", flush=True)
    index, tasks = open_world(None, None, "heldout", options.limit)

    results = []

    def play(policy: policies.Policy, name: str) -> None:
        config = episode_config(policy.card) if isinstance(policy, LmmPolicy) else None
        metrics, records = evaluate(policy, tasks, index, config, options.seed, progress=True)
        metrics["policy"] = name
        results.append(metrics)
        save(out, metrics, records)

    shutil.rmtree(out, ignore_errors=True)
    print(f"2/4  {len(tasks)} held-out tasks: baselines, and the nano policy after SFT", flush=True)
    for name, make in policies.BASELINES.items():
        play(make(tasks, index, options.seed), name)
    play(LmmPolicy(model), "nano SFT")
    print(f"3/4  {options.steps} GRPO steps on training tasks", flush=True)
    train_rl.main(
        ["--model", str(model), "--steps", str(options.steps), "--seed", str(options.seed), "--out", str(out / "rl")]
    )
    print("4/4  the nano policy after RL", flush=True)
    play(LmmPolicy(out / "rl" / "model"), "nano SFT+RL")
    print(f"\n{table(results)}\n")
    print(f"everything is in {out}/ (metrics, trajectories, the trained model); {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    cli(main)
