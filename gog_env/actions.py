"""The four actions of an episode, and the one place that reads, writes and checks them.

Decisions:
- An action is a frozen dataclass; a policy's parser that cannot make one yields `Malformed(reason)`, which is an action
  too: it uses up a turn and is answered with its reason, so that a policy's mistake is data and never an exception.
- `validate` accepts anything and returns an action. Nothing else in the project decides what a bad box or query is.
- Boxes are `[x0, y0, x1, y1]` in 0..1 of the original picture. No convention is guessed from magnitude: only a dialect
  translates.
- Text must be writable as UTF-8 and free of NUL, because trajectories are JSON lines that other tools read.
- Every action may carry the `thought` that led to it. It is shown again to whoever took it, recorded, and nothing else:
  two actions that differ in their thoughts alone are equal, and no reward looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from index.images import Box, check_box

#: Longest query and longest answer, in characters. An answer is a name, a number or a short phrase.
MAX_TEXT = 300
#: Longest reason of a malformed action, in characters.
MAX_REASON = 200
_MAX_THOUGHT = 4000


@dataclass(frozen=True)
class Thoughtful:
    """What all actions share: `thought`, the reasons that came before the action ("" where none were given)."""

    thought: str = field(default="", compare=False, kw_only=True, repr=False)


@dataclass(frozen=True)
class Glance(Thoughtful):
    """Search with the whole picture."""


@dataclass(frozen=True)
class Gaze(Thoughtful):
    """Search with a crop of the picture: `box` is `(x0, y0, x1, y1)` in 0..1 of the original picture."""

    box: Box


@dataclass(frozen=True)
class Search(Thoughtful):
    """Search the documents with words."""

    query: str


@dataclass(frozen=True)
class Answer(Thoughtful):
    """End the episode with an answer."""

    text: str


@dataclass(frozen=True)
class Malformed(Thoughtful):
    """What a parser yields for output that is no action; `reason` is one line that the policy gets to read."""

    reason: str


Action = Glance | Gaze | Search | Answer | Malformed

#: Order of the alternatives in the action space `OneOf(glance, gaze, search, answer)`.
ORDER: tuple[type, ...] = (Glance, Gaze, Search, Answer)
#: Actions that call the index, and so cost `call_cost` each.
CALLS: tuple[type, ...] = (Glance, Gaze, Search)


def validate(action: object) -> Action:
    """Returns `action` itself (boxes as floats, text trimmed) if it can be carried out, else `Malformed`. Never raises.

    >>> validate(Gaze((0.1, 0.2, 0.5, 0.6)))
    Gaze(box=(0.1, 0.2, 0.5, 0.6))
    >>> validate(Search("  flag of   Kenya "))
    Search(query='flag of   Kenya')
    >>> validate(Search("   "))
    Malformed(reason='the query is empty')
    >>> validate(42)
    Malformed(reason='int is not an action; choose glance, gaze, search or answer')
    """
    if not isinstance(action, Action):
        return Malformed(f"{type(action).__name__} is not an action; choose glance, gaze, search or answer")
    checked = _validate(action)
    thought = _thought(action.thought)
    return checked if checked.thought == thought else replace(checked, thought=thought)


def _validate(action: Action) -> Action:
    if isinstance(action, Gaze):
        try:
            return Gaze(check_box(action.box))
        except Exception as error:  # a box can be any object at all, with any behaviour
            return Malformed(_one_line(error))
    if isinstance(action, Search):
        problem = _text_problem("query", action.query)
        return Malformed(problem) if problem else Search(action.query.strip())
    if isinstance(action, Answer):
        problem = _text_problem("answer", action.text)
        return Malformed(problem) if problem else Answer(action.text.strip())
    if isinstance(action, Malformed):
        return Malformed(_one_line(action.reason))
    return action


def _thought(thought: object) -> str:
    """A thought as it can be recorded: writable as UTF-8, no NUL, at most `_MAX_THOUGHT` characters."""
    text = thought if isinstance(thought, str) else ""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")[:_MAX_THOUGHT].strip()


def to_space(action: Action) -> tuple[np.int64, Any]:
    """Writes an action as an element of the action space: `(index, value)`.

    Raises:
        ValueError: for `Malformed`, which no element of the space stands for.

    >>> to_space(Search("capital of Kenya"))
    (np.int64(2), 'capital of Kenya')
    """
    if isinstance(action, Glance):
        return np.int64(0), np.int64(0)
    if isinstance(action, Gaze):
        return np.int64(1), np.asarray(action.box, dtype=np.float32)
    if isinstance(action, Search):
        return np.int64(2), action.query
    if isinstance(action, Answer):
        return np.int64(3), action.text
    raise ValueError(f"{action!r} is no element of the action space; only glance, gaze, search and answer are")


def from_space(sample: object) -> Action:
    """Reads an element of the action space, or an action as it is. Whatever else comes is `Malformed`; never raises.

    >>> from_space((0, 0))
    Glance()
    >>> from_space((1, [0.0, 0.0, 0.5, 1.0]))
    Gaze(box=(0.0, 0.0, 0.5, 1.0))
    >>> from_space((4, "Kenya"))
    Malformed(reason='there is no action 4; choose 0 glance, 1 gaze, 2 search or 3 answer')
    """
    if isinstance(sample, Action):
        return validate(sample)
    if not isinstance(sample, (tuple, list)) or len(sample) != 2:
        return validate(sample)
    which, value = sample
    if isinstance(which, np.ndarray) and which.shape == ():
        which = which[()]
    if isinstance(which, (bool, np.bool_)) or not isinstance(which, (int, np.integer)):
        return Malformed(f"the action's index is a {type(which).__name__}, not an integer")
    if not 0 <= which < len(ORDER):
        return Malformed(_one_line(f"there is no action {which}; choose 0 glance, 1 gaze, 2 search or 3 answer"))
    if which == 0:
        return Glance()
    return validate(ORDER[int(which)](value))


def as_dict(action: Action) -> dict[str, Any]:
    """Writes an action for JSON.

    >>> as_dict(Gaze((0.0, 0.0, 0.5, 1.0)))
    {'type': 'gaze', 'box': [0.0, 0.0, 0.5, 1.0]}
    >>> as_dict(Answer("Nairobi", thought="its capital"))
    {'type': 'answer', 'text': 'Nairobi', 'thought': 'its capital'}
    """
    fields: dict[str, Any] = {"type": type(action).__name__.lower()}
    if isinstance(action, Gaze):
        fields["box"] = [float(edge) for edge in action.box]
    elif isinstance(action, Search):
        fields["query"] = action.query
    elif isinstance(action, Answer):
        fields["text"] = action.text
    elif isinstance(action, Malformed):
        fields["reason"] = action.reason
    return fields | ({"thought": action.thought} if action.thought else {})


def from_dict(fields: object) -> Action:
    """Reads what `as_dict` wrote. Whatever else comes is `Malformed`; never raises.

    >>> from_dict({"type": "answer", "text": "Nairobi"})
    Answer(text='Nairobi')
    >>> from_dict({"type": "gaze"})
    Malformed(reason="gaze needs 'box'")
    """
    if not isinstance(fields, Mapping):
        return validate(fields)
    name = fields.get("type")
    thought = _thought(fields.get("thought"))
    if name == "glance":
        return Glance(thought=thought)
    shapes: dict[str, tuple[str, type[Any]]] = {
        "gaze": ("box", Gaze),
        "search": ("query", Search),
        "answer": ("text", Answer),
        "malformed": ("reason", Malformed),
    }
    if not isinstance(name, str) or name not in shapes:
        return Malformed(_one_line(f"there is no action {name!r}; choose glance, gaze, search or answer"))
    key, make = shapes[name]
    if key not in fields:
        return Malformed(f"{name} needs {key!r}")
    return validate(make(fields[key], thought=thought))


def _text_problem(what: str, text: object) -> str | None:
    if not isinstance(text, str):
        return f"the {what} is a {type(text).__name__}, not text"
    if not text.strip():
        return f"the {what} is empty"
    if len(text) > MAX_TEXT:
        return f"the {what} has {len(text)} characters; at most {MAX_TEXT} are allowed"
    if "\0" in text:
        return f"the {what} has a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return f"the {what} has half of a surrogate pair, which is no character"
    return None


def _one_line(text: object) -> str:
    """Any object as one printable line of at most `MAX_REASON` characters, writable as UTF-8."""
    try:
        raw = str(text)
    except Exception:
        raw = f"unprintable {type(text).__name__}"
    line = " ".join(raw.replace("\0", " ").encode("utf-8", "replace").decode("utf-8").split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
