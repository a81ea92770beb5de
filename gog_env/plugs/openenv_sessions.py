"""Sessions of an OpenEnv server: an environment each, one index and one tasks list for all, stepped together.

- A session is a twin of one `GlanceOrGazeEnv`, so that its episodes are those of a local environment, to the bit: the
  same seeds, tasks, hits, rewards and records.
- What waits while one batch is searched is the next batch (`Together`): 64 sessions that gaze at once are one pass of
  the encoder. On a CPU a crop's vector does not depend on its company (`index.invariant`).
- A search that fails in company is tried alone; a session that it fails for alone is told, its episode is as before,
  and the same step can be taken again.

Needs the extra `openenv`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import gymnasium
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import EnvironmentMetadata
from PIL import Image

from index.errors import TaskError

from .. import pictures
from ..env import GlanceOrGazeEnv
from ..stand import take
from .openenv_models import (
    MOST_PIXELS,
    GlanceOrGazeAction,
    GlanceOrGazeObservation,
    GlanceOrGazeState,
    Outcome,
    to_text,
)

#: Sessions whose steps are searched for in one call at most.
COMPANY = 64


class Together:
    """Takes the steps of many sessions in batches that form by themselves. For one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[GlanceOrGazeEnv, GlanceOrGazeAction, asyncio.Future[None]]] = deque()
        self._working: asyncio.Task[None] | None = None
        #: How many steps each batch so far had, the last ones.
        self.batches: deque[int] = deque(maxlen=1000)

    async def step(self, env: GlanceOrGazeEnv, action: GlanceOrGazeAction) -> None:
        """Takes an action in an environment.

        Raises:
            Exception: whatever a search raises; the episode is then as before.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((env, action, done))
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())
        await done

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(COMPANY, len(self._waiting)))]
            batch = [one for one in batch if not one[2].done()]  # whoever has hung up meanwhile
            if not batch:
                continue
            self.batches.append(len(batch))
            results = await asyncio.to_thread(_take, [(env, action) for env, action, _ in batch])
            for (_, _, done), error in zip(batch, results, strict=True):
                if done.done():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)


def _take(batch: Sequence[tuple[GlanceOrGazeEnv, GlanceOrGazeAction]]) -> list[Exception | None]:
    """Steps environments of one index; an error for each that could not be stepped."""
    first = batch[0][0]
    try:
        stands = [env.stand for env, _ in batch if env.stand is not None]
        take(stands, [action.action() for _, action in batch], first.index, first.thumbnail_size)
    except Exception as error:
        return [error] if len(batch) == 1 else [_take([one])[0] for one in batch]
    return [None] * len(batch)


class GlanceOrGazeSession(Environment[GlanceOrGazeAction, GlanceOrGazeObservation, GlanceOrGazeState]):
    """`GoG-VQA-v0` as OpenEnv serves it; rules, rewards and ends are in `gog_env.env.GlanceOrGazeEnv`.

    Args:
        env: an environment of its own (`GlanceOrGazeEnv.twin`).
        together: what all sessions of a server step by; None: alone.
        split: what the server calls its tasks.
        most: pixels of a picture that travel at most.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(
        self,
        env: GlanceOrGazeEnv,
        together: Together | None = None,
        split: str = "tasks",
        most: int = MOST_PIXELS,
    ) -> None:
        super().__init__()
        self._env, self._together, self._split, self._most = env, together, split, most
        self._episode_id: str | None = None
        self._pictures = True

    def reset(  # type: ignore[override]
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        task: str | None = None,
        split: str | None = None,
        index: int | None = None,
        pictures: bool = True,
        **unknown: Any,
    ) -> GlanceOrGazeObservation:
        """Starts an episode.

        Args:
            seed: seeds the choice of this task and, until the next seed, of the following ones.
            episode_id: kept in the state.
            task: the id of the task that is wanted; None: drawn.
            split: the server's own name for its tasks, with `index`.
            index: the place of the task that is wanted, from 0 on.
            pictures: False for clients that show observations as text: no picture and no thumbnail travels.
            **unknown: nothing else is taken.

        Raises:
            TaskError: there is no such task or argument.
        """
        if unknown:
            raise TaskError(
                f"unknown argument {min(unknown)!r} of reset; use seed, episode_id, pictures, task, or split and index"
            )
        if not isinstance(pictures, bool):
            raise TaskError(f"pictures is {pictures!r}; it is true or false")
        if index is not None:
            if task is not None:
                raise TaskError("task and index both name a task; leave one of them out")
            task = self.get_task(split or self._split, index)["id"]
        options = {} if task is None else {"task": task}
        self._env.reset(seed=seed, options=options)
        self._episode_id, self._pictures = episode_id, pictures
        return self._observation(first=True)

    async def reset_async(self, *arguments: Any, **named: Any) -> GlanceOrGazeObservation:  # type: ignore[override]
        """`reset` in a thread: pictures are decoded there."""
        return await asyncio.to_thread(self.reset, *arguments, **named)

    def step(self, action: GlanceOrGazeAction, timeout_s: float | None = None, **named: Any) -> GlanceOrGazeObservation:
        """Takes an action alone.

        Raises:
            ResetNeeded: there is no episode, or it is over.
            Exception: whatever a search raises; the episode is then as before.
        """
        self._check()
        if error := _take([(self._env, action)])[0]:
            raise error
        return self._observation()

    async def step_async(
        self, action: GlanceOrGazeAction, timeout_s: float | None = None, **named: Any
    ) -> GlanceOrGazeObservation:
        """Takes an action in company; for errors see `step`."""
        self._check()
        if self._together is None:
            return await asyncio.to_thread(self.step, action)
        await self._together.step(self._env, action)
        return await asyncio.to_thread(self._observation)

    @property
    def state(self) -> GlanceOrGazeState:
        """Where the session stands."""
        episode = self._env.episode
        known = {"episode_id": self._episode_id, "index": self._env.index.fingerprint}
        if episode is None:
            return GlanceOrGazeState(**known)
        return GlanceOrGazeState(
            **known, step_count=len(episode.turns), task_id=episode.task.id, turns_left=episode.turns_left,
            done=episode.done,
        )  # fmt: skip

    def get_metadata(self) -> EnvironmentMetadata:
        """Name and version, for OpenEnv's pages."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("glance-or-gaze")
        except PackageNotFoundError:  # a checkout that is not installed
            found = "0"
        about = "A question about a picture, and a library to search with words, with the picture, or with any crop."
        return EnvironmentMetadata(name="GoG-VQA-v0", description=about, version=found)

    def list_splits(self) -> list[str]:
        """The one name of the server's tasks."""
        return [self._split]

    def num_tasks(self, split: str) -> int:
        """How many tasks there are.

        Raises:
            TaskError: there is no such split.
        """
        if split != self._split:
            raise TaskError(f"there is no split {split!r}; this server's is {self._split!r}")
        return len(self._env.tasks)

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """All tasks: id, index and question. Kinds and answers stay here: they would tell what to answer."""
        return self.get_task_range(split)

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """One task.

        Raises:
            IndexError: there are not so many.
        """
        if not 0 <= index < self.num_tasks(split):
            raise IndexError(f"there is no task {index}; {split} has {self.num_tasks(split)}, the first is 0")
        task = self._env.tasks[index]
        return {"id": task.id, "index": index, "question": task.question}

    def get_task_range(self, split: str, start: int | None = None, stop: int | None = None) -> list[dict[str, Any]]:
        """Tasks `start` to `stop`, as a slice."""
        return [self.get_task(split, row) for row in range(self.num_tasks(split))[start:stop]]

    def _check(self) -> None:
        if self._env.stand is None or self._env.stand.episode.done:
            raise gymnasium.error.ResetNeeded("there is no episode under way in this session; reset it first")

    def _observation(self, first: bool = False) -> GlanceOrGazeObservation:
        stand = self._env.stand
        assert stand is not None
        episode, outcome = stand.episode, None
        small = stand.thumbnails if self._pictures else ()
        if episode.done:
            info = self._env.information()
            names = ("kind", "accuracy", "format", "calls", "cost", "trajectory")
            kept = {name: info[name] for name in names}
            outcome = Outcome(answered=not episode.truncated, answers=list(info["answers"]), **kept)
        return GlanceOrGazeObservation(
            done=episode.done,
            reward=None if first else float(episode.turns[-1].reward),
            task_id=episode.task.id,
            question=episode.task.question,
            results=stand.results,
            turns_left=episode.turns_left,
            size=episode.picture.size,
            picture=to_text(pictures.lent(episode.picture), self._most) if first and self._pictures else None,
            thumbnails=[None if one is None else to_text(Image.fromarray(one)) for one in small],
            outcome=outcome,
        )
