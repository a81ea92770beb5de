"""Makes the files of a vector index, piece by piece, so that no matrix has to fit into memory.

- A flat file is FAISS's header and the rows, streamed.
- What has to be trained is trained on a seeded sample: the lists' centres by all threads (`index.kmeans`), codes by
  one, for FAISS adds up in another order with more.
- Lists are assigned by as many threads as FAISS may use, each piece by a single one: pieces do not depend on how many
  there are. The lists get their final length before they are filled, so that nothing is moved and copied.
- Points of a graph are added by one thread: the graph depends on the order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from index.choose import Plan
from index.faiss_file import FOURCC, HEADER, INNER_PRODUCT
from index.kmeans import centres, nearest
from index.vectors import PIECE, RAW, VECTORS, advise, piece, pieces

_HIDDEN = 1 << 20  # what FAISS writes into two unused fields
_CONSTRUCTION = 80
_ITERATIONS = 10


def write_vectors(matrix: np.ndarray, folder: Path, plan: Plan) -> None:
    """Writes `image.faiss`, and `vectors.f32` where that is not exact.

    Args:
        matrix: float32 (pictures, dimension) unit vectors, mapped where they are many; it may be `vectors.f32` itself.
        folder: where to write.
        plan: what `index.choose.choose` picked.
    """
    import faiss

    raw = folder / RAW
    if plan.kind == "flat":
        _write_flat(matrix, folder / VECTORS)
        raw.unlink(missing_ok=True)  # the flat file holds the very same rows
        return
    if not raw.is_file():
        with raw.open("wb") as file:
            for rows in pieces(matrix):
                file.write(rows.astype("<f4", copy=False).data)
    index = _trained(matrix, plan)
    with one_thread():
        if plan.kind == "hnsw":
            for rows in pieces(matrix):
                index.add(rows)
    if plan.kind != "hnsw":
        _fill(index, matrix, plan)
    faiss.write_index(index, str(folder / VECTORS))


def _write_flat(matrix: np.ndarray, file: Path) -> None:
    rows, dimension = matrix.shape
    with file.open("wb") as data:
        data.write(HEADER.pack(FOURCC["flat"], dimension, rows, _HIDDEN, _HIDDEN, True, INNER_PRODUCT))
        data.write((rows * dimension).to_bytes(8, "little"))
        for each in pieces(matrix):
            data.write(each.astype("<f4", copy=False).data)


def _trained(matrix: np.ndarray, plan: Plan) -> Any:
    import faiss

    rows, dimension = matrix.shape
    parameters = plan.parameters
    metric, trained = faiss.METRIC_INNER_PRODUCT, parameters["trained"]
    index: Any
    if plan.kind == "hnsw":
        scalar: Any = faiss.ScalarQuantizer.QT_8bit
        index = faiss.IndexHNSWSQ(dimension, scalar, parameters["links"], metric)
        index.hnsw.efConstruction = _CONSTRUCTION
        index.hnsw.efSearch = parameters["nprobe"]
    else:
        coarse, lists = faiss.IndexFlatIP(dimension), parameters["lists"]
        if plan.kind == "ivf-sq8":
            scalar = faiss.ScalarQuantizer.QT_8bit
            index = faiss.IndexIVFScalarQuantizer(coarse, dimension, lists, scalar, metric)
        else:
            index = faiss.IndexIVFPQ(coarse, dimension, lists, parameters["bytes"], 8, metric)
            _settle(index.pq.cp, trained, parameters["seed"])
        index.nprobe = parameters["nprobe"]
    places = np.random.default_rng([parameters["seed"], rows]).choice(rows, trained, replace=False)
    sample = _rows(matrix, np.sort(places))
    if plan.kind != "hnsw":
        coarse.add(centres(sample, lists, _ITERATIONS, parameters["seed"]))  # then FAISS trains nothing but the codes
    with one_thread():
        index.train(sample)
    return index


def _rows(matrix: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Some rows, float32; what of a mapped matrix was read on the way is forgotten."""
    taken = np.empty((len(places), matrix.shape[1]), np.float32)
    for start in range(0, len(places), PIECE):
        taken[start : start + PIECE] = matrix[places[start : start + PIECE]]
        advise(matrix, "MADV_DONTNEED")
    return taken


def _settle(clustering: Any, trained: int, seed: int) -> None:
    """All that was sampled is used, from a stated seed."""
    clustering.seed = seed
    clustering.niter = _ITERATIONS
    clustering.min_points_per_centroid = 1
    clustering.max_points_per_centroid = max(1, trained)


def _fill(index: Any, matrix: np.ndarray, plan: Plan) -> None:
    import faiss

    lists = nearest(index.quantizer, matrix)
    for place, size in enumerate(np.bincount(lists, minlength=plan.parameters["lists"]).tolist()):
        index.invlists.resize(place, size)  # room for all of them, once
        index.invlists.resize(place, 0)
    for start in range(0, len(matrix), PIECE):
        rows = piece(matrix, start)
        ids = np.arange(start, start + len(rows), dtype=np.int64)
        mine = lists[start : start + PIECE]
        index.add_core(len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(ids), faiss.swig_ptr(mine))
    index.ntotal = len(matrix)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """FAISS uses one thread within the block."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
