"""Search-R1: a thought, then a search with words or the answer. Text only: the picture is shown once, at the start.

    <think>…</think><search> query </search>            as often as turns allow
    <think>…</think><answer> Beijing </answer>           ends the episode; five turns at most, this one included

Source: PeterGriffinJin/Search-R1 at a14dc3a (paper: arXiv 2503.09516). Marks, the rule that the first closed search or
answer of a turn counts, what is said about an invalid action, and "Doc 1(Title: …)" are in
search_r1/llm_agent/generation.py; the instructions in scripts/data_process/nq_search.py (ours say the same in other
words); four turns that may search and a last one that may not, three documents, turns of 500 tokens and results of 500
at most in scripts/nq_hotpotqa/v0.2/train_grpo.sh. Their documents are passages of some hundred words: 600 characters.
The one sentence about invalid actions is theirs word for word (`search_r1_invalid.txt`): models were trained on it.

Decisions where this differs from the original. Their results are appended inside the assistant's own turn; here they
are a turn of the user, since every model of ours is a chat model. Their output stops behind `</search>` (infer.py) or
is cut there; ours stops there too, on this machine and behind a server. The picture is ours: their models see none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agents.card import PolicyCard
from agents.dialects import tags
from gog_env.actions import Action, Answer, Malformed, Search
from gog_env.episode import NO_RESULTS, EpisodeView, Turn

CARD = PolicyCard(
    dialect="search-r1", hits=3, texts=3, snippet_chars=600, max_turns=5, result_side=0, max_new_tokens=500
)
STOPS = ("</search>",)
MARKS = ("think", "search", "information", "answer")
_ACTION = re.compile(r"<(search|answer)>(.*?)</\1>", re.DOTALL)


def tools(card: PolicyCard) -> list[dict[str, Any]]:
    """None: the prompt describes the search."""
    return []


def system_prompt(card: PolicyCard) -> str:
    """The instructions, which stand before the question in the user's first turn."""
    return tags.prompt("search_r1")


def opening(view: EpisodeView, card: PolicyCard) -> list[dict[str, Any]]:
    """Picture, instructions and question in one turn of the user."""
    asked = f"{system_prompt(card)} Question: {view.question}\n" if card.system else view.question
    return [tags.user(view.picture, asked)]


def parse(text: str, card: PolicyCard, size: tuple[int, int] | None = None, turns: Sequence[Turn] = ()) -> Action:
    """Reads one assistant turn; see `agents.dialects.tool_call.parse`. The first action counts, as in the original."""
    thought, rest = tags.thought_and_rest(tags.until(text, STOPS), "think")
    first = _ACTION.search(rest)
    action: Action
    if first is None:
        action = Malformed("a closed <search>…</search> or <answer>…</answer> is expected in a turn")
    else:
        said = first.group(2).strip()
        action = Search(said) if first.group(1) == "search" else Answer(said)
    return tags.within(replace(action, thought=thought), card, turns)


def action_message(action: Action, card: PolicyCard, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """An action as an assistant message.

    Raises:
        ValueError: a malformed action, or one that searches with a picture: this protocol has no words for it.
    """
    if isinstance(action, Search):
        said = f"<search> {action.query} </search>"
    elif isinstance(action, Answer):
        said = f"<answer> {action.text} </answer>"
    else:
        raise ValueError(f"search-r1 has no words for {action!r}")
    return {"role": "assistant", "content": tags.with_thought(action, "think", said)}


def result_message(turn: Turn, question: str, card: PolicyCard) -> dict[str, Any]:
    """What comes back: numbered documents, or what was wrong, in the words that the model knows."""
    if isinstance(turn.action, Malformed):
        return tags.user(f"{tags.silenced(turn.text, MARKS)}\n{tags.prompt('search_r1_invalid')}")
    hits = tags.hits_shown(turn, card, MARKS)
    lines = [f"Doc {rank}(Title: {hit.title}) {hit.text}" for rank, hit in enumerate(hits, start=1)]
    return tags.user("<information>", "\n".join(lines) or NO_RESULTS, "</information>")
