"""Opens local files through `datasets`, row by row, with pictures left undecoded.

- Three layouts: an imagefolder (`metadata.jsonl`, `.csv` or `.parquet` beside pictures), a JSON Lines or Parquet
  file, or a folder of either. Nothing asks the network; what `datasets` caches lies in a temporary folder.
- Text comes through as it was written (`index.lines`): `datasets` keeps the rows of text files, it does not type them.
- Pictures stay undecoded references until they are wanted, so that one bad picture is one reference that fails, and
  no row moves.
- A picture's path stays inside the folder of the file that names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from PIL import Image

from index.errors import SourceError
from index.images import open_picture
from index.lines import SUFFIXES, columns_of, kind_of, parse, row_texts

PICTURE_COLUMNS = ("image", "images", "file_name", "file_names")
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_KINDS = (".jsonl", ".json", ".parquet")
_FILE_NAME = re.compile(r"^(?:(.+)_)?file_name(s?)$")


@dataclasses.dataclass(frozen=True)
class PictureRef:
    """A picture that is not decoded yet.

    Attributes:
        id: unique among the pictures of a source: document id, `#`, place among the document's pictures.
        name: what a person would call it: its path from the source's file, or its row.
        source: a file, the bytes, a function that reads the bytes, or None where the row holds nothing usable.
        problem: why `source` is None.
    """

    id: str
    name: str
    source: Path | bytes | Callable[[], bytes] | None = dataclasses.field(repr=False)
    problem: str = ""

    def open(self) -> Image.Image:
        """Decodes it to RGB.

        Raises:
            SourceError: it cannot be read; the message names it and says why.
        """
        if self.source is None:
            raise SourceError(f"{self.name}: {self.problem}")
        return open_picture(self.source() if callable(self.source) else self.source, self.name)


@dataclasses.dataclass(frozen=True)
class _Part:
    """The rows of one file.

    Attributes:
        dataset: of `datasets`; of a text file one column, `json`, a row's text.
        base: the folder that relative paths start from.
        name: for messages.
        names: the file's columns, and what we call them.
    """

    dataset: Any
    base: Path
    name: str
    names: Mapping[str, str]
    is_text: bool

    def row(self, place: int) -> dict[str, Any]:
        values = self.dataset[place]
        values = parse(values["json"]) if self.is_text else values
        return {self.names[name]: value for name, value in values.items()}

    def column(self, name: str) -> list[Any]:
        theirs = next((theirs for theirs, ours in self.names.items() if ours == name), None)
        if theirs is None:
            return [None] * len(self.dataset)
        if self.is_text:
            return [parse(text).get(theirs) for text in self.dataset["json"]]
        return list(self.dataset[theirs])


class Rows:
    """The rows of one or more local files, read through `datasets`; pictures stay undecoded. `read_rows` makes it."""

    def __init__(self, path: Path, parts: Sequence[_Part], folder: str) -> None:
        """Keeps the parts.

        Args:
            path: the source.
            parts: one a file.
            folder: where the caches lie; removed with this object.
        """
        self.path = path
        self._parts = list(parts)
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + len(part.dataset))
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in the order of first sight."""
        return tuple(dict.fromkeys(name for part in self._parts for name in part.names.values()))

    def column(self, name: str) -> list[Any]:
        """All values of one column; None where a row has no such field."""
        return [value for part in self._parts for value in part.column(name)]

    def __getitem__(self, row: int) -> dict[str, Any]:
        part, place = self._find(row)
        return part.row(place)

    def label(self, row: int) -> str:
        """What to call a row in a message: `row 3 of metadata.jsonl`, counted from 1."""
        part, place = self._find(row)
        return f"row {place + 1} of {part.name}"

    def pictures(
        self, row: int, values: Mapping[str, Any], columns: Iterable[str], owner: str
    ) -> tuple[PictureRef, ...]:
        """References to the pictures of a row.

        Args:
            row: its number.
            values: the row, as `rows[row]` gave it.
            columns: where to look, in this order.
            owner: the id that their ids start with.
        """
        base = self._find(row)[0].base
        found: list[PictureRef] = []
        for column in columns:
            value = values.get(column)
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if item is not None and item != "":
                    found.append(_reference(item, base, f"{owner}#{len(found)}", f"{self.label(row)}, column {column}"))
        return tuple(found)

    def _find(self, row: int) -> tuple[_Part, int]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        for part, start, stop in zip(self._parts, self._starts, self._starts[1:], strict=False):
            if row < stop:
                return part, row - start
        raise IndexError(row)


