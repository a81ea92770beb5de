"""Dialects: how a model writes actions and reads results. One file and its prompts each.

A dialect is a module with the functions of `Dialect`; nothing else in the project knows what a model's text looks like.
Which one a model speaks stands in its card (`PolicyCard.dialect`). Boxes are in the units of the card (`pixels`), and a
processor whose chat template drops tools gets ours (`templates`).

Decisions: a dialect translates and never searches: it turns a text into one of the four actions and a turn into a
message, so that every policy plays the same environment, pays for the same calls and is scored alike. What a protocol
allows (how many searches of which kind) is its dialect's business: a call beyond it is malformed, with a reason.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Protocol, cast

from agents.card import PolicyCard
from agents.grounding import grounded
from gog_env.actions import Action, Answer, Malformed
from gog_env.episode import EpisodeView, Turn
from index.errors import ModelError

#: Dialects by name, and their modules here.
MODULES = {
    "deepeyesv2": "deepeyesv2",
    "deepmmsearch-r1": "deepmmsearch_r1",
    "gog": "tool_call",
    "mmsearch-r1": "mmsearch_r1",
    "search-r1": "search_r1",
    "sensenova-mars": "sensenova_mars",
}


class Dialect(Protocol):
    """What the module of a dialect has.

    Attributes:
        CARD: how a model of this dialect is used unless its own card says otherwise.
        STOPS: marks behind which the original stops writing, and so do models here and behind servers.
    """

    CARD: PolicyCard
    STOPS: tuple[str, ...]

    def tools(self, card: PolicyCard) -> list[dict[str, Any]]:
        """JSON schemas for the chat template; empty where the prompt itself describes the tools."""
        ...

    def system_prompt(self, card: PolicyCard) -> str:
        """The instructions, from a text file beside the module."""
        ...

    def opening(self, view: EpisodeView, card: PolicyCard) -> list[dict[str, Any]]:
        """The chat before the first turn."""
        ...

    def parse(self, text: str, card: PolicyCard, size: tuple[int, int] | None, turns: Sequence[Turn]) -> Action:
        """Reads one assistant turn; see `agents.dialects.tool_call.parse`. Never raises for what a model wrote."""
        ...

    def action_message(self, action: Action, card: PolicyCard, size: tuple[int, int] | None) -> dict[str, Any]:
        """An action as the assistant message that a model of this dialect writes.

        Raises:
            ValueError: a malformed action, or one that this dialect has no words for.
        """
        ...

    def result_message(self, turn: Turn, question: str, card: PolicyCard) -> dict[str, Any]:
        """What comes back from a turn, malformed ones included: one message, its content a list of blocks."""
        ...


def dialect(name: str) -> Dialect:
    """The dialect of this name.

    Raises:
        ModelError: there is none; lists those that there are.
    """
    if name not in MODULES:
        raise ModelError(f"there is no dialect {name!r}; choose among {', '.join(MODULES)}")
    return cast(Dialect, importlib.import_module(f"{__name__}.{MODULES[name]}"))


def dialect_of(card: PolicyCard) -> Dialect:
    """The dialect of a card's model.

    Raises:
        ModelError: there is none of that name.
    """
    return dialect(card.dialect)


def tools_of(card: PolicyCard) -> list[dict[str, Any]] | None:
    """The schemas that the chat template of a card's model is given; None where it gets none."""
    return (dialect_of(card).tools(card) or None) if card.system else None


def read(text: str, card: PolicyCard, picture: Any, turns: Sequence[Turn]) -> Action:
    """The action that a model's text stands for.

    Args:
        text: of the assistant's turn.
        card: the model's.
        picture: of the episode; None where neither the units of boxes nor a grounder need it.
        turns: of the episode so far.

    Raises:
        ModelError: the card's grounder cannot be loaded.
    """
    size = None if picture is None else picture.size
    return grounded(dialect_of(card).parse(text, card, size, turns), picture, card.grounder)


def text_of(message: dict[str, Any]) -> str:
    """An assistant message as a model of the Qwen-VL family writes it: what is said, then calls as JSON."""
    calls = [call["function"] for call in message.get("tool_calls", [])]
    lines = [
        f'<tool_call>\n{{"name": "{call["name"]}", "arguments": {call["arguments"]}}}\n</tool_call>' for call in calls
    ]
    return "\n".join([*([message["content"]] if message["content"] or not lines else []), *lines])


def say(action: Action, card: PolicyCard, picture: Any, turns: Sequence[Turn]) -> str | None:
    """An action as a model writes it, None where the dialect has no words for it or does not allow it here.

    Args:
        action: any but a malformed one.
        card: the model's.
        picture: of the episode.
        turns: of the episode so far; limits count them.
    """
    try:
        text = text_of(dialect_of(card).action_message(action, card, picture.size))
    except ValueError:
        return None
    return None if isinstance(read(text, card, picture, turns), Malformed) else text


def says_all(view: EpisodeView, card: PolicyCard) -> bool:
    """Whether an episode can be told in the dialect of the card, within its limits; malformed turns are left out."""
    turns = view.turns
    return all(
        isinstance(turn.action, Malformed) or say(turn.action, card, view.picture, turns[:number]) is not None
        for number, turn in enumerate(turns)
    )


def messages(view: EpisodeView, card: PolicyCard) -> list[dict[str, Any]]:
    """The chat so far, in the dialect of the card.

    A malformed turn is shown as what the environment answered to it, since its own text is not part of the episode.
    """
    spoken = dialect_of(card)
    chat = spoken.opening(view, card)
    for turn in view.turns:
        if not isinstance(turn.action, Malformed):
            chat.append(spoken.action_message(turn.action, card, view.picture.size))
        if not isinstance(turn.action, Answer):
            chat.append(spoken.result_message(turn, view.question, card))
    return chat
