"""What the files of an index say, and whether they fit together; bytes have been checked against the manifest before.

- Tables: every value is there and readable, ids ascend, every picture belongs to a document and has its name, hash,
  size and thumbnail; documents and pictures hash to the source that the manifest claims.
- Vectors: one for each picture, of the encoder's length, finite, of length 1.
- Words: the arrays fit together, and a sample of documents is found under each of its words.
- One problem is said once, with how many rows have it and the first of them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from index import seal
from index.checks import AGAIN, Findings, Problem, told
from index.errors import GoGError
from index.knowledge import TEXT, required_files, vector_options
from index.records import Document, document_hash, source_fingerprint
from index.tables import DOCUMENTS, PICTURES, Table, documents_schema, pictures_schema
from index.text import TextIndex
from index.vectors import PIECE, RAW, UNIT, VECTORS, Vectors, piece

SAMPLED = 1000
"""Documents that are looked up by their words."""
_HEX = re.compile(r"[0-9a-f]{64}")


class Tally:
    """Counts what is wrong with rows, by kind, and keeps the first row of each."""

    def __init__(self, file: str) -> None:
        """Of one file."""
        self._file = file
        self._seen: dict[str, tuple[int, str]] = {}

    def note(self, kind: str, where: str) -> None:
        """One row."""
        count, first = self._seen.get(kind, (0, where))
        self._seen[kind] = (count + 1, first)

    def problems(self) -> Iterator[Problem]:
        """One for each kind."""
        for kind, (count, first) in self._seen.items():
            yield Problem(self._file, f"{kind}: {count:,} row{'s' * (count > 1)}, the first is {first}", AGAIN)


def look_into(
    path: Path, manifest: seal.Manifest, report: Mapping[str, Any], damaged: Collection[str], found: Findings
) -> Iterator[Problem]:
    """Checks what the files say.

    Args:
        path: the folder.
        manifest: read and checked.
        report: as `seal.read_report`; empty where it is damaged.
        damaged: files that are not to be read.
        found: takes the numbers of rows that were looked at.
    """
    required = required_files(manifest.options)
    for name in required:
        if name not in manifest.files:
            yield Problem(seal.MANIFEST, f"does not name {name}", AGAIN)
    if report and report.get("kept") != dict(manifest.counts):
        yield Problem(seal.REPORT, f"counts {report.get('kept')} instead of {dict(manifest.counts)}", AGAIN)
    usable = {name for name in required if name in manifest.files and name not in damaged}
    documents, problems = _table(path, DOCUMENTS, documents_schema(), manifest.counts["documents"], usable)
    yield from problems
    pictures, problems = _table(path, PICTURES, pictures_schema(), manifest.counts["pictures"], usable)
    yield from problems
    if documents:
        found.documents = documents.rows
    if documents and pictures:
        found.pictures = pictures.rows
        yield from _rows(documents, pictures, manifest)
    if pictures and all(name in usable for name in required if name in (VECTORS, RAW)):
        yield from _vectors(path, manifest, pictures.numbers(1))
    if documents and all(name in usable for name in required if name.startswith(TEXT)):
        yield from _words(path, documents)


def _table(path: Path, name: str, schema: Any, rows: int, usable: set[str]) -> tuple[Table | None, list[Problem]]:
    if name not in usable:
        return None, []
    try:
        table = Table(path / name, schema, rows)
        table.check()
    except GoGError as error:
        return None, [told(error, path, name)]
    return table, []


def _rows(documents: Table, pictures: Table, manifest: seal.Manifest) -> Iterator[Problem]:
    """Both tables, side by side, in one pass."""
    of_documents, of_pictures = Tally(DOCUMENTS), Tally(PICTURES)
    side = manifest.options.get("thumbnail")
    side = side if type(side) is int and side > 0 else 1 << 12
    rows = enumerate(zip(*(pictures.column(place) for place in range(6)), strict=True))
    waiting = next(rows, None)

    def hashes() -> Iterator[tuple[str, str]]:
        nonlocal waiting
        last = None
        columns = (documents.column(place) for place in range(3))
        for row, (id, title, text) in enumerate(zip(*columns, strict=True)):
            if not id:
                of_documents.note("id is empty", f"row {row}")
            if last is not None and id <= last:
                of_documents.note("ids do not ascend", f"row {row}, {id!r} after {last!r}"[:160])
            last = id
            mine: dict[str, str] = {}
            while waiting is not None and waiting[1][1] <= row:
                place, picture = waiting
                _picture(f"row {place}", picture, row, id, mine, side, of_pictures)
                waiting = next(rows, None)
            yield id, document_hash(Document(id, title, text), mine.values())

    source = source_fingerprint(hashes(), ordered=True)
    while waiting is not None:  # their documents come after the last one
        of_pictures.note("document is out of range", f"row {waiting[0]}, document {waiting[1][1]}")
        waiting = next(rows, None)
    yield from of_documents.problems()
    yield from of_pictures.problems()
    if source != manifest.source:
        problem = f"documents and pictures are others: their fingerprint is {source[:12]} instead of"
        yield Problem(DOCUMENTS, f"{problem} {manifest.source[:12]} (with {PICTURES})", AGAIN)


def _picture(where: str, picture: tuple, row: int, document: str, mine: dict[str, str], side: int, to: Tally) -> None:
    id, owner, digest, width, height, thumbnail = picture
    if owner != row:
        to.note("document is out of range or out of order", f"{where}, document {owner}")
    elif id in mine:
        to.note("id occurs twice", f"{where}, {id!r}"[:120])
    elif id.rpartition("#")[0] != document:
        to.note("id is not of its document", f"{where}, {id!r} of {document!r}"[:160])
    mine[id] = digest
    if not _HEX.fullmatch(digest):
        to.note("sha256 is no SHA-256", where)
    if width < 1 or height < 1:
        to.note("size is no size", f"{where}, {width}x{height}")
    reason = _thumbnail(thumbnail, width, height, side)
    if reason:
        to.note(f"thumbnail {reason}", where)


def _thumbnail(data: bytes, width: int, height: int, side: int) -> str | None:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if max(picture.size) > side or picture.width > width or picture.height > height:
                return "is too large"  # not decoded: it may be a bomb
            picture.load()
            return None if picture.mode == "RGB" else "is not RGB"
    except Exception:  # decoders fail in many ways on hostile bytes
        return "is no PNG"


def _vectors(path: Path, manifest: seal.Manifest, owners: np.ndarray) -> Iterator[Problem]:
    try:
        vectors = Vectors.open(path, vector_options(manifest.options), owners, manifest.encoder["dimension"])
    except GoGError as error:
        yield told(error, path, VECTORS)
        return
    tally = Tally(VECTORS if vectors.exact else RAW)
    for start in range(0, len(vectors), PIECE):
        rows = piece(vectors.matrix, start).astype(np.float64)
        for place in np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist():
            tally.note("vector is not finite", f"row {start + place}")
        lengths = np.sqrt(np.square(rows).sum(axis=1))
        for place in np.flatnonzero(np.isfinite(lengths) & (abs(lengths - 1) > UNIT)).tolist():
            tally.note("vector is not of length 1", f"row {start + place}, length {lengths[place]:.4f}")
    problems = list(tally.problems())
    yield from problems
    if not problems:
        try:
            vectors.check(path)
        except GoGError as error:
            yield told(error, path, VECTORS)


def _words(path: Path, documents: Table) -> Iterator[Problem]:
    try:
        text = TextIndex.open(path / TEXT, documents.rows)
        text.check(path / TEXT)
    except GoGError as error:
        yield told(error, path, TEXT)
        return
    tally = Tally(TEXT)
    for row in np.unique(np.linspace(0, documents.rows - 1, min(SAMPLED, documents.rows)).astype(int)).tolist():
        if not text.holds(row, documents.value(1, row), documents.value(2, row)):
            tally.note("document is not found under all of its words", f"row {row}")
    yield from tally.problems()
