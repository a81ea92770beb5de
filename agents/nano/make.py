"""Makes the shipped nano policy from nothing: worlds, demonstrations, lessons, tokenizer, supervised training.

    python -m agents.nano.make --out agents/nano/sft --seed 0

Decisions:
  * Its worlds have other seeds than the embedded one: it never sees a nation, banner or name that it is tested on.
  * A step is 24 demonstrations, 16 scenes to list and 8 texts to read, taken in forward passes of 8 chats of about one length, so
    that little is padded. The loss is the mean over all assistant tokens of the step.
  * Muon for the matrices (lr 0.02), AdamW for the rest (3e-3), cosine to zero.
  * Weights are kept in bfloat16.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.card import NANO
from agents.chats import read_chats, write_chats
from agents.demonstrations import chat_rows, demonstrate
from agents.nano import architecture, lessons
from agents.settings import episode_config, run_folder, versions, write_json
from gog_env.tasks import read_tasks
from gog_env.world.nations import World, WorldSpec, article, make_world
from index.errors import cli

MICRO = 8  # chats a forward pass
DEMOS, LOOKING, READING = 3, 2, 1  # forward passes of each kind a step


def write_worlds(folder: Path, seed: int, worlds: int, nations: int, tasks: int) -> Iterator[tuple[World, Path]]:
    """Writes worlds with their knowledge, index and training tasks, and yields each with its folder."""
    from gog_env.world.write import write_knowledge, write_tasks
    from index.build import build_index

    for number in range(worlds):
        world = make_world(WorldSpec(seed=1000 * (seed + 1) + number, nations=nations, name=f"school-{number}", heldout=0.1))
        place = folder / f"world-{number}"
        if not (place / "index").exists():
            write_knowledge(world, place / "kb")
            build_index(place / "kb", place / "index", encoder="nano")
            write_tasks(world, place / "train", "train", tasks, seed=number)
        yield world, place


def prepare(folder: Path, seed: int, worlds: int, nations: int, tasks: int) -> list[str]:
    """Writes all tables of chats (`demos-*`, `looking-*`, `reading-*`) and returns the texts that the tokenizer learns from."""
    from index import KnowledgeIndex

    texts: list[str] = []
    for number, (world, place) in enumerate(write_worlds(folder, seed, worlds, nations, tasks)):
        asked = read_tasks(place / "train")
        texts += [article(nation, world) for nation in world.nations] + [task.question for task in asked[:1000]]
        if (folder / f"reading-{number}.parquet").exists():
            continue
        index = KnowledgeIndex.open(place / "index")
        rows = chat_rows(demonstrate(list(asked), index, episode_config(NANO), seed), NANO)
        kept = write_chats(rows, folder / f"demos-{number}.parquet")
        write_chats(lessons.looking(world, tasks, seed + number), folder / f"looking-{number}.parquet")
        write_chats(lessons.reading(world, tasks, seed + number), folder / f"reading-{number}.parquet")
        print(f"world {number}: {kept} of {len(asked)} demonstrations kept")
    return [*texts, "List the banners."]


def ordered(tables: dict[str, Any], steps: int, seed: int) -> Any:
    """All chats of the run as one dataset, in the order in which forward passes take them.

    Args:
        tables: datasets of chats by name: `demos`, `looking`, `reading`.
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
        for name, passes in (("demos", DEMOS), ("looking", LOOKING), ("reading", READING)):
            drawn = sorted(itertools.islice(streams[name], passes * MICRO), key=lambda row: lengths[name][row])
            order += [offsets[name] + row for row in drawn]
    from agents.chats import decoded

    return decoded(concatenate_datasets([table.with_format(None) for table in tables.values()]).select(order))


def _length(chat: list[dict[str, Any]]) -> int:
    """About how many tokens a chat has: its text, and some for each picture."""
    blocks = [block for message in chat for block in message["content"]]
    calls = [call["function"]["arguments"] for message in chat for call in message["tool_calls"] or []]
    return sum(len(block["text"] or "") for block in blocks) + sum(map(len, calls)) + 60 * sum(b["type"] == "image" for b in blocks)


def _endless(count: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(count).tolist()


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.nano.make",
        description="Make the nano policy from nothing: worlds, demonstrations, lessons, tokenizer, supervised training.",
        epilog="example: python -m agents.nano.make --steps 1500 --out runs/nano",
    )
    parser.add_argument("--out", default="runs/nano", help="model folder to write (default: %(default)s)")
    parser.add_argument("--work", default="runs/nano-school", help="folder for worlds and chats (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=1500, help="optimizer steps of 48 chats (default: %(default)s)")
    parser.add_argument("--worlds", type=int, default=4, help="worlds to learn from (default: %(default)s)")
    parser.add_argument("--nations", type=int, default=500, help="nations in each (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=2000, help="tasks in each (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=128, help="width of the model (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.02, help="Muon's learning rate (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace --out if it exists")
    options = parser.parse_args(argv)

    import torch

    from agents.train_sft import train

    if options.threads:
        torch.set_num_threads(options.threads)
    start = time.perf_counter()
    work = Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    texts = prepare(work, options.seed, options.worlds, options.nations, options.tasks)
    from datasets import concatenate_datasets

    tables = {
        name: concatenate_datasets([read_chats(work / f"{name}-{i}.parquet") for i in range(options.worlds)])
        for name in ("demos", "looking", "reading")
    }
    size = architecture.Size(hidden=options.hidden)
    tokenizer = architecture.make_tokenizer(texts, size.vocabulary)
    processor = architecture.make_processor(tokenizer, size)
    model = architecture.make_model(tokenizer, size, options.seed)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {', '.join(f'{len(t)} {n}' for n, t in tables.items())}")
    with run_folder(options.out, options.force) as folder:
        chats = ordered(tables, options.steps, options.seed)
        trained = train(
            model, processor, chats, work / "trainer", steps=options.steps, batch_size=MICRO, lr=options.lr,
            accumulate=DEMOS + LOOKING + READING, seed=options.seed, log=folder / "log.jsonl", in_order=True,
        )  # fmt: skip
        trained.to(torch.bfloat16).save_pretrained(folder)
        processor.save_pretrained(folder)
        NANO.save(folder)
        facts = {"command": f"python -m agents.nano.make {' '.join(sys.argv[1:])}", "versions": versions()}
        write_json(folder / "made.json", {**facts, "seconds": round(time.perf_counter() - start), "threads": torch.get_num_threads()})
    print(f"the nano policy is in {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
