"""Tasks: questions about pictures, with their gold answers, read from a user's own files.

Decisions:
- A folder with `metadata.jsonl` (or `.parquet`) beside its pictures, a JSONL file, or Parquet; all through
  `datasets`. FVQA's published Parquet layout (`prompt`, `images`, `reward_model`) is recognised by its columns.
- Text is read and checked at once; pictures are decoded one by one when asked for, so that 5,000 photos cost no memory.
- A row that cannot be understood is an error that names row and field: training on a misread gold answer is worse than
  stopping. A row whose picture is missing is skipped, counted and said.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from index.errors import SourceError, TaskError
from index.images import Box, check_box, open_picture

if TYPE_CHECKING:
    from PIL import Image

#: Longest question, in characters: an observation has a fixed size.
MAX_QUESTION = 2000
_PICTURE_COLUMNS = ("image", "images", "file_name")
_FIELDS = ("id", "question", "answers", "image", "kind", "evidence", "regions")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredPicture:
    """A picture that lies as bytes in a row of a data set, and is fetched from there when asked for."""

    column: Any = field(repr=False)  # pyarrow.ChunkedArray, memory-mapped by `datasets`
    row: int

    def read(self) -> bytes:
        """The encoded picture."""
        value = self.column[self.row].as_py()
        entry = value[0] if isinstance(value, list) else value
        return entry if isinstance(entry, bytes) else entry["bytes"]


@dataclass(frozen=True)
class Task:
    """A question about a picture.

    Attributes:
        id: unique among its tasks.
        question: at most `MAX_QUESTION` characters.
        answers: the gold answer first, then aliases that count as right.
        image: where the picture is; `picture()` decodes it.
        kind: what the question needs (`glance`, `multi_hop`, ...), or "".
        evidence: ids of the documents that hold the answer, in the order in which they are needed.
        regions: boxes of what has to be looked at, in 0..1 of the picture.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    image: Path | bytes | StoredPicture | Image.Image = field(repr=False, compare=False)
    kind: str = ""
    evidence: tuple[str, ...] = ()
    regions: tuple[Box, ...] = ()

    def picture(self) -> Image.Image:
        """Decodes the picture: RGB, at its own size.

        Raises:
            TaskError: it is missing or unreadable.
        """
        try:
            source = self.image.read() if isinstance(self.image, StoredPicture) else self.image
            return open_picture(source, name=str(self.image) if isinstance(self.image, Path) else "its picture")
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
                raise TaskError(f"{source}: the id {task.id!r} comes twice; give every task an id of its own")
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
        return f"Tasks({self.source!r}, {len(self)} tasks, {len(self.skipped)} skipped)"

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
        missing = [(task.id, document) for task in self for document in task.evidence if document not in index]
        if missing:
            count = len({task_id for task_id, _ in missing})
            shown = ", ".join(f"{task_id} needs {document!r}" for task_id, document in missing[:3])
            shown += ", ..." if len(missing) > 3 else ""
            raise TaskError(
                f"{self.source}: {count} of {len(self)} tasks need documents that are not in the index ({shown}); "
                "build the index from the source that these tasks were made for"
            )


def read_tasks(path: str | Path | Tasks, columns: Mapping[str, str] | None = None) -> Tasks:
    """Reads tasks.

    Args:
        path: a folder (`metadata.jsonl` beside pictures, or Parquet or JSONL files), or a `.jsonl`, `.json` or `.parquet`
            file; `Tasks` come back as they are.
        columns: other names for `id`, `question`, `answers`, `image`, `kind`, `evidence`, `regions`: `{ours: theirs}`.

    Returns:
        The tasks in file order; `skipped` lists rows without a picture, which are also said on the log.

    Raises:
        TaskError: nothing there, or a row without `id`, `question` or `answers`, an id twice, a box out of range.
    """
    if isinstance(path, Tasks):
        return path
    path = Path(path)
    names = dict(columns or {})
    if unknown := sorted(set(names) - set(_FIELDS)):
        raise TaskError(f"there is no field {unknown[0]!r} to map a column to; the fields are {', '.join(_FIELDS)}")
    table, base = _load(path)
    found = set(table.column_names)
    for ours, theirs in names.items():
        if theirs not in found:
            raise TaskError(
                f"{path}: there is no column {theirs!r} to read {ours!r} from; it has {', '.join(sorted(found))}"
            )
    fvqa = {"prompt", "reward_model"} <= found and "question" not in found and not names
    needed = [] if fvqa else [names.get(name, name) for name in ("id", "question", "answers")]
    if absent := [name for name in needed if name not in found]:
        raise TaskError(
            f"{path}: there is no column {absent[0]!r}; it has {', '.join(sorted(found))}: "
            f"name the right one with columns={{{absent[0]!r}: ...}}"
        )
    picture_column = names.get("image") or next((name for name in _PICTURE_COLUMNS if name in found), None)
    if picture_column is None:
        raise TaskError(f"{path}: there is no picture column; add one of {', '.join(_PICTURE_COLUMNS)}")

    pictures = table.data.column(picture_column)
    rows = table.select_columns([name for name in table.column_names if name != picture_column])
    tasks: list[Task] = []
    skipped: list[Skipped] = []
    for row, (fields, stored) in enumerate(zip(rows, pictures, strict=True)):
        where = f"{path}, row {row}"
        try:
            task = _fvqa(fields, f"{path.stem}-{row:05d}") if fvqa else _plain(fields, names)
            image, problem = _locate(stored, pictures, row, base)
        except ValueError as error:
            raise TaskError(f"{where}: {error}") from None
        if image is None:
            skipped.append(Skipped(row, task["id"], problem))
        else:
            tasks.append(Task(image=image, **task))
    if skipped:
        first = skipped[0]
        _log.warning(
            "%s: %d of %d tasks skipped, they have no picture (first: row %d, %s: %s)",
            path, len(skipped), len(rows), first.row, first.id, first.reason,
        )  # fmt: skip
    if not tasks:
        raise TaskError(
            f"{path}: no usable task"
            + (f", all {len(skipped)} lack their picture ({skipped[0].reason})" if skipped else "")
            + "; point to a folder or file with at least one"
        )
    return Tasks(tasks, skipped, source=str(path))


