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
from typing import Any

from agents.options import natural, positive
from index.errors import cli

NAMES = ("nano SFT", "nano SFT+RL")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.demo",
        description="Build, train and compare on the embedded world; prints one table.",
        epilog="example: python -m agents.demo --steps 20 --limit 100",
    )
    parser.add_argument("--out", default="runs/demo", help="folder of the run; an earlier demo there is replaced")
    parser.add_argument("--steps", type=positive, default=8, help="GRPO steps (default: %(default)s)")
    parser.add_argument("--limit", type=positive, default=200, help="held-out tasks to play (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args(argv)

    from agents import policies, train_rl
    from agents.evaluate import evaluate, folder_of, save, table
    from agents.lmm import LmmPolicy
    from agents.measures import paired_difference
    from agents.settings import check_out, default_model, episode_config, open_world, run_facts, write_json

    start = time.perf_counter()
    written = [folder_of(options.out, name).name for name in (*policies.BASELINES, *NAMES)]
    out = check_out(options.out, force=True, known=["run.json", "gain.json", "rl", *written])
    model = default_model()
    print("1/4  knowledge: the embedded world", flush=True)
    index, tasks = open_world(None, None, "heldout", options.limit)

    results = []

    def play(policy: policies.Policy, name: str) -> list[dict[str, Any]]:
        config = episode_config(policy.card) if isinstance(policy, LmmPolicy) else None
        metrics, records = evaluate(policy, tasks, index, config, options.seed, progress=True)
        metrics["policy"] = name
        results.append(metrics)
        save(out, metrics, records)
        return records

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_json(out / "run.json", run_facts("agents.demo", argv, options))  # from now on the folder is known as ours
    print(f"2/4  {len(tasks)} held-out tasks: baselines, and the nano policy after SFT", flush=True)
    for name, make in policies.BASELINES.items():
        play(make(tasks, index, options.seed), name)
    before = play(LmmPolicy(model), NAMES[0])
    print(f"3/4  {options.steps} GRPO steps on training tasks", flush=True)
    train_rl.main(["--steps", str(options.steps), "--seed", str(options.seed), "--out", str(Path(options.out) / "rl")])
    print("4/4  the nano policy after RL", flush=True)
    gain = paired_difference(play(LmmPolicy(out / "rl" / "model"), NAMES[1]), before, options.seed)
    write_json(out / "gain.json", gain)
    print(f"\n{table(results)}\n")
    mean, low, high = (gain[name] for name in ("mean", "low", "high"))
    print(f"RL over SFT on the same {gain['n']} tasks: {mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, paired)")
    seconds = time.perf_counter() - start
    print(f"everything is in {options.out}/ (metrics, trajectories, the trained model); {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    cli(main)
