"""What a FAISS file says of itself, read before FAISS reads it.

FAISS files carry no checksum, and FAISS believes the counts in them. A hash only proves that a file is the one that its
manifest names; whoever wrote the manifest may have written the file. So every count of the four kinds that we write is
compared here with what the index's options and tables say it must be, and the lengths must add up to the file's size
to the byte. The layouts are those of FAISS 1.15 (`impl/index_write.cpp`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from index.errors import IntegrityError

FOURCC = {"flat": b"IxFI", "ivf-sq8": b"IwSq", "ivf-pq": b"IwPQ", "hnsw": b"IHNs"}
HEADER = struct.Struct("<4siqqq?i")  # fourcc, dimension, rows, two unused, trained, metric
INNER_PRODUCT = 0
SQ8 = 0  # faiss.ScalarQuantizer.QT_8bit


def check_file(file: Path, kind: str, rows: int, dimension: int, parameters: Mapping[str, Any]) -> None:
    """Compares a file's own counts with what it must hold.

    Args:
        file: a FAISS file whose hash has been checked.
        kind: one of `FOURCC`.
        rows: how many vectors.
        dimension: their length.
        parameters: of the kind, see `index.choose.Plan`.

    Raises:
        IntegrityError: it is another kind of file, or its counts lie.
    """
    try:
        with file.open("rb") as data:
            walk = _Walk(data, rows, dimension)
            {"flat": _flat, "ivf-sq8": _ivf, "ivf-pq": _ivf, "hnsw": _hnsw}[kind](walk, kind, parameters)
            walk.expect("length", data.tell(), walk.size)
    except (OSError, KeyError, TypeError, ValueError, struct.error) as error:
        reason = " ".join(str(error).split())[:120]
        raise IntegrityError(
            f"{file} is not a {kind} FAISS index of {rows} pictures ({reason}); build the index again"
        ) from None


class _Walk:
    """A cursor over a file that never leaves it."""

    def __init__(self, data: BinaryIO, rows: int, dimension: int) -> None:
        self.data = data
        self.size = os.fstat(data.fileno()).st_size
        self.rows = rows
        self.dimension = dimension

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise ValueError(f"{what}: {found!r} instead of {wanted!r}")

    def read(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + layout)
        return struct.unpack("<" + layout, self.data.read(size))

    def skip(self, count: int, size: int) -> None:
        if not 0 <= count <= (self.size - self.data.tell()) // size:
            raise ValueError(f"it breaks off: {count} items of {size} bytes")
        self.data.seek(count * size, os.SEEK_CUR)

    def vector(self, what: str, size: int, wanted: int) -> None:
        """Passes a vector of `wanted` items of `size` bytes."""
        (count,) = self.read("Q")
        self.expect(what, count, wanted)
        self.skip(count, size)

    def numbers(self, kind: str) -> np.ndarray:
        """Reads a vector of numbers."""
        (count,) = self.read("Q")
        size = np.dtype(kind).itemsize
        if count > (self.size - self.data.tell()) // size:
            raise ValueError(f"it breaks off: {count} numbers")
        return np.frombuffer(self.data.read(count * size), kind)

    def header(self, fourcc: bytes, rows: int) -> None:
        found = HEADER.unpack(self.data.read(HEADER.size))
        self.expect("kind, dimension, rows", found[:3], (fourcc, self.dimension, rows))
        self.expect("trained, metric", found[5:], (True, INNER_PRODUCT))


def _flat(walk: _Walk, kind: str, parameters: Mapping[str, Any], rows: int | None = None) -> None:
    rows = walk.rows if rows is None else rows
    walk.header(FOURCC["flat"], rows)
    walk.vector("numbers", 4, rows * walk.dimension)


def _scalar(walk: _Walk) -> None:
    kind, _, _ = walk.read("iif")
    walk.expect("quantizer", (kind, *walk.read("QQ")), (SQ8, walk.dimension, walk.dimension))
    walk.vector("ranges", 4, 2 * walk.dimension)


def _ivf(walk: _Walk, kind: str, parameters: Mapping[str, Any]) -> None:
    walk.header(FOURCC[kind], walk.rows)
    lists = parameters["lists"]
    walk.expect("lists", walk.read("QQ")[0], lists)
    _flat(walk, "flat", parameters, lists)
    walk.expect("direct map", walk.read("bQ"), (0, 0))
    if kind == "ivf-sq8":
        code = walk.dimension
        _scalar(walk)
        walk.expect("code, residual", walk.read("Q?"), (code, True))
    else:
        code = parameters["bytes"]
        walk.expect("residual, code", walk.read("?Q"), (True, code))
        walk.expect("product quantizer", walk.read("QQQ"), (walk.dimension, code, 8))
        walk.vector("codebooks", 4, 256 * walk.dimension)
    walk.expect("inverted lists", (walk.data.read(4), *walk.read("QQ")), (b"ilar", lists, code))
    layout = walk.data.read(4)
    sizes = walk.numbers("<u8")
    if layout == b"full":
        walk.expect("sizes of lists", len(sizes), lists)
    elif layout == b"sprs":
        places, sizes = sizes[::2], sizes[1::2]
        if len(places) != len(sizes) or len(np.unique(places)) != len(places) or (places >= lists).any():
            raise ValueError("lists that are not there")
    else:
        raise ValueError(f"inverted lists of the kind {layout!r}")
    if (sizes > walk.rows).any():
        raise ValueError("a list is longer than the index")
    walk.expect("rows in lists", int(sizes.sum()), walk.rows)
    walk.skip(walk.rows, code + 8)


def _hnsw(walk: _Walk, kind: str, parameters: Mapping[str, Any]) -> None:
    rows, links = walk.rows, parameters["links"]
    walk.header(FOURCC[kind], rows)
    (count,) = walk.read("Q")
    walk.skip(count, 8)  # the probability of each level
    expected = np.cumsum([0, 2 * links] + [links] * (count - 1)) if count else np.zeros(1)
    per_level = walk.numbers("<i4")
    if count > 64 or not np.array_equal(per_level, expected):
        raise ValueError("levels that do not grow by the number of links")
    levels, offsets, neighbours = walk.numbers("<i4"), walk.numbers("<u8"), walk.numbers("<i4")
    entry, top, _, _, _ = walk.read("iiiii")
    if len(levels) != rows or levels.min(initial=1) < 1 or levels.max(initial=1) > count:
        raise ValueError("points on levels that are not there")
    places = np.concatenate([[0], np.cumsum(per_level[levels])])
    if not np.array_equal(offsets, places) or len(neighbours) != places[-1]:
        raise ValueError("links do not lie where they should")
    if neighbours.min(initial=0) < -1 or neighbours.max(initial=-1) >= rows:
        raise ValueError("links to points that are not there")
    walk.expect("top level", top, int(levels.max(initial=0)) - 1)
    if not -1 <= entry < rows or (entry >= 0 and levels[entry] != top + 1):
        raise ValueError("the entry point is not at the top")
    walk.header(b"IxSQ", rows)
    _scalar(walk)
    walk.vector("codes", 1, rows * walk.dimension)
