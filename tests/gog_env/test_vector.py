"""Sync and async vector environments return what single ones do, Unicode included."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from gog_env.actions import Answer, Gaze, Glance, Search
from gog_env.env import GlanceOrGazeEnv

from .conftest import TRICKY

PLANS: list[list[Any]] = [
    [(2, "Lüneva 🗿"), (3, "東京é🙂"), (0, 0)],
    [Gaze((0.1, 0.1, 0.9, 0.9)), Search("nothing like this qqq"), Answer("Gold3xyz")],
]


def make(index: Path, tasks: Path) -> gymnasium.Env[Any, Any]:
    return gymnasium.make("GoG-VQA-v0", index=index, tasks=tasks, picture_size=64, thumbnail_size=32)


def play(envs: VectorEnv[Any, Any, Any]) -> list[Any]:
    """Two copies of a task with accents, CJK and emoji in its question; then each its own way."""
    seen: list[Any] = [envs.reset(seed=[5, 6], options={"task": "t3"})]
    for actions in zip(*PLANS, strict=True):
        seen.append(envs.step(actions))
    return seen


@pytest.mark.parametrize(
    "vector",
    [
        SyncVectorEnv,
        functools.partial(AsyncVectorEnv, shared_memory=True),
        functools.partial(AsyncVectorEnv, shared_memory=True, copy=False),
        functools.partial(AsyncVectorEnv, shared_memory=False),
    ],
    ids=["sync", "shared", "shared-live", "piped"],
)
def test_vector_environments_agree_with_single_ones(vector: Any, tiny_index: Path, task_folder: Path) -> None:
    maker = functools.partial(make, tiny_index, task_folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # forking after torch has threads is deprecated, and it is the platform's default that users meet
        warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
        envs = vector([maker, maker])
        try:
            seen = play(envs)
        finally:
            envs.close()
    singles: list[GlanceOrGazeEnv] = [maker().unwrapped, maker().unwrapped]  # type: ignore[list-item]
    expected = [env.reset(seed=seed, options={"task": "t3"}) for env, seed in zip(singles, (5, 6), strict=True)]
    observations, infos = seen[0]
    live = getattr(envs, "copy", True) is False  # such observations are views of the present
    if not live:
        assert observations["question"] == (TRICKY, TRICKY)
        assert observations["results"] == ("", "")
    assert list(infos["task_id"]) == ["t3", "t3"]
    assert [picture.size for picture in infos["picture"]] == [(100, 80)] * 2
    for turn in range(2):
        observations, rewards, terminations, truncations, infos = seen[turn + 1]
        for row, env in enumerate(singles):
            expected[row] = env.step(PLANS[row][turn])  # type: ignore[call-overload]
            observation, reward, terminated, truncated, info = expected[row]  # type: ignore[misc]
            if not live:
                for key in ("question", "results"):
                    assert observations[key][row] == observation[key] and type(observations[key][row]) is str
                for key in ("picture", "thumbnails", "turns_left"):
                    assert np.array_equal(observations[key][row], observation[key])
            assert (rewards[row], terminations[row], truncations[row]) == (reward, terminated, truncated)
            if terminated:
                assert infos["answers"][row] == info["answers"] and infos["accuracy"][row] == info["accuracy"]
                assert json.loads(infos["trajectory"][row]) == json.loads(info["trajectory"])
    assert rewards[0] == pytest.approx(0.1)  # answered in good form, and wrong
    observations, rewards, terminations, *_ = seen[3]
    assert list(terminations) == [False, True] and rewards[1] == 1.0
    if live:
        assert tuple(observations["question"])[1] == TRICKY
    assert observations["results"][1] == ""


def test_gymnasium_makes_vectors_of_it(tiny_index: Path, task_folder: Path) -> None:
    envs = gymnasium.make_vec("GoG-VQA-v0", num_envs=2, index=tiny_index, tasks=task_folder)
    observations, _ = envs.reset(seed=0)
    assert observations["picture"].shape == (2, 336, 336, 3)
    observations, *_ = envs.step([Glance(), Glance()])
    assert all(text.startswith("[1] ") for text in observations["results"])
    envs.step(envs.action_space.sample())
    envs.close()
