"""Caches stay within their bytes, forget what was used longest ago, count, and never change a result."""

from __future__ import annotations

import copy
import pickle
import threading
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from index.cache import ENTRY_BYTES, ByteCache, EmbeddingCache, content_key
from index.encoder import Encoder, load_encoder
from index.images import crop
from index.knowledge import KnowledgeIndex
from tests.conftest import draw


class Counting:
    """An encoder that says what it was asked to embed."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.asked = encoder, []
        self.fingerprint = encoder.fingerprint

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        self.asked.append(len(pictures))
        return self.encoder.encode_images(pictures)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def crops(count: int, seed: int = 0) -> list[Image.Image]:
    """Crops of banners; some come twice."""
    rng = np.random.default_rng(seed)
    boxes = [tuple(np.sort(rng.uniform(size=(2, 2)), axis=0).ravel()) for _ in range(count)]
    return [crop(draw(number % 12), boxes[number - number % 2]) for number in range(count)]


@given(
    st.integers(0, 4000), st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 1500)), max_size=40)
)  # fmt: skip
def test_a_byte_cache_is_the_list_of_what_was_used_last(limit: int, uses: list[tuple[str, int]]) -> None:
    cache: ByteCache[str, tuple[str, int]] = ByteCache(limit)
    model: list[tuple[str, int]] = []
    hits = 0
    for key, size in uses:
        known = next((one for one in model if one[0] == key), None)
        assert cache.get(key) == known
        hits += known is not None
        if known:
            model.remove(known)
        kept = known or (key, size)
        if known or size + ENTRY_BYTES <= limit:
            model.append(kept)
        assert cache.put(key, (key, size), size) == kept
        while sum(one[1] + ENTRY_BYTES for one in model) > limit:
            model.pop(0)
        facts = cache.facts
        assert facts.bytes == sum(one[1] + ENTRY_BYTES for one in model) <= limit and facts.entries == len(model)
    assert (cache.facts.hits, cache.facts.misses) == (hits, len(uses) - hits)
    cache.clear()
    assert (cache.facts.entries, cache.facts.bytes) == (0, 0)


def test_what_is_there_stays_until_it_is_dropped() -> None:
    cache: ByteCache[str, int] = ByteCache(10_000)
    assert cache.put("a", 5, 8) == cache.put("a", 6, 8) == cache.get("a") == 5
    cache.drop("a")
    cache.drop("a")
    assert cache.facts.entries == cache.facts.bytes == 0
    for wrong in (-1, 1.5, "8", True, None):
        with pytest.raises(ValueError, match="cache_bytes must be a whole number of at least 0"):
            ByteCache(wrong)  # type: ignore[arg-type]


def test_the_bound_is_a_bound_on_real_memory() -> None:
    limit = 2_000_000
    cache = EmbeddingCache(limit)
    tracemalloc.start()
    try:
        for number in range(8000):
            key = content_key(Image.new("RGB", (2, 2), (number % 256, number // 256, 7)), "x")
            cache._cache.put(key, np.full(32, number, np.float32), 128)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0 < cache.facts.entries < 8000 and used < 1.05 * limit


def test_a_crop_is_embedded_once_and_comes_back_to_the_bit(encoder: Encoder) -> None:
    counting, cache, pictures = Counting(encoder), EmbeddingCache(), crops(20)
    plain = encoder.encode_images(pictures)
    distinct = len({content_key(one, "") for one in pictures})
    first = cache.encode(counting, pictures)
    assert np.array_equal(first, plain) and first.dtype == np.float32 and counting.asked == [distinct]
    first[:] = 0  # the caller's own
    rng = np.random.default_rng(1)
    for _ in range(5):
        rows = rng.permutation(20)[: rng.integers(1, 20)]
        assert np.array_equal(cache.encode(counting, [pictures[row].copy() for row in rows]), plain[rows])
    assert counting.asked == [distinct], "nothing was embedded twice"
    mixed = [pictures[0], *crops(3, seed=9), pictures[1]]
    assert np.array_equal(cache.encode(counting, mixed), encoder.encode_images(mixed))
    assert counting.asked[1:] == [len({content_key(one, "") for one in mixed[1:4]})]
    assert cache.facts.hits > 0 and cache.encode(counting, []).shape == (0, encoder.dimension)


def test_what_tells_crops_apart_is_what_they_show_and_who_looks(tiny_encoder: Path) -> None:
    flat = Image.new("RGB", (6, 4), "red")
    keys = {content_key(one, "a") for one in (flat, flat.copy(), flat.crop((0, 0, 6, 4)), flat.convert("P"))}
    assert len(keys) == 1
    seen, clear = Image.new("RGBA", (6, 4), (255, 0, 0, 255)), Image.new("RGBA", (6, 4), (255, 0, 0, 0))
    others = {content_key(flat.transpose(Image.Transpose.ROTATE_90), "a"), content_key(flat, "b"),
              content_key(Image.new("RGB", (6, 4), "blue"), "a"), content_key(clear, "a")}  # fmt: skip
    assert len(others) == 4 and not keys & others and content_key(seen, "a") in keys
    # two encoders that share a cache do not take each other's vectors
    cache = EmbeddingCache()
    one, two = load_encoder(tiny_encoder), load_encoder("nano")
    for encoder in (one, two, one, two):
        assert np.array_equal(cache.encode(encoder, [flat]), encoder.encode_images([flat]))


def test_a_small_cache_forgets_and_none_is_none(encoder: Encoder) -> None:
    pictures = crops(24)[::2]
    small = EmbeddingCache(3 * (ENTRY_BYTES + 4 * encoder.dimension))
    off = EmbeddingCache(0)
    counting = Counting(encoder)
    for _ in range(2):
        assert np.array_equal(small.encode(counting, pictures), encoder.encode_images(pictures))
        assert np.array_equal(off.encode(encoder, pictures), encoder.encode_images(pictures))
    assert counting.asked == [12, 12 - small.facts.hits] and small.facts.entries == 3
    assert off.facts.entries == off.facts.hits == off.facts.misses == 0


def test_threads_share_a_cache(encoder: Encoder) -> None:
    pictures = crops(32)
    plain = encoder.encode_images(pictures)
    cache = EmbeddingCache(12 * (ENTRY_BYTES + 4 * encoder.dimension))
    wrong: list[Any] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            for _ in range(15):
                rows = rng.integers(32, size=rng.integers(1, 6))
                if not np.array_equal(cache.encode(encoder, [pictures[row] for row in rows]), plain[rows]):
                    wrong.append(rows)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    facts = cache.facts
    assert not wrong and facts.bytes <= facts.limit and facts.entries <= 12 and facts.hits and facts.misses


def test_an_index_finds_the_same_with_and_without_a_cache(tiny_index: Path) -> None:
    cached, plain = KnowledgeIndex.open(tiny_index), KnowledgeIndex.open(tiny_index, cache_bytes=0)
    pictures = crops(30)
    for start, stop in ((0, 30), (0, 30), (3, 4), (7, 13), (0, 1)):
        assert cached.search_image(pictures[start:stop], 4) == plain.search_image(pictures[start:stop], 4)
    assert cached.embeddings.facts.hits and not plain.embeddings.facts.hits
    assert copy.deepcopy(cached) is cached
    assert pickle.loads(pickle.dumps(plain)).embeddings.facts.limit == 0
    with pytest.raises(ValueError, match="cache_bytes"):
        KnowledgeIndex.open(tiny_index, cache_bytes=-5)
