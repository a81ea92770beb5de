"""A picture's vector is the same to the bit alone, in pairs, and among sixty-four others."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from index.encoder import Encoder, build_model, load_encoder
from index.inputs import Preprocess
from index.invariant import Features
from tests.conftest import draw

PICTURES = [draw(number % 12, (40 + number, 30 + 2 * number)) for number in range(23)]


@pytest.fixture(scope="module")
def nano() -> Encoder:
    return load_encoder("nano")


def batched(encoder: Encoder, size: int) -> np.ndarray:
    return np.concatenate([encoder.encode_images(PICTURES[row : row + size]) for row in range(0, 23, size)])


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_vectors_do_not_depend_on_their_batch(nano: Encoder, size: int) -> None:
    assert np.array_equal(batched(nano, size), nano.encode_images(PICTURES))
    order = np.random.default_rng(size).permutation(23)
    assert np.array_equal(nano.encode_images([PICTURES[row] for row in order]), nano.encode_images(PICTURES)[order])
    assert np.array_equal(nano.encode_images(PICTURES, batch_size=size), nano.encode_images(PICTURES))


def test_the_vectors_are_those_of_the_model(nano: Encoder) -> None:
    with torch.inference_mode():
        batch = nano.preprocess(PICTURES[:6])
        raw = nano.model.encode_image(batch).numpy()  # type: ignore[operator]
    assert raw.shape == (6, nano.dimension), "the hook leaves others' calls alone"
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    for size in (1, 2, 6):
        assert np.abs(batched(nano, size)[:6] - raw).max() < 1e-6


def test_single_pictures_among_others_threads(nano: Encoder) -> None:
    expected = nano.encode_images(PICTURES)
    wrong: list[int] = []

    def work(size: int) -> None:
        for _ in range(2):
            wrong.extend([size] * (not np.array_equal(batched(nano, size), expected)))

    threads = [threading.Thread(target=work, args=(size,)) for size in (1, 3, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "vision",
    [
        {"layers": [1, 1, 1, 1], "width": 16, "image_size": 32, "head_width": 16},  # a ResNet: nearly
        {"layers": 1, "width": 48, "head_width": 24, "patch_size": 8, "image_size": 32, "attentional_pool": True},
        {"layers": 1, "width": 48, "head_width": 24, "patch_size": 8, "image_size": 32, "final_ln_after_pool": True},
    ],
    ids=["resnet", "attentional pool", "norm after pool"],
)
def test_other_towers_too(vision: dict) -> None:
    config = {
        "embed_dim": 32,
        "vision_cfg": vision,
        "text_cfg": {"context_length": 16, "vocab_size": 259, "width": 32, "heads": 2, "layers": 1},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build_model(config)
    encoder = Encoder(model, config, Preprocess((32, 32), (0.5,) * 3, (0.25,) * 3))
    whole = encoder.encode_images(PICTURES)
    for size in (1, 3, 4):
        if "patch_size" in vision:
            assert np.array_equal(batched(encoder, size), whole)
        assert np.abs(batched(encoder, size) - whole).max() < 1e-6


def test_a_filled_batch_gives_as_many_rows_as_came_in(nano: Encoder) -> None:
    features = Features(load_encoder("nano").model)
    with torch.inference_mode():
        for rows in (1, 2, 4, 5):
            assert features(nano.preprocess(PICTURES[:rows])).shape == (rows, nano.dimension)


def test_inputs_looked_up_are_inputs_computed(nano: Encoder) -> None:
    """Every byte of every channel to the bit, and in the layout that the model takes."""
    size, mean, std = nano.preprocess.size, nano.preprocess.mean, nano.preprocess.std
    noise = np.random.default_rng(0).integers(0, 256, size=(*size[::-1], 3), dtype=np.uint8)
    for picture in (Image.fromarray(noise), *PICTURES[:3]):
        small = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC), np.float32) / np.float32(255)
        expected = ((small - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)).transpose(2, 0, 1)
        found = nano.preprocess.array(picture)
        assert np.array_equal(found, expected) and found.dtype == np.float32 and found.flags.c_contiguous
