"""Rollouts: every task once, in any batch size the same, full batches, and failures that are nobody's score."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from agents.policies import BASELINES, OracleCrop
from agents.rollout import play, run_episodes
from gog_env.actions import Answer, Glance
from gog_env.episode import EpisodeConfig
from index.errors import GoGError


def trace(episodes) -> list[tuple]:
    return [(one.task.id, tuple(turn.action for turn in one.turns), one.reward_parts) for one in episodes]


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_batch_size_changes_nothing(name: str, colours: SimpleNamespace) -> None:
    tasks = [colours.task(f"t{n}", ("RED", "GREEN")[: 1 + n % 2], (colours.left,)) for n in range(7)] + colours.tasks
    traces = []
    for batch_size in (1, 3, 64):
        index = colours.index()
        traces.append(trace(run_episodes(BASELINES[name](tasks, index, 5), tasks, index, None, 0, batch_size)))
    assert traces[0] == traces[1] == traces[2]
    assert [one[0] for one in traces[0]] == [task.id for task in tasks]


def test_slots_are_refilled_so_that_batches_stay_full(colours: SimpleNamespace) -> None:
    index = colours.index()
    tasks = [colours.task(f"t{n}", ("RED", "BLUE"), (colours.left, colours.right)) for n in range(8)]
    run_episodes(OracleCrop(tasks, index), tasks, index, batch_size=4)
    assert index.batches == [4, 4, 4, 4]


def test_play_yields_an_episode_as_soon_as_it_ends(colours: SimpleNamespace) -> None:
    index = colours.index()
    order = [episode.task.id for _, episode in play(OracleCrop(colours.tasks, index), colours.tasks, index)]
    assert order == ["count", "left", "both", "hop"]
    assert run_episodes(OracleCrop([], index), [], index) == []


def test_seed_and_rules_reach_every_episode(colours: SimpleNamespace) -> None:
    index = colours.index()
    config = EpisodeConfig(max_turns=2, hits=1)
    for episode in run_episodes(OracleCrop(colours.tasks, index), colours.tasks, index, config, seed=11):
        assert episode.seed == 11 and episode.config is config and episode.done


def test_a_failing_search_stops_the_run_in_one_line(colours: SimpleNamespace) -> None:
    index = colours.index()

    def fail(pictures, k=5):
        raise OSError("disc is gone")

    index.search_image = fail
    with pytest.raises(GoGError, match=r"search failed while playing left, both, hop \(OSError: disc is gone\); no sc"):
        run_episodes(OracleCrop(colours.tasks, index), colours.tasks[1:], index)


def test_a_bug_keeps_its_traceback(colours: SimpleNamespace) -> None:
    index = colours.index()
    index.search_image = lambda pictures, k=5: 1 / 0
    with pytest.raises(ZeroDivisionError):
        run_episodes(OracleCrop(colours.tasks, index), colours.tasks, index)


def test_a_policy_must_answer_for_every_episode(colours: SimpleNamespace) -> None:
    short = SimpleNamespace(name="short", act=lambda views: [Glance()])
    with pytest.raises(GoGError, match="'short' returned 1 actions for 4 episodes"):
        run_episodes(short, colours.tasks, colours.index())
    with pytest.raises(ValueError, match="batch_size"):
        run_episodes(short, colours.tasks, colours.index(), batch_size=0)


def test_views_hold_no_gold(colours: SimpleNamespace) -> None:
    seen = []

    def act(views):
        seen.extend(views)
        return [Answer("x") for _ in views]

    run_episodes(SimpleNamespace(name="spy", act=act), colours.tasks, colours.index())
    assert len(seen) == 4
    assert all(not hasattr(view, field) for view in seen for field in ("answers", "evidence", "regions", "task"))
