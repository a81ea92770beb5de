"""Supervised fine-tuning on demonstrations with TRL's `SFTTrainer`; loss on the assistant's tokens only.

    python -m agents.train_sft --demos demos.parquet --model PATH --out runs/sft --seed 0
    python -m agents.train_sft --demos demos.parquet --epochs 3 --save-every 100      # killed? again, with --resume

Decisions: the loss falls on the assistant's turns that are no mistakes (`agents.collate`), never on questions, results
and pictures. A model of a few million parameters is trained whole with Muon and AdamW; a large one by LoRA with AdamW
(`--preset paper` has the paper's values). The run is the same for the same seed and thread count, after a kill and
`--resume` too. The result is a model folder with its card, and a page (`agents.report`).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents import recipes
from agents.checkpoints import TRAINER, unfinished_folder
from agents.dialects import tools_of
from agents.options import above_zero, add_dialect, check_dialect, natural, positive, reporter
from agents.processes import finished_model, processes
from agents.report.ending import end_with_report
from agents.settings import check_out, default_model, open_world, run_facts, write_json
from agents.task_options import add_task_options, check_task_options, given_tasks
from index import extras
from index.deterministic import deterministic
from index.errors import ModelError, TaskError, cli
from index.seal import file_facts

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"epochs": 3, "lr": 1e-4, "lora_rank": 8, "batch_size": 8, "optimizer": "adamw"},
}
"""Values of options by name: `paper` has those of Glance-or-Gaze."""
_STEPS = 100


def train(
    model: Any,
    processor: Any,
    chats: Any,
    out: Path,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    batch_size: int = 16,
    optimizer: str = "muon",
    lr: float | None = None,
    warmup: float = 0.05,
    lora_rank: int = 0,
    accumulate: int = 1,
    seed: int = 0,
    log: Path | None = None,
    decay: bool = True,
    precision: str = "float32",
    report_to: str = "none",
    tools: list[dict[str, Any]] | None = None,
    freeze_vision: bool = False,
    group_by_length: bool = False,
    save_every: int = 0,
    resume: Path | None = None,
) -> Any:
    """Trains `model` on a dataset of chats.

    Args:
        model: an image-text-to-text model; trained in place unless LoRA is used.
        processor: its processor, with a chat template that marks assistant turns or one that TRL knows.
        chats: dataset with `messages` and `images` (see `agents.chats`).
        out: folder for the trainer's own files and checkpoints.
        steps: optimizer steps; None: as many as `epochs` take.
        epochs: how often each chat is seen, where `steps` are not given.
        batch_size: chats a device and forward pass.
        optimizer: `muon` (Muon for matrices at `lr`, AdamW at 0.15 of it for the rest) or `adamw`.
        lr: learning rate (default: 0.02 for Muon, 1e-4 for AdamW).
        warmup: share of the steps with a rising rate.
        lora_rank: rank of LoRA adapters on all linear layers; 0 trains all weights.
        accumulate: forward passes a step.
        seed: of order, dropout and adapters.
        log: JSON-lines file for the trainer's logs.
        decay: let the rate fall as a cosine after the warm-up; else it stays.
        precision: `float32`, or `bfloat16` for mixed precision (weights stay in float32).
        report_to: where else the trainer's logs go (`agents.reporting`): `tensorboard`, `trackio`, `wandb`.
        tools: schemas of the tools that the model is shown when it is played; None for none.
        freeze_vision: leave the vision tower as it is, and look at each picture once (`agents.remember`).
        group_by_length: chats of about one length go through the model together, so that little is padded.
        save_every: steps between checkpoints; 0: none.
        resume: a checkpoint to go on from.

    Returns:
        The trained model, adapters merged.

    Raises:
        ModelError: Muon is asked for with LoRA: it is for whole matrices; the chat template does not mark the
            assistant's turns; or the vision tower to be frozen is not known.
        TaskError: there is no chat, or too few to be grouped.
        GoGError: a library of the extra `train` is missing.
    """
    extras.need(*(extras.ADAPTERS if lora_rank else extras.TRAINING))
    import torch
    from datasets import Dataset
    from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup
    from trl import SFTConfig

    from agents.checkpoints import sizes, state_of
    from agents.collate import ChatCollator
    from agents.lengths import by_length, lengths_of
    from agents.logs import JsonLinesLog, quiet
    from agents.optim import MuonWithAdamW
    from agents.remember import RememberingCollator, frozen
    from agents.reporting import reporters, reporting_options
    from agents.sft import PolicySftTrainer

    if optimizer == "muon" and lora_rank:
        raise ModelError("Muon trains whole matrices, not LoRA adapters; pass --optimizer adamw with --lora-rank")
    if not len(chats):
        raise TaskError("there is no chat to train on; name --demos that hold at least one")
    if steps is None:
        steps = steps_of(len(chats), epochs or 1, batch_size * accumulate)
    rising = max(1, int(warmup * steps))
    collator: Any = ChatCollator(processor, tools)
    order = None
    if group_by_length:
        order = by_length(lengths_of(chats), steps, batch_size, accumulate, seed)
    if freeze_vision:
        frozen(model)
        collator = RememberingCollator(collator, model, chats)
        chats = Dataset.from_dict({"row": list(range(len(chats))), "images": [[] for _ in range(len(chats))]})
    if order is not None:
        chats = chats.select(order)
    own: tuple[Any, Any] = (None, None)  # AdamW is the trainer's, made when the adapters are there
    if optimizer == "muon":
        rate = lr or 0.02
        muon = MuonWithAdamW(model.named_parameters(), rate, rate * 0.15)
        schedule = (
            get_cosine_schedule_with_warmup(muon, rising, steps)
            if decay
            else get_constant_schedule_with_warmup(muon, rising)
        )
        own = (muon, schedule)
    peft = None
    if lora_rank:
        from peft import LoraConfig

        peft = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
    config = SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
        optim="adamw_torch",
        learning_rate=lr or 1e-4,
        lr_scheduler_type="cosine" if decay else "constant_with_warmup",
        warmup_steps=rising,
        weight_decay=0.0,
        max_grad_norm=1.0,
        assistant_only_loss=False,  # the collator sees to it
        max_length=None,
        gradient_checkpointing=bool(lora_rank) or tools is not None,  # a model that reads schemas is a large one
        bf16=precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, min(20, steps // 20)),
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 500,
        **reporting_options(report_to, out),
        seed=seed,
        data_seed=seed,
        train_sampling_strategy="random" if order is None else "sequential",
        dataloader_num_workers=0,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = PolicySftTrainer(
        more_state=lambda: {"sizes": sizes(out.parent)},
        model=model,
        args=config,
        train_dataset=chats,
        data_collator=collator,
        processing_class=processor,
        peft_config=peft,
        optimizers=own,
        callbacks=[*([JsonLinesLog(log)] if log else []), *reporters(report_to, out)],
    )
    quiet(trainer)
    if resume is not None:
        trainer.restore(state_of(resume))
    with deterministic():
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return finished_model(trainer, bool(peft))


def steps_of(chats: int, epochs: float, step: int) -> int:
    """Optimizer steps that see each chat `epochs` times.

    Args:
        chats: how many there are.
        epochs: how often each is seen.
        step: chats a step and process; there are `WORLD_SIZE` processes, as `accelerate launch` sets it.

    >>> steps_of(100, 3, 8)
    39
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    return max(1, math.ceil(epochs * math.ceil(chats / (step * processes))))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_sft",
        usage="%(prog)s [options]",
        description="Fine-tune a policy on demonstrations (default: the nano policy, the embedded world).",
        epilog="example: python -m agents.train_sft --steps 50 --out runs/sft",
    )
    parser.add_argument("--model", help="model folder or hub id to start from (default: agents/nano/sft)")
    add_dialect(parser)
    parser.add_argument("--demos", nargs="+", help="tables of chats (default: demonstrations made from --tasks)")
    add_task_options(parser, "tasks to demonstrate where --demos is not given (default: the embedded world's)")
    parser.add_argument("--index", help="index for those demonstrations (default: the embedded world's)")
    parser.add_argument("--out", default="runs/sft", help="folder of the run (default: %(default)s)")
    parser.add_argument(
        "--preset", choices=sorted(PRESETS),
        help="values of options that are not given: paper has 3 epochs, lr 1e-4, LoRA of rank 8, batches of 8",
    )  # fmt: skip
    parser.add_argument("--steps", type=positive, help=f"optimizer steps (default: {_STEPS}, or as --epochs says)")
    parser.add_argument("--epochs", type=above_zero, help="how often each chat is seen, instead of --steps")
    parser.add_argument("--batch-size", type=positive, default=16, help="chats a forward pass (default: %(default)s)")
    parser.add_argument("--accumulate", type=positive, default=1, help="forward passes a step (default: %(default)s)")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="adamw", help="default: %(default)s")
    parser.add_argument("--lr", type=above_zero, help="learning rate (default: muon 0.02, adamw 1e-4)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: %(default)s")
    parser.add_argument(
        "--lora-rank", type=natural, default=0, help="train LoRA adapters of this rank (default: all weights)"
    )
    parser.add_argument(
        "--freeze-vision", action="store_true", help="leave the vision tower as it is; each picture is read once"
    )
    parser.add_argument(
        "--group-by-length", action="store_true", help="put chats of about one length into a forward pass"
    )
    parser.add_argument("--seed", type=natural, default=0, help="seed of the run (default: 0)")
    parser.add_argument("--report-to", type=reporter, default="none", help="none, or of tensorboard, trackio, wandb")
    parser.add_argument("--save-every", type=natural, default=0, help="steps between checkpoints (default: none)")
    parser.add_argument("--resume", action="store_true", help="go on with a killed run that saved checkpoints")
    parser.add_argument("--force", action="store_true", help="replace --out if it is an earlier run")
    recipes.add_options(parser)
    typed = parser.parse_args(argv)
    if typed.steps is not None and typed.epochs is not None:
        parser.error("--steps and --epochs both say how long to train; leave one of them out")
    given = recipes.expand(argv, "sft")
    options = parser.parse_args(given)
    if options.preset:
        parser.set_defaults(**PRESETS[options.preset])
        options = parser.parse_args(given)
    recipes.check(parser, options)
    if options.demos and (options.tasks or options.benchmark or options.index):
        parser.error("--tasks, --benchmark and --index are for demonstrations made here; leave them out with --demos")
    check_task_options(options)
    check_dialect(parser, options)
    if options.steps is None and options.epochs is None:
        options.steps = _STEPS
    if options.freeze_vision and options.lora_rank:
        parser.error("--freeze-vision goes with training all weights; leave --lora-rank 0, or leave it out")
    if options.optimizer == "muon" and options.lora_rank:
        parser.error("--optimizer muon trains whole matrices; with --lora-rank use adamw")
    if options.dry_run is not None:
        from agents.dry_run import show

        return show(options, "sft")
    extras.need(*(extras.ADAPTERS if options.lora_rank else extras.TRAINING))
    check_out(options.out, options.force)

    import torch
    from datasets import concatenate_datasets

    from agents.chats import check_form, read_chats
    from agents.demonstrations import known_cases, write_demonstrations
    from agents.lmm import load_model

    start = time.perf_counter()
    named = [read_chats(table) for table in options.demos or ()]
    # As in train_rl: what is trained stays in float32; the frozen base of adapters is bfloat16 on CUDA.
    dtype = "bfloat16" if torch.cuda.is_available() and options.lora_rank else "float32"
    model, processor, card = load_model(options.model or default_model(), dtype, options.dialect, options.grounder)
    for table in options.demos or ():
        check_form(table, card)
    begun = {name: value for name, value in vars(options).items() if name not in ("force", "resume", "out")}
    begun["demos_sha256"] = [file_facts(Path(table))["sha256"] for table in options.demos or ()]
    first, barrier = processes()
    with unfinished_folder(options.out, begun, options.force, options.resume) as (folder, checkpoint):
        if not named:
            table = str(folder / "demonstrations.parquet")
            if first and checkpoint is None:
                named_tasks = given_tasks(options)
                index, tasks = open_world(options.index, named_tasks, split="train")
                kept = write_demonstrations(known_cases(tasks, named_tasks), index, card, table, options.seed)
                print(f"{kept.total()} demonstrations from {len(tasks)} tasks")
            barrier()
            named = [read_chats(table)]
        chats = concatenate_datasets(named)
        trained = train(
            model, processor, chats, folder / TRAINER, steps=options.steps, epochs=options.epochs,
            batch_size=options.batch_size, tools=tools_of(card),
            optimizer=options.optimizer, lr=options.lr, lora_rank=options.lora_rank, accumulate=options.accumulate,
            seed=options.seed, log=folder / "log.jsonl", precision=options.precision, report_to=options.report_to,
            freeze_vision=options.freeze_vision, group_by_length=options.group_by_length,
            save_every=options.save_every, resume=checkpoint,
        )  # fmt: skip
        if first:
            trained.save_pretrained(folder / "model")
            processor.save_pretrained(folder / "model")
            card.save(folder / "model")
            facts = run_facts("agents.train_sft", argv, options)
            facts |= {"chats": len(chats), "seconds": round(time.perf_counter() - start, 1)}
            write_json(folder / "run.json", facts)
    if not first:
        return 0
    final = [json.loads(line) for line in (Path(options.out) / "log.jsonl").read_text().splitlines()]
    loss = next((row["loss"] for row in reversed(final) if "loss" in row), float("nan"))
    done = max((row["step"] for row in final if "step" in row), default=0)
    print(f"trained {done} steps, last loss {loss:.4f}; model in {Path(options.out) / 'model'}")
    print(end_with_report(options.out, None, ()))
    return 0


if __name__ == "__main__":
    cli(main)
