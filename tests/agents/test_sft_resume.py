"""A killed SFT run goes on from its checkpoint to the same weights, and refuses to go on as another run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents import train_sft
from agents.sft import PolicySftTrainer
from index.errors import ModelError
from tests.agents.test_sft_mask import nano, write_demos

__all__ = ["nano"]  # a fixture


def log_of(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    timed = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows]


@pytest.mark.parametrize(
    "more",
    [
        ["--batch-size", "1", "--optimizer", "muon", "--freeze-vision", "--group-by-length"],
        ["--batch-size", "2", "--lora-rank", "4"],
    ],
)
def test_a_killed_run_goes_on_to_the_same_weights(
    nano: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    demos = str(write_demos(tmp_path / "demos.parquet", "Veloria", False))
    command = ["--model", str(nano), "--demos", demos, "--steps", "7", "--lr", "0.003", *more]
    train_sft.main([*command, "--save-every", "2", "--out", str(tmp_path / "whole")])

    steps = iter(range(5))
    plain = PolicySftTrainer.training_step

    def killed(*given: Any, **more: Any) -> Any:
        next(steps)
        return plain(*given, **more)

    broken = [*command, "--save-every", "2", "--out", str(tmp_path / "broken")]
    with monkeypatch.context() as patch:
        patch.setattr(PolicySftTrainer, "training_step", killed)
        with pytest.raises(StopIteration):
            train_sft.main(broken)
    assert not (tmp_path / "broken").exists()
    with pytest.raises(ModelError, match="an unfinished run of .* with checkpoint-4: go on with --resume"):
        train_sft.main(broken)
    with pytest.raises(ModelError, match="started with lr = 0.003, now it is 0.1"):
        train_sft.main([*broken, "--lr", "0.1", "--resume"])
    train_sft.main([*broken, "--resume"])
    whole, resumed = (tmp_path / name for name in ("whole", "broken"))
    assert (whole / "model" / "model.safetensors").read_bytes() == (
        resumed / "model" / "model.safetensors"
    ).read_bytes()
    assert log_of(whole)[:-1] == log_of(resumed)[:-1] and log_of(whole)[-1]["step"] == 7
    assert not any((whole / "model").glob("checkpoint*")) and not (whole / "trainer").exists()
    with pytest.raises(ModelError, match="no unfinished run of"):
        train_sft.main([*command, "--save-every", "2", "--out", str(tmp_path / "other"), "--resume"])
