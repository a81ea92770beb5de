"""SFT and RL on a tiny model, for real: masks token by token, repeats to the bit, replays to the same rewards."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from agents import train_rl, train_sft
from agents.card import NANO
from agents.chats import read_chats, write_chats
from agents.demonstrations import chat_rows, demonstrate, write_demonstrations
from agents.lmm import LmmPolicy, load_model
from agents.report.curves import short
from agents.settings import episode_config
from benchmarks import replay as replay_command
from gog_env.tasks import read_tasks
from gog_env.trajectory import replay
from gog_env.trajectory import write as write_trajectories
from gog_env.world.nations import WorldSpec, make_world
from gog_env.world.write import write_knowledge, write_tasks
from index.build import build_index
from index.errors import ModelError, TaskError
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


@pytest.fixture(scope="session")
def demos(world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of the tasks that the random encoder happens to find, and at least the visual ones."""
    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    tasks = list(read_tasks(world.tasks))
    path = tmp_path_factory.mktemp("demos") / "demos.parquet"
    rows = chat_rows(demonstrate(tasks, index, episode_config(NANO, hits=20), progress=False), NANO)
    assert write_chats(rows, path) >= 3
    return path


def test_demonstrations_keep_what_the_environment_rewards(demos: Path) -> None:
    chats = read_chats(demos)
    for row in chats:
        assert row["messages"][0]["role"] == "user" and row["messages"][0]["content"][0]["image"].size == (448, 336)
        assert row["messages"][-1]["content"][0]["text"].startswith("<think>")
        assert row["images"] == [], "the pictures are in their places"


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
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "Training of a" in page and f"Loss: {short(losses[0][0])} to {short(losses[0][-1])}" in page


