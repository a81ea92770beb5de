"""Plans of the method's tables: where they come from, what they refuse, and who plays what with which seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.policy_plan import ABLATIONS, QUICK, RECIPES, TABLES, Plan, evaluations, read_plan
from index.errors import TaskError


def test_plans_are_checked() -> None:
    assert read_plan(None, seeds=[4]).seeds == (4,) and read_plan(None, quick=True, tasks=None) == QUICK
    with pytest.raises(TaskError, match="no more --tasks"):
        read_plan(None, tasks=10**6)


def test_plans_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"rl_steps": 7, "seeds": [1, 2]}')
    assert (
        read_plan(path, rl_steps=None) == Plan(rl_steps=7, seeds=(1, 2)) and read_plan(path, rl_steps=9).rl_steps == 9
    )
    path.write_text('{"steps": 7}')
    with pytest.raises(TaskError, match="has 'steps'; its fields are nations"):
        read_plan(path)
    with pytest.raises(TaskError, match="cannot be read"):
        read_plan(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ('{"tasks": "1000"}', "tasks is a whole number, at least 1, not '1000'"),
        ('{"side_tasks": 0}', "side_tasks is a whole number, at least 1, not 0"),
        ('{"seeds": 5}', "seeds is a list of whole numbers, not 5"),
        ('{"seeds": null}', "seeds is a list of whole numbers, not None"),
        ('{"rl_lr": -1}', "rl_lr is a number, at least 0, not -1"),
        ('{"optimizer": 3}', "optimizer is a word, not 3"),
    ],
)
def test_a_plans_numbers_are_checked(fields: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(fields)
    with pytest.raises(TaskError, match=said):
        read_plan(path)


def test_each_policy_is_played_once_a_seed_and_set() -> None:
    listed = list(evaluations(list(TABLES), Plan()))
    assert len(listed) == len(set(listed)) and ("oracle-reflect", "heldout", 1) not in listed
    assert {policy for policy, _, _ in listed} == {*RECIPES, "oracle-reflect"}
    assert all(recipe.start == "base" or recipe.start in RECIPES for recipe in RECIPES.values())


def test_ablations_may_have_fewer_seeds(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"ablation_seeds": [2, 7]}')
    seeds: dict[str, set[int]] = {}
    for policy, _, seed in evaluations(list(TABLES), read_plan(path)):
        seeds.setdefault(policy, set()).add(seed)
    assert seeds.pop("oracle-reflect") == {0}
    assert seeds == {policy: {2} if policy in ABLATIONS else {0, 1, 2} for policy in RECIPES}
    assert {"rl-adaptive", "glance-only", "sft"}.isdisjoint(ABLATIONS)
    assert {policy for policy, _, _ in evaluations(["ablations"], read_plan(path, seeds=[1]))}.isdisjoint(ABLATIONS)


def test_other_sets_than_the_held_out_one_may_have_fewer_seeds(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"ablation_seeds": [1, 2], "side_seeds": [0, 1]}')
    plan = read_plan(path)
    assert plan.seeds_of("sft") == (0, 1, 2) and plan.seeds_of("sft", "levels") == (0, 1)
    assert plan.seeds_of("rl-cost") == (1, 2) and plan.seeds_of("rl-cost", "heldout-noise") == (1,)
    played = {(policy, name, seed) for policy, name, seed in evaluations(["main", "noise"], plan)}
    assert {seed for policy, name, seed in played if (policy, name) == ("sft", "heldout")} == {0, 1, 2}
    assert {seed for policy, name, seed in played if (policy, name) == ("sft", "heldout-noise")} == {0, 1}
