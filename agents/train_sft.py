"""Supervised fine-tuning on demonstrations with TRL's `SFTTrainer`; loss on the assistant's tokens only.

    python -m agents.train_sft --demos demos.parquet --model PATH --out runs/sft --seed 0

Decisions: the chat template marks the assistant's turns (`{% generation %}`), so questions, results and pictures
never enter the loss. A model of a few million parameters is trained whole with Muon and AdamW; a large one by LoRA
with AdamW (`--lora-rank 8 --optimizer adamw`, as in the paper). The run is the same for the same seed and thread
count. The result is a model folder with its card.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.settings import default_model, run_folder, versions, write_json
from index.errors import cli


def train(
    model: Any,
    processor: Any,
    chats: Any,
    out: Path,
    *,
    steps: int,
    batch_size: int = 16,
    optimizer: str = "muon",
    lr: float | None = None,
    warmup: float = 0.05,
    lora_rank: int = 0,
    accumulate: int = 1,
    seed: int = 0,
    log: Path | None = None,
    in_order: bool = False,
    decay: bool = True,
    precision: str = "float32",
) -> Any:
    """Trains `model` on a dataset of chats.

    Args:
        model: an image-text-to-text model; trained in place unless LoRA is used.
        processor: its processor, with a chat template that marks assistant turns or one that TRL knows.
        chats: dataset with `messages` and `images` (see `agents.chats`).
        out: folder for the trainer's own files.
        steps: optimizer steps.
        batch_size: chats a device and forward pass.
        optimizer: `muon` (Muon for matrices at `lr`, AdamW at 0.15 of it for the rest) or `adamw`.
        lr: learning rate (default: 0.02 for Muon, 1e-4 for AdamW).
        warmup: share of the steps with a rising rate.
        lora_rank: rank of LoRA adapters on all linear layers; 0 trains all weights.
        accumulate: forward passes a step.
        seed: of order, dropout and adapters.
        log: JSON-lines file for the trainer's logs.
        in_order: take the chats in the dataset's order instead of a seeded shuffle.
        decay: let the rate fall as a cosine after the warm-up; else it stays.
        precision: `float32`, or `bfloat16` for mixed precision (weights stay in float32).

    Returns:
        The trained model, adapters merged.
    """
    import torch
    from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup
    from trl import SFTConfig, SFTTrainer

    from agents.logs import JsonLinesLog
    from agents.optim import MuonWithAdamW

    if optimizer == "muon":
        rate = lr or 0.02
        optim: torch.optim.Optimizer = MuonWithAdamW(model.named_parameters(), rate, rate * 0.15)
    else:
        optim = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=lr or 1e-4, weight_decay=0.0)
    rising = max(1, int(warmup * steps))
    schedule = (
        get_cosine_schedule_with_warmup(optim, rising, steps)
        if decay
        else get_constant_schedule_with_warmup(optim, rising)
    )
    peft = None
    if lora_rank:
        from peft import LoraConfig

        peft = LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
    config = SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
        learning_rate=lr or 1e-4,
        max_grad_norm=1.0,
        assistant_only_loss=True,
        max_length=None,
        gradient_checkpointing=bool(lora_rank),
        bf16=precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, min(20, steps // 20)),
        save_strategy="no",
        report_to="none",
        seed=seed,
        data_seed=seed,
        train_sampling_strategy="sequential" if in_order else "random",
        dataloader_num_workers=0,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=chats,
        processing_class=processor,
        peft_config=peft,
        optimizers=(None, None) if peft else (optim, schedule),
        callbacks=[JsonLinesLog(log)] if log else None,
    )
    trainer.train()
    trained = trainer.accelerator.unwrap_model(trainer.model)
    return trained.merge_and_unload() if peft else trained


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_sft",
        description="Fine-tune a policy on demonstrations (default: the nano policy, the embedded world).",
        epilog="example: python -m agents.train_sft --steps 50 --out runs/sft",
    )
    parser.add_argument("--model", help="model folder or hub id to start from (default: the shipped nano policy)")
    parser.add_argument("--demos", nargs="*", help="tables of chats (default: demonstrations made from --tasks)")
    parser.add_argument(
        "--tasks", help="tasks to demonstrate where --demos is not given (default: the embedded world's)"
    )
    parser.add_argument("--index", help="index for those demonstrations (default: the embedded world's)")
    parser.add_argument("--out", default="runs/sft", help="folder of the run (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=16, help="chats a forward pass (default: %(default)s)")
    parser.add_argument("--accumulate", type=int, default=1, help="forward passes a step (default: %(default)s)")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default="adamw", help="default: %(default)s")
    parser.add_argument("--lr", type=float, help="learning rate (default: muon 0.02, adamw 1e-4)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="default: %(default)s")
    parser.add_argument(
        "--lora-rank", type=int, default=0, help="train LoRA adapters of this rank (default: all weights)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the run (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    options = parser.parse_args(argv)

    from datasets import concatenate_datasets

    from agents.chats import read_chats, write_chats
    from agents.demonstrations import chat_rows, demonstrate
    from agents.lmm import load_model
    from agents.settings import episode_config, open_world

    start = time.perf_counter()
    model, processor, card = load_model(options.model or default_model())
    with run_folder(options.out, options.force) as folder:
        tables = options.demos
        if not tables:
            index, tasks = open_world(options.index, options.tasks, split="train")
            tables = [str(folder / "demonstrations.parquet")]
            rows = chat_rows(demonstrate(tasks, index, episode_config(card), options.seed), card)
            print(f"{write_chats(rows, tables[0])} demonstrations from {len(tasks)} tasks")
        chats = concatenate_datasets([read_chats(table) for table in tables])
        trained = train(
            model, processor, chats, folder / "trainer", steps=options.steps, batch_size=options.batch_size,
            optimizer=options.optimizer, lr=options.lr, lora_rank=options.lora_rank, accumulate=options.accumulate,
            seed=options.seed, log=folder / "log.jsonl", precision=options.precision,
        )  # fmt: skip
        trained.save_pretrained(folder / "model")
        processor.save_pretrained(folder / "model")
        card.save(folder / "model")
        facts = {"command": " ".join(sys.argv), "options": vars(options), "versions": versions()}
        write_json(
            folder / "run.json", {**facts, "chats": len(chats), "seconds": round(time.perf_counter() - start, 1)}
        )
    final = [json.loads(line) for line in (Path(options.out) / "log.jsonl").read_text().splitlines()]
    loss = next((row["loss"] for row in reversed(final) if "loss" in row), float("nan"))
    print(f"trained {options.steps} steps, last loss {loss:.4f}; model in {Path(options.out) / 'model'}")
    return 0


if __name__ == "__main__":
    cli(main)
