"""Writes a world to disk: its knowledge as a source, its questions as tasks, in the layout of anybody's own data.

Both are *imagefolders* of `datasets`: `metadata.jsonl` beside `images/`. A folder appears under its name only when it
is complete. Task i of a split depends on (world, split, seed, i) alone: a larger count begins with the smaller one's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gog_env.world.banners import draw
from gog_env.world.nations import World, article
from gog_env.world.questions import make_task
from index.errors import TaskError
from index.seal import publishing

SPLITS = ("train", "heldout")


@contextmanager
def new_folder(out: str | Path) -> Iterator[Path]:
    """A folder to write in, which becomes `out` when the block ends well and vanishes otherwise.

    Raises:
        TaskError: something is there already.
    """
    out = Path(out).expanduser()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise TaskError(f"{out} exists and is not empty; remove it or choose another --out")
    with publishing(out) as folder:
        yield folder


def write_knowledge(world: World, out: str | Path) -> Path:
    """Writes one document for each nation: its name, its article, its banner (PNG, 240 x 160).

    Raises:
        TaskError: `out` is taken.
    """
    with new_folder(out) as folder:
        (folder / "images").mkdir()
        with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
            for nation in world.nations:
                name = f"images/{nation.id.lower()}.png"
                draw(nation.banner).save(folder / name)
                row = {"file_name": name, "id": nation.id, "title": nation.name, "text": article(nation, world)}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return Path(out)


def write_tasks(
    world: World,
    out: str | Path,
    split: str,
    count: int,
    seed: int = 0,
    kind: str | None = None,
    progress: bool = False,
) -> Path:
    """Writes `count` tasks of a split (scenes as JPEG).

    Args:
        world: whose nations they are about.
        out: the folder to make.
        split: `train` or `heldout`.
        count: at least 1.
        seed: with the world's own seed decides the tasks.
        kind: only this kind; None: the usual mix.
        progress: shows a bar.

    Raises:
        TaskError: `out` is taken, there is no such split, or `count` is less than 1.
    """
    if split not in SPLITS:
        raise TaskError(f"there is no split {split!r}; choose {' or '.join(SPLITS)}")
    if not world.split(split):
        raise TaskError(f"no nation of this world is in the split {split!r}; make one with a share that is held out")
    if count < 1:
        raise TaskError(f"{count} tasks cannot be written; ask for at least 1")
    with new_folder(out) as folder:
        (folder / "images").mkdir()
        with (folder / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as lines:
            for i in tqdm(range(count), desc=f"{split} tasks", unit="task", disable=None if progress else True):
                rng = np.random.default_rng([13, world.spec.seed, SPLITS.index(split), seed, i])
                fields, picture = make_task(world, split, rng, kind)
                name = f"images/{i:05d}.jpg"
                picture.save(folder / name, quality=90)
                row = {"file_name": name, "id": f"{split}-{i:05d}", **fields}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    return Path(out)


def write_world(world: World, out: str | Path, train: int, heldout: int, seed: int = 0, progress: bool = False) -> Path:
    """Writes `out/kb`, `out/train` and `out/heldout`, all at once; a split of 0 tasks is left out.

    Raises:
        TaskError: `out` is taken, or a count is negative.
    """
    with new_folder(out) as folder:
        write_knowledge(world, folder / "kb")
        for split, count in zip(SPLITS, (train, heldout), strict=True):
            if count:
                write_tasks(world, folder / split, split, count, seed, progress=progress)
    return Path(out)
