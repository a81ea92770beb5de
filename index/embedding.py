"""Reads a source and embeds its pictures: what a build does before there is anything to search.

- One pass over the pictures, batch by batch; only vectors and hashes stay in memory.
- Pictures with equal pixels are embedded once, so that equal pictures tie exactly, whatever batch they would have
  been in.
- A picture that cannot be read is skipped with a line in `report.json` and on the screen; its document stays, by
  its text.
- Rows are written in the order of ids and in batches of a fixed size (see `index.tables`), so that bytes do not depend
  on batch size or on the order in which the source listed its files.

It leaves in a folder `documents.arrow`, `pictures.arrow` and `vectors.f32`; `index.build` goes on from there.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from index.encoder import Encoder
from index.errors import SourceError
from index.images import picture_hash
from index.progress import watched
from index.records import Source, document_hash, source_fingerprint
from index.tables import DOCUMENTS, PICTURES, TableWriter, documents_schema, pictures_schema
from index.vectors import RAW, open_matrix

THUMBNAIL_SIDE = 96


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
    """

    matrix: np.ndarray
    owners: np.ndarray
    documents: int
    source: str
    skipped: Sequence[Mapping[str, str]]
    bare: int
    repeated: int


def embed(source: Source, encoder: Encoder, folder: Path, batch_size: int, progress: bool) -> Embedded:
    """Reads and embeds a source into a folder.

    Args:
        source: the documents.
        encoder: makes unit vectors of pictures.
        folder: where the tables and the vectors are written.
        batch_size: pictures embedded at once; speed and memory only.
        progress: show how far it is, and a line for every picture that is skipped.

    Raises:
        SourceError: the source cannot be read.
    """
    from tqdm import tqdm

    known: dict[str, np.ndarray] = {}
    batch: dict[str, Image.Image] = {}
    owners: list[int] = []
    digests: list[str] = []
    hashes: list[tuple[str, str]] = []
    skipped: list[dict[str, str]] = []
    bare = 0

    def encode() -> None:
        if batch:
            known.update(zip(batch, encoder.encode_images(list(batch.values()), batch_size), strict=True))
            batch.clear()

    with (
        TableWriter(folder / DOCUMENTS, documents_schema()) as documents,
        TableWriter(folder / PICTURES, pictures_schema()) as pictures,
    ):
        for row, document in enumerate(watched(source, "embedding", len(source), "document", progress)):
            kept = []
            for reference in document.pictures:
                try:
                    picture = reference.open()
                except SourceError as error:
                    problem = str(error)
                    skipped.append({"document": document.id, "picture": reference.id, "reason": problem})
                    if progress:
                        tqdm.write(f"skipped a picture of document {document.id}: {problem}")
                    continue
                digest = picture_hash(picture)
                kept.append(digest)
                if digest not in known:
                    batch[digest] = picture
                size = {"width": picture.width, "height": picture.height}
                png = thumbnail_png(picture, THUMBNAIL_SIDE)
                pictures.add({"id": reference.id, "document": row, "sha256": digest, **size, "thumbnail": png})
                if len(batch) >= batch_size:
                    encode()
            documents.add({"id": document.id, "title": document.title, "text": document.text})
            hashes.append((document.id, document_hash(document, kept)))
            owners += [row] * len(kept)
            digests += kept
            bare += not kept
        encode()
    matrix = open_matrix(folder / RAW, len(digests), encoder.dimension, "w+")
    for place, digest in enumerate(digests):
        matrix[place] = known[digest]
    return Embedded(
        matrix=matrix,
        owners=np.asarray(owners, dtype=np.int64),
        documents=len(hashes),
        source=source_fingerprint(hashes, ordered=True),
        skipped=skipped,
        bare=bare,
        repeated=len(digests) - len(set(digests)),
    )


def thumbnail_png(picture: Image.Image, side: int = THUMBNAIL_SIDE) -> bytes:
    """A picture as PNG, shrunk to a longest side of `side` pixels, never enlarged."""
    small = picture.copy()
    small.thumbnail((side, side), Image.Resampling.BICUBIC)
    data = io.BytesIO()
    small.save(data, "PNG")
    return data.getvalue()
