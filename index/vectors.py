"""Exact nearest pictures on FAISS: inner product over unit vectors, a document ranked by its best picture.

- `IndexFlatIP` is exact, deterministic, and right up to about a million vectors.
- FAISS proposes candidates; their scores are computed again in float64, row by row, so that the same pair scores
  the same wherever it stands in a matrix. Scores are rounded to 1e-5, which is what batch size and threads may move
  them by at most, and ties go to the lower row, that is to the smaller document id.
- A file's header and size are checked here before FAISS, which trusts them, reads it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.errors import IntegrityError

DECIMALS = 5
_HEADER = struct.Struct("<4siqqq?iQ")  # fourcc, dimension, rows, two unused, trained, metric, number of floats
_INNER_PRODUCT = 0


class Vectors:
    """Unit vectors of pictures, each owned by a document.

    Attributes:
        owners: int64 (pictures,): the row of the document that each picture belongs to.
    """

    def __init__(self, index: Any, owners: np.ndarray) -> None:
        """Takes a FAISS `IndexFlatIP` whose rows `owners` describes."""
        import faiss

        self._index = index
        self.owners = np.asarray(owners, dtype=np.int64)
        floats = index.ntotal * index.d
        self._rows = (
            faiss.rev_swig_ptr(index.get_xb(), floats).reshape(index.ntotal, index.d)
            if floats
            else np.zeros((0, index.d), np.float32)
        )

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    @property
    def matrix(self) -> np.ndarray:
        """float32 (pictures, dimension): a view, not to be written to."""
        return self._rows

    @classmethod
    def build(cls, matrix: np.ndarray, owners: np.ndarray) -> Vectors:
        """Indexes float32 (pictures, dimension) unit vectors."""
        import faiss

        index = faiss.IndexFlatIP(matrix.shape[1])
        if len(matrix):
            index.add(np.ascontiguousarray(matrix, dtype=np.float32))
        return cls(index, owners)

    def save(self, path: Path) -> None:
        """Writes FAISS's own format."""
        import faiss

        faiss.write_index(self._index, str(path))

    @classmethod
    def open(cls, path: Path, owners: np.ndarray) -> Vectors:
        """Reads a file whose hash has been checked.

        Raises:
            IntegrityError: it is not a flat inner-product index of as many rows as there are owners.
        """
        import faiss

        data = path.read_bytes()
        if len(data) >= _HEADER.size:
            fourcc, dimension, rows, _, _, _, metric, floats = _HEADER.unpack_from(data)
            sound = fourcc == b"IxFI" and metric == _INNER_PRODUCT and 0 < dimension and 0 <= rows
            if sound and floats == rows * dimension and len(data) == _HEADER.size + 4 * floats and rows == len(owners):
                return cls(faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8)), owners)
        raise IntegrityError(f"{path} is not a flat FAISS index of {len(owners)} pictures; build the index again")

    def search(self, queries: np.ndarray, k: int) -> list[list[tuple[int, int, float]]]:
        """Finds the documents whose best picture is nearest.

        Args:
            queries: float32 (queries, dimension) unit vectors.
            k: at most so many documents a query.

        Returns:
            For each query (document row, picture row, cosine), best first; fewer than `k` where fewer have pictures.
        """
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least 1 hit")
        if not len(self) or not len(queries):
            return [[] for _ in range(len(queries))]
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        wanted = min(len(self), 2 * k + 8)
        found, pending = {}, list(range(len(queries)))
        while pending:
            scores, rows = self._index.search(queries[pending], wanted)
            later = []
            for query, floor, candidates in zip(pending, scores[:, -1], rows, strict=True):
                hits = self._rank(queries[query], candidates[candidates >= 0])
                # Complete when nothing that FAISS left out could still enter, or tie with the last hit.
                if wanted == len(self) or (len(hits) >= k and hits[k - 1][2] > float(floor) + 3 * 10**-DECIMALS):
                    found[query] = hits[:k]
                else:
                    later.append(query)
            pending, wanted = later, min(len(self), 4 * wanted)
        return [found[query] for query in range(len(queries))]

    def _rank(self, query: np.ndarray, rows: np.ndarray) -> list[tuple[int, int, float]]:
        rows = np.sort(rows)
        exact = np.round((self._rows[rows].astype(np.float64) * query.astype(np.float64)).sum(axis=1), DECIMALS) + 0.0
        hits, seen = [], set()
        for place in np.lexsort((rows, self.owners[rows], -exact)):
            owner = int(self.owners[rows[place]])
            if owner not in seen:
                seen.add(owner)
                hits.append((owner, int(rows[place]), float(exact[place])))
        return hits


def fuse(rankings: Sequence[Sequence[int]], constant: int = 60) -> list[tuple[int, float]]:
    """Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): the sum of 1 / (60 + rank) over the rankings.

    Args:
        rankings: document rows, best first.
        constant: the paper's 60.

    Returns:
        (document row, fused score), best first, ties to the lower row.

    >>> [row for row, _ in fuse([[3, 1, 2], [1, 5]])]
    [1, 3, 5, 2]
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, 1):
            scores[row] = scores.get(row, 0.0) + 1.0 / (constant + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
