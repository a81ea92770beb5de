"""Recorded runs, to be watched turn by turn: the `trajectories.jsonl` that an evaluation wrote.

Decisions: nothing is played again. A record becomes an `Episode` whose turns are those that were taken then, with the
reward that was given then; texts and pictures of hits come from the index where it holds them. What is kept of a file
is a line or two an episode; the record itself is read when somebody looks at it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gog_env import trajectory
from gog_env.actions import from_dict
from gog_env.episode import Episode, EpisodeConfig, Turn
from gog_env.task import Task, Tasks
from index.errors import TaskError
from index.images import picture_hash
from index.knowledge import Hit

if TYPE_CHECKING:
    from index.knowledge import KnowledgeIndex

FILE = "trajectories.jsonl"


@dataclass(frozen=True)
class Entry:
    """What is kept of a recorded episode: its place in the file, its kind, and whether it was answered right."""

    place: int
    kind: str
    right: bool


@dataclass(frozen=True)
class Run:
    """A file of recorded episodes.

    Attributes:
        name: of its folder, unique among the runs that are shown.
        path: the file.
        entries: of its episodes, in the order of the file.
    """

    name: str
    path: Path
    entries: tuple[Entry, ...]

    def record(self, place: int) -> dict[str, Any]:
        """The record at a place.

        Raises:
            TaskError: the file has changed.
        """
        found = next(itertools.islice(trajectory.read(self.path), place, None), None)
        if found is None:
            raise TaskError(f"{self.path} has fewer episodes than when it was opened; start the page again")
        return found


def open_runs(folders: Sequence[str | Path]) -> list[Run]:
    """Opens what evaluations wrote.

    Args:
        folders: each with `trajectories.jsonl` in it, or in its folders (one a policy).

    Raises:
        TaskError: there is none, or it is damaged; names file and line.
    """
    files: list[Path] = []
    for folder in map(Path, folders):
        here = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob(f"[!.]*/{FILE}"))
        if not here:
            raise TaskError(f"--run {folder} holds no {FILE}; name a folder that python -m agents.evaluate wrote")
        files += here
    runs: list[Run] = []
    for file in dict.fromkeys(files):
        name, taken = file.resolve().parent.name, {run.name for run in runs}
        if name in taken:
            name = next(f"{name}-{number}" for number in itertools.count(2) if f"{name}-{number}" not in taken)
        entries = (_entry(file, place, record) for place, record in enumerate(trajectory.read(file)))
        runs.append(Run(name, file, tuple(entries)))
    return runs


def _entry(file: Path, place: int, record: Mapping[str, Any]) -> Entry:
    try:
        accuracy, *_ = [float(record["reward"][part]) for part in ("accuracy", "format", "calls", "cost", "total")]
        return Entry(place, str(record["kind"]), accuracy >= 0.5)
    except (KeyError, TypeError, ValueError):
        raise TaskError(f"{file}, line {place + 1}: the record has no kind or reward; evaluate again") from None


def episode_of(record: Mapping[str, Any], tasks: Tasks | None, index: KnowledgeIndex) -> tuple[Episode, list[str]]:
    """A recorded episode as it ended, and what of it cannot be shown as it was.

    Args:
        record: of `trajectory.read`.
        tasks: where the picture comes from.
        index: where texts and thumbnails of hits come from.

    Raises:
        TaskError: the task is not among `tasks`, or the record is damaged.
    """
    if tasks is None:
        raise TaskError("a recorded run needs the tasks that it was played on; start the page with --tasks as well")
    try:
        task_id, config = record["task_id"], EpisodeConfig(**record["config"])
        task = tasks.by_id(task_id)
        known = Task(
            task_id, record["question"], tuple(record["answers"]), task.image, record["kind"],
            None if record["evidence"] is None else tuple(record["evidence"]), tuple(map(tuple, record["regions"])),
            rule=record["rule"],
        )  # fmt: skip
        episode = Episode(known, config, record["seed"])
        episode.turns = tuple(_turn(turn, index) for turn in record["turns"])
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise TaskError(f"a recorded episode cannot be read ({reason}); evaluate again") from None
    notes = []
    if record.get("index") != index.fingerprint:
        notes.append("It was recorded with another index: texts and pictures of hits may be missing or differ.")
    if record.get("picture") != picture_hash(episode.picture):
        notes.append("The task's picture has changed since it was recorded.")
    return episode, notes


def _turn(recorded: Mapping[str, Any], index: KnowledgeIndex) -> Turn:
    hits = tuple(
        Hit(hit["document_id"], hit["title"], _text(index, hit["document_id"]), hit["score"], hit["picture_id"])
        for hit in recorded["hits"]
    )
    return Turn(from_dict(recorded["action"]), hits, recorded["text"], None, recorded["reward"], recorded["error"])


def _text(index: KnowledgeIndex, document_id: str) -> str:
    return index.document(document_id).text if document_id in index else ""
