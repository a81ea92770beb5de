"""Centres are the same to the bit with any number of threads, as good as FAISS's, and defined for odd rows."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import pytest

from index import kmeans
from index.kmeans import centres, nearest
from tests.index.test_kinds import clustered
from tests.index.test_vectors import unit

COUNT = 50


@pytest.fixture
def threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    yield
    faiss.omp_set_num_threads(before)


def similarity(rows: np.ndarray, found: np.ndarray) -> float:
    """The mean inner product of each row with its centre."""
    return float((rows @ found.T).max(1).mean())


def test_centres_do_not_depend_on_threads(threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "PIECE", 512)
    monkeypatch.setattr("index.vectors.PIECE", 512)
    rows = clustered(3001)
    made = []
    for count in (1, 2, 5):
        faiss.omp_set_num_threads(count)
        made.append(centres(rows, COUNT, 10, seed=0))
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])
    assert made[0].dtype == np.float32 and np.allclose(np.linalg.norm(made[0], axis=1), 1, atol=1e-6)
    assert not np.array_equal(made[0], centres(rows, COUNT, 10, seed=1))


def test_centres_are_as_good_as_those_of_faiss() -> None:
    rows = clustered(4000)
    theirs = faiss.Clustering(rows.shape[1], COUNT)
    theirs.niter, theirs.seed, theirs.spherical, theirs.max_points_per_centroid = 10, 0, True, len(rows)
    theirs.train(rows, faiss.IndexFlatIP(rows.shape[1]))
    reference = faiss.vector_to_array(theirs.centroids).reshape(COUNT, -1)
    ours = centres(rows, COUNT, 10, seed=0)
    assert similarity(rows, ours) > similarity(rows, reference) - 0.005
    assert similarity(rows, ours) > similarity(rows, rows[:COUNT]) + 0.02, "they moved to where rows are"


def test_each_row_goes_to_its_nearest_centre() -> None:
    rows = clustered(1000)
    found = centres(rows, COUNT, 3, seed=0)
    coarse = faiss.IndexFlatIP(rows.shape[1])
    coarse.add(found)
    assert np.array_equal(nearest(coarse, rows), (rows @ found.T).argmax(1))
    assert nearest(coarse, rows[:0]).shape == (0,)


def test_rows_that_are_few_or_alike_leave_no_centre_undefined() -> None:
    alike = np.repeat(unit(np.random.default_rng(0), 3, 16).astype(np.float32), 20, axis=0)
    for rows, count in ((alike, 10), (alike[::20], 3), (np.zeros((5, 4), np.float32), 5)):
        found = centres(rows, count, 10, seed=0)
        assert found.shape == (count, rows.shape[1]) and np.isfinite(found).all()
    assert similarity(alike, centres(alike, 10, 10, seed=0)) > 0.9999
