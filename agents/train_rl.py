"""Reinforcement learning with TRL's `GRPOTrainer`: the model's own searches, rewarded by the environment.

    python -m agents.train_rl                                              # the nano policy on the embedded world
    python -m agents.train_rl --model PATH --index PATH --tasks PATH --steps 20 --out runs/rl

Decisions: TRL's `environment_factory` runs the tools (`agents.tools`), so crops and results are those of
`GoG-VQA-v0`, pictures included, and tokens and pictures that a tool returned are masked out of the loss. The reward
is the environment's, `(1-λ)·accuracy + λ·format`, minus a cost for calls if asked. Groups are normalised as in GRPO.
Every rollout's trajectory is kept and replays to the reward it was trained on. Same seed, versions and threads: same
losses and weights, to the bit, on CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.card import PolicyCard
from agents.options import above_zero, natural, not_negative, positive, reporter, several, share
from agents.settings import check_out, default_model, episode_config, open_world, run_facts, run_folder, write_json
from gog_env.episode import Episode, EpisodeConfig
from gog_env.tasks import Task
from index.errors import TaskError, cli


def prompt_rows(tasks: Sequence[Task], card: PolicyCard) -> Any:
    """The tasks as the trainer's dataset: `prompt` (text only), `image` (decoded on access) and `task` (its id)."""
    from datasets import Dataset

    from agents.dialects import tool_call

    by_id = {task.id: task for task in tasks}
    system = [{"role": "system", "content": tool_call.system_prompt()}] if card.system else []
    table = Dataset.from_dict(
        {
            "prompt": [[*system, {"role": "user", "content": task.question}] for task in tasks],
            "task": [task.id for task in tasks],
            "image": [""] * len(tasks),
        }
    )

    def with_pictures(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {**batch, "image": [by_id[task].picture() for task in batch["task"]]}

    return table.with_transform(with_pictures)


@contextlib.contextmanager
def calls_of_any_depth(tokenizer: Any) -> Iterator[None]:
    """Lets TRL take a call that is nested too deeply for malformed text, as it is, instead of stopping the run."""
    original = tokenizer.parse_response

    def parse_response(*given: Any, **options: Any) -> Any:
        try:
            return original(*given, **options)
        except RecursionError:
            raise ValueError("nested too deeply") from None

    tokenizer.parse_response = parse_response
    try:
        yield
    finally:
        del tokenizer.parse_response


def step_metrics(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What a step's rollouts did: the measures of `agents.measures` that a curve needs."""
    from agents.measures import measure

    values = measure(records)
    metrics: dict[str, float | None] = {
        "episode/accuracy": values["accuracy"]["mean"],
        "episode/format": sum(record["reward"]["format"] for record in records) / len(records),
        "episode/evidence_hit": values["retrieval"]["hit@k"],
        "episode/box_iou": values["box_iou"],
        "calls/no_search_rate": values["no_search"],
        "calls/invalid_rate": values["invalid_actions"],
        **{f"calls/{name}": value for name, value in values["calls"].items()},
    }
    return {name: value for name, value in metrics.items() if value is not None}


def train(
    model: Any,
    processor: Any,
    card: PolicyCard,
    index: Any,
    tasks: Sequence[Task],
    out: Path,
    *,
    steps: int,
    config: EpisodeConfig,
    group_size: int = 8,
    groups: int = 4,
    micro_batch: int | None = None,
    lr: float = 1e-4,
    beta: float = 0.0,
    temperature: float = 1.0,
    max_completion: int = 512,
    lora_rank: int = 0,
    seed: int = 0,
    log: Path | None = None,
    trajectories: Path | None = None,
    report_to: str = "none",
) -> Any:
    """Runs GRPO and returns the trained model, adapters merged.

    Args:
        model: an image-text-to-text model; trained in place unless LoRA is used.
        processor: its processor; the chat template must render tool calls and results.
        card: how the model writes boxes and takes pictures.
        index: the knowledge that is searched.
        tasks: tasks to draw from, in seeded order.
        out: folder for the trainer's own files.
        steps: optimizer steps.
        config: rules of the episodes (turns, hits, λ, cost a call).
        group_size: rollouts a task.
        groups: tasks a step.
        micro_batch: rollouts a forward pass (default: all of a step).
        lr: AdamW's learning rate, constant.
        beta: weight of the KL term to the starting model.
        temperature: of the sampling.
        max_completion: tokens of a rollout after the prompt, results and pictures included.
        lora_rank: rank of LoRA adapters on all linear layers; 0 trains all weights.
        seed: of task order, sampling and adapters.
        log: JSON-lines file for the trainer's logs.
        trajectories: JSON-lines file for every rollout's trajectory.
        report_to: where else the trainer's logs go (`tensorboard`, `trackio`, `wandb`).

    Raises:
        TaskError: there are fewer tasks than a step takes, or its rollouts cannot be divided as asked.
    """
    import torch

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # the version is locked; the warning tells a user nothing
    from trl import GRPOConfig, GRPOTrainer

    from agents.lmm import picture_tokens
    from agents.logs import JsonLinesLog, quiet
    from agents.tools import GlanceOrGazeTools, episode_rewards
    from gog_env.trajectory import record, to_line

    rollouts = group_size * groups
    micro = micro_batch or rollouts
    if rollouts % micro:
        raise TaskError(
            f"--micro-batch {micro} must divide the {rollouts} rollouts of a step (--group-size x --groups)"
        )
    if len(tasks) < groups:
        raise TaskError(
            f"{len(tasks)} tasks are fewer than the {groups} of a step; lower --groups or give more --tasks"
        )
    by_id = {task.id: task for task in tasks}
    peft = None
    if lora_rank:
        from peft import LoraConfig

        peft = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")

    def reward(
        environments: Any, completions: Any, log_metric: Any, trainer_state: Any, **columns: Any
    ) -> list[float | None]:
        def keep(episodes: list[Episode]) -> None:
            records = [record(episode, index.fingerprint) for episode in episodes]
            for name, value in step_metrics(records).items():
                log_metric(name, value)
            if trajectories is not None:
                with trajectories.open("a", encoding="utf-8") as file:
                    file.writelines(to_line({**one, "step": trainer_state.global_step}) + "\n" for one in records)

        return [*episode_rewards(environments, completions, keep)]

    arguments = GRPOConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=rollouts // micro,
        num_generations=group_size,
        max_completion_length=max_completion,
        max_tool_calling_iterations=config.max_turns - 1,
        temperature=temperature,
        top_k=0,
        generation_kwargs={"suppress_tokens": picture_tokens(model)},
        learning_rate=lr,
        lr_scheduler_type="constant",
        beta=beta,
        loss_type="grpo",
        gradient_checkpointing=bool(lora_rank),
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to=report_to,
        seed=seed,
        data_seed=seed,
        dataloader_num_workers=0,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=arguments,
        train_dataset=prompt_rows(tasks, card),
        processing_class=processor,
        environment_factory=lambda: GlanceOrGazeTools(by_id, index, config, card, seed),
        peft_config=peft,
        callbacks=[JsonLinesLog(log)] if log else None,
    )
    with calls_of_any_depth(processor.tokenizer):
        quiet(trainer)
    trainer.train()
    trained = trainer.accelerator.unwrap_model(trainer.model)
    return trained.merge_and_unload() if peft else trained


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_rl",
        description="Train a policy by GRPO in the environment (default: the nano policy on the embedded world).",
        epilog="example: python -m agents.train_rl --steps 20 --out runs/rl",
    )
    parser.add_argument("--model", help="model folder or hub id to start from (default: the shipped nano policy)")
    parser.add_argument("--index", help="sealed index (default: the embedded world's)")
    parser.add_argument("--tasks", help="training tasks (default: the embedded world's)")
    parser.add_argument("--out", default="runs/rl", help="folder of the run (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=20, help="GRPO steps (default: %(default)s)")
    parser.add_argument("--group-size", type=several, default=8, help="rollouts a task (default: %(default)s)")
    parser.add_argument("--groups", type=positive, default=4, help="tasks a step (default: %(default)s)")
    parser.add_argument("--micro-batch", type=positive, help="rollouts a forward pass (default: all of a step)")
    parser.add_argument(
        "--lr", type=above_zero, default=1e-4, help="learning rate (default: %(default)s; paper: 2e-6 at 7B)"
    )
    parser.add_argument(
        "--beta", type=not_negative, default=0.0, help="weight of the KL term (default: %(default)s; paper: 0.001)"
    )
    parser.add_argument("--temperature", type=above_zero, default=1.0, help="of the sampling (default: %(default)s)")
    parser.add_argument("--format-weight", type=share, default=0.1, help="λ of the reward (default: %(default)s)")
    parser.add_argument("--call-cost", type=not_negative, default=0.0, help="price of a call (default: %(default)s)")
    parser.add_argument(
        "--max-completion", type=positive, help="tokens after the prompt (default: nano 768, others 8192)"
    )
    parser.add_argument(
        "--lora-rank", type=natural, default=0, help="train LoRA adapters of this rank (default: all weights)"
    )
    parser.add_argument("--limit", type=positive, help="use the first LIMIT tasks only")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the run (default: 0)")
    parser.add_argument("--report-to", type=reporter, default="none", help="none, tensorboard, trackio or wandb")
    parser.add_argument("--force", action="store_true", help="replace --out if it is an earlier run")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    options = parse_arguments(argv)
    check_out(options.out, options.force)
    import torch

    from agents.lmm import load_model

    start = time.perf_counter()
    # What is trained stays in float32 (bfloat16 would lose small steps) and computes in bfloat16 on CUDA by autocast.
    dtype = "bfloat16" if torch.cuda.is_available() and options.lora_rank else "float32"
    model, processor, card = load_model(options.model or default_model(), dtype)
    index, tasks = open_world(options.index, options.tasks, split="train", limit=options.limit)
    config = episode_config(card, format_weight=options.format_weight, call_cost=options.call_cost)
    length = options.max_completion or (8192 if card.system else 768)
    with run_folder(options.out, options.force) as folder:
        trained = train(
            model, processor, card, index, tasks, folder / "trainer", steps=options.steps, config=config,
            group_size=options.group_size, groups=options.groups, micro_batch=options.micro_batch, lr=options.lr,
            beta=options.beta, temperature=options.temperature, max_completion=length, lora_rank=options.lora_rank,
            seed=options.seed, log=folder / "log.jsonl", trajectories=folder / "trajectories.jsonl",
            report_to=options.report_to,
        )  # fmt: skip
        trained.save_pretrained(folder / "model")
        processor.save_pretrained(folder / "model")
        card.save(folder / "model")
        facts = run_facts("agents.train_rl", argv, options)
        facts |= {"index": index.fingerprint, "tasks": len(tasks), "seconds": round(time.perf_counter() - start, 1)}
        write_json(folder / "run.json", facts)
    rows = [json.loads(line) for line in (Path(options.out) / "log.jsonl").read_text().splitlines()]
    rewards = [row["reward"] for row in rows if "reward" in row]
    print(f"{len(rewards)} steps, mean reward {rewards[0]:.3f} -> {rewards[-1]:.3f}")
    print(f"model, log and trajectories: {options.out}/")
    return 0


if __name__ == "__main__":
    cli(main)
