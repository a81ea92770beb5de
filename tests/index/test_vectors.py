"""Exact search on FAISS: against brute force, with ties, groups and few rows."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.choose import FLAT_OPTIONS, choose
from index.errors import IntegrityError
from index.kinds import write_vectors
from index.vectors import VECTORS, Vectors, fuse


def unit(rng: np.random.Generator, rows: int, dimension: int = 8) -> np.ndarray:
    values = rng.normal(size=(rows, dimension)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def brute(matrix: np.ndarray, owners: np.ndarray, query: np.ndarray, k: int) -> list[tuple[int, float]]:
    """The definition: a document's score is its best picture's, ties go to the lower row."""
    scores = np.round(matrix.astype(np.float64) @ query.astype(np.float64), 5)
    best = {int(owner): max(scores[owners == owner]) for owner in set(owners.tolist())}
    return sorted(best.items(), key=lambda item: (-item[1], item[0]))[:k]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20), st.integers(1, 12), st.booleans())
def test_search_equals_brute_force(seed, rows, documents, k, repeated):
    rng = np.random.default_rng([seed])
    owners = np.sort(rng.integers(0, documents, rows))
    matrix = unit(rng, rows)
    if repeated:  # many equal pictures: ties everywhere
        matrix = matrix[rng.integers(0, min(3, rows), rows)]
    queries = np.concatenate([unit(rng, 3), matrix[:1]])
    found = Vectors.build(matrix, owners).search(queries, k)
    for query, hits in zip(queries, found, strict=True):
        expected = brute(matrix, owners, query, k)
        assert [score for _, _, score in hits] == pytest.approx([score for _, score in expected], abs=1.1e-5)
        if repeated:
            assert [owner for owner, _, _ in hits] == [owner for owner, _ in expected]
        assert len({owner for owner, _, _ in hits}) == len(hits) <= k
        assert all(owners[picture] == owner for owner, picture, _ in hits)


def test_a_document_counts_once_and_with_its_best_picture():
    matrix = np.eye(3, dtype=np.float32)[[0, 1, 0, 2]]
    vectors = Vectors.build(matrix, np.array([0, 0, 1, 2]))
    assert vectors.search(np.eye(3, dtype=np.float32)[1:2], 5) == [[(0, 1, 1.0), (1, 2, 0.0), (2, 3, 0.0)]]


def test_a_thousand_equal_pictures_tie_by_row():
    matrix = np.tile(unit(np.random.default_rng([1]), 1), (1000, 1))
    hits = Vectors.build(matrix, np.arange(1000)).search(matrix[:30], 5)
    assert all([owner for owner, _, _ in each] == [0, 1, 2, 3, 4] for each in hits)


def test_one_document_with_very_many_pictures_does_not_hide_the_others():
    rng = np.random.default_rng([2])
    matrix = np.concatenate([np.tile(unit(rng, 1), (500, 1)), unit(rng, 4)])
    owners = np.array([0] * 500 + [1, 2, 3, 4])
    hits = Vectors.build(matrix, owners).search(matrix[:1], 3)[0]
    assert len(hits) == 3 and hits[0][0] == 0


def test_nothing_and_k_below_one():
    empty = Vectors.build(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert empty.search(np.zeros((2, 4), np.float32), 3) == [[], []]
    assert Vectors.build(np.eye(4, dtype=np.float32), np.arange(4)).search(np.zeros((0, 4), np.float32), 3) == []
    with pytest.raises(ValueError, match="k is 0"):
        empty.search(np.zeros((1, 4), np.float32), 0)


@pytest.mark.parametrize(
    "damage", ["rows", "dimension", "floats", "kind", "metric", "short", "long", "empty", "owners"]
)
def test_a_header_that_lies_never_reaches_faiss(tmp_path, damage, monkeypatch):
    import faiss

    matrix = unit(np.random.default_rng([4]), 5)
    write_vectors(matrix, tmp_path, choose(5, 8))
    file = tmp_path / VECTORS
    assert (Vectors.open(tmp_path, FLAT_OPTIONS, np.arange(5), 8).matrix == matrix).all()
    data = bytearray(file.read_bytes())
    if damage == "rows":
        struct.pack_into("<q", data, 8, 2**40)
    elif damage == "dimension":
        struct.pack_into("<i", data, 4, -8)
    elif damage == "floats":
        struct.pack_into("<Q", data, 37, 2**60)
    elif damage == "kind":
        data[:4] = b"IwPQ"
    elif damage == "metric":
        struct.pack_into("<i", data, 33, 1)
    file.write_bytes({"short": data[:-4], "long": data + b"\0" * 4, "empty": b""}.get(damage, bytes(data)))
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("FAISS was given a damaged file"))
    with pytest.raises(IntegrityError, match="image.faiss is not a flat FAISS index of"):
        Vectors.open(tmp_path, FLAT_OPTIONS, np.arange(6 if damage == "owners" else 5), 8)


def test_fusion_sums_reciprocal_ranks():
    fused = dict(fuse([[7, 8], [8, 9], [8]]))
    assert fused[8] == pytest.approx(1 / 62 + 1 / 61 + 1 / 61)
    assert [row for row, _ in fuse([[2, 1], [1, 2]])] == [1, 2]
