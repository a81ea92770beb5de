"""Reinforcement learning with TRL's `GRPOTrainer`: the model's own searches, rewarded by the environment.

    python -m agents.train_rl                                              # the nano policy on the embedded world
    python -m agents.train_rl --curriculum adaptive --save-every 20 --out runs/rl      # killed? again, with --resume
    python -m agents.train_rl --model PATH --index PATH --tasks PATH --rates PATH --preset paper --lora-rank 8

Decisions: rollouts are played by our engine (`agents.engine`; `--engine trl` takes TRL's own tool loop, to compare),
advantages and loss are TRL's (`agents.grpo`). Tokens and pictures that a tool returned are masked out of the loss, and
so are rollouts that ran out of tokens or turns. The reward is the environment's, `(1-λ)·accuracy + λ·format`, minus a
cost for calls if asked, or another published one (`--reward`, see `gog_env.reward_presets`). The tasks of each step
come from a curriculum (`agents.curriculum`). Trajectories are kept and replay to the reward they were trained on. Same
seed, versions and threads: same losses and weights, to the bit, on CPU, and after a kill and `--resume` too.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agents.card import PolicyCard
from agents.checkpoints import TRAINER, sizes, state_of, unfinished_folder
from agents.processes import finished_model, process_count, processes
from agents.recipes import vllm_arguments
from agents.report.ending import end_with_report
from agents.rl_measures import step_metrics
from agents.rl_settings import OPTIMIZERS, RlSettings, completion_limit, parse_arguments, settings_of
from agents.settings import check_out, default_model, episode_config, open_world, run_facts, write_json
from agents.task_options import given_tasks
from gog_env.episode import Episode, EpisodeConfig
from gog_env.task import Task, fingerprint_of
from index import extras
from index.deterministic import deterministic
from index.errors import TaskError, cli


def row_maker(card: PolicyCard, with_picture: bool) -> Callable[[Task], dict[str, Any]]:
    """How a task becomes a row of the trainer: `prompt` (text only), `task` (its id), `image` where TRL needs it."""
    from agents.dialects import tool_call

    system = [{"role": "system", "content": tool_call.system_prompt(card)}] if card.system else []

    def row(task: Task) -> dict[str, Any]:
        made = {"prompt": [*system, {"role": "user", "content": task.question}], "task": task.id}
        return {**made, "image": task.picture()} if with_picture else made

    return row


def episode_keeper(fingerprint: str, path: Path | None, most: int) -> Callable[[list[Episode], int], dict[str, float]]:
    """What is done with a step's episodes, those of all processes: measured, the first `most` written to `path`."""
    from accelerate.utils import gather_object

    from gog_env.trajectory import record, to_line

    def keep(episodes: list[Episode], step: int) -> dict[str, float]:
        records = gather_object([record(episode, fingerprint) for episode in episodes])
        if path is not None and records[:most]:
            with path.open("a", encoding="utf-8") as file:
                file.writelines(to_line({**one, "step": step}) + "\n" for one in records[:most])
        return step_metrics(records)

    return keep


def train(
    model: Any,
    processor: Any,
    card: PolicyCard,
    index: Any,
    tasks: Sequence[Task],
    out: Path,
    *,
    config: EpisodeConfig,
    curriculum: Any = None,
    log: Path | None = None,
    trajectories: Path | None = None,
    resume: Path | None = None,
    settings: RlSettings | None = None,
    **changes: Any,
) -> Any:
    """Runs GRPO and returns the trained model, adapters merged (see `agents.processes.finished_model`).

    Args:
        model: an image-text-to-text model; trained in place unless LoRA is used.
        processor: its processor; the chat template must render tool calls and results.
        card: how the model writes boxes and takes pictures.
        index: the knowledge that is searched.
        tasks: tasks to draw from.
        out: folder for the trainer's own files and checkpoints.
        config: rules of the episodes (turns, hits, λ, cost a call).
        curriculum: what draws them (default: uniform, in seeded order).
        log: JSON-lines file for the trainer's logs.
        trajectories: JSON-lines file for rollouts' trajectories.
        resume: a checkpoint to go on from.
        settings: the numbers (default: `RlSettings()` with `changes`).
        **changes: fields of `RlSettings`, instead of `settings`.

    Raises:
        TaskError: there are fewer tasks than a step takes, or its rollouts cannot be divided as asked, or the engine
            does not know the card's dialect.
        GoGError: a library of the extra `train` is missing.
    """
    settings = settings or RlSettings(**changes)
    extras.need(*(extras.ADAPTERS if settings.lora_rank else extras.TRAINING))
    settings.micro(process_count())
    if settings.engine == "trl" and card.dialect != "gog":
        raise TaskError(f"TRL's own tool loop knows no dialect {card.dialect}; train with --engine fast")
    from agents.curriculum import make_curriculum
    from agents.grpo import EngineTrainer, PolicyTrainer
    from agents.logs import JsonLinesLog, quiet
    from agents.remember import frozen
    from agents.reporting import reporters
    from agents.tools import calls_of_any_depth, tools_for

    by_id = {task.id: task for task in tasks}
    curriculum = curriculum or make_curriculum("uniform", list(by_id), None, settings.seed)
    curriculum.check(settings.groups)
    if settings.freeze_vision:
        frozen(model)
    fast = settings.engine == "fast"
    ours: dict[str, Any] = {
        "tasks": by_id,
        "curriculum": curriculum,
        "row_of": row_maker(card, with_picture=not fast),
        "on_episodes": episode_keeper(index.fingerprint if index else "", trajectories, settings.trajectories),
        "more_state": lambda: {"sizes": sizes(out.parent)},
        "model": model,
        "args": trl_arguments(model, card, out, config, settings),
        "train_dataset": _placeholder(settings),
        "processing_class": processor,
        "peft_config": _adapters(settings.lora_rank),
        "callbacks": [*([JsonLinesLog(log)] if log else []), *reporters(settings.report_to, out)],
        "mask_truncated": settings.mask_truncated,
    }
    if fast:
        more = {"index": index, "config": config, "card": card, "seed": settings.seed}
        trainer: Any = EngineTrainer(**ours, **more)
    else:
        factory = lambda: tools_for(card)(by_id, index, config, card, settings.seed)  # noqa: E731
        with calls_of_any_depth(processor.tokenizer):
            trainer = PolicyTrainer(**ours, environment_factory=factory)
    quiet(trainer)
    if resume is not None:
        curriculum.restore(state_of(resume)["curriculum"])
    with calls_of_any_depth(processor.tokenizer), deterministic():
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return finished_model(trainer, bool(settings.lora_rank))


