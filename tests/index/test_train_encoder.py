"""Training of encoders on a tiny configuration, the views it learns from, and its command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from index import augment, contrastive
from index.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from index.errors import EncoderError, SourceError
from index.inputs import ByteTokenizer
from index.train_encoder import REPORT_NAME, load_pictures, main, train

TINY = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "head_width": 16},
        "text_cfg": {"context_length": 24, "vocab_size": 259, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"size": [32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / CONFIG_NAME
    path.write_text(json.dumps(TINY))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own source: 24 pictures of coloured blocks, one of them damaged."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        blocks = rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((60, 40), Image.Resampling.NEAREST).save(folder / f"{number}.png")
        name = f"{number}.png"
        rows.append({"file_name": name, "id": f"D{number}", "title": f"Block {number}", "text": "Of colours."})
    (folder / "7.png").write_bytes(b"no picture")
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def test_same_seed_same_weights_to_the_bit(source: Path, tiny: Path, tmp_path: Path) -> None:
    first, second, other = (
        train([source], tmp_path / name, steps=3, seed=seed, batch=16, model=tiny, threads=1)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert (first / WEIGHTS_NAME).read_bytes() == (second / WEIGHTS_NAME).read_bytes()
    assert (first / WEIGHTS_NAME).read_bytes() != (other / WEIGHTS_NAME).read_bytes()


def test_result_loads_and_reports(source: Path, tiny: Path, tmp_path: Path) -> None:
    out = train([source], tmp_path / "encoder", steps=2, batch=16, model=tiny, command="the command")
    assert sorted(file.name for file in out.iterdir()) == sorted([CONFIG_NAME, WEIGHTS_NAME, REPORT_NAME])
    assert list(tmp_path.iterdir()) == [out]
    report = json.loads((out / REPORT_NAME).read_text())
    assert report["command"] == "the command" and report["pictures"] == 23 and report["steps"] == 2
    assert report["curve"][-1]["step"] == 2 and np.isfinite(report["curve"][-1]["loss"])
    encoder = load_encoder(out)
    assert not encoder.text_search
    vectors = encoder.encode_images([Image.new("RGB", (50, 30), color) for color in ("red", "blue")])
    assert vectors.shape == (2, 16)
    again = train([source], tmp_path / "more", steps=1, batch=16, init=out)
    assert load_encoder(again).fingerprint != encoder.fingerprint


def test_training_lowers_the_loss(source: Path, tiny: Path, tmp_path: Path) -> None:
    out = train([source], tmp_path / "encoder", steps=75, batch=16, model=tiny, threads=1)  # three means of 25 steps
    curve = json.loads((out / REPORT_NAME).read_text())["curve"]
    assert curve[-1]["loss"] < 0.8 * curve[0]["loss"]


def test_open_clip_reads_the_result(source: Path, tiny: Path, tmp_path: Path) -> None:
    import open_clip

    out = train([source], tmp_path / "encoder", steps=1, batch=16, model=tiny)
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{out}")
    assert type(model) is open_clip.CLIP


def test_bad_picture_is_skipped_and_no_row_moves(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures, captions, fingerprints = load_pictures([source], 12)
    assert pictures.shape == (23, 3, 12, 12) and len(captions) == 23 and len(fingerprints) == 1
    assert "7.png" in capsys.readouterr().err
    ninth = captions.index("Block 9. Of colours.")
    wanted = np.array(Image.open(source / "9.png").resize((12, 12), Image.Resampling.BICUBIC))
    assert np.array_equal(pictures[ninth].permute(1, 2, 0).numpy(), wanted)


def test_mistakes_are_told(source: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        train([tmp_path / "nowhere"], tmp_path / "out", steps=1, model=tiny)
    lonely = tmp_path / "lonely.jsonl"
    lonely.write_text('{"id": "a", "title": "A"}\n')
    with pytest.raises(SourceError, match="at least 2"):
        train([lonely], tmp_path / "out", steps=1, model=tiny)
    with pytest.raises(EncoderError, match="exists"):
        train([source], source, steps=1, model=tiny)
    with pytest.raises(EncoderError, match="--model"):
        train([source], tmp_path / "out", steps=1, init="nano", model=tiny)
    with pytest.raises(EncoderError, match="missing.json"):
        train([source], tmp_path / "out", steps=1, model=tmp_path / "missing.json")
    with pytest.raises(EncoderError, match="least"):
        train([source], tmp_path / "out", steps=0, model=tiny)
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(EncoderError, match="broken.json"):
        train([source], tmp_path / "out", steps=1, model=broken)
    assert not (tmp_path / "out").exists()


def test_failure_leaves_nothing(source: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(EncoderError, match="cannot write .*out: disk full"):
        train([source], tmp_path / "out", steps=1, batch=16, model=tiny)
    assert list(tmp_path.iterdir()) == []


def test_only_an_encoder_is_replaced_and_places_are_tried_first(source: Path, tiny: Path, tmp_path: Path) -> None:
    def refused(out: Path, message: str, force: bool = True) -> None:
        with pytest.raises(EncoderError, match=message):
            train([tmp_path / "never read"], out, steps=1, model=tiny, force=force)

    taken = train([source], tmp_path / "encoder", steps=1, batch=16, model=tiny)
    refused(taken, "--force to replace", force=False)
    train([source], taken, steps=2, batch=16, model=tiny, force=True)
    assert json.loads((taken / REPORT_NAME).read_text())["steps"] == 2
    (taken / "thesis.txt").write_text("mine")
    refused(taken, "holds thesis.txt")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / REPORT_NAME).touch()
    refused(tmp_path / "half", "has no open_clip_config.json")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "is not a folder")
    refused(tmp_path / "file" / "out", "cannot write .*file/out: ")
    assert (taken / "thesis.txt").read_text() == "mine"


def test_a_start_keeps_its_tokenizer(source: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = load_encoder(train([source], tmp_path / "start", steps=1, batch=16, model=tiny))
    asked = []

    def own(texts: list[str]) -> torch.Tensor:
        asked.append(len(texts))
        return ByteTokenizer(24)(texts)

    own.context_length = 24  # type: ignore[attr-defined]
    start._tokenizer = own
    monkeypatch.setattr("index.train_encoder.load_encoder", lambda spec: start)
    train([source], tmp_path / "out", steps=1, batch=16, init="start")
    assert asked


def test_command(source: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "encoder"
    main(["--source", str(source), "--out", str(out), "--steps", "1", "--batch", "16", "--model", str(tiny)])
    assert str(out) in capsys.readouterr().out
    assert "--steps 1" in json.loads((out / REPORT_NAME).read_text())["command"]
    done = subprocess.run(
        [sys.executable, "-m", "index.train_encoder", "--source", str(tmp_path / "no"), "--out", str(tmp_path / "x")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")


def test_loose_views_depend_on_the_generator_alone() -> None:
    pictures = torch.rand(20, 3, 48, 48, generator=torch.Generator().manual_seed(0))
    first, second = (augment.loose_views(pictures, 32, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (20, 3, 32, 32) and 0 <= float(first.min()) and float(first.max()) <= 1
    assert torch.isfinite(first).all()
    third = augment.loose_views(pictures, 32, torch.Generator().manual_seed(6))
    assert not torch.equal(first, third)


def test_loose_views_show_their_picture() -> None:
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]).repeat(32, 1)
    views = augment.loose_views(colours[:, :, None, None].expand(-1, -1, 48, 48), 32, torch.Generator().manual_seed(0))
    centre = views[:, :, 10:22, 10:22].mean((2, 3))
    assert (centre.argmax(1) == colours.argmax(1)).float().mean() > 0.85


def test_restyle_knows_what_it_left_alone() -> None:
    pictures = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    out, same = augment.restyle(pictures, torch.Generator().manual_seed(1), 0.5)
    assert torch.equal(out[same], pictures[same]) and 0 < int(same.sum()) < 64
    assert all(not torch.equal(a, b) for a, b in zip(out[~same], pictures[~same], strict=True))
    assert augment.restyle(pictures, torch.Generator().manual_seed(1), 0.0)[1].all()


def test_batches_hold_each_row_once_and_look_alikes() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(100, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    near = contrastive.look_alikes(vectors, 12)
    assert near.shape == (100, 12)
    assert not (near == torch.arange(100)[:, None]).any()
    rows, copies = contrastive.draw_batch(near, 40, torch.Generator().manual_seed(2))
    assert len(rows) == 40 and copies == 5
    kept = rows[:-copies].tolist()
    assert len(set(kept)) == len(kept) and set(rows[-copies:].tolist()) <= set(kept)
    assert set(near[kept[0]].tolist()) & set(kept)
    few, copies = contrastive.draw_batch(contrastive.look_alikes(vectors[:5], 12), 40, torch.Generator().manual_seed(2))
    assert sorted(few[: len(few) - copies].tolist()) == [0, 1, 2, 3, 4]


def test_equal_pictures_are_no_negatives() -> None:
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 0], [0, 1]]), dim=1)
    scale, none = torch.tensor(20.0), torch.zeros(3, 3, dtype=torch.bool)
    same = none.clone()
    same[0, 1] = same[1, 0] = True
    assert contrastive.contrast(vectors, vectors, scale, same) < 0.01
    assert contrastive.contrast(vectors, vectors, scale, none) > 0.1


def test_rate_warms_up_and_falls_to_zero() -> None:
    rates = [contrastive.rate(step, 100) for step in range(100)]
    assert rates[0] < rates[4] == 1.0 and rates[-1] < 0.02 and all(0 < value <= 1 for value in rates)
