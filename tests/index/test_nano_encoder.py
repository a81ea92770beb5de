"""The shipped encoder finds real flags, which it never saw, in careless crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.crop_retrieval import hits, measure, show, thumbnail_vectors
from index.encoder import NANO, WEIGHTS_NAME, load_encoder

BARS = {"gold box": 0.99, "grown 1.3x": 0.95, "grown 1.6x": 0.80, "edges ±15 %": 0.95, "edges ±30 %": 0.85}


def test_weights_are_small() -> None:
    assert (NANO / WEIGHTS_NAME).stat().st_size <= 8_000_000
    encoder = load_encoder("nano")
    assert not encoder.text_search
    assert encoder.encode_texts(["a red field with a white cross"]).shape == (1, encoder.dimension)


def test_crops_find_real_flags(atlas: Path) -> None:
    table = measure(atlas, {"nano": load_encoder("nano").encode_images, "thumbnail": thumbnail_vectors}, draws=3)
    text = show(table)
    for condition, bar in BARS.items():
        assert table[condition]["nano"]["hit@1"] >= bar, text
    assert table["gold box"]["nano"]["hit@5"] >= 0.99, text
    assert table["whole picture"]["nano"]["n"] < table["gold box"]["nano"]["n"]


def test_hits_counts_ranks() -> None:
    keys = np.eye(6, dtype=np.float32)

    def embed(pictures: object) -> np.ndarray:
        return np.array([[0.9, 0.5, 0.4, 0.3, 0.2, 0.1], [0, 1, 0, 0, 0, 0]], np.float32)

    queries = [Image.new("RGB", (4, 4))] * 2
    assert hits(embed, queries, [0, 1], keys) == {"hit@1": 1.0, "hit@5": 1.0, "n": 2}
    assert hits(embed, queries, [4, 1], keys) == {"hit@1": 0.5, "hit@5": 1.0, "n": 2}
    assert hits(embed, queries, [5, 1], keys) == {"hit@1": 0.5, "hit@5": 0.5, "n": 2}
