"""A client of an OpenEnv server of the environment, and its observations as a local environment shows them.

    with GlanceOrGazeClient("http://127.0.0.1:8001").sync() as client:
        first = client.reset(seed=0)
        found = client.step(Gaze((0.1, 0.1, 0.5, 0.5)))

Actions are the dataclasses of `gog_env.actions`, elements of the environment's action space, or what travels itself.
Needs the extra `openenv`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from PIL import Image

from index.images import letterbox

from ..actions import as_dict, from_space
from .openenv_models import GlanceOrGazeAction, GlanceOrGazeObservation, GlanceOrGazeState, from_text


class GlanceOrGazeClient(EnvClient[Any, GlanceOrGazeObservation, GlanceOrGazeState]):
    """One session of a server: async by itself, `.sync()` for plain code.

    A server with a token takes `headers={"Authorization": "Bearer TOKEN"}`.
    """

    def _step_payload(self, action: Any) -> dict[str, Any]:
        if isinstance(action, GlanceOrGazeAction):
            return action.model_dump(exclude={"metadata"}, exclude_none=True)
        return as_dict(from_space(action))

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[GlanceOrGazeObservation]:
        seen = {**payload["observation"], "reward": payload.get("reward"), "done": payload.get("done", False)}
        observation = GlanceOrGazeObservation(**seen)
        return StepResult(observation=observation, reward=payload.get("reward"), done=observation.done)

    def _parse_state(self, payload: dict[str, Any]) -> GlanceOrGazeState:
        return GlanceOrGazeState(**payload)


def picture_of(first: GlanceOrGazeObservation) -> Image.Image:
    """The task's picture.

    Args:
        first: what `reset` returned; later observations come without the picture.

    Raises:
        ValueError: it comes without.
    """
    if first.picture is None:
        raise ValueError("only the observation of reset holds the picture (unless asked for none); keep that one")
    return from_text(first.picture)


def gym_observation(
    first: GlanceOrGazeObservation,
    now: GlanceOrGazeObservation,
    picture_size: int = 336,
    thumbnails: int = 3,
    thumbnail_size: int = 96,
) -> dict[str, Any]:
    """What `GlanceOrGazeEnv` would show, array for array, where the picture travelled at its own size.

    Args:
        first: the observation of `reset`.
        now: any one of the same episode.
        picture_size, thumbnails, thumbnail_size: as the server's environment was made.
    """
    small = np.zeros((thumbnails, thumbnail_size, thumbnail_size, 3), np.uint8)
    for row, text in enumerate(now.thumbnails[:thumbnails]):
        if text is not None:
            small[row] = np.asarray(from_text(text))
    return {
        "picture": np.array(letterbox(picture_of(first), picture_size)[0]),
        "question": now.question,
        "results": now.results,
        "thumbnails": small,
        "turns_left": np.int64(now.turns_left),
    }
