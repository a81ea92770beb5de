"""Makes the shipped nano policy from nothing: worlds, demonstrations, lessons, tokenizer, supervised training.

    python -m agents.nano.make --out agents/nano/sft --seed 0

Decisions:
  * Its worlds have other seeds than the embedded one: it never sees a nation, banner or name that it is tested on.
  * Three stages: looking (where banners are, and to read), copying (what articles say), acting (demonstrations among
    both).
  * A step takes forward passes of 8 chats of about one length, so that little is padded (`STAGES`). The loss is the
    mean over all assistant tokens of the step.
  * Muon for the matrices (lr 0.02), AdamW for the rest (3e-3), constant in the first stage, a cosine to zero in the
    second.
  * Weights are kept in bfloat16.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.card import NANO
from agents.chats import decoded, read_chats, write_chats
from agents.demonstrations import chat_rows, demonstrate
from agents.nano import architecture, lessons
from agents.settings import episode_config, run_folder, versions, write_json
from gog_env.tasks import read_tasks
from gog_env.world.nations import World, WorldSpec, article, make_world
from index.errors import cli

_PLACES = ["List the banners.", "Where is the banner", "among others: ["] + [
    f"at the {row}{column}: [" for row in ("top ", "bottom ", "") for column in ("left", "middle", "right")
]
MICRO = 8  # chats a forward pass
# Forward passes of each kind of chat in a step, by stage.
STAGES = {
    "looking": {"looking": 2, "reading": 1},
    "copying": {"looking": 1, "copying": 2},
    "acting": {"demos": 2, "looking": 1, "reading": 1},
}


def school(seed: int, worlds: int, nations: int) -> list[World]:
    """The worlds that the policy learns from."""
    seeds = [1000 * (seed + 1) + number for number in range(worlds)]
    return [make_world(WorldSpec(seed=one, nations=nations, name="school", heldout=0.1)) for one in seeds]


def write_lessons(folder: Path, worlds: Sequence[World], tasks: int, seed: int) -> None:
    """Writes each world's knowledge and tasks (`world-*`) and lessons (`looking-*` and so on), unless there."""
    from gog_env.world.write import write_knowledge, write_tasks

    for number, world in enumerate(worlds):
        place = folder / f"world-{number}"
        if not (place / "kb").exists():
            write_knowledge(world, place / "kb")
        if not (place / "train").exists():
            write_tasks(world, place / "train", "train", tasks, seed=number)
        for name in ("looking", "reading", "copying"):
            if not (folder / f"{name}-{number}.parquet").exists():
                write_chats(getattr(lessons, name)(world, tasks, seed + number), folder / f"{name}-{number}.parquet")


def write_demonstrations(folder: Path, worlds: Sequence[World], seed: int) -> None:
    """Writes the oracle's demonstrations in each world (`demos-*`), searched with the shipped encoder."""
    from index import KnowledgeIndex
    from index.build import build_index

    for number in range(len(worlds)):
        place, path = folder / f"world-{number}", folder / f"demos-{number}.parquet"
        if path.exists():
            continue
        index = KnowledgeIndex.open(build_index(place / "kb", place / "index", encoder="nano", force=True))
        tasks = list(read_tasks(place / "train"))
        kept = write_chats(chat_rows(demonstrate(tasks, index, episode_config(NANO), seed), NANO), path)
        print(f"world {number}: {kept} of {len(tasks)} demonstrations kept", flush=True)


def read_tables(folder: Path, names: Sequence[str], worlds: int) -> dict[str, Any]:
    """The tables of chats of all worlds, by name."""
    from datasets import concatenate_datasets

    parts = {name: [read_chats(folder / f"{name}-{number}.parquet") for number in range(worlds)] for name in names}
    return {name: concatenate_datasets(tables) for name, tables in parts.items()}


def ordered(tables: dict[str, Any], passes: dict[str, int], steps: int, seed: int) -> Any:
    """All chats of a stage as one dataset, in the order in which forward passes take them.

    Args:
        tables: datasets of chats by name.
        passes: forward passes a step, by name.
        steps: optimizer steps.
        seed: of the order.
    """
    from datasets import concatenate_datasets

    rng = np.random.default_rng([seed, 3])
    offsets = dict(zip(tables, itertools.accumulate([0, *(len(table) for table in tables.values())]), strict=False))
    lengths = {name: [_length(chat) for chat in table.with_format(None)["messages"]] for name, table in tables.items()}
    streams = {name: _endless(len(table), rng) for name, table in tables.items()}
    order: list[int] = []
    for _ in range(steps):
        for name, count in passes.items():
            drawn = sorted(itertools.islice(streams[name], count * MICRO), key=lambda row: lengths[name][row])
            order += [offsets[name] + row for row in drawn]
    return decoded(concatenate_datasets([table.with_format(None) for table in tables.values()]).select(order))