def trl_arguments(model: Any, card: PolicyCard, out: Path, config: EpisodeConfig, settings: RlSettings) -> Any:
    """The settings as TRL's configuration."""
    import os

    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # the version is locked; the warning tells a user nothing
    import torch
    from trl import GRPOConfig

    from agents.lmm import picture_tokens
    from agents.reporting import reporting_options

    count = process_count()
    micro = settings.micro(count)
    return GRPOConfig(
        output_dir=str(out),
        max_steps=settings.steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=settings.group_size * settings.groups // (count * micro),
        num_generations=settings.group_size,
        max_completion_length=settings.max_completion,
        max_tool_calling_iterations=config.max_turns - 1,
        mask_truncated_completions=settings.mask_truncated and settings.engine == "trl",
        temperature=settings.temperature,
        top_k=0,
        generation_kwargs={"suppress_tokens": picture_tokens(model)},
        learning_rate=settings.lr,
        lr_scheduler_type=settings.schedule,
        optim=OPTIMIZERS[settings.optimizer],
        beta=settings.beta,
        **settings.ratios,
        loss_type=settings.loss_type,
        scale_rewards=settings.scale_rewards,
        num_iterations=settings.num_iterations,
        gradient_checkpointing=bool(settings.lora_rank) or card.system,
        bf16=torch.cuda.is_available(),
        use_cpu=not torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="steps" if settings.save_every else "no",
        save_steps=settings.save_every or 500,
        **reporting_options(settings.report_to, out),
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_num_workers=0,
        **vllm_arguments(settings.vllm),
    )


def _placeholder(settings: RlSettings) -> Any:
    """Rows that only count steps, enough for one epoch: the curriculum puts tasks in their places."""
    from datasets import Dataset

    rows = settings.groups * (-(-settings.steps // settings.num_iterations))
    return Dataset.from_dict({"prompt": [[{"role": "user", "content": ""}]] * rows})


def _adapters(rank: int) -> Any:
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    options = parse_arguments(argv)
    if options.dry_run is not None:
        from agents.dry_run import show

        return show(options, "rl")
    extras.need(*(extras.ADAPTERS if options.lora_rank else extras.TRAINING))
    check_out(options.out, options.force)
    import torch

    from agents.curriculum import PassRates, make_curriculum
    from agents.lmm import load_model

    start = time.perf_counter()
    # What is trained stays in float32 (bfloat16 would lose small steps) and computes in bfloat16 on CUDA by autocast.
    dtype = "bfloat16" if torch.cuda.is_available() and options.lora_rank else "float32"
    model, processor, card = load_model(options.model or default_model(), dtype, options.dialect, options.grounder)
    settings = settings_of(options, max_completion=completion_limit(options.max_completion, card.system))
    index, tasks = open_world(options.index, given_tasks(options), split="train", limit=options.limit)
    weights = {"format_weight": options.format_weight, "call_cost": options.call_cost}
    config = episode_config(card, reward=options.reward, **weights)
    rates = PassRates.load(options.pass_rates, tasks) if options.pass_rates else None
    curriculum = make_curriculum(options.curriculum, [task.id for task in tasks], rates, settings.seed)
    begun = {name: value for name, value in vars(options).items() if name not in ("force", "resume", "out")}
    begun |= {"index fingerprint": index.fingerprint, "tasks fingerprint": fingerprint_of(tasks)}
    first, _ = processes()
    with unfinished_folder(options.out, begun, options.force, options.resume) as (folder, checkpoint):
        trained = train(
            model, processor, card, index, tasks, folder / TRAINER, config=config, curriculum=curriculum,
            log=folder / "log.jsonl", trajectories=folder / "trajectories.jsonl" if first else None,
            resume=checkpoint, settings=settings,
        )  # fmt: skip
        if first:
            trained.save_pretrained(folder / "model")
            processor.save_pretrained(folder / "model")
            card.save(folder / "model")
            facts = run_facts("agents.train_rl", argv, options)
            facts |= {"index": index.fingerprint, "tasks": len(tasks)}
            write_json(folder / "run.json", {**facts, "seconds": round(time.perf_counter() - start, 1)})
    if not first:
        return 0
    rows = [json.loads(line) for line in (Path(options.out) / "log.jsonl").read_text().splitlines()]
    rewards = [row["reward"] for row in rows if "reward" in row]
    print(f"{len(rewards)} steps, mean reward {rewards[0]:.3f} -> {rewards[-1]:.3f}")
    print(f"model, log and trajectories: {options.out}/")
    print(end_with_report(options.out, index, tasks))
    return 0


if __name__ == "__main__":
    cli(main)
