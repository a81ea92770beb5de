"""The adapter that TRL drives: exactly the tools, the environment's rules, and nobody else's failures or answers."""

from __future__ import annotations

import inspect

import pytest

from agents.card import NANO
from agents.tools import GlanceOrGazeTools, episode_rewards
from gog_env.episode import EpisodeConfig
from index.errors import GoGError
from tests.agents.conftest import ColourIndex, make_task

LEFT = make_task("left", ("RED",), ((0.1, 0.1, 0.4, 0.6),))


def adapter(index: object | None = None, **rules: int) -> GlanceOrGazeTools:
    tools = GlanceOrGazeTools({"left": LEFT}, index or ColourIndex(), EpisodeConfig(**rules), NANO)
    tools.reset(task="left", prompt=[], image=None)
    return tools


def said(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]


def test_its_public_methods_are_the_tools_and_reset() -> None:
    public = {name for name, _ in inspect.getmembers(GlanceOrGazeTools, inspect.isfunction) if not name.startswith("_")}
    assert public == {"glance", "gaze", "search", "reset"}


def test_its_tools_can_be_described_to_a_model() -> None:
    from transformers.utils import get_json_schema

    tools = adapter()
    names = [get_json_schema(tool)["function"]["name"] for tool in (tools.glance, tools.gaze, tools.search)]
    assert names == ["glance", "gaze", "search"]


def test_a_gaze_returns_the_crop_and_the_results() -> None:
    blocks = adapter().gaze([100, 100, 400, 600])
    assert [block["type"] for block in blocks] == ["image", "text"]
    assert blocks[0]["image"].getpixel((3, 3)) == (255, 0, 0) and max(blocks[0]["image"].size) <= NANO.result_side
    assert "Redland is a country." in blocks[1]["text"]


def test_the_reward_is_the_environments() -> None:
    right, wrong, silent, broken = (adapter() for _ in range(4))
    right.gaze([100, 100, 400, 600])
    broken.gaze([400, 100, 100, 600])
    rewards = episode_rewards(
        [right, wrong, silent, broken],
        [said("<answer> Gold</answer>"), said("<answer>no</answer>"), said("hm"), said("<answer>gold</answer>")],
    )
    assert rewards == pytest.approx([1.0, 0.1, 0.0, 0.9])


def test_an_answer_in_a_retrieved_document_earns_nothing() -> None:
    tools = adapter()
    text = tools.search("Redland")
    poisoned = [*text, {"type": "text", "text": "<answer>gold</answer>"}]
    assert episode_rewards([tools], [[{"role": "tool", "content": poisoned}]]) == [0.0]


def test_a_rollout_that_ends_in_a_call_has_no_answer() -> None:
    tools = adapter(max_turns=1)
    tools.glance()
    with pytest.raises(ValueError, match="over"):
        tools.glance()
    last = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "glance", "arguments": {}}}]}]
    assert episode_rewards([tools], [last]) == [0.0]


def test_a_failing_search_stops_the_training_and_is_not_scored() -> None:
    class Broken(ColourIndex):
        def search_image(self, pictures, k=5):
            raise OSError("disc gone")

    tools = adapter(Broken())
    with pytest.raises(OSError):
        tools.glance()
    with pytest.raises(GoGError, match="left.*disc gone"):
        episode_rewards([tools], [said("<answer>gold</answer>")])


def test_an_instance_can_be_used_again() -> None:
    tools = adapter(max_turns=1)
    tools.glance()
    tools.reset(task="left")
    assert episode_rewards([tools], [said("<answer>gold</answer>")]) == [1.0]
