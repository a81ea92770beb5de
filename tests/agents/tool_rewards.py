"""What rollouts of TRL's tool loop earn, for tests of the adapter without a trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agents.tools import GlanceOrGazeTools
from gog_env.episode import Episode


def episode_rewards(
    environments: Sequence[GlanceOrGazeTools],
    completions: Sequence[list[dict[str, Any]]],
    on_episodes: Callable[[list[Episode]], None] | None = None,
) -> list[float]:
    """Rewards of finished rollouts, as `PolicyTrainer` puts them together; `on_episodes` is given the episodes."""
    episodes = [tools._finish(completion) for tools, completion in zip(environments, completions, strict=True)]
    if on_episodes is not None:
        on_episodes(episodes)
    return [episode.reward_parts.total for episode in episodes]
