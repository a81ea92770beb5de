"""The environment as TRL's GRPO trainer takes it: an object whose public methods are the tools.

`GRPOTrainer(environment_factory=…)` makes every public method of an instance a tool, pools the instances, and calls
`reset(**row)` before each rollout. So this adapter has exactly `glance`, `gaze`, `search` and `reset`; the reward is
a function beside it, which also sees the last assistant message, where the answer stands. An `Episode` underneath
keeps the rules: the same turns, results and rewards as in `GoG-VQA-v0`, so that every rollout's trajectory replays to
the reward it was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agents.card import PolicyCard
from agents.dialects import tool_call
from gog_env.actions import Action, Malformed
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.tasks import Task
from index.errors import GoGError


class GlanceOrGazeTools:
    """One pooled rollout: tools for the model, an episode underneath.

    Args:
        tasks: all tasks by id; a row names its task in the column `task`.
        index: the knowledge that is searched.
        config: rules of the episodes.
        card: how the model writes boxes and takes pictures.
    """

    def __init__(self, tasks: dict[str, Task], index: Any, config: EpisodeConfig, card: PolicyCard) -> None:
        """Keeps what every rollout shares."""
        self._tasks, self._index, self._config, self._card = tasks, index, config, card
        self._episode: Episode | None = None
        self._failure: Exception | None = None

    def reset(self, task: str = "", **row: Any) -> None:
        """Starts an episode of the row's task. Returns None: picture and question are already in the prompt."""
        self._episode = Episode(self._tasks[task], self._config, seed=0)
        self._failure = None

    def _call(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        episode = self._episode
        if episode is None or episode.done:
            raise ValueError("the episode is over: answer in <answer> tags")
        action = tool_call.action_of_call(name, arguments, self._card)
        try:
            turn = step_batch([episode], [action], self._index)[0]
        except Exception as error:  # kept for the reward function: a tool's failure is never the policy's
            self._failure = error
            raise
        return tool_call.result_content(turn, self._card)

    def glance(self) -> list:
        """Search with the whole picture."""
        return self._call("glance", {})

    def gaze(self, box: list[int]) -> list:
        """Crop a region of the picture and search with the crop.

        Args:
            box: The region as [x0, y0, x1, y1] in thousandths of the picture's width and height.
        """
        return self._call("gaze", {"box": box})

    def search(self, query: str) -> list:
        """Search the texts.

        Args:
            query: What to look for.
        """
        return self._call("search", {"query": query})

    def _finish(self, completion: Sequence[dict[str, Any]]) -> Episode:
        """Ends the episode with what the rollout's own last message says, and returns it.

        A last message that still calls a tool (the rollout ran out of turns or tokens) leaves the episode unanswered.

        Raises:
            GoGError: a search failed for a reason that is not the policy's.
        """
        episode = self._episode
        assert episode is not None, "reset comes first"
        if self._failure is not None:
            raise GoGError(f"a search failed in task {episode.task.id}: {self._failure}") from self._failure
        last = completion[-1] if completion else {}
        if last.get("role") == "assistant" and not episode.done:
            action: Action = tool_call.parse(str(last.get("content") or ""), self._card)
            if last.get("tool_calls"):
                action = Malformed("the turns ran out before an answer")
            step_batch([episode], [action], self._index)
        return episode


def episode_rewards(
    environments: Sequence[GlanceOrGazeTools],
    completions: Sequence[list[dict[str, Any]]],
    on_episodes: Callable[[list[Episode]], None] | None = None,
) -> list[float]:
    """Rewards of finished rollouts, in the order given.

    An episode that ends without an answer earns what the environment gives for that: no accuracy and no format.

    Args:
        environments: the adapters that the rollouts used.
        completions: their messages, tool results included.
        on_episodes: called with the episodes, for logging.
    """
    episodes = [tools._finish(completion) for tools, completion in zip(environments, completions, strict=True)]
    if on_episodes is not None:
        on_episodes(episodes)
    return [episode.reward_parts.total for episode in episodes]
