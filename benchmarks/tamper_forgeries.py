"""Forged files for `benchmarks.tamper`: well-formed files of other content, and files that are made to be executed.

Each is put in place of a file of an index and hashed anew.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tamper_cases import Marker
from index.tables import DOCUMENTS, PICTURES, ROWS, documents_schema, pictures_schema

Rows = list[dict[str, Any]]


def forgeries(index: Path, marker: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """(file, what, how to make its bytes). `marker` is what a pickle would make if it were loaded."""
    yield from _tables(index)
    yield from _words(index, marker)
    yield from _vectors(index)
    executed = pickle.dumps(Marker(marker))
    for file in sorted(index.rglob("*")):
        if file.is_file() and file.suffix != ".json":
            yield file.relative_to(index).as_posix(), "is a pickle", lambda: executed


def _tables(index: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    import pyarrow as pa

    def read(name: str) -> Rows:
        with pa.memory_map(str(index / name)) as file:
            return pa.ipc.open_file(file).read_all().to_pylist()

    def write(rows: Rows, schema: Any, size: int = ROWS, **options: Any) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
            for start in range(0, len(rows), size):
                writer.write_batch(pa.RecordBatch.from_pylist(rows[start : start + size], schema))
        return sink.getvalue().to_pybytes()

    def edited(name: str, schema: Any, change: Callable[[Rows], Any]) -> Callable[[], bytes]:
        def how() -> bytes:
            rows = read(name)
            change(rows)
            return write(rows, schema)

        return how

    values: dict[str, Callable[[Rows], Any]] = {
        "ids descend": lambda rows: rows.reverse(),
        "an id twice": lambda rows: rows[1].update(id=rows[0]["id"]),
        "an empty id": lambda rows: rows[0].update(id=""),
        "an id of a megabyte": lambda rows: rows[-1].update(id="~" * 1_000_000),
        "ids with # and control characters": lambda rows: rows[0].update(id="\x00#\x1b[2J"),
        "a text of 20 MB": lambda rows: rows[0].update(text="word " * 4_000_000),
        "a row less": lambda rows: rows.pop(),
        "a row more": lambda rows: rows.append({**rows[-1], "id": "~~~"}),
        "no row": lambda rows: rows.clear(),
    }
    for what, change in values.items():
        yield DOCUMENTS, what, edited(DOCUMENTS, documents_schema(), change)
    of_pictures: dict[str, Callable[[Rows], Any]] = {
        f"owner {owner} in row {place}": lambda rows, owner=owner, place=place: rows[place].update(document=owner)
        for owner in (-1, -(2**63), 2**31, 2**63 - 1)
        for place in (0, -1)
    }
    of_pictures |= {
        "owners descend": lambda rows: rows.reverse(),
        "all of the first document": lambda rows: [row.update(document=0) for row in rows],
        "ids of other documents": lambda rows: [row.update(id=f"x#{place}") for place, row in enumerate(rows)],
        "one id for all": lambda rows: [row.update(id=rows[0]["id"]) for row in rows],
        "hashes that are none": lambda rows: [row.update(sha256="x") for row in rows],
        "sizes below zero": lambda rows: [row.update(width=-1, height=-(2**31)) for row in rows],
        "empty thumbnails": lambda rows: [row.update(thumbnail=b"") for row in rows],
        "thumbnails of noise": lambda rows: [row.update(thumbnail=bytes(range(256))) for row in rows],
        "thumbnails of 9 billion pixels": lambda rows: [row.update(thumbnail=bomb()) for row in rows],
        "a row less": lambda rows: rows.pop(),
        "no row": lambda rows: rows.clear(),
    }
    for what, change in of_pictures.items():
        yield PICTURES, what, edited(PICTURES, pictures_schema(), change)
    for name, schema in ((DOCUMENTS, documents_schema()), (PICTURES, pictures_schema())):
        loose = pa.schema([pa.field(each.name, each.type) for each in schema])
        missing = [*read(name)[:-1], {each: None for each in schema.names}]
        short = pa.schema([pa.field(each.name, pa.string() if each.name == "id" else each.type) for each in schema])
        yield name, "missing values", lambda rows=missing, schema=loose: write(rows, schema)
        yield name, "other types", lambda name=name, schema=short: write(read(name), schema)
        yield name, "a column less", lambda name=name, schema=schema: write(read(name), schema.remove(0))
        yield name, "batches of 7", lambda name=name, schema=schema: write(read(name), schema, 7)
        yield name, "compressed", lambda name=name, schema=schema: write(read(name), schema, compression="zstd")
        nested = pa.schema([("id", pa.list_(pa.list_(pa.list_(pa.int8()))))])
        yield name, "lists of lists", lambda schema=nested: write([{"id": [[[1]]]}], schema)
        yield (
            name,
            "metadata of 20 MB",
            lambda name=name, schema=schema: write(read(name), schema.with_metadata({"x": "y" * 20_000_000})),
        )
    yield (
        DOCUMENTS,
        "200 MB in a small file",
        lambda: write([{"id": "0", "title": "", "text": "\0" * 200_000_000}], documents_schema(), compression="zstd"),
    )


def _words(index: Path, marker: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    vocabulary = "text/vocab.index.json"
    words = json.loads((index / vocabulary).read_text())
    texts = {
        "nested": '{"a": ' + "[" * 200_000,
        "a list of 30 MB": '{"a": [' + "[]," * 10_000_000 + "[]]}",
        "a number of a million digits": '{"a": ' + "9" * 1_000_000 + "}",
        "no object": "[]",
        "nothing": "",
        "not UTF-8": '{"\udcff": 0}',
        "not a number": json.dumps({word: float("nan") for word in words}),
        "numbers below zero": json.dumps({word: -1 - place for word, place in words.items()}),
        "huge numbers": json.dumps({word: 2**40 + place for word, place in words.items()}),
        "true and false": json.dumps({word: bool(place) for word, place in words.items()}),
        "fractions": json.dumps({word: place + 0.5 for word, place in words.items()}),
        "a word less": json.dumps(dict(list(words.items())[1:])),
    }
    for what, text in texts.items():
        yield vocabulary, what, lambda text=text: text.encode("utf-8", "surrogateescape")
    params = json.loads((index / "text/params.index.json").read_text())
    changes: list[dict[str, Any]] = [
        {"num_docs": -1}, {"num_docs": 10**12}, {"num_docs": True}, {"dtype": "object"}, {"int_dtype": "U999999999"},
        {"backend": "numba"}, {"method": "bm25+"}, {"seed": 1}, {"auto_compile": True}, {"k1": None}, {"b": "0.75"},
    ]  # fmt: skip
    for change in changes:
        yield "text/params.index.json", f"{change}", lambda change=change: json.dumps({**params, **change}).encode()
    for name in ("data", "indices", "indptr"):
        file = f"text/{name}.csc.index.npy"
        array = np.load(index / file)
        for what, header in {
            "10^18 numbers": "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000,), }",
            "10^10 numbers": f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': (10000000000,), }}",
            "below zero": f"{{'descr': '{array.dtype.str}', 'fortran_order': False, 'shape': (-1,), }}",
            "code": "__import__('os').mkdir('" + str(marker) + "')",
            "nested header": "(" * 60_000,
            "words": "{'descr': '<U2000000000', 'fortran_order': False, 'shape': (1,), }",
        }.items():
            body = array.tobytes()
            yield file, what, lambda header=header, body=body: _npy(header) + body
        objects = io.BytesIO()
        np.save(objects, np.array([Marker(marker)], dtype=object), allow_pickle=True)
        yield file, "pickled objects", objects.getvalue
        for what, other in {
            "reversed": array[::-1],
            "two rows": np.stack([array, array]),
            "extremes": np.full_like(array, 2**31 - 1),
            "below zero ": np.full_like(array, -1),
            "complex": array.astype(np.complex64),
            "empty": array[:0],
        }.items():
            yield file, what, lambda other=other: _saved(other)


def _vectors(index: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    import faiss

    flat = faiss.read_index(str(index / "image.faiss"))
    rows, dimension = flat.ntotal, flat.d
    some = np.random.default_rng(0).standard_normal((max(rows, 1024), dimension)).astype(np.float32)
    for factory in ("IVF4,Flat", "HNSW8,Flat", "IDMap,Flat", "PCA8,Flat", "SQ8", "PQ4x4fs", "LSH", "Flat"):

        def how(factory: str = factory) -> bytes:
            made = faiss.index_factory(dimension, factory, faiss.METRIC_L2)
            made.train(some)
            if factory.startswith("IDMap"):
                made.add_with_ids(some[:rows], np.arange(rows) + 10**12)
            else:
                made.add(some[:rows])
            return faiss.serialize_index(made).tobytes()

        yield "image.faiss", f"another kind: {factory} by distance", how
    for what, matrix in {
        "not numbers": np.full((rows, dimension), np.nan, np.float32),
        "infinite": np.full((rows, dimension), np.inf, np.float32),
        "zeros": np.zeros((rows, dimension), np.float32),
        "huge": np.full((rows, dimension), 3e38, np.float32),
        "a row less": some[: max(0, rows - 1)],
        "shorter vectors": some[:rows, :-1],
    }.items():

        def flatly(matrix: np.ndarray = matrix) -> bytes:
            made = faiss.IndexFlatIP(matrix.shape[1])
            made.add(np.ascontiguousarray(matrix))
            return faiss.serialize_index(made).tobytes()

        yield "image.faiss", what, flatly


def _npy(header: str) -> bytes:
    data = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", min(len(data), 65535)) + data


def _saved(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def bomb(side: int = 96_000) -> bytes:
    """A PNG of a few hundred bytes that says that it is `side` pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )
