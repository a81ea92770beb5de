"""Every kind of vector index: the same meaning of hits, defined results, the same bytes, and files that do not lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from index import rules
from index.choose import KINDS, Budget, Plan, choose
from index.errors import BudgetError, IntegrityError
from index.kinds import write_vectors
from index.measure import demand, exact_scores, measure, recall_of, sample_queries
from index.vectors import RAW, VECTORS, Vectors, open_matrix
from tests.index.test_vectors import brute, unit

DIMENSION, ROWS = 32, 3000


class Reached(Exception):
    """FAISS would have been given a file."""


def clustered(rows: int = ROWS, dimension: int = DIMENSION, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, rows])
    centres = unit(rng, 40, dimension)
    moved = centres[rng.integers(0, 40, rows)] + 0.7 * unit(rng, rows, dimension)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def plan_of(kind: str, rows: int = ROWS, **budget: object) -> Plan:
    return choose(rows, DIMENSION, Budget(kind=kind, **budget))  # type: ignore[arg-type]


def build(folder: Path, matrix: np.ndarray, owners: np.ndarray, plan: Plan) -> Vectors:
    folder.mkdir(exist_ok=True)
    write_vectors(matrix, folder, plan)
    return Vectors.open(folder, plan.options, owners, matrix.shape[1])


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    return clustered()


@pytest.fixture(scope="module")
def owners() -> np.ndarray:
    return np.arange(ROWS) // 2


@pytest.fixture(scope="module")
def folders(matrix, owners, tmp_path_factory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("kinds")
    for kind in KINDS:
        build(base / kind, matrix, owners, plan_of(kind))
    return {kind: base / kind for kind in KINDS}


@pytest.fixture(params=KINDS)
def vectors(request, folders, owners) -> Vectors:
    return Vectors.open(folders[request.param], plan_of(request.param).options, owners, DIMENSION)


def test_hits_mean_the_same_in_every_kind(vectors, matrix, owners):
    """Scores are exact, documents count once, order and ties are those of the definition."""
    queries = sample_queries(matrix, 50)
    found = vectors.search(queries, 10)
    shared = 0
    for query, hits in zip(queries, found, strict=True):
        expected = brute(matrix, owners, query, ROWS)
        places = {owner: place for place, (owner, _) in enumerate(expected)}
        scores = dict(expected)
        assert len(hits) == 10 and len({owner for owner, _, _ in hits}) == 10
        for owner, picture, score in hits:
            cosine = round(float(matrix[picture].astype(np.float64) @ query.astype(np.float64)), 5)
            assert owners[picture] == owner and score == pytest.approx(cosine, abs=1.1e-5)
            assert score <= scores[owner] + 1.1e-5
        assert [(-score, owner) for owner, _, score in hits] == sorted((-score, owner) for owner, _, score in hits)
        shared += sum(places[owner] < 10 for owner, _, _ in hits)
    assert shared == 500 if vectors.exact else shared >= 450


@pytest.mark.parametrize("k", [1, 7, 1499, 1500, 1501, 10**6])
def test_as_many_hits_as_there_are_documents(vectors, matrix, owners, k):
    hits = vectors.search(matrix[:2], k)
    for row in (0, 1):
        assert len(hits[row]) == min(k, 1500) and all(0 <= picture < ROWS for _, picture, _ in hits[row])
        assert {owner for owner, _, _ in hits[row]} <= set(owners.tolist())
    if k >= 1500:  # everything was asked for: nothing can be missed
        expected = brute(matrix, owners, matrix[0], k)
        assert [score for *_, score in hits[0]] == pytest.approx([score for _, score in expected], abs=1.1e-5)


def test_queries_without_a_direction_find_nothing(vectors, matrix):
    odd = np.repeat(matrix[:1], 6, axis=0)
    odd[1] = 0
    odd[2, 3], odd[3, 0], odd[4, -1] = np.nan, np.inf, -np.inf
    found = vectors.search(odd, 3)
    assert [len(hits) for hits in found] == [3, 0, 0, 0, 0, 3] and found[0] == found[5] == vectors.search(odd[:1], 3)[0]
    assert vectors.search(1e-30 * matrix[:1], 3)[0][0][2] == 0.0
    assert vectors.search(np.zeros((0, DIMENSION), np.float32), 3) == []


@pytest.mark.parametrize("shape", [(2, DIMENSION - 1), (1, DIMENSION + 1), (DIMENSION,), (1, 1, DIMENSION)])
def test_another_dimension_is_an_error_that_says_so(vectors, shape):
    with pytest.raises(ValueError, match=f"the index holds vectors of length {DIMENSION}"):
        vectors.search(np.ones(shape, np.float32), 3)
    with pytest.raises(ValueError, match="k is 0"):
        vectors.search(np.ones((1, DIMENSION), np.float32), 0)


def test_an_empty_index_and_a_tiny_one(tmp_path):
    for rows in (0, 1, 5):
        matrix = clustered(rows)
        plan = plan_of("auto", rows)
        assert plan.kind == "flat"
        vectors = build(tmp_path / f"{rows}", matrix, np.arange(rows), plan)
        rules.demand(tmp_path, rules.of_vectors(vectors))
        assert vectors.search(clustered(2), 3) == vectors.search(clustered(2), 3)
        assert [len(hits) for hits in vectors.search(clustered(2), 3)] == [min(rows, 3)] * 2
        assert measure(vectors).recall == (1.0 if rows else None)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flat"])
def test_a_kind_that_cannot_be_trained_is_refused_and_never_replaced(kind):
    with pytest.raises(BudgetError, match=f"{kind} .* needs 256 of them, there are 255; take --kind flat"):
        plan_of(kind, 255)
    assert plan_of(kind, 256).kind == kind


@pytest.mark.parametrize("rows", [12, 300])
def test_budgets_hold_for_few_pictures_too(rows):
    with pytest.raises(BudgetError, match="no vector index of .* stays within the budgets"):
        choose(rows, DIMENSION, Budget(query_ms=0.001))
    with pytest.raises(BudgetError, match="leave --nprobe out"):
        choose(rows, DIMENSION, Budget(kind="flat", nprobe=4))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_pictures_in_any_number(kind, tmp_path):
    matrix = np.repeat(unit(np.random.default_rng([8]), 2, DIMENSION), 300, axis=0)
    vectors = build(tmp_path, matrix, np.arange(600), plan_of(kind, 600))
    rules.demand(tmp_path, rules.of_vectors(vectors))
    hits = vectors.search(matrix[[0, 300]], 400)
    assert len(hits[0]) == len(hits[1]) == 400
    assert [score for *_, score in hits[0]][:300] == [1.0] * 300
    assert [owner for owner, *_ in hits[0]][:300] == list(range(300))
    assert [owner for owner, *_ in hits[1]][:300] == list(range(300, 600))
    few = vectors.search(matrix[[0, 300]], 5)
    assert {owner for owner, *_ in few[0]} <= set(range(300)) and {owner for owner, *_ in few[1]} <= set(
        range(300, 600)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_document_with_most_pictures_does_not_hide_the_others(kind, tmp_path, matrix):
    owners = np.maximum(np.arange(ROWS) - (ROWS - 4), 0)
    vectors = build(tmp_path, matrix, owners, plan_of(kind))
    assert sorted(owner for owner, *_ in vectors.search(matrix[:1], 10)[0]) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_for_any_number_of_threads(kind, folders, matrix, tmp_path, monkeypatch):
    import faiss

    monkeypatch.setattr("index.vectors.PIECE", 512)
    monkeypatch.setattr("index.kinds.PIECE", 512)
    monkeypatch.setattr("index.kmeans.PIECE", 512)
    before, plan = faiss.omp_get_max_threads(), plan_of(kind)
    for threads in (1, 3):
        (tmp_path / f"{threads}").mkdir()
        faiss.omp_set_num_threads(threads)
        try:
            write_vectors(matrix, tmp_path / f"{threads}", plan)
            assert faiss.omp_get_max_threads() == threads
        finally:
            faiss.omp_set_num_threads(before)
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    assert names == ([VECTORS] if kind == "flat" else [VECTORS, RAW])
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()
    reached = [
        measure(Vectors.open(each, plan.options, np.arange(ROWS), DIMENSION)).recall
        for each in (folders[kind], tmp_path / "1")
    ]
    assert reached[0] == pytest.approx(reached[1], abs=0.01)  # other pieces, other sums, hardly other lists


def test_a_flat_file_is_the_one_that_faiss_writes(folders, matrix, tmp_path):
    import faiss

    index = faiss.IndexFlatIP(DIMENSION)
    index.add(matrix)
    faiss.write_index(index, str(tmp_path / "faiss"))
    assert (tmp_path / "faiss").read_bytes() == (folders["flat"] / VECTORS).read_bytes()


def test_a_matrix_on_disk_is_taken_as_it_is(matrix, tmp_path):
    mapped = open_matrix(tmp_path / RAW, ROWS, DIMENSION, "w+")
    mapped[:] = matrix
    vectors = build(tmp_path, mapped, np.arange(ROWS), plan_of("ivf-sq8"))
    assert (vectors.matrix == matrix).all() and isinstance(vectors.matrix, np.memmap)
    assert (vectors.search(matrix[:3], 1)) == [[(row, row, 1.0)] for row in range(3)]


def test_nothing_that_is_open_can_be_written_to(vectors):
    with pytest.raises(ValueError, match="read-only"):
        vectors.matrix[0, 0] = 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_the_counts_never_reaches_faiss(kind, folders, owners, tmp_path, monkeypatch):
    """Every byte that is not a vector, a code or an id is changed once: FAISS is given the file as it was, or not."""
    import faiss

    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    whole, options = (folder / VECTORS).read_bytes(), plan_of(kind).options

    def reached(*_: object) -> None:
        raise Reached

    monkeypatch.setattr(faiss, "read_index", reached)
    rng = np.random.default_rng([6])
    head = [*range(45), *rng.integers(45, len(whole), 40).tolist()]
    refused = 0
    for place in head:
        data = bytearray(whole)
        data[place] ^= 0x41
        (folder / VECTORS).write_bytes(data)
        try:
            Vectors.open(folder, options, owners, DIMENSION)
        except IntegrityError as error:
            refused += 1
            assert f"is not a {kind} FAISS index of" in str(error)
        except Reached:
            pass
    assert refused >= 20  # all but two unused numbers, codes, vectors
    for size in (0, 10, 45, len(whole) // 2, len(whole) - 1, len(whole) + 1):
        (folder / VECTORS).write_bytes((whole + b"\0")[:size])
        with pytest.raises(IntegrityError, match="is not a"):
            Vectors.open(folder, options, owners, DIMENSION)
    (folder / VECTORS).write_bytes(whole)
    for other in (plan_of(each).options for each in KINDS if each != kind):
        with pytest.raises(IntegrityError, match="is not a"):
            Vectors.open(folder, other, owners, DIMENSION)
    with pytest.raises(IntegrityError, match="unknown kind"):
        Vectors.open(folder, {"kind": "ivf-lattice"}, owners, DIMENSION)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_raw_vectors_are_guarded(kind, folders, owners, tmp_path):
    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    options = plan_of(kind).options
    data = bytearray((folder / RAW).read_bytes())
    data[400:404] = np.float32(np.nan).tobytes()
    (folder / RAW).write_bytes(data)
    with pytest.raises(IntegrityError, match="vectors.f32: vector is not finite: 1 row, the first is row 3; build"):
        rules.demand(folder, rules.of_vectors(Vectors.open(folder, options, owners, DIMENSION)))
    (folder / RAW).write_bytes(data[:-4])
    with pytest.raises(IntegrityError, match="does not hold 3000 vectors"):
        Vectors.open(folder, options, owners, DIMENSION)


@pytest.mark.parametrize("kind", ["ivf-sq8", "ivf-pq"])
def test_ids_in_lists_are_guarded(kind, folders, owners, tmp_path):
    import faiss

    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    options = plan_of(kind).options
    for wrong in (-1, ROWS, 2**40, 0):
        index = faiss.read_index(str(folders[kind] / VECTORS))
        lists = index.invlists
        place = next(each for each in range(lists.nlist) if lists.list_size(each) > 1)
        ids = faiss.rev_swig_ptr(lists.get_ids(place), 2)
        ids[0] = wrong if wrong else ids[1]
        faiss.write_index(index, str(folder / VECTORS))
        vectors = Vectors.open(folder, options, owners, DIMENSION)
        assert all(0 <= picture < ROWS for hits in vectors.search(vectors.matrix[:200], 5) for _, picture, _ in hits)
        found = [problem.problem for problem in rules.of_vectors(vectors)]
        assert "a picture is not in one inverted list: 1 picture, the first is row" in found[-1]
        assert (len(found) == 2) == bool(wrong) and (not wrong or "names pictures that are not there: 1" in found[0])
        with pytest.raises(IntegrityError, match="image.faiss: .* list"):
            rules.demand(folder, rules.of_vectors(vectors))


def test_recall_is_measured_and_demanded(folders, owners, matrix):
    flat = measure(Vectors.open(folders["flat"], {"kind": "flat"}, owners, DIMENSION))
    assert flat.recall == 1.0 and flat.queries == 200 and 0 < flat.median_ms <= flat.p95_ms
    options = {**plan_of("ivf-sq8").options, "nprobe": 1}
    narrow = Vectors.open(folders["ivf-sq8"], options, owners, DIMENSION)
    reached = measure(narrow)
    assert 0.2 < reached.recall < 0.97
    with pytest.raises(BudgetError, match="below the stated 0.98: not sealed; --nprobe [0-9]+ reaches .*--kind flat"):
        demand(narrow, reached, Budget(recall=0.98))
    demand(narrow, reached, Budget(recall=reached.recall))
    queries = sample_queries(matrix, 30)
    cosines = -np.sort(-(queries.astype(np.float64) @ matrix.T.astype(np.float64)), axis=1)[:, :10]
    assert np.abs(exact_scores(matrix, queries) - cosines).max() < 1e-5
    assert recall_of([[1.0, 0.9], [0.5, 0.1]], np.array([[1.0, 0.9], [0.5, 0.4]])) == 0.75
    assert recall_of([[1.0, 1.0, 1.0], []], np.array([[1.0, 1.0], [0.5, 0.4]])) == 0.5
