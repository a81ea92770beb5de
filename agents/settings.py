"""What the commands share: opening knowledge and tasks, episode rules from a card, a run's folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from agents.card import PolicyCard
from gog_env.episode import EpisodeConfig
from gog_env.tasks import Task
from index.errors import ModelError

LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "datasets",
    "gymnasium",
    "faiss-cpu",
    "open_clip_torch",
    "bm25s",
    "numpy",
    "pillow",
)


def open_world(index: Any, tasks: Any, split: str, limit: int | None = None) -> tuple[Any, Sequence[Task]]:
    """Opens an index and tasks by path, or the embedded world's where a path is None, and checks that they fit.

    Raises:
        IntegrityError, TaskError: either cannot be read, or tasks cite evidence that the index does not hold.
    """
    from gog_env import embedded
    from gog_env.tasks import read_tasks
    from index import KnowledgeIndex

    opened = KnowledgeIndex.open(index) if index else embedded.index()
    listed = read_tasks(tasks) if tasks else embedded.tasks(split)
    listed.check_against(opened)
    return opened, list(listed)[:limit] if limit else list(listed)


def episode_config(card: PolicyCard, **changes: Any) -> EpisodeConfig:
    """The rules of episodes that a model was trained with, with changes."""
    rules = {"hits": card.hits, "texts": card.texts, "snippet_chars": card.snippet_chars, "max_turns": card.max_turns}
    return EpisodeConfig(**{**rules, **changes})


def versions() -> dict[str, str]:
    """Versions of the libraries that decide a result, local suffixes left out."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name).split("+")[0]
    return found


@contextlib.contextmanager
def run_folder(out: str | Path, force: bool = False) -> Iterator[Path]:
    """A folder to write a run into, renamed to its final name when the block ends without an error.

    Raises:
        ModelError: the final name exists already and `force` is not given.
    """
    final = Path(out)
    if final.exists() and not force:
        raise ModelError(f"{final} exists already; name another --out or pass --force to replace it")
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Writes a value as readable JSON with a final newline."""
    Path(path).write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def default_model() -> Path:
    """The shipped nano policy.

    Raises:
        ModelError: its weights are not in the installation.
    """
    folder = Path(__file__).with_name("nano") / "sft"
    if not (folder / "model.safetensors").is_file():
        raise ModelError(f"the shipped nano policy is missing from {folder}; make it with python -m agents.nano.make")
    return folder
