"""Worlds for benchmarks: by preset or size and seed, written and indexed once, used again while nothing has changed."""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL

import gog_env.world
from gog_env.world.nations import World, WorldSpec, make_world
from gog_env.world.presets import PRESETS
from gog_env.world.write import write_knowledge, write_tasks
from index.build import build_index
from index.encoder import load_encoder


@dataclass(frozen=True)
class WorldName:
    """Which world: `kind` is a preset, or a number of nations in digits."""

    kind: str
    seed: int = 0

    @classmethod
    def read(cls, text: str) -> WorldName:
        """Reads `PRESET`, `PRESET:SEED` or `NATIONS:SEED`.

        Raises:
            argparse.ArgumentTypeError: says what would be right.

        >>> WorldName.read("world-s:2"), WorldName.read("400")
        (WorldName(kind='world-s', seed=2), WorldName(kind='400', seed=0))
        """
        kind, _, seed = text.partition(":")
        known = kind in PRESETS or (kind.isascii() and kind.isdigit())
        if not known or not (seed or "0").isdigit():
            choices = ", ".join(PRESETS)
            raise argparse.ArgumentTypeError(f"{text!r} is no world; write {choices} or a number of nations, and :SEED")
        return cls(kind, int(seed or 0))

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"

    @property
    def slug(self) -> str:
        """The name as a file's: `world-s-0`."""
        return f"{self.kind}-{self.seed}"

    def options(self) -> list[str]:
        """The options of `python -m gog_env.world` that ask for it."""
        size = ["--preset", self.kind] if self.kind in PRESETS else ["--nations", self.kind]
        return [*size, "--seed", str(self.seed)]

    def spec(self) -> WorldSpec:
        """The world's specification."""
        if self.kind in PRESETS:
            return replace(PRESETS[self.kind].spec, seed=self.seed)
        return WorldSpec(seed=self.seed, nations=int(self.kind))

    def make(self) -> World:
        """The world.

        Raises:
            TaskError: it has too few nations.
        """
        return make_world(self.spec())


@dataclass(frozen=True)
class MadeWorld:
    """Where a world lies: its knowledge source, its tasks, the sealed index of the knowledge.

    `fingerprints` are those of `kb` and of the split, as `gog_env.world.presets` publishes them.
    """

    knowledge: Path
    tasks: Path
    index: Path
    fingerprints: dict[str, str]


def made_world(name: WorldName, work: Path, split: str, tasks: int, encoder: str = "nano", jobs: int = 1) -> MadeWorld:
    """Writes a world and its index below `work`, whatever of them is not there yet. Every task proves itself.

    Args:
        name: which world.
        work: folders in it are named after all that decides what they hold.
        split: `train` or `heldout`.
        tasks: how many, at least 1.
        encoder: see `index.encoder.load_encoder`.
        jobs: processes that write.

    Raises:
        TaskError: there is no such world, or one of its tasks does not prove itself.
    """
    place = work / f"{name.slug}-{code_key()}"
    knowledge, asked = place / "kb", place / f"{split}-{tasks}"
    loaded = load_encoder(encoder)
    index = place / f"index-{loaded.fingerprint[:12]}"
    world = name.make()
    prints = {
        "kb": _written(knowledge, lambda out: write_knowledge(world, out, jobs, progress=True)),
        split: _written(asked, lambda out: write_tasks(world, out, split, tasks, check=True, jobs=jobs, progress=True)),
    }
    if not index.is_dir():
        build_index(knowledge, index, loaded)
    return MadeWorld(knowledge, asked, index, prints)


def _written(folder: Path, write: Callable[[Path], str]) -> str:
    """Writes a folder if it is not there yet; its fingerprint, which is kept beside it."""
    kept = folder.with_name(f"{folder.name}.sha256")
    if not (folder.is_dir() and kept.is_file()):
        shutil.rmtree(folder, ignore_errors=True)
        kept.write_text(write(folder) + "\n")
    return kept.read_text().strip()


def code_key() -> str:
    """Names what the code that makes worlds would write: changes with it, its data and the drawing libraries."""
    digest = hashlib.sha256(f"{np.__version__} {PIL.__version__}".encode())
    folder = Path(gog_env.world.__file__).parent
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
