"""Does learning to look pay? Trains and plays all that the six tables of the method need, and prints them.

    python -m benchmarks.policy_table --base agents/nano/base --atlas ../shared/data/atlas --jobs 2
    python -m benchmarks.policy_table --tables main deciding --seeds 0        # a part of it
    python -m benchmarks.policy_table --report                                # only print what is there

| table | asks |
|---|---|
| main | what gaze and RL are worth: answering without search, glancing only, SFT, SFT+RL, the oracle |
| ablations | without gaze, without reflection; RL on uniform, level 1, level 2, adaptive; with a price on calls |
| deciding | whether to search, and whether to say that it is not known |
| change | the same policies when the knowledge has changed |
| noise | with wrong hits, and with poisoned documents |
| flags | real flags: zero-shot, after SFT and RL, on flags never seen in training |

Decisions: everything that is made lies below --work, results below --out; whatever is there is not made again, so that
the command goes on where it was stopped (`benchmarks.policy_stages`). A plan (`benchmarks.policy_plan`) says how much
is trained and played; --plan FILE, and some options, change it; a folder keeps what it was begun with: the plan, the
base model, the encoder, the atlas (`benchmarks.policy_kept`). All fine-tuned policies begin with --base, which knows
how to look and read and saw no demonstration, and have the same steps; all RL has the same number of rollouts, those
that measure pass rates not counted. Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from agents.options import natural, positive
from agents.settings import versions
from benchmarks.policy_data import Data
from benchmarks.policy_flags import atlas_folder
from benchmarks.policy_kept import begun_with, keep, shipped_base, typed
from benchmarks.policy_plan import TABLES, evaluations, read_plan
from benchmarks.policy_report import MAKERS, Results, report
from benchmarks.policy_stages import Stages, write_whole
from index.errors import cli


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.policy_table",
        description="Train and play what the tables of the method need; print them with intervals and bars.",
        epilog="example: python -m benchmarks.policy_table --base agents/nano/base --tables main --seeds 0",
    )
    made.add_argument("--tables", metavar="NAME", nargs="+", choices=list(TABLES), default=list(TABLES),
                      help=f"which of {', '.join(TABLES)} (default: all)")  # fmt: skip
    made.add_argument(
        "--base", metavar="PATH", type=Path, help="model that training begins with (default: agents/nano/base)"
    )
    made.add_argument("--atlas", metavar="DIR", type=Path, help="folder of the real flags, for the table flags")
    made.add_argument("--plan", metavar="FILE", type=Path, help="JSON with fields of the plan")
    made.add_argument("--quick", action="store_true", help="a plan of minutes whose results mean nothing")
    made.add_argument("--seeds", metavar="S", nargs="+", type=natural, help="of training (default: 0 1 2)")
    made.add_argument("--limit", metavar="N", type=positive, dest="tasks", help="held-out tasks (default: 1000)")
    made.add_argument("--sft-steps", metavar="N", type=positive, help="of fine-tuning on the world")
    made.add_argument("--rl-steps", metavar="N", type=positive, help="of RL on the world")
    made.add_argument("--encoder", metavar="SPEC", default="nano", help="of the indexes (default: %(default)s)")
    made.add_argument("--jobs", metavar="N", type=positive, default=1, help="processes that write worlds (default: 1)")
    made.add_argument("--work", metavar="DIR", type=Path, default=Path("runs/policy"), help="default: %(default)s")
    made.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("docs/results/policy"), help="default: %(default)s"
    )
    made.add_argument("--report", action="store_true", help="train and play nothing: print what is there")
    return made


def seeds_there(out: Path) -> tuple[int, ...]:
    """The seeds of training that a folder has results of."""
    ends = {path.name.removesuffix(".json").rpartition(".")[2] for path in out.glob("*.*.*.json")}
    return tuple(sorted(int(end) for end in ends if end.isdecimal()))


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; 1 if a bar is missed."""
    options = parser().parse_args(argv)
    changes = {name: getattr(options, name) for name in ("seeds", "tasks", "sft_steps", "rl_steps")}
    plan = read_plan(options.plan, options.quick, **changes)
    tables = [name for name in MAKERS if name in options.tables]
    if not options.report:
        base = options.base or shipped_base()
        if "flags" in tables or options.atlas is not None:
            atlas_folder(options.atlas)
        keep((options.work, options.out), begun_with(plan, base, options.encoder, options.atlas))
        data = Data(plan, options.work, options.atlas, options.encoder, options.jobs)
        stages = Stages(data, base, options.out)
        for policy, name, seed in evaluations(tables, plan):
            stages.play(policy, name, seed)
        if {"main", "ablations"}.intersection(tables):
            for seed in plan.seeds_of("sft", "levels"):
                stages.levels("sft", seed)
    seeds = plan.seeds if options.seeds or not options.report else seeds_there(options.out) or plan.seeds
    text, bars = report(Results(options.out, seeds), tables)
    if not text:
        print(f"there are no results in {options.out} yet; run without --report")
        return 1
    about = {"command": typed("benchmarks.policy_table", argv), "versions": versions()}
    write_whole(options.out / "bars.json", {**about, "bars": bars})
    (options.out / "tables.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\ntables, bars and results: {options.out}/")
    return 0 if all(bar["holds"] for some in bars.values() for bar in some) else 1


if __name__ == "__main__":
    cli(main)
