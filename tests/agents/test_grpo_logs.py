"""What GRPO logs and leaves out: KL to the beginning, groups without signal, calls, rollouts that ran out of turns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from agents import grpo
from agents.curriculum import make_curriculum
from agents.rl_measures import step_metrics
from gog_env.actions import Answer, Gaze, Glance, Search
from gog_env.episode import Episode, step_batch
from gog_env.trajectory import record
from tests.agents.tiny_policy import ANSWER, CONFIG, GROUP, LOOK, make, scripted, trainer, with_rollouts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny") / "qwen3_vl"


@pytest.mark.parametrize("fast", [False, True])
def test_kl_is_logged_without_a_term_in_the_loss(
    fast: bool, folder: Path, colours: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "_READ_BY_START", 1)
    model, processor, card = make("qwen3_vl", folder)
    tasks = colours.tasks[1:3]
    drawn = make_curriculum("uniform", [task.id for task in tasks], None, 0).draw(2)
    order = [next(task for task in tasks if task.id == name) for name in drawn]
    rollouts = scripted(model, processor, card, order, colours.index(), GROUP * 2, group=4)
    logged = []
    for beta in (0.0, 1e-9):
        made = trainer(folder, tasks, tmp_path / f"{beta}", fast, beta=beta, num_iterations=2)
        if fast:
            made._engine = grpo.Engine(made.model, processor, card)
        batch = with_rollouts(made, rollouts, fast)
        for moved in (0.0, 0.02):
            noise = torch.Generator().manual_seed(0)
            with torch.no_grad():
                for parameter in made.model.parameters():
                    parameter.add_(torch.randn(parameter.shape, generator=noise) * moved)
            made._compute_loss(made.model, batch)
        logged.append(made._metrics["train"]["kl"])
    assert logged[0] == pytest.approx(logged[1], rel=1e-4, abs=1e-7), "ours, and TRL's own"
    assert abs(logged[0][0]) < 1e-6 < 1e-3 < logged[0][1], "none in the beginning"


def test_the_starting_model_reads_a_fourth_of_what_counts_and_large_ones_are_not_copied(
    folder: Path, colours: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, processor, card = make("qwen3_vl", folder)
    made = trainer(folder, colours.tasks[1:3], tmp_path, fast=True)
    made._engine = grpo.Engine(made.model, processor, card)
    no = "<answer>no</answer>"
    scripts = [[ANSWER], [LOOK] * 4, [no], [ANSWER], [ANSWER], [LOOK, no], [LOOK, ANSWER], [LOOK, ANSWER]]
    rollouts = scripted(model, processor, card, colours.tasks[1:3], colours.index(), scripts, group=4)
    batch = with_rollouts(made, rollouts, fast=True)
    made._compute_loss(made.model, batch)
    made._asked, made._rows = (None, (batch["completion_ids"],) * 2 + (0,), {}), list(range(8))
    made._logprobs = lambda *given, **options: (torch.zeros(2),)
    rows, _ = made._start_logprobs(batch["completion_mask"] * batch["tool_mask"])
    assert rows.tolist() == made._rows == [0, 5], "the second one ran out of turns"
    assert len(made._metrics["train"]["kl"]) == 1 and abs(made._metrics["train"]["kl"][0]) < 1e-6
    monkeypatch.setattr("agents.grpo_kl.LARGEST", 1000)
    assert trainer(folder, colours.tasks[1:3], tmp_path, fast=True)._start is None


@pytest.mark.parametrize("fast", [False, True])
def test_groups_of_the_same_reward_have_no_signal_whatever_it_is(
    fast: bool, folder: Path, colours: SimpleNamespace, tmp_path: Path
) -> None:
    """Eight times 0.9 has a deviation of 6e-8 in float32, in which TRL sees a signal."""
    model, processor, card = make("qwen3_vl", folder)
    made = trainer(folder, colours.tasks[1:3], tmp_path, fast, group_size=8)
    if fast:
        made._engine = grpo.Engine(made.model, processor, card)
    scripts = [[ANSWER]] * 8 + [[ANSWER]] * 7 + [["<answer>no</answer>"]]
    rollouts = scripted(model, processor, card, colours.tasks[1:3], colours.index(), scripts, group=8)
    rewards = torch.tensor([[0.9]] * 15 + [[0.0]])
    made.reward_weights = torch.ones(1)
    reward = made.reward
    made.reward_funcs = [lambda **given: [reward(**given), rewards[:, 0].tolist()][1]]
    made.finished = lambda completions, columns: [one.episode for one in rollouts]
    batch = with_rollouts(made, rollouts, fast)
    assert made._metrics["train"]["groups/without_signal"] == [0.5]
    assert not batch["advantages"][:8].any() and batch["advantages"][8:].all()
    made.log({"loss": 0.0})
    assert "groups/without_signal" in made.state.log_history[-1]
    assert "frac_reward_zero_std" not in made.state.log_history[-1]


@pytest.mark.parametrize("masked", [False, True])
def test_trls_own_loop_leaves_out_what_ran_out_of_turns(
    masked: bool, folder: Path, colours: SimpleNamespace, tmp_path: Path
) -> None:
    """Such a rollout ends with a proper token, so that TRL's rule does not see it."""
    model, processor, card = make("qwen3_vl", folder)
    made = trainer(folder, colours.tasks[1:3], tmp_path, fast=False, mask_truncated=masked)
    rollouts = scripted(model, processor, card, colours.tasks[1:3], colours.index(), GROUP * 2, group=4)
    out = [one.truncated == "turns" for one in rollouts]
    assert sum(out) == 2 and all(one.completion_ids[-1] == processor.tokenizer.eos_token_id for one in rollouts)
    batch = with_rollouts(made, rollouts, fast=False)
    counted = batch["completion_mask"] * batch["tool_mask"]
    assert [not row.any() for row in counted] == [masked and one for one in out]
    assert int(batch["num_items_in_batch"]) == int(counted.sum())


def test_calls_are_logged_by_kind_of_action_and_of_task(colours: SimpleNamespace) -> None:
    """Two rollouts of one task and one of another: means over a kind's rollouts."""
    played = {
        "left": [[Gaze(colours.left), Answer("gold")], [Answer("no")]],
        "hop": [[Glance(), Glance(), Search("x")]],
    }
    records = []
    for name, rollouts in played.items():
        [task] = [one for one in colours.tasks if one.id == name]
        for actions in rollouts:
            episode = Episode(task, CONFIG)
            for action in actions:
                step_batch([episode], [action], colours.index())
            records.append(record(episode, "colours"))
    logged = step_metrics(records)
    found = {name: value for name, value in logged.items() if name.startswith("kind/")}
    assert found == {
        "kind/gaze/accuracy": 0.5, "kind/gaze/glance": 0.0, "kind/gaze/gaze": 0.5, "kind/gaze/search": 0.0,
        "kind/gaze/no_search_rate": 0.5, "kind/hop_1/accuracy": 0.0, "kind/hop_1/glance": 2.0, "kind/hop_1/gaze": 0.0,
        "kind/hop_1/search": 1.0, "kind/hop_1/no_search_rate": 0.0,
    }  # fmt: skip
    assert logged["calls/no_search_rate"] == pytest.approx(1 / 3)
