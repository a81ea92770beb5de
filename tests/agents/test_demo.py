"""The main job, small: every step of it for real, with the shipped policy or, where there is none, a random one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents import demo, settings
from index.errors import ModelError


def test_a_folder_that_is_no_demo_stays(tmp_path: Path) -> None:
    with settings.run_folder(tmp_path / "sft") as folder:
        settings.write_json(folder / "run.json", {})
        (folder / "model").mkdir()
    with pytest.raises(ModelError, match="holds model"):
        demo.main(["--out", str(tmp_path / "sft")])
    assert (tmp_path / "sft" / "model").exists()


@pytest.mark.slow
def test_the_demo_runs_to_its_table(
    nano_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        settings.default_model("base"), settings.default_model()
    except ModelError:
        monkeypatch.setattr(settings, "default_model", lambda stage="sft": nano_folder)
    monkeypatch.setenv("GOG_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "demo"
    for _ in range(2):  # the second demo takes the place of the first
        assert demo.main(["--sft-steps", "1", "--steps", "1", "--limit", "4", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert (
        all(name in printed for name in ("oracle-crop", demo.SHIPPED, *demo.NAMES))
        and f"everything is in {out}/" in printed
    )
    assert json.loads((out / "nano-SFT" / "metrics.json").read_text())["n"] == 4
    for name in ("beginner", "beginner-RL"):
        assert json.loads((out / name / "metrics.json").read_text())["n"] == 4 * demo.ROLLOUTS
    gain = json.loads((out / "gain.json").read_text())
    assert gain["n"] == 4 and gain["low"] <= gain["mean"] <= gain["high"]
    assert "RL over SFT on the same 4 tasks" in printed
    assert json.loads((out / "rl" / "run.json").read_text())["options"]["steps"] == 1
    assert json.loads((out / "run.json").read_text())["command"].startswith("python -m agents.demo --sft-steps 1")
