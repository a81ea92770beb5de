"""Spherical k-means that any number of cores share, with the same centres to the bit on one of them and on sixty-four.

    centres(rows, count, iterations=10, seed=0)      # (count, dimension), unit length

FAISS's own adds up in another order with every number of threads, and on one it takes an hour for 16,384 centres. Here
pieces of one fixed size are assigned, each by one FAISS thread, and summed up by themselves; the sums of the
pieces are added in their order. The rules are FAISS's (`Clustering`, `spherical`; facebookresearch/faiss at v1.15.1,
faiss/Clustering.cpp): centres begin as rows of the sample; a centre that nobody is nearest to becomes half of a full
one, both moved apart a little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from index.vectors import PIECE, piece

#: How far the halves of a centre are moved apart, relative to each number: FAISS's.
_APART = 1 / 1024
T = TypeVar("T")


def in_pieces(matrix: np.ndarray, work: Callable[[int], T]) -> Iterator[T]:
    """What `work` makes of each piece, by its first row, in order; as many at once as FAISS may use threads."""
    import faiss

    # OpenMP counts threads by thread: each worker is told for itself.
    with ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=faiss.omp_set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(work, range(0, len(matrix), PIECE))


def nearest(coarse: Any, matrix: np.ndarray) -> np.ndarray:
    """The number of the centre that each row is nearest to, int64 (rows,).

    Args:
        coarse: a FAISS index of the centres.
        matrix: float32 (rows, dimension), mapped where it is large.
    """
    found = in_pieces(matrix, lambda start: coarse.search(piece(matrix, start), 1)[1][:, 0])
    return np.concatenate([np.empty(0, np.int64), *found])


def centres(rows: np.ndarray, count: int, iterations: int, seed: int) -> np.ndarray:
    """Centres that rows are near to by inner product.

    Args:
        rows: float32 (rows, dimension), of unit length, at least `count`.
        count: how many centres.
        iterations: how often they move.
        seed: of the rows that they begin as.

    Returns:
        float32 (count, dimension), of unit length.
    """
    import faiss

    draw = np.random.default_rng([seed, count, len(rows)])
    found = _unit(rows[np.sort(draw.choice(len(rows), count, replace=False))].astype(np.float64))
    for _ in range(iterations):
        coarse = faiss.IndexFlatIP(rows.shape[1])
        coarse.add(found)
        sums, sizes = _sums(coarse, rows, count)
        full = sizes > 0
        sums[full] /= sizes[full, None]
        _halve(sums, sizes)
        found = _unit(sums)
    return found


def _sums(coarse: Any, rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the rows that are nearest to each centre (float64), and how many they are."""

    def of_piece(start: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        some = piece(rows, start)
        mine = coarse.search(some, 1)[1][:, 0]
        order = np.argsort(mine, kind="stable")
        who, first, size = np.unique(mine[order], return_index=True, return_counts=True)
        return who, np.add.reduceat(some[order], first, axis=0, dtype=np.float64), size

    sums, sizes = np.zeros((count, rows.shape[1])), np.zeros(count, np.int64)
    for who, part, size in in_pieces(rows, of_piece):
        sums[who] += part
        sizes[who] += size
    return sums, sizes


def _halve(means: np.ndarray, sizes: np.ndarray) -> None:
    """Gives each centre without rows half of the one that has most of them, in place."""
    for empty in np.flatnonzero(sizes == 0).tolist():
        full = int(sizes.argmax())
        means[empty] = means[full]
        means[empty, 0::2] *= 1 + _APART
        means[empty, 1::2] *= 1 - _APART
        means[full, 0::2] *= 1 - _APART
        means[full, 1::2] *= 1 + _APART
        sizes[empty] = sizes[full] // 2
        sizes[full] -= sizes[empty]


def _unit(means: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return (means / np.where(lengths > 0, lengths, 1)).astype(np.float32)