def _length(chat: list[dict[str, Any]]) -> int:
    """About how many tokens a chat has: its text, and some for each picture."""
    blocks = [block for message in chat for block in message["content"]]
    calls = [call["function"]["arguments"] for message in chat for call in message["tool_calls"] or []]
    return (
        sum(len(block["text"] or "") for block in blocks)
        + sum(map(len, calls))
        + 60 * sum(b["type"] == "image" for b in blocks)
    )


def _endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.nano.make",
        description="Make the nano policy from nothing: worlds, lessons, tokenizer, demonstrations, training.",
        epilog="example: python -m agents.nano.make --steps 1000 --out runs/nano",
    )
    parser.add_argument("--out", default="runs/nano", help="model folder to write (default: %(default)s)")
    parser.add_argument("--work", default="runs/nano-school", help="folder for worlds and chats (default: %(default)s)")
    parser.add_argument(
        "--steps", type=int, nargs=3, default=[500, 500, 330], help="of each stage (default: %(default)s)"
    )
    parser.add_argument("--worlds", type=int, default=4, help="worlds to learn from (default: %(default)s)")
    parser.add_argument("--nations", type=int, default=500, help="nations in each (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks in each (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=128, help="width of the model (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.02, help="Muon's learning rate (default: %(default)s)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16", help="default: %(default)s")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    options = parser.parse_args(argv)

    import torch
    from safetensors.torch import load_model, save_model

    from agents.train_sft import train

    if options.threads:
        torch.set_num_threads(options.threads)
    start = time.perf_counter()
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    worlds = school(options.seed, options.worlds, options.nations)
    write_lessons(work, worlds, options.tasks, options.seed)
    questions = [
        task.question for number in range(len(worlds)) for task in read_tasks(work / f"world-{number}" / "train")
    ]
    articles = [article(world.nation(number), world) for world in worlds for number in range(len(world))]
    size = architecture.Size(hidden=options.hidden)
    tokenizer = architecture.make_tokenizer([*articles, *questions, *_PLACES * 50], size.vocabulary)
    processor = architecture.make_processor(tokenizer, size)
    model = architecture.make_model(tokenizer, size, options.seed)
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters", flush=True)

    def study(name: str, steps: int, decay: bool) -> None:
        passes = STAGES[name]
        tables = read_tables(work, list(passes), len(worlds))
        print(
            f"{name}: {steps} steps; {', '.join(f'{len(table)} {kind}' for kind, table in tables.items())}", flush=True
        )
        train(
            model, processor, ordered(tables, passes, steps, options.seed), work / "trainer", steps=steps,
            batch_size=MICRO, lr=options.lr, accumulate=sum(passes.values()), seed=options.seed,
            log=work / f"{name}.jsonl", in_order=True, decay=decay, precision=options.precision,
        )  # fmt: skip

    with run_folder(options.out, options.force) as folder:
        taught = work / "stage"
        for name, steps in zip(STAGES, options.steps, strict=True):
            taught = taught.with_name(f"{taught.name}-{name}-{steps}")
            kept = taught.with_name(f"{taught.name}-{options.hidden}-{options.seed}.safetensors")
            if kept.exists():  # an earlier call was stopped after this stage
                load_model(model, str(kept))
                continue
            if name == "acting":
                write_demonstrations(work, worlds, options.seed)
            (work / f"{name}.jsonl").unlink(missing_ok=True)
            study(name, steps, decay=name == "acting")
            save_model(model, str(kept))
        for name in STAGES:
            shutil.copyfile(work / f"{name}.jsonl", folder / f"{name}.jsonl")
        model.to(torch.bfloat16).save_pretrained(folder)
        processor.save_pretrained(folder)
        NANO.save(folder)
        facts = {"command": f"python -m agents.nano.make {' '.join(sys.argv[1:])}", "versions": versions()}
        write_json(
            folder / "made.json",
            {**facts, "seconds": round(time.perf_counter() - start), "threads": torch.get_num_threads()},
        )
    print(f"the nano policy is in {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
