"""Curricula: what they draw, that they go on after a stop, and how many groups of a synthetic learner they waste."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents import curriculum, pass_rates
from agents.curriculum import NAMES, Adaptive, Curriculum, PassRate, PassRates, make_curriculum
from agents.policies import OracleCrop, RandomActions
from gog_env.episode import EpisodeConfig
from index.errors import TaskError

IDS = [f"t{number}" for number in range(60)]
RATES = PassRates({task_id: PassRate(number % 9, 8, "gaze") for number, task_id in enumerate(IDS)})


def test_levels_and_pools_by_hand() -> None:
    found = curriculum.levels({str(passes): PassRate(passes, 8) for passes in range(9)})
    assert found == {"0": 2, "1": 2, "2": 1, "3": 1, "4": 1, "5": 1, "6": 1, "7": 0, "8": 0}
    rates = {str(passes): PassRate(passes, 8) for passes in range(9)}
    assert pass_rates.pool(rates, 1) == ["2", "3", "4", "5", "6"]
    assert pass_rates.pool(rates, 2) == ["0", "1", "2", "3"], "expanded by the failing half of level 1"
    with pytest.raises(ValueError, match="level 1 or 2"):
        pass_rates.pool(rates, 0)
    for wrong in ((9, 8), (-1, 8), (0, 0)):
        with pytest.raises(ValueError, match="cannot be"):
            PassRate(*wrong)


def test_wilson_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    for truth in (0.05, 0.5, 0.9):
        ends = [pass_rates.wilson_interval(passes, 50) for passes in rng.binomial(50, truth, 2000)]
        assert 0.92 <= np.mean([low <= truth <= high for low, high in ends]) <= 0.98
    assert pass_rates.wilson_interval(8, 8) == (pytest.approx(0.676, abs=1e-3), 1.0)


def test_rates_survive_the_file_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rates.jsonl"
    RATES.save(path)
    assert PassRates.load(path) == RATES and list(PassRates.load(path)) == IDS
    first = json.loads(path.read_text().splitlines()[4])
    assert first["low"] < first["rate"] == 0.5 < first["high"] and first["level"] == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["rates.jsonl"]
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(TaskError, match="line 61: no pass rate"):
        PassRates.load(path)
    path.write_text(path.read_text().splitlines()[0] + "\n" + path.read_text().splitlines()[0])
    with pytest.raises(TaskError, match="comes twice"):
        PassRates.load(path)
    with pytest.raises(TaskError, match="measure them with python -m agents.curriculum"):
        PassRates.load(tmp_path / "nowhere")


def test_the_summary_counts_by_kind() -> None:
    rates = {"a": PassRate(8, 8, "gaze"), "b": PassRate(4, 8, "gaze"), "c": PassRate(0, 8, "hop_1")}
    found = pass_rates.summary(rates)
    assert found["all"]["rate"] == pytest.approx(0.5) and found["all"]["no_signal"] == pytest.approx(2 / 3)
    assert found["by_kind"]["gaze"]["levels"] == {"0": 1, "1": 1, "2": 0}
    assert found["by_kind"]["hop_1"] == {
        "tasks": 1, "rollouts": 8, "rate": 0.0, "levels": {"0": 0, "1": 0, "2": 1}, "no_signal": 1.0
    }  # fmt: skip
    header, lines = curriculum.rows(found)
    assert len(header) == len(lines[0]) and lines[-1][0] == "all (3)"


@pytest.mark.parametrize("name", NAMES)
def test_no_task_twice_in_a_step_and_the_same_draws_for_the_same_seed(name: str) -> None:
    def draws(seed: int) -> list[list[str]]:
        made = make_curriculum(name, IDS, RATES, seed)
        return [play_step(made, 7, RATES) for _ in range(40)]

    first = draws(3)
    assert first == draws(3) != draws(4)
    assert all(len(set(step)) == 7 for step in first)
    inside = {"level1": (0.25, 0.75), "level2": (0.0, 0.49)}.get(name, (0.0, 1.0))
    assert all(inside[0] <= RATES[task_id].rate <= inside[1] for step in first for task_id in step)


def play_step(made: Curriculum, groups: int, rates: PassRates) -> list[str]:
    drawn = made.draw(groups)
    for task_id in drawn:
        passes = round(rates[task_id].rate * 8)
        made.update(task_id, [1.0] * passes + [0.0] * (8 - passes))
    return drawn


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_curriculum_goes_on_to_the_same_draws(name: str) -> None:
    whole, cut = (make_curriculum(name, IDS, RATES, 5) for _ in range(2))
    expected = [play_step(whole, 6, RATES) for _ in range(25)]
    for _ in range(11):
        play_step(cut, 6, RATES)
    state = json.loads(json.dumps(cut.state()))
    fresh = make_curriculum(name, IDS, None if name in ("uniform", "adaptive") else RATES, 5)
    fresh.restore(state)
    assert [play_step(fresh, 6, RATES) for _ in range(14)] == expected[11:]
    assert fresh.state() == whole.state()
    for other in (make_curriculum(name, IDS, RATES, 6), make_curriculum(name, IDS[9:], RATES, 5)):
        with pytest.raises(TaskError, match="go on with the options"):
            other.restore(state)


def test_a_round_shows_every_task_once() -> None:
    made = make_curriculum("uniform", IDS, seed=2)
    counts = Counter(task_id for _ in range(10) for task_id in made.draw(6))
    assert set(counts.values()) == {1} and len(counts) == 60


def test_adaptive_prefers_disagreement_and_follows_the_policy() -> None:
    rates = {"never": PassRate(0, 8), "always": PassRate(8, 8), "half": PassRate(4, 8), "third": PassRate(3, 8)}
    made = Adaptive(list(rates), rates, explore=0.0, rest=0)
    assert made.draw(2) == ["half", "third"]
    for _ in range(6):
        made.update("half", [1.0] * 8)
        made.update("third", [1.0, 0.0] * 4)
        made.draw(1)
    assert made.rate("half") > 0.85 and made.draw(1) == ["third"]
    before = Adaptive(list(rates), rates, explore=0.0)
    lifted = Adaptive(list(rates), rates, explore=0.0)
    for one, earned in ((before, 4), (lifted, 8)):
        for _ in range(10):
            one.draw(2)
            one.update("half", [1.0] * earned + [0.0] * (8 - earned))
    before.draw(1), lifted.draw(1)
    assert lifted.rate("never") > before.rate("never") + 0.05, "who improves on one task improves on others"
    assert before.rate("never") == pytest.approx(0.1, abs=0.02), "what fades is certainty, not the rate"


def test_adaptive_explores_what_was_never_measured() -> None:
    rates = {task_id: PassRate(8, 8) for task_id in IDS[:40]}
    made = make_curriculum("adaptive", IDS, rates, 0)
    assert set(made.draw(4)) <= set(IDS[40:]), "unknown is better than mastered"
    blind = make_curriculum("adaptive", IDS, None, 0)
    assert len({task_id for _ in range(8) for task_id in blind.draw(6)}) == 48, "drawn tasks rest"


def learner(name: str, seed: int) -> tuple[float, float]:
    """Share of groups without signal over 150 steps of a learner who improves by groups that disagree; final rate."""
    rng = np.random.default_rng([seed, 7])
    difficulty = rng.normal(-1.25, 2.5, 1000)
    skill, own = 0.0, np.zeros(1000)
    ids = [f"t{number}" for number in range(1000)]

    def passing() -> Any:
        return 1 / (1 + np.exp(difficulty - skill - own))

    rates = {task_id: PassRate(int(passes), 8) for task_id, passes in zip(ids, rng.binomial(8, passing()), strict=True)}
    made = make_curriculum(name, ids, rates, seed)
    silent = 0
    for _ in range(150):
        now, earned = passing(), {}
        for task_id in made.draw(8):
            row = int(task_id[1:])
            earned[task_id] = (rng.random(8) < now[row]).astype(float)
            signal = 4 * float(earned[task_id].var())
            silent += signal == 0
            skill, own[row] = skill + 0.006 * signal, own[row] + 0.3 * signal
        for task_id, accuracies in earned.items():
            made.update(task_id, accuracies.tolist())
    return silent / (150 * 8), float(passing().mean())


def test_adaptive_wastes_far_fewer_groups_of_a_synthetic_learner() -> None:
    found = {name: np.mean([learner(name, seed) for seed in range(3)], axis=0) for name in NAMES}
    waste = {name: float(values[0]) for name, values in found.items()}
    assert waste["adaptive"] < 0.5 * waste["uniform"], waste
    assert waste["adaptive"] < 0.75 * min(waste["level1"], waste["level2"]), waste
    assert found["adaptive"][1] > found["uniform"][1] + 0.03 and found["adaptive"][1] > found["level2"][1], found


def test_what_cannot_be_drawn_says_what_to_do() -> None:
    for name, rates, message in (
        ("level3", RATES, "choose uniform, level1, level2, adaptive"),
        ("level1", None, "measure them with python -m agents.curriculum"),
        ("level2", {"elsewhere": PassRate(0, 8)}, "none of 60 tasks is on level2"),
    ):
        with pytest.raises(TaskError, match=message):
            make_curriculum(name, IDS, rates)
    with pytest.raises(TaskError, match="has no task to draw"):
        make_curriculum("uniform", [])
    for name in ("uniform", "adaptive"):
        made = make_curriculum(name, IDS)
        with pytest.raises(TaskError, match="60 tasks, a step takes 61; lower --groups"):
            made.draw(61)
        with pytest.raises(TaskError, match="has no task 'x'"):
            made.update("x", [1.0])
    few = make_curriculum("adaptive", IDS[:4])
    assert all(len(few.draw(3)) == 3 for _ in range(5)), "who rests is woken where too few are left"


def test_rates_are_measured_by_playing(colours: SimpleNamespace) -> None:
    tasks, index = colours.tasks, colours.index()
    sure = curriculum.measure_rates(OracleCrop(tasks, index), tasks, index, EpisodeConfig(), 3)
    assert [(one.passes, one.rollouts, one.kind) for one in sure.values()] == [
        (3.0, 3, "visual"), (3.0, 3, "gaze"), (3.0, 3, "compare"), (3.0, 3, "hop_1")
    ]  # fmt: skip
    guessing = curriculum.measure_rates(RandomActions(tasks, index), tasks, index, EpisodeConfig(), 2)
    assert list(guessing) == [task.id for task in tasks] and all(one.rollouts == 2 for one in guessing.values())


def test_the_command_writes_rates_and_a_summary(
    nano_folder: Path, tiny_index: Path, tiny_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.conftest import draw, write_source

    row = {"file_name": "a.png", "id": "t0", "question": "How many?", "answers": ["2"], "kind": "visual"}
    tasks = write_source(tmp_path / "tasks", [row], {"a.png": draw(0)})
    out = tmp_path / "rates.jsonl"
    given = ["--model", str(nano_folder), "--index", str(tiny_index), "--tasks", str(tasks), "--out", str(out)]
    assert curriculum.main([*given, "--rollouts", "2"]) == 0
    assert PassRates.load(out)["t0"].rollouts == 2
    found = json.loads((tmp_path / "rates.summary.json").read_text())
    assert found["all"]["tasks"] == 1 and found["command"].startswith("python -m agents.curriculum")
    assert "visual (1)" in capsys.readouterr().out
