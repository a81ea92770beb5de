"""The numbers of a GRPO run, with defaults for the nano policy and the paper's as a preset; and the command's options.

The paper (Glance-or-Gaze, arXiv 2601.13942) trains a 7B and an 8B model with plain GRPO on level-2 queries: learning
rate 2e-6, KL 0.001, 4 rollouts a query, responses of 8,192 tokens. Its λ is not in the public notes: 0.1, as its peers.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from agents import recipes
from agents.options import (
    above_zero,
    add_dialect,
    check_dialect,
    natural,
    not_negative,
    positive,
    reporter,
    several,
    share,
)
from agents.processes import process_count
from agents.task_options import add_task_options, check_task_options
from gog_env.reward_presets import PRESETS as REWARDS
from gog_env.reward_presets import problem_of
from index.errors import TaskError

LOSSES = ("grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo")
OPTIMIZERS = {"adamw": "adamw_torch", "adafactor": "adafactor", "sgd": "sgd"}
CURRICULA = ("uniform", "level1", "level2", "adaptive")
CISPO_HIGH = 5.0
"""The upper clip of CISPO that ScaleRL recommends (arXiv 2510.13786), as TRL's `GRPOConfig` says."""
SCHEDULES = ("constant", "linear")
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "lr": 2e-6, "beta": 0.001, "group_size": 4, "max_completion": 8192, "curriculum": "level2",
        "format_weight": 0.1, "loss_type": "grpo", "epsilon": 0.2, "scale_rewards": "group",
    },
}  # fmt: skip


@dataclass(frozen=True)
class RlSettings:
    """How GRPO trains.

    Attributes:
        steps: optimizer steps.
        engine: who plays the rollouts: "fast" (`agents.engine`) or "trl" (TRL's own tool loop).
        group_size: rollouts a task.
        groups: tasks a step.
        micro_batch: rollouts a forward pass (None: all of a step).
        lr: the learning rate at the beginning.
        schedule: how it goes on: "constant", or "linear" down to nothing.
        beta: weight of the KL term to the starting model.
        epsilon, epsilon_high: how far ratios may move down and up (None: as far as down; with the loss `cispo`, which
            clips the ratio itself, `CISPO_HIGH`).
        loss_type: how token losses are summed up, as TRL names them; `luspo` has ratios of whole sequences.
        scale_rewards: what advantages are divided by: the deviation of the "group" or the "batch", or "none".
        num_iterations: optimizer steps on the same rollouts.
        temperature: of the sampling.
        max_completion: tokens of a rollout after the prompt, results included.
        mask_truncated: rollouts that ran out of tokens or turns have no part in the loss.
        optimizer: one of `OPTIMIZERS`.
        lora_rank: rank of LoRA adapters on all linear layers; 0 trains all weights.
        freeze_vision: the vision tower stays as it is (not with adapters, which are on all layers).
        seed: of task order, sampling and adapters.
        save_every: steps between checkpoints; 0 writes none.
        vllm: let vLLM generate, "colocate" or "server"; only with TRL's own tool loop.
        trajectories: rollouts of each step that are written down.
        report_to: where else the trainer's logs go (`agents.reporting`): `tensorboard`, `trackio`, `wandb`.
    """

    steps: int = 20
    engine: str = "fast"
    group_size: int = 8
    groups: int = 12
    micro_batch: int | None = None
    lr: float = 1e-4
    schedule: str = "constant"
    beta: float = 0.0
    epsilon: float = 0.2
    epsilon_high: float | None = None
    loss_type: str = "grpo"
    scale_rewards: str = "group"
    num_iterations: int = 1
    temperature: float = 1.0
    max_completion: int = 1536
    mask_truncated: bool = True
    optimizer: str = "adamw"
    lora_rank: int = 0
    freeze_vision: bool = False
    seed: int = 0
    save_every: int = 0
    trajectories: int = 96
    report_to: str = "none"
    vllm: str | None = None

    def __post_init__(self) -> None:
        if self.vllm and self.engine != "trl":
            raise TaskError("vLLM generates in TRL's tool loop only; take --engine trl with --vllm")
        if self.freeze_vision and self.lora_rank:
            raise TaskError("--freeze-vision goes with training all weights; leave --lora-rank 0, or leave it out")
        rollouts = self.group_size * self.groups
        if rollouts % (self.micro_batch or rollouts):
            raise TaskError(
                f"--micro-batch {self.micro_batch} must divide the {rollouts} rollouts of a step "
                "(--group-size x --groups)"
            )
        if self.save_every % self.num_iterations:
            raise TaskError(
                f"--save-every {self.save_every} must be a multiple of --num-iterations {self.num_iterations}: "
                "a checkpoint holds no rollouts"
            )

    def micro(self, processes: int) -> int:
        """Rollouts a forward pass on each of several processes, which share a step's rollouts out.

        Raises:
            TaskError: they cannot be shared out evenly, so that some would be lost; it says what to change.
        """
        rollouts = self.group_size * self.groups
        share, left = divmod(rollouts, processes)
        if left or not share:
            raise TaskError(
                f"{processes} processes cannot share out the {rollouts} rollouts of a step (--group-size "
                f"{self.group_size} x --groups {self.groups}); make that a multiple of {processes}"
            )
        micro = min(self.micro_batch or share, share)
        if share % micro:
            fitting = max(size for size in range(1, micro) if share % size == 0)
            raise TaskError(
                f"--micro-batch {micro} does not divide the {share} rollouts of each of {processes} processes "
                f"({rollouts} a step); take --micro-batch {fitting}"
            )
        return micro

    @property
    def ratios(self) -> dict[str, Any]:
        """TRL's arguments for ratios of probabilities: how far they may move, and whether they are a token's own."""
        high = CISPO_HIGH if self.loss_type == "cispo" and self.epsilon_high is None else self.epsilon_high
        level = "sequence" if self.loss_type == "luspo" else "token"
        return {"epsilon": self.epsilon, "epsilon_high": high, "importance_sampling_level": level}


