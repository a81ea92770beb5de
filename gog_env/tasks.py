"""Tasks: questions about pictures, with their gold answers, read from a user's own files.

Decisions:
- Files are read by `index.records.read_rows`, as knowledge is: a folder with `metadata.jsonl` beside its pictures, JSON
  Lines or Parquet. FVQA's published Parquet layout (`prompt`, `images`, `reward_model`) is recognised by its columns.
- Text is read and checked at once; pictures are decoded one by one when asked for, so that 5,000 photos cost no memory.
- "Needs no document" (`evidence` is `()`) and "nobody says which" (None: no such column, as in FVQA) are two things;
  so it is with `calls`, the shortest way to the answer.
- A row that cannot be understood is an error that names row and field: training on a misread gold answer is worse than
  stopping. A row whose picture is missing is skipped, counted and said.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

from PIL import Image

from index.errors import SourceError, TaskError
from index.images import Box, check_box, open_picture
from index.lines import kind_of, parse, text_of
from index.records import PICTURE_COLUMNS, PictureRef, Rows, read_rows

from .actions import CALLS, Action, Malformed, from_dict

#: Longest question, in characters: an observation has a fixed size.
MAX_QUESTION = 2000
#: Least IoU of a gaze and a region that it counts as a look at.
CLOSELY = 0.5
#: Share of the picture from which on a glance looks at a region.
FILLS = 0.35
_FIELDS = ("id", "question", "answers", "image", "kind", "evidence", "regions", "calls")
_log = logging.getLogger(__name__)


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
    """

    id: str
    question: str
    answers: tuple[str, ...]
    image: PictureRef | StoredPicture | Path | bytes | Image.Image = field(repr=False, compare=False)
    kind: str = ""
    evidence: tuple[str, ...] | None = None
    regions: tuple[Box, ...] = ()
    calls: tuple[Action, ...] | None = None

    def picture(self) -> Image.Image:
        """Decodes the picture: RGB, at its own size.

        Raises:
            TaskError: it is missing or unreadable.
        """
        image = self.image.fetch() if isinstance(self.image, StoredPicture) else self.image
        try:
            return image.open() if isinstance(image, PictureRef) else open_picture(image)
        except SourceError as error:
            raise TaskError(f"task {self.id!r}: {error}") from error


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
            )


def fingerprint_of(tasks: Iterable[Task]) -> str:
    """What tells tasks from others of the same ids: a digest over ids, questions and answers in their order.

    Pictures have no part in it, so that nothing is decoded.
    """
    asked = [[task.id, task.question, *task.answers] for task in tasks]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def read_tasks(path: str | Path | Tasks, columns: Mapping[str, str] | None = None) -> Tasks:
    """Reads tasks.

    Args:
        path: a folder (`metadata.jsonl` beside pictures, or JSON Lines or Parquet files) or one such file; `Tasks` come
            back as they are.
        columns: other names for `id`, `question`, `answers`, `image`, `kind`, `evidence`, `regions`, `calls`:
            `{ours: theirs}`. Of these the last four may be missing. `calls` holds a list of actions as
            `actions.as_dict` writes them, or its JSON text.

    Returns:
        The tasks in file order; `skipped` lists rows without a picture, which are also said on the log.

    Raises:
        TaskError: nothing there, or a row without `id`, `question` or `answers`, an id twice, a box out of range, a
            call that is none.
    """
    if isinstance(path, Tasks):
        return path
    path, names = Path(path), dict(columns or {})
    try:
        rows = read_rows(path)
    except SourceError as error:
        raise TaskError(str(error).replace("source ", "tasks ", 1)) from error
    layout, picture_column = _columns(path, rows, names)

    tasks: list[Task] = []
    skipped: list[Skipped] = []
    seen: dict[str, int] = {}
    for row in range(len(rows)):
        values = rows[row]
        try:
            fields = _fvqa(values, f"{path.stem}-{row:05d}") if layout == "fvqa" else _plain(values, names)
            if fields["id"] in seen:
                raise ValueError(f"the id {fields['id']!r} is that of {rows.label(seen[fields['id']])}; make it unique")
            seen[fields["id"]] = row
            image, problem = _image(rows, row, values, picture_column)
        except ValueError as error:
            raise TaskError(f"tasks {path}: {rows.label(row)}: {error}") from None
        if image is None:
            skipped.append(Skipped(row, fields["id"], problem))
        else:
            tasks.append(Task(image=image, **fields))
    if skipped:
        example = f"{skipped[0].id}: {skipped[0].reason}"
        if not tasks:
            raise TaskError(f"tasks {path}: none of {len(rows)} has its picture ({example}); add the pictures")
        _log.warning("tasks %s: skipped %d of %d without a picture (%s)", path, len(skipped), len(rows), example)
    return Tasks(tasks, skipped, source=f"tasks {path}")


def _columns(path: Path, rows: Rows, names: Mapping[str, str]) -> tuple[str, str]:
    """The layout (`plain` or `fvqa`) and the column of pictures, after checking that all needed columns are there."""
    if unknown := sorted(set(names) - set(_FIELDS)):
        raise TaskError(f"columns maps {unknown[0]!r}, which is no field of a task; these are: {', '.join(_FIELDS)}")
    found, has = set(rows.columns), f"it has {', '.join(rows.columns)}"
    fvqa = {"prompt", "reward_model"} <= found and "question" not in found and not names
    needed = {} if fvqa else {name: names.get(name, name) for name in ("id", "question", "answers")}
    for ours, theirs in {**needed, **names}.items():
        if theirs not in found:
            remedy = f"rename the column, or say which it is in Python: read_tasks(path, columns={{{ours!r}: NAME}})"
            raise TaskError(f"tasks {path}: no column {theirs!r} ({has}); {remedy}")
    picture = names.get("image") or next((name for name in PICTURE_COLUMNS if name in found), None)
    if picture is None:
        raise TaskError(f"tasks {path}: no column of pictures ({has}); name one {' or '.join(PICTURE_COLUMNS[:2])}")
    return ("fvqa" if fvqa else "plain"), picture


