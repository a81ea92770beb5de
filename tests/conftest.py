"""Shared fixtures: a tiny open_clip encoder with random weights, a tiny drawn source, their index, the real atlas."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

# Machines that run tests are busy, and a failure should come back when the test is run again.
settings.register_profile("gog", deadline=None, derandomize=True)
settings.load_profile("gog")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GOG_SHARED") or ROOT.parent / "shared")
COLOURS = ["red", "lime", "blue", "gold", "black", "white", "cyan", "magenta", "brown", "navy", "orange", "olive"]
NAMES = "Arda Belmo Corvia Dunmar Estoril Fenwick Galt Hesper Ilmen Jurva Kolm Lüneva".split()


def draw(number: int, size: tuple[int, int] = (60, 40)) -> Image.Image:
    """A banner of two colours and a disc; every number below 12 gives another."""
    picture = Image.new("RGB", size, COLOURS[number])
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, size[0] // 2 if number % 2 else size[0], size[1] // 2), fill=COLOURS[(number * 5 + 1) % 12])
    pen.ellipse((20, 10, 40, 30), fill=COLOURS[(number * 7 + 3) % 12])
    return picture


def write_source(folder: Path, rows: list[dict], pictures: dict[str, Image.Image]) -> Path:
    """An imagefolder: `metadata.jsonl` with the rows in the given order, and the pictures by relative path."""
    folder.mkdir(parents=True)
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines, encoding="utf-8")
    return folder


def tiny_rows() -> list[dict]:
    """Twelve documents `D00` … `D11`; each names the next one as its ally."""
    return [
        {
            "file_name": f"images/{number:02d}.png",
            "id": f"D{number:02d}",
            "title": name,
            "text": f"{name} has the capital {name}ville. Its ally is {NAMES[(number + 1) % 12]}. It was founded in"
            f" {1500 + 17 * number}.",
        }
        for number, name in enumerate(NAMES)
    ]


def make_encoder(folder: Path, seed: int = 0, text_search: bool = False) -> Path:
    """An encoder folder with a ViT of random weights (open_clip's own classes, bytes as text)."""
    import torch

    from index.encoder import Preprocess, build_model, save_encoder

    model_cfg = {
        "embed_dim": 48,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 48, "head_width": 24, "layers": 2},
        "text_cfg": {"context_length": 48, "vocab_size": 259, "width": 48, "heads": 2, "layers": 1},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(model_cfg)
    preprocess = Preprocess((32, 32), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return save_encoder(folder, model, model_cfg, preprocess, {"text_search": text_search})


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random tiny encoder."""
    return make_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def tiny_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imagefolder of twelve drawn banners with texts."""
    pictures = {f"images/{number:02d}.png": draw(number) for number in range(12)}
    return write_source(tmp_path_factory.mktemp("source") / "tiny", tiny_rows(), pictures)


@pytest.fixture(scope="session")
def tiny_index(tiny_source: Path, tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sealed index of `tiny_source` by `tiny_encoder`; open it with `KnowledgeIndex.open`. Do not change its files."""
    from index.build import build_index

    return build_index(tiny_source, tmp_path_factory.mktemp("index") / "tiny", tiny_encoder, progress=False)


@pytest.fixture(scope="session")
def atlas() -> Path:
    """Folder of the real flags (`kb`, `train`, `dev`); the test is skipped where it is absent."""
    folder = SHARED / "data" / "atlas"
    if not (folder / "kb" / "metadata.jsonl").is_file():
        pytest.skip("../shared/data/atlas is absent (set GOG_SHARED)")
    return folder


@pytest.fixture()
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng([2026, 2])
