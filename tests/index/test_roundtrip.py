"""Whatever a small source holds comes back from its index, sound, searchable, equal to itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index import KnowledgeIndex, SourceError, build_index, load_encoder
from index.checks import examine
from index.difference import difference
from tests.conftest import draw

POOL = 6
# Letters whose order in UTF-16 is not that of code points, marks, separators, and what markup is made of.
EDGES = "\u0000\u0001\n\u0301\u2028\ud7ff\ue000\uffff\U00010000\U0010ffff#/\\\"'<>é𝔘 "
texts = st.text(st.one_of(st.sampled_from(EDGES), st.characters(exclude_categories=["Cs"])), max_size=12)
documents = st.fixed_dictionaries(
    {"id": texts.filter(lambda text: text.strip()), "title": texts, "text": texts,
     "images": st.lists(st.integers(0, POOL - 1), max_size=3)}
)  # fmt: skip
sources = st.lists(documents, min_size=1, max_size=5, unique_by=lambda row: row["id"].strip())
slowly = settings(max_examples=6, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    for number in range(POOL):
        draw(number).save(folder / f"{number}.png")
    return folder


def write(pool: Path, rows: list[dict]) -> Path:
    with tempfile.NamedTemporaryFile("w", dir=pool, suffix=".jsonl", delete=False, encoding="utf-8") as file:
        for row in rows:
            named = {**row, "images": [f"{number}.png" for number in row["images"]]}
            file.write(json.dumps(named) + "\n")
    return Path(file.name)


def round_trip(rows: list[dict], pool: Path, encoder, folder: Path) -> None:
    path = build_index(write(pool, rows), folder / "index", encoder, progress=False)
    found = examine(path, encoder)
    assert found.sound, found.problems
    index = KnowledgeIndex.open(path, encoder)
    expected = {row["id"].strip(): row for row in rows}
    assert index.ids() == tuple(sorted(expected)) and len(index) == len(rows)
    for id, row in expected.items():
        document = index.document(id)
        assert (document.id, document.text) == (id, row["text"].strip())
        assert document.title == (row["title"].strip() or id) and id in index
        assert index.picture_ids(id) == tuple(f"{id}#{place}" for place in range(len(row["images"])))
        for reference, number in zip(document.pictures, row["images"], strict=True):
            assert reference.open().tobytes() == draw(number).tobytes()
    pictured = sum(bool(row["images"]) for row in rows)
    for k in (1, 3, 100):
        for hits in index.search_image([draw(number) for number in range(POOL)], k):
            assert len(hits) == min(k, pictured) and len({hit.document_id for hit in hits}) == len(hits)
            assert all(hit.picture_id in index.picture_ids(hit.document_id) for hit in hits)
        for hits in index.search_text([row["title"] for row in rows], k):
            assert len(hits) <= k and all(hit.document_id in expected and hit.score > 0 for hit in hits)
    for row in rows:
        for number in row["images"]:  # equal pictures tie at the top
            best = index.search_image([draw(number)], 100)[0]
            assert row["id"].strip() in [hit.document_id for hit in best if hit.score == best[0].score]
    assert difference(path, path)["same"]
    changed = [{**rows[0], "text": rows[0]["text"] + " changed"}, *rows[1:]]
    other = build_index(write(pool, changed), folder / "other", encoder, progress=False)
    seen = difference(path, other)
    title = rows[0]["title"].strip() or rows[0]["id"].strip()
    assert seen["documents"] == {"added": 0, "removed": 0, "changed": 1, "same": len(rows) - 1}
    assert seen["examples"]["changed"] == [{"id": rows[0]["id"].strip(), "title": title, "fields": ["text"]}]


@slowly
@given(rows=sources)
def test_what_goes_in_comes_out(rows, pool, encoder):
    with tempfile.TemporaryDirectory() as folder:
        round_trip(rows, pool, encoder, Path(folder))


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(rows=sources)
def test_what_goes_in_comes_out_often(rows, pool, encoder):
    with tempfile.TemporaryDirectory() as folder:
        round_trip(rows, pool, encoder, Path(folder))


def test_ids_are_in_the_order_of_code_points_and_of_no_encoding(pool, encoder, tmp_path):
    ids = ["\U00010000", "\uffff", "\ue000", "z", "Z", "é", "e\u0301", "\x00", "#", "a#0", "a"]
    rows = [{"id": id, "title": "", "text": "x", "images": [place % POOL]} for place, id in enumerate(ids)]
    round_trip(rows, pool, encoder, tmp_path)


@pytest.mark.parametrize("field", ["id", "title", "text"])
def test_half_of_a_surrogate_pair_is_refused_and_leaves_nothing(field, pool, encoder, tmp_path):
    row = {"id": "a", "title": "b", "text": "c", "images": [0], field: "x\ud800y"}
    with pytest.raises(SourceError, match="surrogate"):
        build_index(write(pool, [row]), tmp_path / "index", encoder, progress=False)
    assert not list(tmp_path.iterdir())


def test_the_same_id_twice_is_refused(pool, encoder, tmp_path):
    rows = [{"id": id, "title": "", "text": "", "images": []} for id in ("a", "b", " a")]
    with pytest.raises(SourceError, match="make every id unique"):
        build_index(write(pool, rows), tmp_path / "index", encoder, progress=False)
