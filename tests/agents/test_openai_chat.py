"""A teacher's replies, good and bad, read as actions."""

from __future__ import annotations

from typing import Any

import pytest

from agents.card import PolicyCard
from agents.endpoint import Reply
from agents.openai_chat import action_of
from gog_env.actions import Answer, Gaze, Glance, Malformed, Search
from tests.agents.scripted_server import calls, says

DEEP = "[" * 100_000


def parts(*texts: str) -> dict[str, Any]:
    shown = [{"type": "image_url", "image_url": {"url": "data:"}}, *({"type": "text", "text": text} for text in texts)]
    return {"role": "assistant", "content": shown}


@pytest.mark.parametrize(
    ("message", "action", "thought"),
    [
        (calls("glance"), Glance(), ""),
        (calls("search", "who rules it", query="Kenya"), Search("Kenya"), "who rules it"),
        ({**calls("glance"), "reasoning_content": "look"}, Glance(), "look"),
        ({**says("<answer>4</answer>"), "reasoning_content": "count"}, Answer("4"), "count"),
        (says("<think>a</think><answer>4</answer>"), Answer("4"), "a"),
        (calls("gaze", None, box=[0, 0, 500, 1000]), Gaze((0, 0, 0.5, 1)), ""),
        (parts("<think>a</think>", "<answer>4</answer>"), Answer("4"), "a"),
        ({**calls("glance"), **parts("look ", "well")}, Glance(), "look well"),
        ({**calls("glance"), "content": [], "reasoning_content": [{"text": "look"}, "!"]}, Glance(), "look!"),
        ({**says("<answer>4</answer>"), "reasoning_content": {"a": 1}, "tool_calls": None}, Answer("4"), ""),
    ],
)
def test_replies_are_read_as_actions(message: dict[str, Any], action: Any, thought: str) -> None:
    read = action_of(Reply(message, 1, 1), PolicyCard())
    assert read == action and read.thought == thought


@pytest.mark.parametrize("arguments", ["{", None, "[1]"])
def test_bad_calls_are_malformed(arguments: Any) -> None:
    message = calls("glance")
    message["tool_calls"][0]["function"]["arguments"] = arguments
    expected = (Glance,) if arguments is None else (Malformed,)
    read = action_of(Reply(message, 1, 1), PolicyCard())
    assert isinstance(read, (Malformed, *expected)) and not isinstance(read, Answer)


@pytest.mark.parametrize(
    "function",
    [
        {"arguments": "{}"},
        {"name": None, "arguments": "{}"},
        {"name": [["glance"]], "arguments": "{}"},
        {"name": "glance"},
        {"name": "gaze", "arguments": DEEP},
        {"name": "gaze", "arguments": '{"box": ' + DEEP},
        "glance",
        None,
    ],
)
def test_calls_without_name_or_sense_are_malformed(function: Any) -> None:
    for tools in (
        [{"function": function}],
        [{"function": function}, *calls("glance")["tool_calls"]],
        [function],
        function,
    ):
        read = action_of(Reply({**says(""), "tool_calls": tools}, 1, 1), PolicyCard())
        assert isinstance(read, Malformed) and read.reason