def read_rows(path: str | Path) -> Rows:
    """Opens an imagefolder, a JSON Lines or Parquet file, or a folder of such files.

    Raises:
        SourceError: missing, of no known layout, several sources in one, damaged, or without a row.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SourceError(f"source {path} does not exist; name a folder with metadata.jsonl, or a .jsonl or .parquet")
    folder = tempfile.mkdtemp(prefix="gog-source-")
    try:
        rows = Rows(path, [part for file in _layout(path) if (part := _load(file, folder)) is not None], folder)
        if len(rows) == 0:
            raise SourceError(f"source {path} is empty; it needs at least one row")
        return rows
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _layout(path: Path) -> list[Path]:
    """The files to load."""
    if path.is_file():
        if path.name not in _METADATA and path.suffix.lower() not in _KINDS:
            raise SourceError(f"source {path} is of no known kind; use .jsonl, .parquet or a folder with metadata")
        return [path]
    metadata = sorted(file for name in _METADATA for file in path.rglob(name) if file.is_file())
    if len(metadata) > 1:  # documents beside tasks, or two versions of one thing: nobody wants them mixed
        shown = ", ".join(file.relative_to(path).as_posix() for file in metadata[:4])
        shown += ", ..." if len(metadata) > 4 else ""
        raise SourceError(f"source {path} holds several sources ({shown}); name one of these files or its folder")
    if metadata:
        return metadata
    for suffix in _KINDS:
        files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() == suffix)
        if files:
            return files
    raise SourceError(f"source {path} holds no metadata.jsonl, .jsonl or .parquet file; add one, a row a document")


def _load(file: Path, folder: str) -> _Part | None:
    """Opens a file; None where it has no row."""
    import datasets

    if file.stat().st_size == 0:
        return None
    is_text = file.suffix.lower() in SUFFIXES
    try:
        with _quiet(datasets):
            if is_text:
                count, columns = columns_of(file)
                if not count:
                    return None
                dataset = datasets.Dataset.from_generator(
                    _generate,
                    features=datasets.Features({"json": datasets.Value("large_string")}),
                    gen_kwargs={"file": str(file.resolve())},
                    cache_dir=folder,
                )
            else:
                # Brackets in a path are no pattern.
                wanted = re.sub(r"([\[\]*?])", r"[\1]", str(file.resolve()))
                dataset = datasets.load_dataset(
                    "parquet", data_files={"train": [wanted]}, split="train", cache_dir=folder
                )
                dataset = _undecoded(dataset, datasets)
                columns = tuple(dataset.column_names)
    except SourceError:
        raise
    except Exception as error:  # datasets and pyarrow each raise their own
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        if "BatchSize must be greater than 0" in str(error):  # what it says of no rows at all
            return None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"source {file} cannot be read: {reason}; correct it and try again") from None
    names = {name: name for name in columns}
    if file.name in _METADATA:  # as in every imagefolder, `file_name` is the column `image`
        for name in columns:
            if (match := _FILE_NAME.match(name)) and (ours := (match[1] or "image") + match[2]) not in columns:
                names[name] = ours
    return _Part(dataset, file.parent, str(file), names, is_text)


def _generate(file: str) -> Iterator[dict[str, str]]:
    for text in row_texts(Path(file)):
        yield {"json": text}


@contextlib.contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No progress bars, no log lines, no network, whatever the user's own settings; they come back afterwards."""
    bars, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    offline = datasets.config.HF_HUB_OFFLINE
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = offline
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()


def _undecoded(dataset: Any, datasets: Any) -> Any:
    """The dataset with pictures as paths and bytes, so that a damaged one stops nobody."""
    raw = datasets.Image(decode=False)
    for name, feature in dataset.features.items():
        inner = getattr(feature, "feature", None) or (feature[0] if isinstance(feature, list) else None)
        if isinstance(feature, datasets.Image):
            dataset = dataset.cast_column(name, raw)
        elif isinstance(inner, datasets.Image):
            dataset = dataset.cast_column(name, datasets.List(raw))
    return dataset


def _reference(value: Any, base: Path, id: str, name: str) -> PictureRef:
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, (bytes, bytearray, memoryview)):
            return PictureRef(id, name, bytes(data))
        value = path
        if isinstance(path, str) and Path(path).is_absolute() and Path(path).is_relative_to(base.resolve()):
            return PictureRef(id, _shown(Path(path), base), Path(path))  # the imagefolder reader has resolved it
    if isinstance(value, (bytes, bytearray, memoryview)):
        return PictureRef(id, name, bytes(value))
    if not isinstance(value, str):
        return PictureRef(id, name, None, f"holds {kind_of(value)}, not a picture; give a path or bytes")
    relative = PurePosixPath(value.replace("\\", "/"))
    if "://" in value or relative.is_absolute() or PureWindowsPath(value).drive or ".." in relative.parts:
        return PictureRef(id, value, None, "leaves the folder of the source; put the picture beside the source's file")
    return PictureRef(id, str(relative), base / relative)


def _shown(path: Path, base: Path) -> str:
    return path.relative_to(base.resolve()).as_posix()