def _image(
    rows: Rows, row: int, values: Mapping[str, Any], column: str
) -> tuple[PictureRef | StoredPicture | None, str]:
    """Where a row's picture is, without decoding it, or None and why there is none."""
    found = rows.pictures(row, values, [column], f"row {row + 1}")
    if len(found) > 1:
        raise ValueError(f"{len(found)} pictures in column {column!r}; a task is about one")
    if not found:
        return None, f"nothing in column {column!r}"
    [picture] = found
    if isinstance(picture.source, Path):
        return (picture, "") if picture.source.is_file() else (None, f"no file {picture.name}")
    if picture.source is None:
        return None, f"{picture.name} {picture.problem}"
    return StoredPicture(rows, row, column), ""


def _plain(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A row in our own layout, checked; `ValueError` says what is wrong."""

    def get(name: str) -> Any:
        return fields.get(names.get(name, name))

    task_id = _text(get("id"), "id")
    if not task_id:
        raise ValueError("there is no `id`; give every task one")
    of = f" of task {task_id!r}"
    return _checked(
        task_id,
        _text(get("question"), "question", of),
        _texts(get("answers"), "answers", of),
        _text(get("kind"), "kind", of),
        None if get("evidence") is None else tuple(_texts(get("evidence"), "evidence", of)),
        get("regions"),
        _calls(get("calls"), of),
    )


def _fvqa(fields: Mapping[str, Any], fallback_id: str) -> dict[str, Any]:
    """A row in FVQA's published layout (MMSearch-R1): the question in a chat, aliases in a JSON string."""
    task_id = _text(fields.get("data_id"), "data_id") or fallback_id
    of = f" of task {task_id!r}"
    prompt, gold = fields["prompt"] or (), fields["reward_model"] or {}
    if not isinstance(prompt, (list, tuple)) or not all(isinstance(turn, Mapping) for turn in prompt):
        raise ValueError(f"`prompt`{of} is {kind_of(prompt)}, not a list of turns with `role` and `content`")
    if not isinstance(gold, Mapping):
        raise ValueError(f"`reward_model`{of} is {kind_of(gold)}, not an object with `ground_truth`")
    said = [turn.get("content") for turn in prompt if turn.get("role") == "user"]
    question = _text(said[-1], "prompt", of).replace("<image>", " ").strip() if said else ""
    aliases = gold.get("candidate_answers") or []
    if isinstance(aliases, str):
        try:
            aliases = parse(aliases)
        except ValueError as error:
            raise ValueError(f"`candidate_answers`{of} is not JSON ({error})") from None
    answers = [*_texts(gold.get("ground_truth"), "ground_truth", of), *_texts(aliases, "candidate_answers", of)]
    return _checked(task_id, question, answers, _text(fields.get("category"), "category", of), None, ())


def _checked(
    task_id: str,
    question: str,
    answers: list[str],
    kind: str,
    evidence: tuple[str, ...] | None,
    regions: Any,
    calls: tuple[Action, ...] | None = None,
) -> dict[str, Any]:
    if not question:
        raise ValueError(f"task {task_id!r} has no `question`")
    if len(question) > MAX_QUESTION:
        raise ValueError(f"the question of task {task_id!r} is longer than {MAX_QUESTION} characters; shorten it")
    if not answers:
        raise ValueError(f"task {task_id!r} has no `answers`; give at least one")
    if regions not in (None, "") and not isinstance(regions, (list, tuple)):
        raise ValueError(f"`regions` of task {task_id!r} is {kind_of(regions)}, not a list of boxes")
    try:
        boxes = tuple(check_box(box) for box in regions or ())
    except ValueError as error:
        raise ValueError(f"`regions` of task {task_id!r}: {error}") from None
    return {
        "id": task_id,
        "question": question,
        "answers": tuple(dict.fromkeys(answers)),
        "kind": kind,
        "evidence": evidence,
        "regions": boxes,
        "calls": calls,
    }


def _calls(value: Any, of: str) -> tuple[Action, ...] | None:
    """Glances, gazes and searches as `actions.as_dict` writes them; `ValueError` says which one is none."""
    if isinstance(value, str):
        try:
            value = parse(value) if value.strip() else None
        except ValueError as error:
            raise ValueError(f"`calls`{of} is not JSON ({error})") from None
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"`calls`{of} is {kind_of(value)}, not a list of actions")
    calls = []
    for number, fields in enumerate(value, 1):
        action = from_dict(fields) if isinstance(fields, Mapping) else Malformed(f"{kind_of(fields)} is not an action")
        if not isinstance(action, CALLS):
            name = action.reason if isinstance(action, Malformed) else f"{fields['type']} is not a call"
            raise ValueError(f"`calls`{of}: call {number}: {name}; give glances, gazes and searches")
        calls.append(action)
    return tuple(calls)


def _text(value: Any, name: str, of: str = "") -> str:
    """A field's text as it was written; `ValueError` names the field that holds none."""
    try:
        return text_of(value).strip()
    except ValueError as error:
        raise ValueError(f"`{name}`{of} {error}") from None


def _texts(value: Any, name: str, of: str) -> list[str]:
    """One text or several, empty ones left out."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [text for text in (_text(one, name, of) for one in values) if text]
