"""Tasks: questions about pictures, their gold answers, and the rule by which an answer is scored.

Decisions:
- Pictures are decoded one by one when asked for, so that 5,000 photos cost no memory.
- "Needs no document" (`evidence` is `()`) and "nobody says which" (None: no such column, as in FVQA) are two things;
  so it is with `calls`, the shortest way to the answer.
- What a benchmark's own scoring needs stands in the task (`rule`, `span`, `choices`; see `gog_env.scoring`), so that an
  episode, an evaluation and a trainer score alike, whatever set the task comes from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

from PIL import Image

from index.errors import SourceError, TaskError
from index.images import Box, open_picture
from index.records import PictureRef, Rows

from .actions import Action
from .scoring import Gold

#: Longest question, in characters: an observation has a fixed size.
MAX_QUESTION = 2000
#: Pixels of a picture that is decoded whole: an 8K photo has 33 million (132 MB in memory), and what is asked about in
#: it may be a few of them. Larger JPEGs are halved, other formats refused (`index.images.open_picture`).
MAX_PIXELS = 1 << 26
#: Least IoU of a gaze and a region that it counts as a look at.
CLOSELY = 0.5
#: Share of the picture from which on a glance looks at a region.
FILLS = 0.35


@dataclass(frozen=True)
class StoredPicture:
    """A picture that lies as bytes in a row, and is fetched from there when asked for."""

    rows: Rows = field(repr=False)
    row: int
    column: str

    def fetch(self) -> PictureRef:
        """The picture with its bytes."""
        return self.rows.pictures(self.row, self.rows[self.row], [self.column], f"row {self.row + 1}")[0]

    def __reduce__(self) -> Any:
        return self.fetch().__reduce__()  # another process gets the bytes: it cannot count on the files


@dataclass(frozen=True)
class Task:
    """A question about a picture.

    Attributes:
        id: unique among its tasks.
        question: at most `MAX_QUESTION` characters.
        answers: the gold answer first, then aliases that count as right.
        image: where the picture is; `picture()` decodes it.
        kind: what the question needs (`glance`, `multi_hop`, ...), or "".
        evidence: ids of the documents that hold the answer, in the order in which they are needed; `()` where none is
            needed, None where the tasks do not say.
        regions: boxes of what has to be looked at, in 0..1 of the picture.
        calls: the shortest sequence of glances, gazes and searches after which the answer is known; `()` where none is
            needed, None where the tasks do not say.
        rule: how an answer is scored, one of `gog_env.scoring.RULES`.
        span: lowest and highest number that counts as right, for rules that accept a range; else None.
        choices: the options of a multiple-choice question, A first; the gold answer is one of them, word for word.
        benchmark: the published set that it belongs to, or "".
        split: the part of that set which is counted by itself (`unseen_question`, `level2`, ...), or "".
    """

    id: str
    question: str
    answers: tuple[str, ...]
    image: PictureRef | StoredPicture | Path | bytes | Image.Image = field(repr=False, compare=False)
    kind: str = ""
    evidence: tuple[str, ...] | None = None
    regions: tuple[Box, ...] = ()
    calls: tuple[Action, ...] | None = None
    rule: str = "exact"
    span: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    benchmark: str = ""
    split: str = ""

    @property
    def gold(self) -> Gold:
        """What an answer is scored by."""
        return Gold(self.answers, self.rule, self.span, self.choices)

    def picture(self) -> Image.Image:
        """Decodes the picture: RGB, at its own size.

        Raises:
            TaskError: it is missing or unreadable.
        """
        try:
            image = self.image.fetch() if isinstance(self.image, StoredPicture) else self.image
            if isinstance(image, PictureRef):
                return image.open(most=MAX_PIXELS)
            return open_picture(image, most=MAX_PIXELS)
        except SourceError as error:
            remedy = (
                f"; get it again, or leave out what is broken: python -m gog_env.doctor --benchmark {self.benchmark} "
                "--data DIR --json FILE, then --without FILE"
            )
            raise TaskError(f"task {self.id!r}: {error}{remedy if self.benchmark else ''}") from error


@dataclass(frozen=True)
class Skipped:
    """A row that was left out, and why."""

    row: int
    id: str
    reason: str


class Contains(Protocol):
    """What `Tasks.check_against` needs of a `KnowledgeIndex`."""

    def __contains__(self, document_id: str, /) -> bool: ...


class Tasks(Sequence[Task]):
    """Tasks in the order of their file. Immutable.

    Args:
        tasks: with distinct ids.
        skipped: rows that were left out.
        source: where they come from, for messages.

    Raises:
        TaskError: an id comes twice.
    """

    def __init__(self, tasks: Iterable[Task], skipped: Sequence[Skipped] = (), source: str = "tasks") -> None:
        self._tasks = tuple(tasks)
        self.skipped = tuple(skipped)
        self.source = source
        self._rows: dict[str, int] = {}
        for row, task in enumerate(self._tasks):
            if task.id in self._rows:
                raise TaskError(f"{source}: the id {task.id!r} comes twice; make every id unique")
            self._rows[task.id] = row

    def __len__(self) -> int:
        return len(self._tasks)

    @overload
    def __getitem__(self, key: int) -> Task: ...

    @overload
    def __getitem__(self, key: slice) -> Tasks: ...

    def __getitem__(self, key: int | slice) -> Task | Tasks:
        return Tasks(self._tasks[key], source=self.source) if isinstance(key, slice) else self._tasks[key]

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tasks:
        return self  # gymnasium copies the arguments of every environment; these never change

    def __repr__(self) -> str:
        return f"Tasks({self.source!r}, {len(self)}, skipped={len(self.skipped)})"

    def by_id(self, task_id: str) -> Task:
        """The task with this id.

        Raises:
            TaskError: there is none.
        """
        if task_id not in self._rows:
            example = f", for example {self._tasks[0].id!r}" if self._tasks else ""
            raise TaskError(f"{self.source}: there is no task {task_id!r}; choose one of its {len(self)} ids{example}")
        return self._tasks[self._rows[task_id]]

    def check_against(self, index: Contains) -> None:
        """Proves that all evidence is in the index.

        Raises:
            TaskError: names the first tasks whose evidence is missing.
        """
        missing = [(task.id, document) for task in self for document in task.evidence or () if document not in index]
        if missing:
            count = len({task_id for task_id, _ in missing})
            shown = ", ".join(f"{task_id} needs {document!r}" for task_id, document in missing[:3])
            shown += ", ..." if len(missing) > 3 else ""
            raise TaskError(
                f"{self.source}: {count} of {len(self)} tasks need documents that are not in the index ({shown}); "
                "build the index from the source that these tasks were made for"
                + (", or read a --part whose tasks name none" if self[0].benchmark else "")
            )


def fingerprint_of(tasks: Iterable[Task]) -> str:
    """What tells tasks from others of the same ids: a digest over ids, questions, answers and rules in their order.

    Pictures have no part in it, so that nothing is decoded.
    """
    asked = [[task.id, task.question, *task.answers, *_ruled(task)] for task in tasks]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _ruled(task: Task) -> list[Any]:
    """How a task is scored, where that is not by its answers alone."""
    plain = task.rule == "exact" and task.span is None and not task.choices
    return [] if plain else [{"rule": task.rule, "span": task.span, "choices": task.choices}]
