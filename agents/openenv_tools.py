"""A served environment as TRL's GRPO trainer takes it: the tools of `agents.tools`, played over OpenEnv.

    url = "http://127.0.0.1:8001"                             # python -m gog_env.plugs.openenv_server
    trainer = GRPOTrainer(model, reward_funcs=openenv_rewards, processing_class=processor, train_dataset=rows,
                          environment_factory=lambda: OpenEnvTools(GlanceOrGazeClient(url).sync(), card), args=...)

- TRL makes every public method a tool, so there are exactly `glance`, `gaze`, `search` and `reset`; the reward is a
  function beside them, `openenv_rewards`.
- The server owns the data: rows need a `prompt` with an empty user message and the `task`'s id. `reset` puts picture
  and question into it. A row without `task` gets one drawn by the server.
- What counts is what evaluation would read out of the messages (`agents.tools.said_actions`). Where that is not what
  was called on the way (several calls in one message), the episode is played again as it counts.
- A search or a connection that fails is never the policy's: the reward function raises it.

Needs the extra `openenv`. `examples/grpo_openenv.py` trains with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.card import PolicyCard
from agents.dialects import tool_call
from agents.tools import said_actions
from gog_env.actions import Action, Gaze
from gog_env.episode import Turn
from gog_env.plugs.openenv_client import picture_of
from gog_env.plugs.openenv_models import GlanceOrGazeObservation
from index.errors import ServiceError
from index.images import crop


class OpenEnvTools:
    """One pooled rollout: tools for the model, a session of a server underneath.

    Args:
        client: a session of its own, a `GlanceOrGazeClient(...).sync()`.
        card: how the model writes boxes and takes pictures.
        seed: of every episode, recorded by the server.
    """

    def __init__(self, client: Any, card: PolicyCard, seed: int = 0) -> None:
        """Keeps the session; `reset` begins an episode."""
        self._client, self._card, self._seed = client, card, seed
        self._first: GlanceOrGazeObservation | None = None
        self._last: GlanceOrGazeObservation | None = None
        self._made: list[Action] = []
        self._earned = 0.0
        self._failure: Exception | None = None

    def reset(self, task: str = "", image: Any = None, **row: Any) -> list | None:
        """Starts an episode of the row's task; returns picture and question, unless the row brings its picture."""
        self._failure = None
        try:
            self._begin(task)
        except Exception as error:  # a refused connection, a lost one, an error of the server: each has its own type
            raise ServiceError(f"the OpenEnv server cannot start task {task!r}: {error}") from error
        assert self._first is not None
        self._picture = picture_of(self._first)
        if image is not None:
            return None
        return [{"type": "image", "image": self._picture}, {"type": "text", "text": self._first.question}]

    def _begin(self, task: str) -> None:
        named = {"task": task} if task else {}
        self._first = self._last = self._client.reset(seed=self._seed, **named).observation
        self._made, self._earned = [], 0.0

    def _step(self, action: Action) -> GlanceOrGazeObservation:
        result = self._client.step(action)
        self._made.append(action)
        self._earned += result.reward or 0.0
        self._last = result.observation
        return result.observation

    def _call(self, name: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        if self._first is None or self._last is None or not self._last.turns_left:
            raise ValueError("the episode is over: answer in <answer> tags")
        action = tool_call.action_of_call(name, arguments, self._card, self._first.size)
        try:
            seen = self._step(action)
        except Exception as error:  # kept for the reward function: a tool's failure is never the policy's
            self._failure = error
            raise
        picture = None
        if isinstance(action, Gaze) and not seen.results.startswith("Invalid action: "):
            picture = crop(self._picture, action.box)
        return tool_call.result_content(Turn(action, text=seen.results, picture=picture), self._card)

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

    def _finish(self, completion: Sequence[dict[str, Any]]) -> float:
        """Ends the episode by the rollout's messages, and says what it earned.

        Raises:
            ServiceError: a search or the connection failed for a reason that is not the policy's.
        """
        assert self._first is not None, "reset comes first"
        task, most = self._first.task_id, self._first.turns_left
        said = said_actions(completion, self._made, self._card, self._first.size, most)
        counted = [action for action, _ in said]
        try:
            if self._failure is not None:
                raise self._failure
            if self._made != counted[: len(self._made)]:
                self._begin(task)
            for action in counted[len(self._made) :]:
                if self._step(action).done:
                    break
        except Exception as error:
            raise ServiceError(f"the OpenEnv server failed in task {task!r}: {error}") from error
        return self._earned


def openenv_rewards(
    environments: Sequence[OpenEnvTools], completions: Sequence[Sequence[dict[str, Any]]], **columns: Any
) -> list[float]:
    """The environments' own rewards, as a reward function of TRL's `GRPOTrainer`."""
    return [tools._finish(said) for tools, said in zip(environments, completions, strict=True)]
