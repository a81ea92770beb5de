"""The main job in one command: index, demonstrations, supervised training, GRPO, and what each has brought.

    python -m agents.demo            (make demo)

It builds the embedded world's index at first use and plays held-out tasks: the baselines that read perfectly, and the
shipped nano policy. Then it trains a policy of its own from `agents/nano/base`: briefly on the oracle's demonstrations,
then by GRPO on training tasks, and compares it before and after RL. Everything is written to `runs/demo`.

Decisions: the shipped policy learned for hours, and minutes of RL change nothing in it that 200 tasks could show; so RL
begins with a beginner here, of a minute's supervised training. Before and after are sampled at temperature 1, twice a
task, because that is what GRPO improves: the share of a policy's rollouts that are right.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.options import natural, positive
from index import extras
from index.errors import cli

SHIPPED = "nano SFT"
NAMES = ("beginner", "beginner+RL")
ROLLOUTS = 2
"""Of each held-out task, where policies are sampled."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.demo",
        description="Build, train and compare on the embedded world; prints two tables.",
        epilog="example: python -m agents.demo --steps 20 --limit 100",
    )
    parser.add_argument("--out", default="runs/demo", help="folder of the run; an earlier demo there is replaced")
    parser.add_argument("--sft-steps", type=positive, default=12, help="steps on demonstrations (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=20, help="GRPO steps (default: %(default)s)")
    parser.add_argument("--limit", type=positive, default=200, help="held-out tasks to play (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args(argv)
    extras.need(*extras.TRAINING)

    from agents import demonstrations, policies, train_rl, train_sft
    from agents.evaluate import evaluate, folder_of, save, table
    from agents.lmm import LmmPolicy
    from agents.measures import paired_difference
    from agents.report.ending import end_with_report
    from agents.settings import check_out, default_model, episode_config, open_world, run_facts, write_json

    start = time.perf_counter()
    written = [folder_of(options.out, name).name for name in (*policies.BASELINES, SHIPPED, *NAMES)]
    known = [
        "run.json",
        "gain.json",
        "report.html",
        "demos.parquet",
        "sft",
        "rl",
        ".sft.unfinished",
        ".rl.unfinished",
        *written,
    ]
    out = check_out(options.out, force=True, known=known)
    base, shipped = default_model("base"), default_model()
    print("1/5  knowledge: the embedded world", flush=True)
    index, tasks = open_world(None, None, "heldout", options.limit)

    def play(policy: policies.Policy, name: str, rollouts: int = 1) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        config = episode_config(policy.card) if isinstance(policy, LmmPolicy) else None
        drawn = [task for task in tasks for _ in range(rollouts)]
        metrics, records = evaluate(policy, drawn, index, config, options.seed, progress=True)
        where = {"path": str(index.path), "fingerprint": index.fingerprint}
        metrics |= {"policy": name, "tasks": "embedded world, heldout", "index": where}  # for agents.report, later
        save(out, metrics, records)
        return metrics, records

    def sampled(model: Path, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        return play(LmmPolicy(model, temperature=1.0, seed=options.seed), name, ROLLOUTS)

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    write_json(out / "run.json", run_facts("agents.demo", argv, options))  # from now on the folder is known as ours
    print(f"2/5  {len(tasks)} held-out tasks: baselines, and the shipped nano policy", flush=True)
    results = [play(make(tasks, index, options.seed), name)[0] for name, make in policies.BASELINES.items()]
    results.append(play(LmmPolicy(shipped), SHIPPED)[0])
    given = ["--seed", str(options.seed), "--out"]
    print(f"3/5  a beginner: {options.sft_steps} steps on demonstrations of the oracle", flush=True)
    demonstrations.main(["--looseness", "0", *given, f"{options.out}/demos.parquet"])
    train_sft.main(
        ["--model", str(base), "--demos", f"{options.out}/demos.parquet", "--steps", str(options.sft_steps),
         "--optimizer", "muon", "--lr", "0.01", "--batch-size", "8", "--accumulate", "4", "--precision", "bfloat16",
         "--freeze-vision", "--group-by-length", *given, f"{options.out}/sft"]
    )  # fmt: skip
    before, begun = sampled(out / "sft" / "model", NAMES[0])
    print(f"4/5  {options.steps} GRPO steps on training tasks", flush=True)
    train_rl.main(
        ["--model", f"{options.out}/sft/model", "--curriculum", "adaptive", "--freeze-vision", "--lr", "3e-4",
         "--schedule", "linear", "--steps", str(options.steps), *given, f"{options.out}/rl"]
    )  # fmt: skip
    print("5/5  the beginner after RL", flush=True)
    after, ended = sampled(out / "rl" / "model", NAMES[1])
    gain = paired_difference(ended, begun, options.seed)
    write_json(out / "gain.json", gain)
    print(f"\n{table(results)}\n\nsampled at temperature 1, {ROLLOUTS} rollouts a task:\n")
    print(f"{table([before, after])}\n")
    print("(intervals of the columns take all rollouts as independent; that of the difference keeps a task's together)")
    mean, low, high = (gain[name] for name in ("mean", "low", "high"))
    print(f"RL over SFT on the same {gain['n']} tasks: {mean:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, paired)")
    seconds = time.perf_counter() - start
    print(f"everything is in {options.out}/ (metrics, trajectories, the trained model); {seconds:.0f} s")
    print(end_with_report(out, index, [*tasks, *open_world(None, None, "train")[1]]))
    return 0


if __name__ == "__main__":
    cli(main)
