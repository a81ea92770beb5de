"""`GoG-VQA-v0`: the Gymnasium environment. The class docstring is its specification.

The environment is thin: rules and searches are in `episode`, so that training loops, which step many episodes at once,
and users of `gym.Env` get the very same behaviour.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from index.errors import TaskError
from index.images import letterbox

from . import render, spaces, trajectory
from .actions import from_space
from .episode import Episode, EpisodeConfig, step_batch
from .tasks import Tasks, read_tasks

if TYPE_CHECKING:
    from PIL import Image

    from index.knowledge import KnowledgeIndex

_SPLITS = ("train", "heldout")


class GlanceOrGazeEnv(gymnasium.Env[dict[str, Any], Any]):
    """A question about a picture, and a sealed library to search with words, with the picture, or with any crop of it.

    ## Description

    The agent sees a picture and a question. In every turn it answers, or searches the knowledge index: with the whole
    picture (*glance*), with a crop of its own choice (*gaze*), or with words (*search*). Every search is carried out for
    real, on the pixels that the box cuts out: offline, deterministic, in milliseconds. What came back is the next
    observation.

    ```python
    import gymnasium as gym, gog_env
    from gog_env.actions import Answer, Gaze

    env = gym.make("GoG-VQA-v0")                           # the embedded world, its index built at first use
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step(Gaze((0.1, 0.1, 0.5, 0.5)))
    observation, reward, terminated, truncated, info = env.step((3, "Tashmir"))   # the same as Answer("Tashmir")
    ```

    ## Action Space

    `OneOf(Discrete(1), Box(0, 1, (4,)), Unicode(1, 300), Unicode(1, 300))`; an element is `(index, value)`. `step` takes
    the dataclasses of `gog_env.actions` as well.

    | Index | Action        | Value                                                 | Effect                          |
    |-------|---------------|-------------------------------------------------------|---------------------------------|
    | 0     | `Glance()`    | 0                                                     | search with the whole picture   |
    | 1     | `Gaze(box)`   | `x0, y0, x1, y1` in 0..1 of the picture, x0<x1, y0<y1 | search with that crop           |
    | 2     | `Search(query)` | 1 to 300 characters                                 | search the texts                |
    | 3     | `Answer(text)`  | 1 to 300 characters                                 | end the episode                 |

    Anything else (an inverted box, NaN, an empty or over-long text, another type) is a *malformed* action: it uses up a
    turn, forfeits the format reward, and `results` says what was wrong. It never raises.

    ## Observation Space

    A `Dict` of fixed shape:

    | Key          | Space                                | Content                                                      |
    |--------------|--------------------------------------|--------------------------------------------------------------|
    | `picture`    | `Box(0, 255, (336, 336, 3), uint8)`  | the picture, whole, letterboxed (`picture_size`)             |
    | `question`   | `Unicode(1, 2000)`                   | the question                                                 |
    | `results`    | `Unicode(0, ...)`                    | what the last action brought: `[1] Title: text`, `[2] Title`, ...; `No results.`; `Invalid action: ...`; empty at the start |
    | `thumbnails` | `Box(0, 255, (3, 96, 96, 3), uint8)` | pictures of the last hits, letterboxed; black where there is none |
    | `turns_left` | `Discrete(max_turns + 1)`            | actions that may still be taken                              |

    Boxes refer to the original picture, not to the letterboxed one: `info["placement"]` says where that lies.

    ## Rewards

    Over an episode `(1 - format_weight) * accuracy + format_weight * format - call_cost * calls`. Accuracy is 1 if the
    answer equals one of the gold answers after normalisation (`gog_env.rewards`). Format is 1 if the episode ended with
    an answer and no action was malformed. Every glance, gaze and search gives `-call_cost` when it is made; the rest
    comes with the answer. An exception out of the index is a failure of infrastructure, never of the agent: it is raised
    and the step can be taken again.

    ## Starting State

    A task drawn uniformly with the seed, or `reset(options={"task": id})`. No searches have been made.

    ## Episode End

    Termination: an answer. Truncation: `max_turns` actions without an answer, which gives neither accuracy nor format.

    ## Information

    Always: `task_id`; `picture`, a PIL picture at its own size, from which crops are cut; `placement`, the box of the
    observation's canvas that the picture fills. At the end also: `kind`, `answers`, `accuracy`, `format`, `calls`, `cost`,
    and `trajectory`, one JSON line (`gog_env.trajectory`). Nothing before the end depends on the gold answer.

    ## Arguments

    | Argument         | Default   | Meaning                                                                     |
    |------------------|-----------|-----------------------------------------------------------------------------|
    | `index`          | `None`    | path of a sealed index, or an open `KnowledgeIndex`; None: embedded world   |
    | `tasks`          | `None`    | path of tasks, or `Tasks`; None: the embedded world's                       |
    | `split`          | `"train"` | of the embedded world: `train` or `heldout` (nations that training never shows) |
    | `picture_size`   | 336       | side of the observation's picture, in pixels                                |
    | `thumbnail_size` | 96        | side of a thumbnail, in pixels                                              |
    | `max_turns`      | 6         | actions in an episode, the answer included                                  |
    | `hits`           | 3         | documents that a search returns                                             |
    | `texts`          | 1         | how many of them come with their text, the rest by title                    |
    | `snippet_chars`  | 600       | characters of a text that are shown                                         |
    | `thumbnails`     | 3         | how many hits come with a picture                                           |
    | `scores`         | False     | hits of a picture show their similarity: `[1] Title (0.953): text`          |
    | `format_weight`  | 0.1       | λ of the reward                                                             |
    | `call_cost`      | 0.0       | price of a glance, gaze or search                                           |
    | `render_mode`    | `None`    | `rgb_array` (960x640) or `ansi`                                             |

    ## Version History

    * v0: first version
    """  # noqa: E501  (tables)

    metadata = {"render_modes": ["rgb_array", "ansi"], "render_fps": 1}

    def __init__(
        self,
        index: KnowledgeIndex | str | Path | None = None,
        tasks: Tasks | str | Path | None = None,
        *,
        split: str = "train",
        picture_size: int = 336,
        thumbnail_size: int = 96,
        render_mode: str | None = None,
        **rules: Any,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode {render_mode!r} is unknown; choose one of {self.metadata['render_modes']}")
        if split not in _SPLITS:
            raise TaskError(f"there is no split {split!r}; choose one of {', '.join(_SPLITS)}")
        known = [rule.name for rule in fields(EpisodeConfig)]
        if unknown := sorted(set(rules) - set(known)):
            raise TypeError(f"unknown argument {unknown[0]!r}; the rules of an episode are {', '.join(known)}")
        self.config = EpisodeConfig(**rules)
        self.render_mode = render_mode
        self.picture_size, self.thumbnail_size = int(picture_size), int(thumbnail_size)
        self.action_space = spaces.action_space()
        self.observation_space = spaces.observation_space(self.config, self.picture_size, self.thumbnail_size)
        self.index = _open_index(index)
        self.tasks = _open_tasks(tasks, split)
        self.tasks.check_against(self.index)
        self.episode: Episode | None = None
        self._thumbnails: list[Image.Image | None] = []
        self._canvas = np.zeros((self.picture_size, self.picture_size, 3), dtype=np.uint8)
        self._placement = (0.0, 0.0, 1.0, 1.0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts an episode.

        Args:
            seed: seeds the choice of this task and, until the next seed, of the following ones.
            options: `{"task": id}` chooses the task.

        Raises:
            TaskError: there is no such task, or its picture cannot be read.
        """
        super().reset(seed=seed)
        options = options or {}
        if unknown := sorted(set(options) - {"task"}):
            raise TaskError(f"unknown option {unknown[0]!r} of reset; the only one is 'task'")
        # drawn in any case, so that a chosen task does not shift the tasks that follow
        row = int(self.np_random.integers(len(self.tasks)))
        episode_seed = int(self.np_random.integers(2**31))
        task = self.tasks.by_id(options["task"]) if "task" in options else self.tasks[row]
        self.episode = Episode(task, self.config, episode_seed)
        canvas, self._placement = letterbox(self.episode.picture, self.picture_size)
        self._canvas = np.asarray(canvas, dtype=np.uint8)
        self._thumbnails = []
        return self._observation(), self._info()

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Takes an action: an element of the action space or a dataclass of `gog_env.actions`.

        Raises:
            gymnasium.error.ResetNeeded: there is no episode, or it is over.
            Exception: whatever a search raises; the episode is then as before.
        """
        if self.episode is None or self.episode.done:
            raise gymnasium.error.ResetNeeded("there is no episode under way; call reset() before step()")
        before = self.episode.turns
        [turn] = step_batch([self.episode], [from_space(action)], self.index)
        shown = turn.hits[: max(self.config.thumbnails, render.CARDS if self.render_mode == "rgb_array" else 0)]
        try:
            thumbnails = [None if hit.picture_id is None else self.index.thumbnail(hit.picture_id) for hit in shown]
        except Exception:
            self.episode.turns = before
            raise
        self._thumbnails = thumbnails
        terminated = self.episode.answer is not None
        return self._observation(), float(turn.reward), terminated, self.episode.truncated, self._info()

    def render(self) -> Any:
        """A picture of 960x640 (`rgb_array`) or a text (`ansi`) of the episode as it stands; None without a mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() draws nothing without a mode; use gym.make(..., render_mode="rgb_array")')
            return None
        if self.episode is None:
            raise gymnasium.error.ResetNeeded("there is nothing to render yet; call reset() first")
        if self.render_mode == "ansi":
            return render.ansi(self.episode)
        return render.rgb_array(self.episode, self._thumbnails)

    def _observation(self) -> dict[str, Any]:
        assert self.episode is not None
        thumbnails = np.zeros((self.config.thumbnails, self.thumbnail_size, self.thumbnail_size, 3), dtype=np.uint8)
        for row, picture in enumerate(self._thumbnails[: self.config.thumbnails]):
            if picture is not None:
                thumbnails[row] = np.asarray(letterbox(picture, self.thumbnail_size)[0])
        return {
            "picture": self._canvas.copy(),
            "question": self.episode.task.question,
            "results": self.episode.turns[-1].text if self.episode.turns else "",
            "thumbnails": thumbnails,
            "turns_left": np.int64(self.episode.turns_left),
        }

    def _info(self) -> dict[str, Any]:
        assert self.episode is not None
        episode = self.episode
        info: dict[str, Any] = {
            "task_id": episode.task.id,
            "picture": episode.picture.copy(),  # whoever draws on it must not change what is searched with
            "placement": self._placement,
        }
        if episode.done:
            parts = episode.reward_parts
            info |= {
                "kind": episode.task.kind,
                "answers": episode.task.answers,
                "accuracy": parts.accuracy,
                "format": parts.format,
                "calls": parts.calls,
                "cost": parts.cost,
                # a line, not a dict: vector environments take dicts apart key by key
                "trajectory": trajectory.to_line(trajectory.record(episode, self.index.fingerprint)),
            }
        return info


def _open_index(index: KnowledgeIndex | str | Path | None) -> KnowledgeIndex:
    if index is None:
        from . import embedded

        return embedded.index()
    if isinstance(index, (str, Path)):
        from index.knowledge import KnowledgeIndex

        return KnowledgeIndex.open(index)
    return index


def _open_tasks(tasks: Tasks | str | Path | None, split: str) -> Tasks:
    if tasks is None:
        from . import embedded

        return embedded.tasks(split)
    tasks = read_tasks(tasks)
    if not len(tasks):
        raise TaskError(f"{tasks.source}: there are no tasks; an environment needs at least one")
    return tasks
