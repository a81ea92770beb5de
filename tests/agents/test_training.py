"""SFT and RL on a tiny model, for real: masks token by token, repeats to the bit, replays to the same rewards."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents import train_rl, train_sft
from agents.card import NANO
from agents.chats import read_chats, write_chats
from agents.demonstrations import Demonstrator, chat_rows, demonstrate
from agents.lmm import LmmPolicy, load_model
from agents.settings import episode_config
from gog_env.tasks import read_tasks
from gog_env.trajectory import replay
from gog_env.world.nations import WorldSpec, make_world
from gog_env.world.write import write_knowledge, write_tasks
from index.build import build_index
from index.errors import TaskError
from index.knowledge import KnowledgeIndex


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> SimpleNamespace:
    """A small written world: its index (by a random encoder) and eight tasks."""
    folder = tmp_path_factory.mktemp("world")
    made = make_world(WorldSpec(seed=4, nations=24, name="tiny"))
    write_knowledge(made, folder / "kb")
    write_tasks(made, folder / "train", "train", 8, seed=1)
    index = build_index(folder / "kb", folder / "index", tiny_encoder, progress=False)
    return SimpleNamespace(index=index, tasks=folder / "train", encoder=tiny_encoder)


class Everything:
    """An index that finds all documents at once: the oracle always succeeds, whatever the encoder."""

    fingerprint = "everything"

    def __init__(self, index: KnowledgeIndex) -> None:
        self.real = index

    def search_image(self, pictures: list[Any], k: int = 5) -> list[list[Any]]:
        return self.real.search_image(pictures, len(self.real))

    def search_text(self, queries: list[str], k: int = 5) -> list[list[Any]]:
        return self.real.search_text(queries, k)

    def document(self, document_id: str) -> Any:
        return self.real.document(document_id)


@pytest.fixture(scope="session")
def demos(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of the tasks that the random encoder happens to find, and at least the visual ones."""
    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    tasks = list(read_tasks(world.tasks))
    path = tmp_path_factory.mktemp("demos") / "demos.parquet"
    rows = chat_rows(demonstrate(tasks, index, episode_config(NANO, hits=20), progress=False), NANO)
    assert write_chats(rows, path) >= 3
    return path


def collated(trainer_model: Path, path: Path) -> tuple[Any, Any]:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    processor = load_model(trainer_model)[1]
    chats = read_chats(path)
    batch = DataCollatorForVisionLanguageModeling(processor, assistant_only_loss=True)(
        [chats[i] for i in range(len(chats))]
    )
    return processor, batch


def test_demonstrations_keep_what_the_environment_rewards(demos: Path) -> None:
    chats = read_chats(demos)
    for row in chats:
        assert row["messages"][0]["role"] == "user" and row["messages"][0]["content"][0]["image"].size == (448, 336)
        assert row["messages"][-1]["content"][0]["text"].startswith("<answer> ")
        assert row["images"] == [], "the pictures are in their places"


