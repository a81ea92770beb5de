"""Loading a model: local folders never meet the network, and whatever is wrong is one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from agents.lmm import load_model
from index.errors import ModelError


def test_a_missing_folder_is_not_looked_for_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *a, **k: pytest.fail("the network was asked"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    for path in ("runs/sft", "models/x", "./x", "../x", "~/x/y", "/nowhere/x", "a/b/c", "nano"):
        with pytest.raises(ModelError, match=f"model folder {path} does not exist"):
            load_model(path)


def test_a_hub_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*given: object, **options: object) -> None:
        raise OSError("no route to host\nand much more")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", offline)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"nobody/no-model is neither a folder.*\(no route to host\)"):
        load_model("nobody/no-model")


def test_broken_weights_are_one_line(nano_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no config.json"):
        load_model(tmp_path / "empty")

    def copy(name: str) -> Path:
        return Path(shutil.copytree(nano_folder, tmp_path / name))

    cut, junk, other, words = copy("cut"), copy("junk"), copy("other"), copy("words")
    whole = (nano_folder / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (junk / "model.safetensors").write_bytes(b"no weights at all" * 100)
    config = json.loads((other / "config.json").read_text())
    config["text_config"]["intermediate_size"] += 8
    (other / "config.json").write_text(json.dumps(config))
    (words / "config.json").write_text("{")
    for folder in (cut, junk, other, words):
        with pytest.raises(ModelError, match=f"cannot load a model from {folder}") as raised:
            load_model(folder)
        assert "\n" not in str(raised.value)
