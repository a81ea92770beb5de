"""The project's own dialect: tool calls as Qwen3-VL writes them, the final answer in `<answer>` tags.

    <tool_call>{"name": "gaze", "arguments": {"box": [120, 300, 400, 500]}}</tool_call>        one call a turn, or
    <answer>Tashmir</answer>                                                                     to end the episode

Decisions: boxes are integers on the scale of the model's card (thousandths for Qwen3-VL), never guessed from their
magnitude. A turn is one action: two calls, a call beside an answer, or text with neither are malformed, with a reason
the model can read. Only the assistant's own last message is ever searched for an answer, so that no retrieved
document can supply one. Reasons stand before the action in <think> tags: they become the action's `thought`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.card import PolicyCard
from gog_env.actions import Action, Answer, Gaze, Glance, Malformed, Search
from gog_env.episode import EpisodeView, Turn

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_THINK = re.compile(r"<think>(.*?)</think>", re.DOTALL)
_CHAT = re.compile(r"<\|[a-z_]+\|>")
_ARGUMENTS: dict[str, set[str]] = {"glance": set(), "gaze": {"box"}, "search": {"query"}}
_ONE = Malformed("one tool call or one <answer>…</answer> is expected in a turn")


def system_prompt() -> str:
    """The instructions for a model that has not been trained on this protocol."""
    return Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").strip()


#: The tools as chat templates take them: JSON schemas, the same that a trainer reads off `agents.tools`.
TOOLS: list[dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))


def call_problem(name: Any, arguments: Any) -> str | None:
    """Why a call cannot be made at all: no such tool, or other arguments than it takes. None where it can."""
    if not isinstance(arguments, dict):
        return f"the arguments of {name} must be a JSON object"
    wanted = _ARGUMENTS.get(name) if isinstance(name, str) else None
    if wanted is None:
        return f"there is no tool {name!r}; use glance, gaze or search"
    if set(arguments) != wanted:
        return f"{name} takes {'the argument ' + min(wanted) if wanted else 'no arguments'}"
    return None


def action_of_call(name: str, arguments: Any, card: PolicyCard) -> Action:
    """Turns a tool's name and arguments into an action; `Malformed` with a reason where they do not fit."""
    if problem := call_problem(name, arguments):
        return Malformed(problem)
    if name == "glance":
        return Glance()
    if name == "search":
        query = arguments["query"]
        return Search(query.strip()) if isinstance(query, str) else Malformed("query must be a text")
    box = arguments["box"]
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not numbers:
        return Malformed("box must be four numbers [x0, y0, x1, y1]")
    try:
        x0, y0, x1, y1 = (value / card.box_scale for value in box)
    except OverflowError:  # an integer too large for a float
        return Malformed("a coordinate of the box is far too large")
    return Gaze((x0, y0, x1, y1))


def _marked(text: str) -> tuple[list[str], list[str]]:
    """What stands between the marks of calls and of answers, reasoning left out."""
    body = _CHAT.sub("", _THINK.sub("", text))
    return _CALL.findall(body), _ANSWER.findall(body)


def parse(text: str, card: PolicyCard) -> Action:
    """Reads one assistant turn.

    Args:
        text: what the model generated, with or without its end-of-turn token.
        card: the model's card (scale of boxes).
    """
    thought = _THINK.search(text)
    return replace(_parse(text, card), thought=thought.group(1).strip() if thought else "")


def _parse(text: str, card: PolicyCard) -> Action:
    calls, answers = _marked(text)
    if len(calls) + len(answers) != 1:
        return _ONE
    if answers:
        return Answer(answers[0].strip())
    try:
        call = json.loads(calls[0])
        return action_of_call(call["name"], call.get("arguments", {}), card)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Malformed('a tool call must be JSON: {"name": …, "arguments": {…}}')


def action_of_message(message: Mapping[str, Any], card: PolicyCard) -> Action:
    """Reads one assistant turn whose calls a trainer has already taken out of the text; the rules of `parse`."""
    text, calls = str(message.get("content") or ""), message.get("tool_calls") or []
    if not calls:
        return parse(text, card)
    if len(calls) > 1 or any(_marked(text)):
        return _ONE
    function = calls[0]["function"]
    thought = _THINK.search(text)
    reasons = thought.group(1) if thought else str(message.get("reasoning_content") or "")
    return replace(action_of_call(function["name"], function["arguments"], card), thought=reasons.strip())


def action_message(action: Action, card: PolicyCard) -> dict[str, Any]:
    """An action as an assistant message; the arguments as a JSON string, so that tables of messages keep one type.

    Raises:
        ValueError: for a malformed action, which has no text of its own.
    """
    space = " " if card.spaced else ""
    thought = f"<think>{action.thought}</think>" if action.thought else ""
    arguments: dict[str, Any]
    if isinstance(action, Answer):
        return {"role": "assistant", "content": f"{thought}<answer>{space}{action.text}</answer>"}
    if isinstance(action, Glance):
        name, arguments = "glance", {}
    elif isinstance(action, Search):
        name, arguments = "search", {"query": space + action.query}
    elif isinstance(action, Gaze):
        name, arguments = "gaze", {"box": [round(value * card.box_scale) for value in action.box]}
    else:
        raise ValueError(f"no message for {action!r}")
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"role": "assistant", "content": thought, "tool_calls": [{"type": "function", "function": function}]}


def result_content(turn: Turn, card: PolicyCard) -> list[dict[str, Any]]:
    """What comes back from a call, as content blocks: the crop that was gazed at, then the text.

    A glance sends no picture back: the model has the whole picture before its eyes already.
    """
    blocks: list[dict[str, Any]] = []
    if isinstance(turn.action, Gaze) and turn.picture is not None and card.result_side:
        picture = turn.picture.convert("RGB")
        picture.thumbnail((card.result_side, card.result_side))
        blocks.append({"type": "image", "image": picture})
    return [*blocks, {"type": "text", "text": turn.text}]


def messages(view: EpisodeView, card: PolicyCard) -> list[dict[str, Any]]:
    """The chat so far: system prompt where the card asks for it, picture and question, then calls and their results.

    A malformed turn is shown as what the environment answered to it, since its own text is not part of the episode.
    """
    chat: list[dict[str, Any]] = []
    if card.system:
        chat.append({"role": "system", "content": [{"type": "text", "text": system_prompt()}]})
    content = [{"type": "image", "image": view.picture}, {"type": "text", "text": view.question}]
    chat.append({"role": "user", "content": content})
    for turn in view.turns:
        if isinstance(turn.action, Malformed):
            chat.append({"role": "user", "content": [{"type": "text", "text": turn.text}]})
            continue
        message = action_message(turn.action, card)
        chat.append(message)
        if not isinstance(turn.action, Answer):
            name = message["tool_calls"][0]["function"]["name"]
            chat.append({"role": "tool", "name": name, "content": result_content(turn, card)})
    return chat
