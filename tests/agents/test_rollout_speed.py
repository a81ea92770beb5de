"""The comparison of rollout loops: both write the same rollouts, token by token, and what differs is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.cases import cases_of
from agents.dialects import tool_call
from agents.engine_chat import ChatTokens
from agents.grpo import EngineTrainer, PolicyTrainer
from agents.lmm import load_model
from agents.settings import episode_config
from benchmarks import rollout_speed
from benchmarks.same_rollouts import WRONG, scripts_of, written_by
from gog_env.actions import Answer, Gaze, Search
from index.errors import GoGError, TaskError
from tests.agents.conftest import ColourIndex


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The completions of every step, and their episodes, by the trainer's class."""
    kept: dict[str, list[Any]] = {}
    for trainer in (PolicyTrainer, EngineTrainer):
        original = trainer._generate

        def generate(self: Any, prompts: list, original: Any = original) -> Any:
            made = original(self, prompts)
            kept.setdefault(type(self).__name__, []).append(made[1])
            return made

        monkeypatch.setattr(trainer, "_generate", generate)
    return kept


def run(folder: Path, engine: str, cases: Any, **changes: Any) -> dict[str, float]:
    usual = {"groups": 3, "group_size": 4, "micro_batch": None, "temperature": 1.0, "max_completion": 1536, "seed": 0}
    options: Any = SimpleNamespace(**{**usual, "rollouts": "scripted", **changes})
    return rollout_speed.one_step(engine, str(folder), ColourIndex(), cases, 0, options)


def test_both_loops_write_the_same_tokens(nano_folder: Path, colours: Any, said: dict[str, list[Any]]) -> None:
    rows = {engine: run(nano_folder, engine, cases_of(colours.tasks)) for engine in ("trl", "fast")}
    rollout_speed.check_same(rows)
    assert rows["fast"]["episode/accuracy"] == 0.5 and rows["fast"]["groups/without_signal"] == 0.0
    assert rows["fast"]["episode/turns"] > 1.5, "some of them search"
    [trl], [ours] = said["PolicyTrainer"], said["EngineTrainer"]
    assert trl == ours and len(ours) == 12 and len({tuple(ids) for ids in ours}) > 6


def test_a_script_says_what_the_oracle_did(nano_folder: Path, colours: Any) -> None:
    model, processor, card = load_model(nano_folder)
    chat, config = ChatTokens(model, processor, card), episode_config(card)
    scripts = scripts_of(cases_of(colours.tasks[3:]), ColourIndex(), chat, card, config, group_size=2)
    for script, answer in zip(scripts, ("gold", WRONG), strict=True):
        assert all(turn[-1] in chat.ends and not set(turn[:-1]).intersection(chat.ends) for turn in script)
        actions = [tool_call.parse(chat.text(turn), card, (100, 100)) for turn in script]
        assert isinstance(actions[-1], Answer) and actions[-1].text == answer
        assert {type(action) for action in actions[:-1]} == {Gaze, Search}


def test_what_cannot_be_scripted_is_refused(nano_folder: Path, colours: Any) -> None:
    model, processor, card = load_model(nano_folder)
    card = replace(card, max_new_tokens=8)
    chat, config = ChatTokens(model, processor, card), episode_config(card)
    with pytest.raises(TaskError, match="task count"):
        scripts_of(cases_of(colours.tasks), ColourIndex(), chat, card, config, group_size=2)
    with pytest.raises(RuntimeError, match="2 rollouts take turn 0, where 1 are scripted"):
        with written_by(model, [[[5, 2]]]):
            model.generate(input_ids=[[1], [1]])
    alike = dict.fromkeys(rollout_speed.SHOWN, 1.0)
    with pytest.raises(GoGError, match="did not write the same: episode/turns"):
        rollout_speed.check_same({"trl": {**alike, "episode/turns": 2.0}, "fast": alike})


def test_the_command_prints_ratios_and_keeps_them(
    nano_folder: Path, colours: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(rollout_speed, "open_world", lambda *given, **options: (ColourIndex(), colours.tasks))
    monkeypatch.setattr(rollout_speed, "known_cases", lambda tasks, path: cases_of(tasks))
    out = tmp_path / "speed.json"
    command = ["--model", str(nano_folder), "--groups", "2", "--group-size", "2", "--steps", "1", "--out", str(out)]
    assert rollout_speed.main(command) == 0
    found = json.loads(out.read_text())
    ours, theirs = (found["engines"][name] for name in ("fast", "trl"))
    assert ours["episode/turns"] == theirs["episode/turns"] and len(ours["seconds of each step"]) == 1
    assert found["ratio"]["clock"]["all"] == pytest.approx(theirs["seconds"] / ours["seconds"], rel=0.01)
    assert "by the clock" in capsys.readouterr().out
