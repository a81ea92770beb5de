"""Exports load back through `datasets`, whole, and are again what they were made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from agents import export
from agents.card import NANO
from agents.chats import read_chats, row_of_chat, write_chats
from agents.dialects import messages
from gog_env import trajectory
from gog_env.actions import Answer, Gaze, Glance, Malformed, Search
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.task import Task, Tasks
from gog_env.tasks import read_tasks
from index.errors import TaskError
from tests.agents.conftest import make_task, scene


def loaded(folder: Path, cache: Path, split: str = "train") -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), split=split, cache_dir=str(cache))


def plain(chat: list[dict[str, Any]]) -> str:
    """A chat with the pixels of its pictures."""
    return json.dumps(chat, default=lambda picture: picture.tobytes().hex(), sort_keys=True)


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    scene().save(tmp_path / "left.jpg", quality=60)
    calls = (Gaze((0.1, 0.2, 0.3, 0.7)), Search("Où 首都?", thought="why"))
    box = (1 / 3, 0.1, 0.4, 0.6)
    return Tasks(
        [
            Task("left", "Which?", ("gold", "Älias"), tmp_path / "left.jpg", "gaze", ("RED", "BLUE"), (box,), calls),
            make_task("count", evidence=(), calls=()),
            make_task("open", evidence=None),
            Task("number", "How many?", ("7",), scene(), rule="infoseek", span=(6.3, 7.7), benchmark="b", split="u"),
            Task("choice", "Which?", ("b",), scene(), rule="choice", choices=("a", "b"), benchmark="vstar"),
        ],
        source="made",
    )  # fmt: skip


def test_tasks_come_back_whole(tasks: Tasks, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert export.write_dataset(map(export.task_row, tasks), export.task_features(), out, shard_bytes=1) == 5
    assert sorted(path.name for path in out.iterdir())[:2] == ["README.md", "train-00000-of-00005.parquet"]
    again = read_tasks(out)
    assert list(again) == list(tasks) and [task.calls for task in again] == [task.calls for task in tasks]
    for one, other in zip(again, tasks, strict=True):
        assert one.picture().tobytes() == other.picture().tobytes()
    rows = loaded(out, tmp_path / "cache")
    assert isinstance(rows[0]["image"], Image.Image) and rows["id"][:] == ["left", "count", "open", "number", "choice"]
    assert rows[0]["image"].convert("RGB").tobytes() == tasks[0].picture().tobytes()
    stored = export.task_row(tasks[0])["image"]["bytes"]
    assert stored == (tmp_path / "left.jpg").read_bytes(), "pictures keep the bytes of their files"
    rows.save_to_disk(tmp_path / "disk")
    from datasets import load_from_disk

    assert load_from_disk(str(tmp_path / "disk"))[2]["evidence"] is None


@pytest.fixture
def recorded(colours: SimpleNamespace, tmp_path: Path) -> tuple[Path, Tasks]:
    run, kept = tmp_path / "run", []
    tasks = Tasks(colours.tasks)
    plays = [
        [Answer("gold", thought="at once")],
        [Gaze((0.1, 0.1, 0.4, 0.6)), Search("Redland"), Answer("no")],
        [Glance(), Malformed("hm"), Search("Nowhere")],
    ]
    for task, actions in zip(tasks, plays, strict=False):
        episode = Episode(task, EpisodeConfig(max_turns=3, call_cost=0.1), seed=4)
        for action in actions:
            step_batch([episode], [action], colours.index())
        kept.append({**trajectory.record(episode, "colours"), "step": 3})
    trajectory.write(run / "trajectories.jsonl", kept)
    return run, tasks


def test_trajectories_come_back_to_the_bit_and_replay(
    recorded: tuple[Path, Tasks], colours: SimpleNamespace, tmp_path: Path
) -> None:
    run, tasks = recorded
    out = tmp_path / "out"
    assert export.main(["trajectories", str(run), "--out", str(out), "--name", "validation"]) == 0
    rows = loaded(out, tmp_path / "cache", "validation")
    before = list(trajectory.read(run / "trajectories.jsonl"))
    after = list(export.records(rows))
    assert [json.dumps(one, sort_keys=True) for one in after] == [json.dumps(one, sort_keys=True) for one in before]
    assert [trajectory.replay(one, tasks, colours.index()) for one in after] == [
        one["reward"]["total"] for one in before
    ]
    assert rows[1]["turns"][0]["hits"][0]["document_id"] == "RED" and "image" not in rows.column_names


@pytest.mark.slow
def test_trls_own_trainer_reads_exported_chats_as_ours_does(
    nano_folder: Path, colours: SimpleNamespace, tmp_path: Path
) -> None:
    from trl import SFTConfig, SFTTrainer

    from agents.lmm import load_model

    episode = Episode(colours.tasks[0], EpisodeConfig())
    for action in (Gaze((0.1, 0.1, 0.4, 0.6), thought="a closer look"), Search("Redland"), Answer("gold")):
        step_batch([episode], [action], colours.index())
    table = tmp_path / "demos.parquet"
    write_chats([row_of_chat(messages(episode.view, NANO), task="t", kind="")] * 2, table, card=NANO)
    assert export.main(["chats", str(table), "--out", str(tmp_path / "out")]) == 0
    model, processor, _ = load_model(nano_folder)
    arguments = SFTConfig(
        str(tmp_path / "sft"), max_steps=1, per_device_train_batch_size=2, use_cpu=True, report_to="none",
        save_strategy="no", max_length=None,
    )  # fmt: skip
    seen = []
    for rows in (loaded(tmp_path / "out", tmp_path / "cache"), read_chats(table)):
        trainer = SFTTrainer(model, args=arguments, train_dataset=rows, processing_class=processor)
        seen.append(trainer.data_collator([trainer.train_dataset[row] for row in range(2)]))
    assert all((seen[0][name] == seen[1][name]).all() for name in ("input_ids", "labels", "pixel_values"))
    assert trainer.train().training_loss > 0


def test_all_runs_of_an_evaluation_are_exported_and_told_apart(recorded: tuple[Path, Tasks], tmp_path: Path) -> None:
    run, _ = recorded
    for name in ("glance", "nano"):
        (tmp_path / "evaluation" / name).mkdir(parents=True)
        shutil.copy(run / "trajectories.jsonl", tmp_path / "evaluation" / name)
    assert export.main(["trajectories", str(tmp_path / "evaluation"), "--out", str(tmp_path / "out")]) == 0
    assert loaded(tmp_path / "out", tmp_path / "cache")["run"][:] == ["glance"] * 3 + ["nano"] * 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="empty holds no trajectories.jsonl"):
        export.main(["trajectories", str(tmp_path / "empty"), "--out", str(tmp_path / "other")])


def test_a_picture_that_is_gone_is_named_and_nothing_is_left(tasks: Tasks, tmp_path: Path) -> None:
    (tmp_path / "left.jpg").unlink()
    with pytest.raises(TaskError, match="left.jpg") as said:
        export.write_dataset(map(export.task_row, tasks), export.task_features(), tmp_path / "out")
    assert "cannot write" not in str(said.value) and sorted(path.name for path in tmp_path.iterdir()) == []


def test_trajectories_take_their_tasks_pictures_along(recorded: tuple[Path, Tasks], tmp_path: Path) -> None:
    run, tasks = recorded
    records = list(trajectory.read(run / "trajectories.jsonl"))
    rows = [export.trajectory_row(record, tasks) for record in records]
    export.write_dataset(rows, export.trajectory_features(True), tmp_path / "out")
    back = loaded(tmp_path / "out", tmp_path / "cache")
    assert back[0]["image"].tobytes() == tasks[0].picture().tobytes()
    assert list(export.records(back))[2] == records[2]
    other = Tasks([Task(task.id, task.question, task.answers, Image.new("RGB", (9, 9))) for task in tasks])
    with pytest.raises(TaskError, match="'count': its picture is not that of the trajectory"):
        export.trajectory_row(records[0], other)


def test_chats_are_in_the_messages_layout_and_teach_the_same(colours: SimpleNamespace, tmp_path: Path) -> None:
    chats = []
    for task in colours.tasks[:2]:
        episode = Episode(task, EpisodeConfig())
        for action in (Gaze((0.1, 0.1, 0.4, 0.6)), Answer("gold")):
            step_batch([episode], [action], colours.index())
        chats.append(row_of_chat(messages(episode.view, NANO), task=task.id, kind=task.kind))
    chats[0]["messages"][1]["train"] = False
    table, out = tmp_path / "demos.parquet", tmp_path / "out"
    write_chats(chats, table, card=NANO)
    assert export.main(["chats", str(table), "--out", str(out)]) == 0
    rows = loaded(out, tmp_path / "cache")
    assert isinstance(rows[0]["images"][0], Image.Image) and rows["task"][:] == ["count", "left"]
    first = rows[0]["messages"]
    assert [message["role"] for message in first] == ["user", "assistant", "tool", "assistant"]
    assert [block["type"] for block in first[0]["content"]] == ["image", "text"]
    assert json.loads(first[1]["tool_calls"][0]["function"]["arguments"]) == {"box": [100, 100, 400, 600]}
    [file] = out.glob("*.parquet")
    one, other = read_chats(file), read_chats(table)
    for row in range(2):
        assert plain(one[row]["messages"]) == plain(other[row]["messages"])
    from agents.chats import check_form

    check_form(file, NANO)


def test_the_command_exports_tasks_of_a_folder(
    tasks: Tasks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, out = tmp_path / "mine", tmp_path / "out"
    export.write_dataset(map(export.task_row, tasks), export.task_features(), mine)
    assert export.main(["tasks", "--tasks", str(mine), "--limit", "2", "--name", "test", "--out", str(out)]) == 0
    assert "2 tasks in" in capsys.readouterr().out
    assert [row["id"] for row in loaded(out, tmp_path / "cache", "test")] == ["left", "count"]
    assert "python -m agents.export tasks --tasks" in (out / "README.md").read_text()


def test_nothing_else_is_replaced_and_nothing_is_left_half_done(tasks: Tasks, tmp_path: Path) -> None:
    features, out = export.task_features(), tmp_path / "out"
    with pytest.raises(TaskError, match="nothing to export"):
        export.write_dataset([], features, out)

    def broken() -> Any:
        yield export.task_row(tasks[0])
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        export.write_dataset(broken(), features, out)
    assert not list(tmp_path.glob("*out*"))
    rows = [export.task_row(tasks[0])]
    export.write_dataset(rows, features, out)
    with pytest.raises(TaskError, match="--force"):
        export.write_dataset(rows * 1, features, out)
    assert export.write_dataset(rows, features, out, force=True) == 1
    (out / "mine.txt").write_text("mine")
    with pytest.raises(TaskError, match="something else than an export"):
        export.write_dataset(rows, features, out, force=True)
    with pytest.raises(TaskError, match="do not exist"):
        export.main(["chats", str(tmp_path / "none.parquet"), "--out", str(tmp_path / "chats")])
    with pytest.raises(TaskError, match="no such file"):
        export.main(["trajectories", str(tmp_path / "none"), "--out", str(tmp_path / "records")])
