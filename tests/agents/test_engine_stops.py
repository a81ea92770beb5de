"""A turn ends behind a dialect's mark, whoever writes it; what the model would have made up is not in its context."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LogitsProcessorList

from agents import engine_rereading, engine_writer
from agents.engine import Engine
from agents.engine_rereading import RereadingWriter
from agents.engine_stops import Stops
from agents.lmm import LmmPolicy, load_model
from agents.settings import episode_config
from gog_env.actions import Search
from gog_env.episode import Episode
from tests.agents import qwen
from tests.agents.conftest import make_task
from tests.agents.test_dialects import Library

SAID = "<think>a land</think><search> Redland </search>\n<information>made up</information><answer>no</answer>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return qwen.save("qwen3_vl", tmp_path_factory.mktemp("stops") / "model")


class Talker:
    """Stands for `choose`: each row writes what it is given, one token a step, from the beginning in each turn."""

    def __init__(self, ids: list[int]) -> None:
        self.ids, self.step = ids, 0

    def __call__(self, logits: torch.Tensor, *_: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        token = self.ids[min(self.step, len(self.ids) - 1)]
        self.step += 1
        nothing = torch.zeros(len(logits))
        return torch.full((len(logits),), token), nothing, nothing


def spoken(model: Any, processor: Any, monkeypatch: pytest.MonkeyPatch) -> Talker:
    """Has the engine's writers say `SAID` and nothing else, each turn anew."""
    ids = processor.tokenizer(SAID, add_special_tokens=False)["input_ids"]
    talker = Talker([*ids, processor.tokenizer.eos_token_id])
    for module, writer in ((engine_writer, engine_writer.CachedWriter), (engine_rereading, RereadingWriter)):
        monkeypatch.setattr(module, "choose", talker)
        write = writer.write

        def begun(self: Any, *given: Any, write: Any = write) -> Any:
            talker.step = 0
            return write(self, *given)

        monkeypatch.setattr(writer, "write", begun)
    return talker


@pytest.mark.parametrize("rereading", [False, True])
def test_a_model_stops_behind_its_search(folder: Path, rereading: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor, card = load_model(folder, dialect="search-r1")
    spoken(model, processor, monkeypatch)
    engine = Engine(model, processor, card)
    if rereading:
        engine.writer = RereadingWriter(model)
    episodes = [Episode(make_task(name), episode_config(card)) for name in "ab"]
    for _, rollout in engine.play(episodes, Library()):
        turns = rollout.episode.turns
        assert [turn.action for turn in turns[:2]] == [Search("Redland", thought="a land")] * 2
        own = [token for token, sampled in zip(rollout.completion_ids, rollout.sampled, strict=True) if sampled]
        written = processor.tokenizer.decode(own)
        assert written.count("</search>") == len(turns) and "made up" not in written
        assert len(rollout.logprobs) == len(rollout.completion_ids) and rollout.episode.answer is None
        where = rollout.sampled.index(0)  # the turn is closed for it, as the template would
        assert rollout.completion_ids[where] == processor.tokenizer.eos_token_id


def test_generate_stops_there_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor, card = load_model(folder, dialect="search-r1")
    ids = processor.tokenizer(SAID, add_special_tokens=False)["input_ids"]
    steps = iter(ids)

    def leads(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.full_like(scores, float("-inf")).index_fill(1, torch.tensor([next(steps)]), 0.0)

    generate = type(model).generate
    monkeypatch.setattr(
        type(model),
        "generate",
        lambda self, **given: generate(self, **given, logits_processor=LogitsProcessorList([leads])),
    )
    view = Episode(make_task("a"), episode_config(card)).view
    [text] = LmmPolicy(folder, loaded=(model, processor, card)).generate([view])
    assert text.endswith("</search>") or text.endswith("</search>\n")


def test_a_turn_that_goes_on_later_still_ends(folder: Path) -> None:
    """The mark may begin in one call of the writer and end in the next."""
    model, processor, _ = load_model(folder, dialect="search-r1")
    stops = Stops(("</search>",), processor.tokenizer)
    ids = processor.tokenizer("<search> é ½ </search>", add_special_tokens=False)["input_ids"]
    assert [stops.reached(ids[:end]) for end in range(1, len(ids) + 1)] == [False] * (len(ids) - 1) + [True]
    assert stops.length([*ids, *ids]) == len(ids) and stops.length(ids[:-1]) == len(ids) - 1


def test_most_dialects_stop_by_themselves(folder: Path) -> None:
    model, processor, card = load_model(folder)
    stops = Stops((), processor.tokenizer)
    assert not stops and not stops.reached([1]) and stops.length([1, 2]) == 2 and stops.options() == {}
    assert SimpleNamespace(**Stops(("a",), processor.tokenizer).options()).stop_strings == ["a"]
