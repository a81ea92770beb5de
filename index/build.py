"""Builds a sealed index: read, embed, index, measure, seal.

- One pass over the pictures, batch by batch; only vectors and hashes stay in memory.
- Pictures with equal pixels are embedded once, so that equal pictures tie exactly, whatever batch they would have
  been in.
- A picture that cannot be read is skipped with a line in `report.json` and on the screen; its document stays, by
  its text.
- Rows are written in the order of ids and in row groups of a fixed size, so that bytes do not depend on batch size
  or on the order in which the source listed its files.

The command is `python -m gog_env.build_index`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from index import seal
from index.encoder import Encoder, load_encoder
from index.errors import SourceError
from index.images import picture_hash
from index.knowledge import DOCUMENTS, PICTURES, TEXT, VECTORS, thumbnail_png
from index.progress import watched
from index.records import Document, Source, document_hash, read_source, source_fingerprint
from index.text import OPTIONS, TextIndex
from index.vectors import Vectors

THUMBNAIL_SIDE = 96
ROW_GROUP = 256
MEASURED = 1000


def build_index(
    source: str | Path | Source,
    out: str | Path,
    encoder: str | Path | Encoder = "nano",
    batch_size: int = 64,
    columns: Mapping[str, str] | None = None,
    force: bool = False,
    progress: bool = True,
    device: str | None = None,
) -> Path:
    """Builds and seals an index.

    Args:
        source: a knowledge source (see `read_source`).
        out: the folder to make. It must not exist, unless it is an index and `force` is given.
        encoder: a loaded encoder, or where to load it from (see `load_encoder`).
        batch_size: pictures embedded at once; speed and memory only.
        columns: see `read_source`.
        force: replace the index at `out`.
        progress: show how far it is (see `watched`), and a line for every picture that is skipped.
        device: a torch device for the encoder; None is the CPU.

    Returns:
        `out`.

    Raises:
        SourceError: the source cannot be used.
        EncoderError: the encoder cannot be loaded.
        IntegrityError: `out` is taken.
    """
    out = Path(out).expanduser()
    seal.check_target(out, force)
    started = time.perf_counter()
    if not isinstance(source, Source):
        source = read_source(source, columns)
    if not isinstance(encoder, Encoder):
        encoder = load_encoder(encoder, device)
    seconds = {"read": time.perf_counter() - started}

    with seal.publishing(out, force) as folder:
        embedded = _timed(seconds, "embed", lambda: _embed(source, encoder, folder, batch_size, progress))
        vectors, text = _timed(seconds, "index", lambda: _index(embedded, folder, encoder.dimension))
        measured = _timed(seconds, "measure", lambda: _measure(embedded, vectors, text))
        source_print = source_fingerprint(zip(embedded.ids, embedded.hashes, strict=True))
        options = index_options(encoder)
        counts = {"documents": len(embedded.ids), "pictures": len(vectors)}
        spec = {"spec": _lasting(encoder.spec), "fingerprint": encoder.fingerprint, "dimension": encoder.dimension}
        fingerprint = seal.index_fingerprint(source_print, encoder.fingerprint, options)
        report = {
            "fingerprint": fingerprint,
            "source": str(source.path),
            "kept": counts,
            "skipped": embedded.skipped,
            "documents_without_picture": embedded.bare,
            "pictures_repeated": len(vectors) - len(set(embedded.pictures)),
            "recall@1": measured,
            "batch_size": batch_size,
            "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        }
        seal.write_report(folder, report)
        seal.seal(folder, seal.Manifest(fingerprint, source_print, spec, options, counts))
    return out


def index_options(encoder: Encoder) -> dict[str, Any]:
    """What decides an index's answers beside its source and the encoder's vectors; part of its fingerprint."""
    return {"thumbnail": THUMBNAIL_SIDE, "text": OPTIONS, "text_search": encoder.text_search}


class _Embedded:
    """What one pass over a source leaves; lists hold one entry a document, or one a kept picture."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.texts: list[str] = []
        self.hashes: list[str] = []
        self.owners: list[int] = []
        self.pictures: list[str] = []
        self.vectors: dict[str, np.ndarray] = {}
        self.skipped: list[dict[str, str]] = []
        self.bare = 0


