"""What travels between an OpenEnv server and its clients: typed actions, observations and state.

- The published schema of an action is strict, what is taken is not: a box that is none, a query that is a number, a
  type that does not exist or is left out come to `gog_env.actions.from_dict`, so that a policy's mistake is a
  penalised turn here as everywhere, and never an error of the protocol.
- Pictures are PNG in base64, lossless: a client has the very pixels that a local environment shows. The task's picture
  travels once, with `reset`. One of more pixels than the server sends is sent smaller, and `size` says how large it is:
  boxes are shares of the picture, and crops are cut from the original on the server.
- Before the end nothing in an observation depends on the gold answer; `outcome` comes with the last one.

Needs the extra `openenv`. Wire format and base classes are those of `openenv` 0.10.
"""

from __future__ import annotations

import base64
import io
from typing import Annotated, Any, Literal

from openenv.core.env_server.types import Action, Observation, State
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from index.images import open_picture

from ..actions import MAX_TEXT, as_dict, from_dict
from ..actions import Action as GogAction

#: Pixels of a task's picture that travel at most: 2048 x 2048, some 17 MB of base64 at worst.
MOST_PIXELS = 1 << 22

_KINDS = ["glance", "gaze", "search", "answer"]
_BOX = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 4, "maxItems": 4}
_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_TEXT}


class GlanceOrGazeAction(Action):
    """One action, as `gog_env.actions.as_dict` writes it; more fields than these are not read."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"required": ["type"]})

    metadata: Annotated[Any, WithJsonSchema({"type": "object"})] = Field(default_factory=dict, description="not read")
    type: Annotated[Any, WithJsonSchema({"type": "string", "enum": _KINDS})] = Field(
        default=None,
        description="glance: search with the whole picture; gaze: with the crop `box`; search: the texts for `query`; "
        "answer: end the episode with `text`",
    )
    box: Annotated[Any, WithJsonSchema(_BOX)] = Field(
        default=None, description="for gaze: [x0, y0, x1, y1] as shares of the picture's width and height"
    )
    query: Annotated[Any, WithJsonSchema(_TEXT)] = Field(default=None, description="for search: what to look for")
    text: Annotated[Any, WithJsonSchema(_TEXT)] = Field(default=None, description="for answer: the answer")
    thought: Annotated[Any, WithJsonSchema({"type": "string"})] = Field(
        default=None, description="reasons, which are recorded and not scored"
    )
    reason: Annotated[Any, WithJsonSchema({"type": "string"})] = Field(
        default=None, description="for malformed: why a policy's output is no action; it uses up a turn"
    )

    @classmethod
    def of(cls, action: GogAction) -> GlanceOrGazeAction:
        """An action of the environment, for the wire."""
        return cls(**as_dict(action))

    def action(self) -> GogAction:
        """The action that this stands for; `Malformed` where it stands for none."""
        return from_dict(self.model_dump(exclude={"metadata"}, exclude_none=True))


class Outcome(BaseModel):
    """How an episode ended.

    Attributes:
        answered: False where turns ran out.
        kind: the task's, or "".
        answers: the gold answer and its aliases.
        accuracy, format, calls, cost: the reward's parts.
        trajectory: the record, one line of JSON (`gog_env.trajectory`).
    """

    answered: bool
    kind: str
    answers: list[str]
    accuracy: float
    format: float
    calls: int
    cost: float
    trajectory: str


class GlanceOrGazeObservation(Observation):
    """What the agent sees; the fields of `GlanceOrGazeEnv`'s observation that have their names mean the same.

    Attributes:
        task_id: of the task.
        question: the question.
        results: what the last action brought, as text.
        turns_left: actions that may still be taken.
        size: width and height of the task's picture, in pixels.
        picture: the task's picture as PNG in base64, in the observation of `reset`; None in those of `step`, and where
            `reset` was asked for no pictures.
        thumbnails: pictures of the last hits as PNG in base64, at their own size; None for a hit without one.
        outcome: in the last observation.
    """

    task_id: str
    question: str
    results: str
    turns_left: int
    size: tuple[int, int]
    picture: str | None = None
    thumbnails: list[str | None] = Field(default_factory=list)
    outcome: Outcome | None = None


class GlanceOrGazeState(State):
    """Where a session stands.

    Attributes:
        task_id: of its task; None before the first `reset`.
        turns_left: actions that may still be taken.
        done: True when the episode is over.
        index: fingerprint of the knowledge that is searched.
    """

    task_id: str | None = None
    turns_left: int = 0
    done: bool = False
    index: str = ""
    kind: Literal["GoG-VQA-v0"] = "GoG-VQA-v0"


def to_text(picture: Image.Image, most: int = MOST_PIXELS) -> str:
    """A picture as PNG in base64, shrunk where it has more than `most` pixels."""
    if (pixels := picture.width * picture.height) > most:
        scale = (most / pixels) ** 0.5
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def from_text(text: str) -> Image.Image:
    """The picture that `to_text` wrote.

    Raises:
        SourceError: it is none, or too large.
    """
    return open_picture(base64.b64decode(text))
