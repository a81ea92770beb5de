"""Opens local files through `datasets`, row by row, with pictures left undecoded.

- Three layouts: an imagefolder (`metadata.jsonl`, `.csv` or `.parquet` beside pictures), a JSON Lines or Parquet
  file, or a folder of either. Nothing asks the network; what `datasets` caches lies in a temporary folder.
- Pictures stay undecoded references until they are wanted, so that one bad picture is one reference that fails, and
  no row moves.
- A picture's path stays inside the folder of the file that names it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
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

PICTURE_COLUMNS = ("image", "images", "file_name", "file_names")
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_LOADERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}


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


class Rows:
    """The rows of one or more local files, read through `datasets`; pictures stay undecoded. `read_rows` makes it."""

    def __init__(self, path: Path, parts: Sequence[tuple[Any, Path, str]], folder: str) -> None:
        """Keeps datasets with the folder that their relative paths start from and a name for messages.

        Args:
            path: the source.
            parts: (dataset, folder of its files, name).
            folder: where the caches lie; removed with this object.
        """
        self.path = path
        self._parts = list(parts)
        self._starts = [0]
        for dataset, _, _ in self._parts:
            self._starts.append(self._starts[-1] + len(dataset))
        self._cleanup = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns, in the order of first sight."""
        return tuple(dict.fromkeys(name for dataset, _, _ in self._parts for name in dataset.column_names))

    def column(self, name: str) -> list[Any]:
        """All values of one column; None where a part has no such column."""
        values: list[Any] = []
        for dataset, _, _ in self._parts:
            values += list(dataset[name]) if name in dataset.column_names else [None] * len(dataset)
        return values

    def __getitem__(self, row: int) -> dict[str, Any]:
        dataset, place, _, _ = self._find(row)
        return dataset[place]

    def label(self, row: int) -> str:
        """What to call a row in a message: `row 3 of metadata.jsonl`, counted from 1."""
        _, place, _, name = self._find(row)
        return f"row {place + 1} of {name}"

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
        _, _, base, _ = self._find(row)
        found: list[PictureRef] = []
        for column in columns:
            value = values.get(column)
            for item in value if isinstance(value, (list, tuple)) else [value]:
                if item is not None and item != "":
                    found.append(_reference(item, base, f"{owner}#{len(found)}", f"{self.label(row)}, column {column}"))
        return tuple(found)

    def _find(self, row: int) -> tuple[Any, int, Path, str]:
        if not 0 <= row < len(self):
            raise IndexError(row)
        for (dataset, base, name), start, stop in zip(self._parts, self._starts, self._starts[1:], strict=False):
            if row < stop:
                return dataset, row - start, base, name
        raise IndexError(row)


def read_rows(path: str | Path) -> Rows:
    """Opens an imagefolder, a JSON Lines or Parquet file, or a folder of such files.

    Raises:
        SourceError: missing, of no known layout, damaged, or without a row.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SourceError(f"source {path} does not exist; name a folder with metadata.jsonl, or a .jsonl or .parquet")
    groups = _layout(path)
    if all(file.stat().st_size == 0 for _, files, _ in groups for file in files):
        raise SourceError(f"source {path} is empty; it needs at least one row")
    folder = tempfile.mkdtemp(prefix="gog-source-")
    try:
        parts = []
        for loader, files, base in groups:
            if any(file.stat().st_size for file in files):
                name = str(files[0]) if len(files) == 1 else str(path)
                parts.append((_load(loader, files, folder, name), base, name))
        rows = Rows(path, parts, folder)
        if len(rows) == 0:
            raise SourceError(f"source {path} is empty; it needs at least one row")
        return rows
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _layout(path: Path) -> list[tuple[str, list[Path], Path]]:
    """What to load: (loader of `datasets`, files, the folder that relative paths start from)."""
    if path.is_file():
        if path.name in _METADATA:
            return [("imagefolder", [path], path.parent)]
        if path.suffix.lower() not in _LOADERS:
            raise SourceError(f"source {path} is of no known kind; use .jsonl, .parquet or a folder with metadata")
        return [(_LOADERS[path.suffix.lower()], [path], path.parent)]
    metadata = sorted(file for name in _METADATA for file in path.rglob(name) if file.is_file())
    if metadata:
        return [("imagefolder", [file], file.parent) for file in metadata]
    for suffix, loader in _LOADERS.items():
        files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() == suffix)
        if files:
            return [(loader, files, path)]
    raise SourceError(f"source {path} holds no metadata.jsonl, .jsonl or .parquet file; add one, a row a document")


def _load(loader: str, files: Sequence[Path], folder: str, name: str) -> Any:
    import datasets

    if loader == "imagefolder" and files[0].suffix == ".jsonl" and not _has_picture_column(files[0]):
        loader = "json"  # `datasets` refuses an imagefolder without any `file_name`; texts alone are fine with us
    # Explicit files: no globbing through a million pictures, no guessing of splits. Brackets in a path are no pattern.
    wanted = [re.sub(r"([\[\]*?])", r"[\1]", str(file.resolve())) for file in files]
    try:
        with _quiet(datasets):
            loaded = datasets.load_dataset(loader, data_files={"train": wanted}, split="train", cache_dir=folder)
            return _undecoded(loaded, datasets)
    except Exception as error:  # datasets, pyarrow and pandas each raise their own
        if loader == "imagefolder" and files[0].suffix == ".jsonl":
            # One row without pictures, or one that points outside, makes `datasets` give up the whole imagefolder. Its
            # rows are plain JSON: read as such, that row is the only one without a picture.
            return _load("json", files, folder, name)
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        if loader == "parquet" and "BatchSize must be greater than 0" in str(error):  # what it says of no rows at all
            raise SourceError(f"source {name} is empty; it needs at least one row") from None
        reason = _bad_line(files) or " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"source {name} cannot be read: {reason}; correct it and try again") from None


def _has_picture_column(metadata: Path) -> bool:
    with metadata.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"")
    return b"file_name" in first


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


def _bad_line(files: Sequence[Path]) -> str:
    """Names the first line that is not JSON, which pyarrow's messages do not."""
    for file in files:
        if file.suffix.lower() == ".jsonl":
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        json.loads(line or b"{}") if line.strip() else None
                    except ValueError as error:
                        return f"line {number} of {file.name} is not JSON ({error})"
    return ""


def _reference(value: Any, base: Path, id: str, name: str) -> PictureRef:
    if isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        if data is not None:
            return PictureRef(id, name, bytes(data))
        value = path
        if isinstance(path, str) and Path(path).is_absolute() and Path(path).is_relative_to(base.resolve()):
            return PictureRef(id, _shown(Path(path), base), Path(path))  # the imagefolder reader has resolved it
    if isinstance(value, (bytes, bytearray, memoryview)):
        return PictureRef(id, name, bytes(value))
    if not isinstance(value, str):
        return PictureRef(id, name, None, f"holds {type(value).__name__}, not a picture; give a path or bytes")
    relative = PurePosixPath(value.replace("\\", "/"))
    if "://" in value or relative.is_absolute() or PureWindowsPath(value).drive or ".." in relative.parts:
        return PictureRef(id, value, None, "leaves the folder of the source; put the picture beside the source's file")
    return PictureRef(id, str(relative), base / relative)


def _shown(path: Path, base: Path) -> str:
    return path.relative_to(base.resolve()).as_posix()
