"""The examples run as they are typed, small."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize("name", ["ppo_fixed_actions.py", "grpo_openenv.py"])
def test_examples_say_how_they_are_used(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "--help"], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "example: python examples/" in done.stdout and len(done.stdout.splitlines()) <= 60


def test_grpo_says_what_is_missing_or_not_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["grpo_openenv.py", "--url", "http://127.0.0.1:9"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXAMPLES / "grpo_openenv.py"), run_name="__main__")
    said = capsys.readouterr().err
    there = importlib.util.find_spec("openenv") is not None
    assert ended.value.code == 2 and said.count("\n") == 1
    assert ("http://127.0.0.1:9 serves no environment" if there else "pip install --no-deps 'openenv") in said


@pytest.mark.slow
def test_ppo_trains_compares_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ["--steps", "128", "--envs", "2", "--length", "32", "--limit", "4", "--out", str(tmp_path / "ppo.json")]
    monkeypatch.setattr(sys, "argv", ["ppo_fixed_actions.py", *small])
    runpy.run_path(str(EXAMPLES / "ppo_fixed_actions.py"), run_name="__main__")
    facts = json.loads((tmp_path / "ppo.json").read_text())
    assert set(facts["results"]) == {"at once", "random", "random looks", "learned"}
    assert facts["tasks"] == 4 and len(facts["returns"]) == 2 and facts["results"]["random looks"]["turns"] == 6.0


@pytest.mark.slow
def test_grpo_trains_over_openenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openenv.core", reason="needs openenv (docs/plugs.md)")
    from benchmarks.openenv_same import serving
    from gog_env.env import GlanceOrGazeEnv

    with serving(GlanceOrGazeEnv(hits=2, max_turns=8)) as (address, _):
        small = ["--url", address, "--steps", "1", "--groups", "1", "--group-size", "2", "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["grpo_openenv.py", *small])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(EXAMPLES / "grpo_openenv.py"), run_name="__main__")
    assert not ended.value.code
    assert (tmp_path / "out" / "model.safetensors").is_file()
