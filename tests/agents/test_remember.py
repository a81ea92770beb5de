"""What a frozen vision tower sees is kept: the same batches, the same loss, each picture looked at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from agents.chats import read_chats, row_of_chat, write_chats
from agents.collate import ChatCollator
from agents.lengths import by_length, lengths_of
from agents.remember import RememberingCollator, frozen
from agents.train_sft import train
from index.errors import ModelError, TaskError
from tests.agents.tiny_policy import make


def chat(number: int, pictures: int) -> dict[str, Any]:
    shown = [Image.new("RGB", (64 + 32 * i, 64), (40 * number % 256, 90, 60 * i)) for i in range(pictures)]
    blocks = [{"type": "image", "image": picture} for picture in shown] + [{"type": "text", "text": "what? " * number}]
    said = [{"role": "assistant", "content": [{"type": "text", "text": text}]} for text in ("no" * number, "gold")]
    return {"messages": [{"role": "user", "content": blocks}, {**said[0], "train": False},
                         {"role": "user", "content": [{"type": "text", "text": "again"}]}, said[1]]}  # fmt: skip


CHATS = [chat(1, 1), chat(2, 2), chat(3, 0), chat(4, 1)]


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """The chats as training reads them."""
    write_chats([row_of_chat(one["messages"]) for one in CHATS], tmp_path / "chats.parquet")
    return read_chats(tmp_path / "chats.parquet")


@pytest.fixture(params=["qwen3_vl", "qwen2_5_vl"])
def policy(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Any, Any]:
    model, processor, _ = make(request.param, tmp_path / request.param)
    return model, processor


def test_batches_and_losses_are_those_of_pixels(policy: tuple[Any, Any]) -> None:
    model, processor = policy
    frozen(model)
    plain = ChatCollator(processor)
    keeping = RememberingCollator(plain, model, CHATS)
    for rows in ([0, 1], [2], [3, 2, 1]):
        one, other = plain([CHATS[row] for row in rows]), keeping([{"row": row} for row in rows])
        for name in ("input_ids", "labels", "attention_mask"):
            assert torch.equal(one[name], other[name]), name
        with torch.no_grad():
            losses = [float(model(**batch).loss) for batch in (one, other)]
        assert losses[0] == pytest.approx(losses[1], rel=2e-2)


def test_a_picture_is_looked_at_once_and_as_far_as_there_is_room(policy: tuple[Any, Any]) -> None:
    model, processor = policy
    looks: list[int] = []
    model.model.visual.register_forward_hook(lambda *_: looks.append(1))
    for room, expected in ((1 << 20, 1), (0, 3)):
        keeping = RememberingCollator(ChatCollator(processor), model, CHATS, room)
        looks.clear()
        batches = [keeping([{"row": 0}, {"row": 1}]) for _ in range(3)]
        assert len(looks) == expected
        assert all(torch.equal(batches[0]["input_ids"], batch["input_ids"]) for batch in batches)


def test_training_leaves_the_tower_and_changes_the_rest(policy: tuple[Any, Any], table: Any, tmp_path: Path) -> None:
    model, processor = policy
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, processor, table, tmp_path / "out", steps=2, batch_size=2, freeze_vision=True, precision="bfloat16")
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any("visual" in name for name in changed)


def test_an_unknown_tower_is_refused() -> None:
    with pytest.raises(ModelError, match="Linear"):
        frozen(torch.nn.Linear(2, 2))


def test_chats_of_one_forward_pass_are_of_about_one_length() -> None:
    lengths = list(range(100))
    order = by_length(lengths, steps=7, size=4, passes=2, seed=3)
    assert len(order) == 56 and order == by_length(lengths, steps=7, size=4, passes=2, seed=3)
    assert len(set(order)) == 56, "no chat comes twice in an epoch"
    spread = [max(order[i : i + 4]) - min(order[i : i + 4]) for i in range(0, 32, 4)]
    assert sum(spread) / len(spread) < 25
    with pytest.raises(TaskError, match="too few"):
        by_length(lengths[:10], steps=1, size=4, passes=2, seed=0)


def test_lengths_are_of_texts(table: Any) -> None:
    lengths = lengths_of(table)
    assert lengths == sorted(lengths) and lengths[1] - lengths[0] == len("what? no")
