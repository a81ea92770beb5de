"""Searching an opened index."""

from __future__ import annotations

import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from index import Hit, KnowledgeIndex, build_index, load_encoder
from index.images import crop, picture_hash
from index.vectors import fuse
from tests.conftest import NAMES, draw, make_encoder


@pytest.fixture(scope="module")
def index(tiny_index) -> KnowledgeIndex:
    return KnowledgeIndex.open(tiny_index)


def test_documents_and_thumbnails(index, tiny_index):
    assert len(index) == 12 and index.ids() == tuple(f"D{number:02d}" for number in range(12))
    assert "D03" in index and "D12" not in index and 3 not in index
    document = index.document("D11")
    assert document.title == "Lüneva" and document.text.startswith("Lüneva has the capital")
    assert index.picture_ids("D11") == ("D11#0",)
    for number in range(12):
        assert picture_hash(index.thumbnail(f"D{number:02d}#0")) == picture_hash(draw(number))
    assert document.pictures[0].open().size == (60, 40)
    assert index.path == tiny_index and index.encoder.dimension == 48 and len(index.fingerprint) == 64
    for call in (index.document, index.picture_ids, index.thumbnail):
        with pytest.raises(KeyError, match="has no"):
            call("nothing")


def test_a_picture_finds_its_document_and_hits_are_whole(index):
    for number, hits in enumerate(index.search_image([draw(number) for number in range(12)], 3)):
        first = hits[0]
        assert first == Hit(
            f"D{number:02d}", NAMES[number], index.document(first.document_id).text, 1.0, f"D{number:02d}#0"
        )
        assert len(hits) == 3 and [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        assert len({hit.document_id for hit in hits}) == 3
        assert all(type(hit.score) is float for hit in hits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.score = 2.0


def test_any_crop_is_searched_with_its_own_pixels(index):
    scene = draw(2, (200, 100))
    scene.paste(draw(5), (130, 50))
    whole, part = index.search_image([scene, crop(scene, (130 / 200, 50 / 100, 190 / 200, 90 / 100))], 1)
    assert part[0].document_id == "D05" and part[0].score == 1.0
    assert whole[0].score < 1.0


def test_company_in_a_batch_changes_nothing(index, rng):
    from PIL import Image

    pictures = [Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)) for i in range(9)]
    together = index.search_image(pictures, 12)
    for picture, hits in zip(pictures, together, strict=True):
        alone = index.search_image([picture], 12)[0]
        scores = {hit.document_id: hit.score for hit in alone}
        assert all(abs(scores[hit.document_id] - hit.score) <= 1e-5 for hit in hits)


@pytest.mark.parametrize("k", [1, 5, 12, 13, 1000])
def test_never_more_than_there_are_never_a_wrong_row(index, k):
    hits = index.search_image([draw(0)], k)[0]
    assert len(hits) == min(k, 12) and all(hit.document_id in index for hit in hits)
    assert [hit.document_id for hit in hits] == [hit.document_id for hit in index.search_image([draw(0)], 12)[0]][:k]
    assert len(index.search_text(["capital"], k)[0]) == min(k, 12)


def test_nothing_asked_nothing_found(index):
    assert index.search_image([], 3) == [] and index.search_text([], 3) == []
    assert index.search_text(["zebra", ""], 3) == [[], []]
    for search in (index.search_image, index.search_text):
        with pytest.raises(ValueError, match="k is 0"):
            search([], 0) if search == index.search_text else search([draw(0)], 0)
    with pytest.raises(TypeError, match="a sequence of queries"):
        index.search_text("capital", 3)


def test_text_ties_break_by_id_and_titles_come_first(index):
    assert [hit.document_id for hit in index.search_text(["founded"], 4)[0]] == ["D00", "D01", "D02", "D03"]
    for number, name in enumerate(NAMES):
        hit = index.search_text([name], 2)[0][0]
        assert hit.document_id == f"D{number:02d}" and hit.picture_id == f"D{number:02d}#0"


def test_reading_from_threads_gives_the_same(index):
    def work(number: int) -> list:
        name = f"D{number % 12:02d}"
        return [
            index.search_image([draw(number % 12)], 3),
            index.search_text([name], 3),
            index.thumbnail(f"{name}#0").tobytes(),
        ]

    alone = [work(number) for number in range(24)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(24))) == alone


def test_a_pickled_index_opens_again_elsewhere(index):
    other = pickle.loads(pickle.dumps(index))
    assert other.fingerprint == index.fingerprint
    assert other.search_image([draw(4)], 2) == index.search_image([draw(4)], 2)


def test_words_and_looks_are_fused_where_the_text_tower_is_worth_it(tiny_source, tmp_path, index):
    encoder = load_encoder(make_encoder(tmp_path / "encoder", text_search=True))
    both = KnowledgeIndex.open(build_index(tiny_source, tmp_path / "index", encoder, progress=False), encoder)
    assert both.fingerprint != index.fingerprint and both.encoder.fingerprint == index.encoder.fingerprint
    query = "ally of Lüneva"
    read = [both._tables.row(hit.document_id) for hit in index.search_text([query], 100)[0]]
    cosines = both._vectors.matrix.astype(np.float64) @ encoder.encode_texts([query])[0].astype(np.float64)
    looked = np.lexsort((np.arange(12), -np.round(cosines, 5))).tolist()
    expected = fuse([read, looked])
    hits = both.search_text([query], 7)[0]
    assert [(both._tables.row(hit.document_id), hit.score) for hit in hits] == expected[:7]
    assert all(hit.picture_id == f"{hit.document_id}#0" for hit in hits)
    assert len(both.search_text(["zebra"], 5)[0]) == 5  # no word is known, and still it looks like something


def test_importing_the_package_is_light():
    import subprocess
    import sys

    from tests.conftest import ROOT

    heavy = "torch open_clip faiss datasets bm25s pyarrow transformers".split()
    script = (
        f"import sys, index; print([name for name in {heavy} if name in sys.modules], index.KnowledgeIndex.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] KnowledgeIndex")
