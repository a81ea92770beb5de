"""The Ray engine leaves what the local one leaves. Slow; needs the extra `ray`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from index import SourceError, build_index, seal
from tests.conftest import draw, write_source

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    from index.ray_serve import start_ray

    start_ray()
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred documents: with no picture, one, several, equal ones, and one that cannot be read."""
    rng = np.random.default_rng(5)
    pictures = {f"images/{number}.png": draw(number) for number in range(12)}
    for number in range(12, 90):
        noise = rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        pictures[f"images/{number}.png"] = Image.fromarray(noise)
    rows = []
    for number in range(100):
        names = [f"images/{(7 * number + place) % 90}.png" for place in range(number % 3)]
        rows.append({"id": f"d{(31 * number) % 100:03d}", "title": f"T {number}", "text": "x y", "file_names": names})
    folder = write_source(tmp_path_factory.mktemp("source") / "s", rows, pictures)
    (folder / "images/40.png").write_bytes(b"no picture")
    return folder


def files(index: Path) -> dict[str, dict]:
    return dict(seal.read_manifest(index).files)


@slow
def test_same_fingerprint_and_same_bytes(cluster, source, tiny_encoder, tmp_path):
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as Ray's actors have it
    try:
        local = build_index(source, tmp_path / "local", tiny_encoder, progress=False)
        remote = build_index(source, tmp_path / "ray", tiny_encoder, progress=False, engine="ray")
    finally:
        torch.set_num_threads(threads)
    assert seal.verify(remote).fingerprint == seal.verify(local).fingerprint
    assert files(remote) == files(local)


@slow
def test_the_cluster_goes_on_with_what_is_there(cluster, source, tiny_encoder, tmp_path):
    first = build_index(source, tmp_path / "index", tiny_encoder, progress=False)
    before = files(first)
    more = tmp_path / "more"
    shutil.copytree(source, more)
    with (more / "metadata.jsonl").open("a") as lines:
        lines.write('{"id": "new", "title": "N", "text": "z", "file_names": ["images/3.png"]}\n')
    grown = build_index(more, tmp_path / "grown", tiny_encoder, progress=False, engine="ray", reuse=first)
    assert files(first) == before
    origins = json.loads((grown / "report.json").read_text())["vectors"]
    assert origins["embedded"] == 0 and origins["reused"] > 0
    assert (
        seal.verify(grown).fingerprint
        == seal.verify(build_index(more, tmp_path / "again", tiny_encoder, progress=False)).fingerprint
    )


def test_an_engine_that_is_none_is_refused(source, tmp_path):
    with pytest.raises(SourceError, match="no engine 'spark'; choose local or ray"):
        build_index(source, tmp_path / "index", engine="spark")