def _load(path: Path) -> tuple[Any, Path]:
    """A `datasets.Dataset` of all rows, in order, and the folder that relative picture paths start from."""
    if path.is_dir():
        candidates = [path / f"metadata.{ending}" for ending in ("jsonl", "parquet")]
        files = [file for file in candidates if file.is_file()][:1]
        files = files or sorted(path.glob("*.parquet")) or sorted(path.glob("*.jsonl"))
        if not files:
            raise TaskError(f"{path}: no tasks in this folder; it needs a metadata.jsonl, or .parquet or .jsonl files")
        base = path
    elif path.is_file():
        files, base = [path], path.parent
    else:
        raise TaskError(f"{path}: no such file or folder; give the tasks' folder, .jsonl or .parquet file")
    reader = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}.get(files[0].suffix.lower())
    if reader is None:
        raise TaskError(f"{path}: unknown kind of file; tasks are read from .jsonl, .json or .parquet")
    if not any(file.stat().st_size for file in files):
        raise TaskError(f"{path}: the file is empty; write at least one task into it")

    import datasets

    try:
        with _quiet(datasets):
            return datasets.load_dataset(reader, data_files=[str(file) for file in files], split="train"), base
    except Exception as error:  # readers fail in many ways on damaged files; the root cause is what helps
        cause = error.__cause__ or error
        raise TaskError(f"{path}: cannot be read ({str(cause).splitlines()[0]}); repair or replace the file") from error


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No progress bars for files that are read in a moment; the user's own setting comes back after."""
    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()


def _plain(fields: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A row in our own layout, checked; `ValueError` says what is wrong."""

    def get(name: str) -> Any:
        return fields.get(names.get(name, name))

    task_id = _text(get("id"))
    if not task_id:
        raise ValueError("there is no `id`; give every task one")
    return _checked(task_id, get("question"), _texts(get("answers")), get("kind"), get("evidence"), get("regions"))


def _fvqa(fields: Mapping[str, Any], fallback_id: str) -> dict[str, Any]:
    """A row in FVQA's published layout (MMSearch-R1): the question in a chat, aliases in a JSON string."""
    turns = [turn for turn in fields["prompt"] or () if turn.get("role") == "user"]
    question = str(turns[-1].get("content") or "").replace("<image>", " ").strip() if turns else ""
    gold = fields["reward_model"] or {}
    aliases = gold.get("candidate_answers") or "[]"
    try:
        listed = json.loads(aliases) if isinstance(aliases, str) else list(aliases)
    except json.JSONDecodeError as error:
        raise ValueError(f"`candidate_answers` is not JSON ({error})") from None
    answers = [*_texts(gold.get("ground_truth")), *_texts(listed)]
    return _checked(_text(fields.get("data_id")) or fallback_id, question, answers, fields.get("category"), (), ())


def _checked(task_id: str, question: Any, answers: list[str], kind: Any, evidence: Any, regions: Any) -> dict[str, Any]:
    if not _text(question):
        raise ValueError(f"task {task_id!r} has no `question`")
    if len(_text(question)) > MAX_QUESTION:
        raise ValueError(f"the question of task {task_id!r} is longer than {MAX_QUESTION} characters; shorten it")
    if not answers:
        raise ValueError(f"task {task_id!r} has no `answers`; give at least one")
    try:
        boxes = tuple(check_box(box) for box in regions or ())
    except ValueError as error:
        raise ValueError(f"`regions` of task {task_id!r}: {error}") from None
    return {
        "id": task_id,
        "question": _text(question),
        "answers": tuple(dict.fromkeys(answers)),
        "kind": _text(kind),
        "evidence": tuple(_texts(evidence)),
        "regions": boxes,
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _texts(value: Any) -> list[str]:
    """One text or several, empty ones left out."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return [text for text in map(_text, values) if text]


def _locate(stored: Any, column: Any, row: int, base: Path) -> tuple[Path | StoredPicture | None, str]:
    """Where a row's picture is, without reading it, or None and why there is none.

    Args:
        stored: the Arrow scalar: a path, bytes, a struct of bytes and path, or a list of exactly one of these.
    """
    value = stored
    if hasattr(value, "values") and hasattr(value.type, "value_type"):  # a list
        if not value.is_valid or len(value.values) == 0:
            return None, "no picture in the row"
        if len(value.values) > 1:
            raise ValueError(f"there are {len(value.values)} pictures; a task is about one")
        value = value.values[0]
    if not value.is_valid:
        return None, "no picture in the row"
    if hasattr(value, "keys"):  # a struct of `bytes` and `path`, as `datasets` stores pictures
        keys = set(value.keys())
        if "bytes" in keys and value["bytes"].is_valid:
            return StoredPicture(column, row), ""
        if "path" not in keys or not value["path"].is_valid:
            return None, "no picture in the row"
        value = value["path"]
    name = value.as_py()
    if isinstance(name, bytes):
        return StoredPicture(column, row), ""
    file = base / str(name)
    return (file, "") if name and file.is_file() else (None, f"no file {name!r}")
