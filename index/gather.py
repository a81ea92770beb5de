"""Writes what a store holds as an index wants it: tables and vectors in the order of ids.

Rows were finished in the order of arrival. They are read back a few hundred at a time, so that neither texts nor
thumbnails nor vectors have to fit into memory.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from index.records import Document, Source, document_hash, source_fingerprint
from index.store import Store
from index.tables import DOCUMENTS, PICTURES, TableWriter, documents_schema, pictures_schema

RAW = "vectors.f32"
_ROWS = 256


@dataclasses.dataclass(frozen=True)
class Embedded:
    """What reading and embedding leave, beside the two tables in the folder.

    Attributes:
        matrix: float32 (pictures, dimension), rows as in `pictures.arrow`; a mapped view of `vectors.f32`.
        owners: int64 (pictures,): the row of the document that each picture belongs to, ascending.
        documents: how many there are.
        source: the source's fingerprint.
        skipped: `document`, `picture` and `reason` of every picture that could not be read.
        bare: how many documents have no readable picture.
        repeated: how many pictures have the pixels of another one.
        origins: how many different pictures were `embedded` now, `reused` from an index, `resumed` from a build that
            broke off.
    """

    matrix: np.ndarray
    owners: np.ndarray
    documents: int
    source: str
    skipped: Sequence[Mapping[str, str]]
    bare: int
    repeated: int
    origins: Mapping[str, int] = dataclasses.field(default_factory=dict)


def gather(store: Store, source: Source, folder: Path, dimension: int) -> Embedded:
    """Writes the tables and the matrix.

    Args:
        store: holds every row of the source, and every vector.
        source: says the order.
        folder: where to write.
        dimension: length of a vector.

    Raises:
        OSError: the disk refuses.
    """
    skipped: list[dict[str, str]] = []
    owners = array.array("q")
    used = np.zeros(store.count, bool)
    bare = 0
    numbers: list[int] = []

    def hashes() -> Iterator[tuple[str, str]]:
        nonlocal bare
        for place, row in enumerate(store.read_rows(source.order, _ROWS)):
            kept = []
            for picture in row["pictures"]:
                numbers.append(store.vectors[picture["sha256"]])
                kept.append(picture["sha256"].hex())
                pictures.add({**picture, "document": place, "sha256": kept[-1]})
            owners.extend([place] * len(kept))
            documents.add({name: row[name] for name in ("id", "title", "text")})
            skipped.extend({"document": row["id"], **each} for each in row["skipped"])
            bare += not kept
            if len(numbers) >= _ROWS:
                write()
            yield row["id"], document_hash(Document(row["id"], row["title"], row["text"]), kept)

    def write() -> None:
        # written, not mapped: on a full disk a mapped file kills the process
        raw.write(np.asarray(store.read_vectors(numbers), "<f4").tobytes())
        used[numbers] = True
        numbers.clear()

    with (
        TableWriter(folder / DOCUMENTS, documents_schema()) as documents,
        TableWriter(folder / PICTURES, pictures_schema()) as pictures,
        (folder / RAW).open("wb") as raw,
    ):
        fingerprint = source_fingerprint(hashes(), ordered=True)
        if numbers:
            write()
    return Embedded(
        matrix=raw_matrix(folder / RAW, len(owners), dimension, "r"),
        owners=np.frombuffer(owners, np.int64) if owners else np.zeros(0, np.int64),
        documents=len(source),
        source=fingerprint,
        skipped=skipped,
        bare=bare,
        repeated=len(owners) - int(used.sum()),
        origins=store.origins(used),
    )


def raw_matrix(file: Path, rows: int, dimension: int, mode: str) -> np.ndarray:
    """Maps little-endian float32 (rows, dimension) without a header; `mode` as of `numpy.memmap`."""
    if rows:
        return np.memmap(file, "<f4", mode, shape=(rows, dimension))  # type: ignore[call-overload]
    file.touch()  # nothing cannot be mapped
    return np.zeros((0, dimension), np.float32)
