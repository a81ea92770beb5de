"""The bars of the perfect reader on real flags, with the shipped encoder, which never saw one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import index
from benchmarks import perfect_reader

WEIGHTS = Path(index.__file__).parent / "nano" / "open_clip_model.safetensors"


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="index/nano has no weights; make them with index.train_encoder")
def test_looking_decides_on_real_flags(atlas: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    perfect_reader.main(["--data", str(atlas), "--out", str(tmp_path / "table.json")])
    found = json.loads((tmp_path / "table.json").read_text())["policies"]
    accuracy = {name: metrics["accuracy"]["mean"] for name, metrics in found.items()}
    assert accuracy["oracle-crop"] >= 0.95
    assert accuracy["glance"] <= 0.5
    assert accuracy["direct"] == pytest.approx(20 / 150)  # the count questions, which need no knowledge
    assert accuracy["direct"] <= accuracy["glance"] and accuracy["grid-gaze"] < accuracy["oracle-crop"]
    assert found["oracle-crop"]["box_iou"] == 1.0
    assert "oracle-crop" in capsys.readouterr().out