def settings_of(options: argparse.Namespace, **changes: Any) -> RlSettings:
    """The settings among a command's options."""
    named = {one.name: getattr(options, one.name) for one in fields(RlSettings)}
    return RlSettings(**{**named, **changes})


def completion_limit(asked: int | None, system: bool) -> int:
    """Tokens of a rollout after its prompt: as asked, or what suits a nano policy, or one with a system prompt."""
    return asked or (8192 if system else 1536)


def make_parser() -> argparse.ArgumentParser:
    """The options of `python -m agents.train_rl`."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_rl",
        usage="%(prog)s [options]",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=24),
        description="Train a policy by GRPO (default: the nano policy on the embedded world).",
        epilog="example: python -m agents.train_rl --steps 20 --out runs/rl",
    )
    known = RlSettings()

    def add(name: str, kind: Any, about: str, *, metavar: str = "N", choices: Sequence[str] = ()) -> None:
        default = getattr(known, name.strip("-").replace("-", "_"))
        listed = f": {', '.join(choices)}" if choices else ""
        shown = "" if default is None or "(default" in about else " (default: %(default)s)"
        options: dict[str, Any] = {"choices": choices, "metavar": "NAME"} if choices else {"metavar": metavar}
        parser.add_argument(name, type=kind, default=default, help=about + listed + shown, **options)

    parser.add_argument("--model", metavar="PATH", help="folder or hub id (default: agents/nano/sft)")
    add_dialect(parser)
    parser.add_argument("--index", metavar="PATH", help="sealed index (default: the embedded world's)")
    add_task_options(parser, "training tasks (default: the embedded world's)")
    parser.add_argument("--limit", metavar="N", type=positive, help="use the first N tasks only")
    parser.add_argument("--out", metavar="DIR", default="runs/rl", help="folder of the run (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace --out if it is an earlier run")
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run of --out")
    parser.add_argument("--preset", choices=sorted(PRESETS), help="defaults as published: paper")
    parser.add_argument(
        "--curriculum", metavar="NAME", choices=CURRICULA, default="uniform",
        help=f"{', '.join(CURRICULA)} (default: uniform)",
    )  # fmt: skip
    parser.add_argument("--pass-rates", "--rates", metavar="FILE", help="what python -m agents.curriculum measured")
    parser.add_argument(
        "--engine", choices=("fast", "trl"),
        help="ours, or TRL's tool loop (default: fast; with --vllm trl)",
    )  # fmt: skip
    add("--steps", positive, "optimizer steps")
    add("--group-size", several, "rollouts a task")
    add("--groups", positive, "tasks a step")
    add("--micro-batch", positive, "rollouts a forward pass (default: all of a step)")
    add("--lr", above_zero, "learning rate; paper: 2e-6 at 7B", metavar="X")
    add("--schedule", str, "of --lr", choices=SCHEDULES)
    add("--beta", not_negative, "weight of the KL term; paper: 0.001", metavar="X")
    add("--epsilon", above_zero, "clip range of the ratios", metavar="X")
    add("--epsilon-high", above_zero, "its upper end (default: --epsilon)", metavar="X")
    add("--loss-type", str, "how token losses are summed up", choices=LOSSES)
    add("--scale-rewards", str, "advantages by", choices=("group", "batch", "none"))
    add("--num-iterations", positive, "optimizer steps on the same rollouts")
    add("--temperature", above_zero, "of the sampling", metavar="X")
    add("--optimizer", str, "which one", choices=sorted(OPTIMIZERS))
    add("--lora-rank", natural, "of LoRA adapters; 0: train all weights")
    parser.add_argument("--freeze-vision", action="store_true", help="leave the vision tower as it is")
    add("--save-every", natural, "steps between checkpoints; 0: none")
    add("--trajectories", natural, "rollouts of a step that are recorded")
    add("--seed", natural, "seed of the run")
    add("--report-to", reporter, "none, or of tensorboard, trackio, wandb", metavar="NAMES")
    parser.add_argument(
        "--reward", choices=REWARDS, default="gog", metavar="NAME", help="of gog_env.reward_presets (default: gog)"
    )
    parser.add_argument("--format-weight", type=share, metavar="λ", help="of the reward gog (default: 0.1)")
    parser.add_argument("--call-cost", type=not_negative, metavar="X", help="of a call, in the reward gog (default: 0)")
    parser.add_argument(
        "--max-completion", metavar="N", type=positive, help="tokens after the prompt (default: 1536 nano, else 8192)"
    )
    parser.add_argument(
        "--mask-truncated", action=argparse.BooleanOptionalAction, default=True,
        help="leave cut-off rollouts out of the loss (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--vllm",
        metavar="MODE",
        choices=("colocate", "server"),
        help="generate by vLLM, in TRL's tool loop: colocate or server",
    )
    recipes.add_options(parser)
    return parser


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; what a preset or a recipe says gives way to what is typed.

    What does not go together is refused here, before anything is loaded.

    Raises:
        ModelError: there is no such recipe.
        TaskError: a step's rollouts cannot be divided as asked, see `RlSettings`; or what says which tasks are meant
            does not go together.
    """
    parser, given = make_parser(), recipes.expand(argv, "rl")
    typed = parser.parse_args(given)
    preset = typed.preset
    if problem := problem_of(typed.reward, typed.format_weight is not None or typed.call_cost is not None):
        parser.error(f"--reward {typed.reward}: {problem}")
    if preset:
        parser.set_defaults(**PRESETS[preset])
    options = parser.parse_args(given)
    recipes.check(parser, options)
    if options.reward != "gog" or options.format_weight is None:
        options.format_weight = 0.1  # as published; of --preset only the rest counts beside another reward
    options.call_cost = options.call_cost or 0.0
    check_task_options(options)
    check_dialect(parser, options)
    options.engine = options.engine or ("trl" if options.vllm else "fast")
    if options.curriculum.startswith("level") and not options.pass_rates:
        parser.error(
            f"--curriculum {options.curriculum}{f' (of --preset {preset})' if preset else ''} goes with --rates FILE, "
            "which python -m agents.curriculum writes; or take --curriculum uniform or adaptive"
        )
    if options.curriculum == "uniform" and options.pass_rates:
        parser.error("--rates goes with --curriculum level1, level2 or adaptive; uniform takes the tasks as they come")
    settings_of(options, max_completion=completion_limit(options.max_completion, True)).micro(process_count())
    return options