def _embed(source: Source, encoder: Encoder, folder: Path, batch_size: int, progress: bool) -> _Embedded:
    import pyarrow as pa
    import pyarrow.parquet as parquet
    from tqdm import tqdm

    done = _Embedded()
    batch: dict[str, Image.Image] = {}
    rows: list[dict[str, Any]] = []
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("document", pa.int64()),
            ("sha256", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("thumbnail", pa.binary()),
        ]
    )

    def encode() -> None:
        if batch:
            done.vectors.update(zip(batch, encoder.encode_images(list(batch.values()), batch_size), strict=True))
            batch.clear()

    with parquet.ParquetWriter(folder / PICTURES, schema) as writer:
        for row, document in enumerate(watched(source, "embedding", len(source), "document", progress)):
            kept = []
            for reference in document.pictures:
                try:
                    picture = reference.open()
                except SourceError as error:
                    problem = str(error)
                    done.skipped.append({"document": document.id, "picture": reference.id, "reason": problem})
                    if progress:
                        tqdm.write(f"skipped a picture of document {document.id}: {problem}")
                    continue
                digest = picture_hash(picture)
                kept.append(digest)
                if digest not in done.vectors:
                    batch[digest] = picture
                size = {"width": picture.width, "height": picture.height}
                png = thumbnail_png(picture, THUMBNAIL_SIDE)
                rows.append({"id": reference.id, "document": row, "sha256": digest, **size, "thumbnail": png})
                if len(batch) >= batch_size:
                    encode()
                if len(rows) == ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows.clear()
            _keep(done, document, kept, row)
        encode()
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))
    return done


def _keep(done: _Embedded, document: Document, kept: list[str], row: int) -> None:
    done.ids.append(document.id)
    done.titles.append(document.title)
    done.texts.append(document.text)
    done.hashes.append(document_hash(document, kept))
    done.owners += [row] * len(kept)
    done.pictures += kept
    done.bare += not kept


def _index(done: _Embedded, folder: Path, dimension: int) -> tuple[Vectors, TextIndex]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table({"id": done.ids, "title": done.titles, "text": done.texts})
    parquet.write_table(table, folder / DOCUMENTS)
    matrix = np.zeros((len(done.pictures), dimension), np.float32)
    for place, digest in enumerate(done.pictures):
        matrix[place] = done.vectors[digest]
    vectors = Vectors.build(matrix, np.asarray(done.owners, dtype=np.int64))
    vectors.save(folder / VECTORS)
    text = TextIndex.build(zip(done.titles, done.texts, strict=True))
    text.save(folder / TEXT)
    return vectors, text


def _measure(done: _Embedded, vectors: Vectors, text: TextIndex) -> dict[str, Any]:
    """How often a picture, and a title, finds its own document first; on at most `MEASURED` of each, evenly spaced.

    Pictures fall short of 1 only where documents share one.
    """
    places = np.unique(np.linspace(0, max(0, len(vectors) - 1), min(MEASURED, len(vectors))).astype(int))
    found = [hits[0][0] for hits in vectors.search(vectors.matrix[places], 1)]
    own = float(np.mean(np.asarray(found) == vectors.owners[places])) if len(places) else None
    rows = np.unique(np.linspace(0, len(done.ids) - 1, min(MEASURED, len(done.ids))).astype(int))
    named = [hits[0][0] if hits else -1 for hits in text.search([done.titles[row] for row in rows], 1)]
    titled = float(np.mean(np.asarray(named) == rows))
    return {"picture": own, "pictures_measured": len(places), "title": titled, "titles_measured": len(rows)}


def _lasting(spec: str) -> str:
    """The encoder's name as another process, in another folder, can use it."""
    if spec == "nano":
        return spec
    if Path(spec).is_dir():
        return os.path.abspath(spec)
    name, _, weights = spec.partition(":")
    path = Path(weights).expanduser()
    return f"{name}:{os.path.abspath(path)}" if weights and path.is_file() else spec


def _timed(seconds: dict[str, float], stage: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    result = work()
    seconds[stage] = time.perf_counter() - started
    return result