def test_loss_falls_on_the_assistants_tokens_only(nano_folder: Path, demos: Path) -> None:
    processor, batch = collated(nano_folder, demos)
    for chat, ids, labels in zip(read_chats(demos), batch["input_ids"], batch["labels"], strict=True):
        expected = ""
        for message in chat["messages"]:
            if message["role"] == "assistant":
                text = "".join(block["text"] for block in message["content"])
                for call in message.get("tool_calls", []):
                    name, arguments = call["function"]["name"], call["function"]["arguments"]
                    text += f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
                expected += text + "<|im_end|>"
        assert processor.tokenizer.decode(labels[labels != -100]) == expected
        assert torch.equal(ids[labels != -100], labels[labels != -100])
    pads = batch["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert pads.any() and (batch["labels"][pads] == -100).all()


def test_sft_learns_and_repeats_itself_to_the_bit(nano_folder: Path, demos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_sft.main(
            ["--model", str(nano_folder), "--demos", str(demos), "--steps", "6", "--batch-size", "4",
             "--optimizer", "muon", "--out", str(tmp_path / name)]
        )  # fmt: skip
    logs = [[json.loads(line) for line in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in "ab"]
    losses = [[row["loss"] for row in log if "loss" in row] for log in logs]
    assert losses[0] == losses[1] and losses[0][-1] < losses[0][0]
    first, second = (load_model(tmp_path / name / "model")[0].state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rl_repeats_itself_to_the_bit_and_its_trajectories_replay(
    nano_folder: Path,
    world: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KnowledgeIndex, "open", _open_with(world.encoder))
    # A random model calls no tool. One that was shown a few calls does: then tools, masks and pictures take part.
    model, processor, _ = load_model(nano_folder)
    taught = tmp_path / "taught"
    rows = list(itertools.islice(_calls(world), 4))
    write_chats(rows, tmp_path / "calls.parquet")
    chats = read_chats(tmp_path / "calls.parquet")
    trained = train_sft.train(model, processor, chats, tmp_path / "t", steps=100, batch_size=4, lr=0.02)
    trained.save_pretrained(taught)
    processor.save_pretrained(taught)
    NANO.save(taught)
    command = ["--model", str(taught), "--index", str(world.index), "--tasks", str(world.tasks), "--steps", "3"]
    for name in ("a", "b"):
        train_rl.main(
            [*command, "--group-size", "4", "--groups", "2", "--temperature", "0.4", "--out", str(tmp_path / name)]
        )
    logs = [[json.loads(line) for line in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in "ab"]
    keys = ("loss", "reward", "grad_norm", "calls/gaze", "entropy")
    assert [[row.get(key) for key in keys] for row in logs[0][:3]] == [
        [row.get(key) for key in keys] for row in logs[1][:3]
    ]
    first, second = (LmmPolicy(tmp_path / name / "model").model.state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    records = [json.loads(line) for line in (tmp_path / "a" / "trajectories.jsonl").read_text().splitlines()]
    assert len(records) == 3 * 8 and any(turn["hits"] for record in records for turn in record["turns"])
    index, tasks = KnowledgeIndex.open(world.index), read_tasks(world.tasks)
    assert [replay(record, tasks, index) for record in records] == [record["reward"]["total"] for record in records]


def _open_with(encoder: Path) -> Any:
    real = KnowledgeIndex.open.__func__  # type: ignore[attr-defined]
    return classmethod(lambda cls, path, encoder=str(encoder): real(cls, path, encoder=encoder))


def _calls(world: SimpleNamespace) -> Any:
    from agents.chats import row_of_chat
    from agents.dialects import tool_call
    from gog_env.actions import Answer, Gaze
    from gog_env.episode import Episode, step_batch

    index = KnowledgeIndex.open(world.index)
    for task in read_tasks(world.tasks):
        episode = Episode(task, episode_config(NANO))
        for action in (Gaze((0.1, 0.1, 0.5, 0.5)), Answer("2")):
            step_batch([episode], [action], index)
        yield row_of_chat(tool_call.messages(episode.view, NANO), task=task.id, kind=task.kind)


def test_the_oracle_glances_where_one_thing_fills_the_picture(world: SimpleNamespace) -> None:
    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    tasks = [task for task in read_tasks(world.tasks) if task.regions]
    from gog_env.actions import Gaze, Glance
    from gog_env.episode import Episode

    policy = Demonstrator(tasks, index)
    for task in tasks:
        action = policy.act([Episode(task).view])[0]
        x0, y0, x1, y1 = task.regions[0]
        fills = len(task.regions) == 1 and (x1 - x0) * (y1 - y0) >= 0.25
        assert isinstance(action, Glance if fills else Gaze)


def test_bad_input_is_one_clear_line(nano_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="nowhere.parquet do not exist"):
        read_chats(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(TaskError, match="text.parquet is not a table of chats"):
        read_chats(tmp_path / "text.parquet")


def test_a_broken_write_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Any:
        yield {"messages": [], "images": []}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_chats(rows(), tmp_path / "demos.parquet", chunk=1)
    assert list(tmp_path.iterdir()) == []