@pytest.fixture(scope="session")
def taught(nano_folder: Path, world: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model calls no tool. This one was shown a few calls: with it tools, masks and pictures take part."""
    folder = tmp_path_factory.mktemp("taught")
    model, processor, _ = load_model(nano_folder)
    write_chats(itertools.islice(_calls(world), 4), folder / "calls.parquet")
    chats = read_chats(folder / "calls.parquet")
    trained = train_sft.train(model, processor, chats, folder / "t", steps=100, batch_size=4, lr=0.02)
    trained.save_pretrained(folder / "model")
    processor.save_pretrained(folder / "model")
    NANO.save(folder / "model")
    return folder / "model"


def test_rl_repeats_itself_to_the_bit_and_its_trajectories_replay(
    taught: Path, world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnowledgeIndex, "open", _open_with(world.encoder))
    command = ["--model", str(taught), "--index", str(world.index), "--tasks", str(world.tasks), "--steps", "3"]
    for name in ("a", "b"):
        more = ["--group-size", "4", "--groups", "2", "--temperature", "0.4", "--seed", "7"]
        train_rl.main([*command, *more, "--out", str(tmp_path / name)])
    logs = [[json.loads(line) for line in (tmp_path / n / "log.jsonl").read_text().splitlines()] for n in "ab"]
    keys = ("loss", "reward", "grad_norm", "calls/gaze", "entropy")
    assert [[row.get(key) for key in keys] for row in logs[0][:3]] == [
        [row.get(key) for key in keys] for row in logs[1][:3]
    ]
    first, second = (LmmPolicy(tmp_path / name / "model").model.state_dict() for name in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)
    records = [json.loads(line) for line in (tmp_path / "a" / "trajectories.jsonl").read_text().splitlines()]
    assert len(records) == 3 * 8 and any(turn["hits"] for record in records for turn in record["turns"])
    assert {record["seed"] for record in records} == {7}
    index, tasks = KnowledgeIndex.open(world.index), read_tasks(world.tasks)
    assert [replay(record, tasks, index) for record in records] == [record["reward"]["total"] for record in records]
    facts = json.loads((tmp_path / "a" / "run.json").read_text())
    assert facts["command"].startswith("python -m agents.train_rl --model ") and facts["threads"] >= 1
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    assert "a: first and last steps" in page and "not at hand" not in page

    place = ["--index", str(world.index), "--tasks", str(world.tasks), "--out", str(tmp_path / "replay.json")]
    assert replay_command.main(["--run", str(tmp_path / "a"), *place]) == 0
    assert json.loads((tmp_path / "replay.json").read_text())["replayed"] == 24
    records[5]["reward"]["total"] += 0.5
    write_trajectories(tmp_path / "a" / "trajectories.jsonl", records)
    assert replay_command.main(["--run", str(tmp_path / "a"), *place]) == 1
    assert json.loads((tmp_path / "replay.json").read_text())["replayed"] == 23


def test_the_loss_of_trls_own_loop_falls_on_the_sampled_tokens_only(
    taught: Path, world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import GRPOTrainer

    sampled: list[list[int]] = []
    scored: list[dict[str, Any]] = []
    sample, score = GRPOTrainer._generate_single_turn, GRPOTrainer._generate_and_score_completions

    def sample_and_keep(self: Any, *given: Any, **options: Any) -> Any:
        ids, logprobs = sample(self, *given, **options)
        sampled.extend(list(one) for one in ids)
        return ids, logprobs

    def score_and_keep(self: Any, inputs: Any) -> Any:
        scored.append(score(self, inputs))
        return scored[-1]

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", sample_and_keep)
    monkeypatch.setattr(GRPOTrainer, "_generate_and_score_completions", score_and_keep)
    model, processor, card = load_model(taught)
    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    train_rl.train(
        model, processor, card, index, list(read_tasks(world.tasks)), tmp_path, steps=1,
        config=episode_config(card), engine="trl", group_size=4, groups=2, temperature=0.4, max_completion=768,
    )  # fmt: skip
    [batch] = scored
    spans = []
    for ids, kept, written in zip(batch["completion_ids"], batch["completion_mask"], batch["tool_mask"], strict=True):
        pieces = itertools.groupby(zip(ids.tolist(), (kept * written).tolist(), strict=True), key=lambda pair: pair[1])
        for counts, piece in pieces:
            tokens = [token for token, _ in piece]
            if counts:
                spans.append(tokens)
                assert processor.tokenizer.decode(tokens).count("<|im_end|>") <= 1
        assert not (ids[(kept * written).bool()] == model.config.image_token_id).any()
    assert sorted(spans) == sorted(sampled), "every sampled token counts, and no other"
    assert len(spans) > 8, "results came back, and the model went on"


def test_rl_needs_as_many_tasks_as_a_step_takes(nano_folder: Path, world: SimpleNamespace, tmp_path: Path) -> None:
    model, processor, card = load_model(nano_folder)
    tasks = list(read_tasks(world.tasks))[:3]
    with pytest.raises(TaskError, match="the curriculum 'uniform' has 3 tasks, a step takes 12"):
        train_rl.train(model, processor, card, None, tasks, tmp_path, steps=1, config=episode_config(card))


def test_a_call_nested_too_deeply_is_text_and_not_the_end_of_the_run(nano_folder: Path) -> None:
    from trl.chat_template_utils import parse_response

    from agents.tools import calls_of_any_depth

    tokenizer = load_model(nano_folder)[1].tokenizer
    ids = tokenizer(f"<tool_call>\n{'[' * 100_000}{']' * 100_000}\n</tool_call><|im_end|>")["input_ids"]
    with calls_of_any_depth(tokenizer):
        assert parse_response(tokenizer, ids, prefix=[])["content"].startswith("<tool_call>")
    assert "parse_response" not in vars(tokenizer)


def test_adapters_learn_with_warm_up_and_cosine_and_never_with_muon(
    nano_folder: Path, demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, processor, _ = load_model(nano_folder)
    options: dict[str, Any] = {"steps": 6, "batch_size": 2, "lora_rank": 2, "warmup": 0.34}
    with pytest.raises(ModelError, match="Muon trains whole matrices"):
        train_sft.train(model, processor, read_chats(demos), tmp_path, **options)
    with pytest.raises(SystemExit):
        train_sft.main(["--lora-rank", "2", "--optimizer", "muon"])
    assert "with --lora-rank use adamw" in capsys.readouterr().err
    log = tmp_path / "log.jsonl"
    train_sft.train(model, processor, read_chats(demos), tmp_path, optimizer="adamw", lr=0.1, log=log, **options)
    rates = [row["learning_rate"] for row in map(json.loads, log.read_text().splitlines()) if "loss" in row]
    assert len(rates) == 6 and rates[0] < rates[1]
    assert max(rates) == pytest.approx(0.1) and rates[-1] < 0.05


def _open_with(encoder: Path) -> Any:
    real = KnowledgeIndex.open.__func__  # type: ignore[attr-defined]
    return classmethod(lambda cls, path, encoder=str(encoder): real(cls, path, encoder=encoder))


def _calls(world: SimpleNamespace) -> Any:
    from agents import dialects
    from agents.chats import row_of_chat
    from gog_env.actions import Answer, Gaze
    from gog_env.episode import Episode, step_batch

    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    for task in read_tasks(world.tasks):
        episode = Episode(task, episode_config(NANO))
        for action in (Gaze((0.1, 0.1, 0.5, 0.5)), Answer("2")):
            step_batch([episode], [action], index)
        yield row_of_chat(dialects.messages(episode.view, NANO), task=task.id, kind=task.kind)


def test_bad_input_is_one_clear_line(nano_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="nowhere.parquet do not exist"):
        read_chats(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(TaskError, match="text.parquet is not a table of chats"):
        read_chats(tmp_path / "text.parquet")
    pq.write_table(pa.table({"messages": ["hm"]}), tmp_path / "other.parquet")
    schema = pa.schema([("messages", pa.list_(pa.string())), ("images", pa.list_(pa.string()))])
    pq.write_table(pa.table({"messages": [["hm"], []], "images": [[], []]}, schema), tmp_path / "broken.parquet")
    with pytest.raises(TaskError, match="broken.parquet, row 1: a chat without messages"):
        read_chats(tmp_path / "broken.parquet")
    pq.write_table(pa.table({"messages": [], "images": []}, schema), tmp_path / "empty.parquet")
    with pytest.raises(TaskError, match="empty.parquet has no chat"):
        read_chats(tmp_path / "empty.parquet")
    with pytest.raises(TaskError, match="other.parquet is not a table of chats .*no column images"):
        read_chats(tmp_path / "other.parquet")


def test_no_demonstration_is_an_error_and_no_file(world: SimpleNamespace, nano_folder: Path, tmp_path: Path) -> None:
    index = KnowledgeIndex.open(world.index, encoder=str(world.encoder))
    with pytest.raises(TaskError, match="no demonstration earned full reward"):
        write_demonstrations([], index, NANO, tmp_path / "demos.parquet")
    assert list(tmp_path.iterdir()) == []
    model, processor, _ = load_model(nano_folder)
    with pytest.raises(TaskError, match="no chat to train on"):
        train_sft.train(model, processor, [], tmp_path, steps=1)


def test_a_broken_write_leaves_nothing(tmp_path: Path) -> None:
    def rows() -> Any:
        yield {"messages": [], "images": []}
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_chats(rows(), tmp_path / "demos.parquet", chunk=1)
    assert list(tmp_path.iterdir()) == []
