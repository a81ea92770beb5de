"""Tasks are read as a user wrote them; what is wrong with them is said by name."""

from __future__ import annotations

import io
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gog_env.actions import Gaze, Glance, Search, as_dict
from gog_env.task import MAX_QUESTION, Task, Tasks
from gog_env.tasks import read_tasks
from index.errors import TaskError
from index.images import picture_hash
from index.records import PictureRef

from .conftest import SHARED, TRICKY, scene, task_rows, write_source


def write(folder: Path, change: Any = None, **fields: Any) -> Path:
    """The eight tasks with fields of row 2 changed (`...` removes a field)."""
    rows, pictures = task_rows()
    for name, value in fields.items():
        if value is ...:
            del rows[2][name]
        else:
            rows[2][name] = value
    return write_source(folder, rows, pictures)


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_folder_is_read_in_order(tasks: Tasks) -> None:
    assert [task.id for task in tasks] == [f"t{number}" for number in range(8)]
    task = tasks[3]
    assert task.question == TRICKY
    assert task.answers == ("Gold3xyz", "Alias3xyz")
    assert task.kind == "glance" and task.evidence == ("D03",)
    assert task.regions == ((0.2037, 0.2519, 0.7981, 0.7483),)
    assert picture_hash(task.picture()) == picture_hash(scene(3))
    assert tasks.skipped == () and len(tasks[2:5]) == 3 and tasks[2:5][0] is tasks[2]
    assert tasks.by_id("t5") is tasks[5]
    assert read_tasks(tasks) is tasks


def test_metadata_file_jsonl_and_parquet_say_the_same(task_folder: Path, tasks: Tasks, tmp_path: Path) -> None:
    import datasets

    lines = (task_folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    jsonl = write_source(tmp_path / "jsonl", [], task_rows()[1]) / "tasks.jsonl"
    (jsonl.parent / "metadata.jsonl").unlink()
    jsonl.write_text("".join(json.dumps({**row, "image": row["file_name"], "file_name": None}) + "\n" for row in rows))
    table = {key: [row[key] for row in rows] for key in rows[0] if key != "file_name"}
    table["image"] = [{"bytes": png(task.picture()), "path": None} for task in tasks]
    data = datasets.Dataset.from_dict(table).cast_column("image", datasets.Image())
    data.to_parquet(str(tmp_path / "tasks.parquet"))
    for path in (task_folder / "metadata.jsonl", jsonl, tmp_path / "tasks.parquet"):
        again = read_tasks(path)
        assert list(again) == list(tasks)
        assert [picture_hash(task.picture()) for task in again] == [picture_hash(task.picture()) for task in tasks]


def test_stored_pictures_travel_to_other_processes(tmp_path: Path) -> None:
    import datasets

    data = {"id": ["a"], "question": ["q?"], "answers": [["x"]], "image": [{"bytes": png(scene(1)), "path": None}]}
    datasets.Dataset.from_dict(data).to_parquet(str(tmp_path / "tasks.parquet"))
    packed = pickle.dumps(read_tasks(tmp_path / "tasks.parquet"))
    (tmp_path / "tasks.parquet").unlink()
    assert picture_hash(pickle.loads(packed)[0].picture()) == picture_hash(scene(1))


def test_columns_can_have_other_names(tmp_path: Path) -> None:
    rows, pictures = task_rows()
    renamed = [
        {"file_name": row["file_name"], "key": row["id"], "prompt": row["question"], "gold": row["answers"][0]}
        for row in rows
    ]
    folder = write_source(tmp_path / "tasks", renamed, pictures)
    tasks = read_tasks(folder, {"id": "key", "question": "prompt", "answers": "gold"})
    assert tasks[1] == Task("t1", rows[1]["question"], ("Gold1xyz",), tasks[1].image)
    with pytest.raises(TaskError, match="no column 'nope'.*it has"):
        read_tasks(folder, {"id": "nope", "question": "prompt", "answers": "gold"})
    with pytest.raises(TaskError, match="'query', which is no field"):
        read_tasks(folder, {"query": "prompt"})
    with pytest.raises(TaskError, match=r"no column 'id'.*rename the column, or .*read_tasks\(path, columns="):
        read_tasks(folder)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": None}, "row 3 .*no `id`"),
        ({"id": " "}, "row 3 .*no `id`"),
        ({"id": "t1"}, "row 3 .*'t1' is that of row 2"),
        ({"question": None}, "'t2' has no `question`"),
        ({"question": "x" * (MAX_QUESTION + 1)}, f"'t2' is longer than {MAX_QUESTION}"),
        ({"answers": []}, "'t2' has no `answers`"),
        ({"answers": [" "]}, "'t2' has no `answers`"),
        ({"answers": ...}, "'t2' has no `answers`"),
        ({"regions": [[0.1, 0.2, 1.3, 0.4]]}, "`regions` of task 't2': .*leaves the picture"),
        ({"regions": [[0.5, 0.2, 0.1, 0.4]]}, "`regions` of task 't2': .*empty"),
        ({"regions": [[0.5, 0.2, 0.9]]}, "`regions` of task 't2': .*four"),
        ({"regions": 0.5}, "row 3 .*`regions` of task 't2' is a number, not a list of boxes"),
        ({"regions": [0.1, 0.2, 0.5, 0.9]}, "row 3 .*`regions` of task 't2': a box is four numbers"),
        ({"regions": "0.5"}, "row 3 .*`regions` of task 't2' is a text, not a list of boxes"),
        ({"question": ["q"]}, "row 3 .*`question` of task 't2' holds a list, not a text"),
        ({"answers": {"a": 1}}, "row 3 .*`answers` of task 't2' holds an object, not a text"),
        ({"answers": [["x"]]}, "row 3 .*`answers` of task 't2' holds a list, not a text"),
        ({"evidence": [{"id": "D01"}]}, "row 3 .*`evidence` of task 't2' holds an object"),
        ({"calls": {"type": "glance"}}, "row 3 .*`calls` of task 't2' is an object, not a list of actions"),
        ({"calls": 2}, "row 3 .*`calls` of task 't2' is a number, not a list of actions"),
        ({"calls": "[{"}, "row 3 .*`calls` of task 't2' is not JSON"),
        ({"calls": ["glance"]}, "row 3 .*`calls` of task 't2': call 1: a text is not an action"),
        ({"calls": [{"type": "gaze"}]}, "row 3 .*`calls` of task 't2': call 1: gaze needs 'box'"),
        ({"calls": [{"type": "glance"}, {"type": "gaze", "box": [0, 0, 2, 1]}]}, "call 2: box .* leaves the picture"),
        ({"calls": [{"type": "search", "query": " "}]}, "`calls` of task 't2': call 1: the query is empty"),
        ({"calls": [{"type": "answer", "text": "x"}]}, "call 1: answer is not a call; give glances, gazes and"),
        ({"calls": [{"type": "malformed", "reason": "x"}]}, "`calls` of task 't2': call 1: x; give glances"),
        ({"calls": [{"type": "dance"}]}, "call 1: there is no action 'dance'"),
    ],
)
def test_a_wrong_row_is_named(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        read_tasks(write(tmp_path / "tasks", **fields))
    assert len(str(caught.value).splitlines()) == 1


def test_values_come_through_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(scene(1)))
    rows = [
        '{"id": "1984-05-01", "question": "2001-01-01", "answers": ["1984-05-01"], "image": "a.png"}',
        '{"id": "007", "question": "q", "answers": [1], "image": "a.png"}',
        '{"id": 8, "question": "q", "answers": [2.50, "3.0", true], "image": "a.png", "kind": 1, "evidence": [12]}',
        '{"id": "9", "question": "q", "answers": 1246700, "image": "a.png", "evidence": "2020-02-02"}',
    ]
    (tmp_path / "tasks.jsonl").write_text("\n".join(rows))
    tasks = read_tasks(tmp_path / "tasks.jsonl")
    assert [(task.id, task.question, task.answers) for task in tasks] == [
        ("1984-05-01", "2001-01-01", ("1984-05-01",)),
        ("007", "q", ("1",)),
        ("8", "q", ("2.50", "3.0", "true")),
        ("9", "q", ("1246700",)),
    ]
    assert [task.evidence for task in tasks] == [None, None, ("12",), ("2020-02-02",)] and tasks[2].kind == "1"
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "a.png").write_bytes(png(scene(1)))
    table = "file_name,id,question,answers,evidence\na.png,007,q,1.0,\na.png,08,q,1984-05-01,D01\n"
    (tmp_path / "csv" / "metadata.csv").write_text(table)
    read = [(task.id, task.answers, task.evidence) for task in read_tasks(tmp_path / "csv")]
    assert read == [("007", ("1.0",), ()), ("08", ("1984-05-01",), ("D01",))]


def test_no_evidence_and_none_given_are_two_things(tmp_path: Path, knowledge: Any) -> None:
    tasks = read_tasks(write(tmp_path / "tasks", evidence=[]))
    assert tasks[2].evidence == () and tasks[3].evidence == ("D03",)
    rows, pictures = task_rows()
    for row in rows:
        del row["evidence"]
    silent = read_tasks(write_source(tmp_path / "silent", rows, pictures))
    assert {task.evidence for task in silent} == {None}
    silent.check_against(knowledge)


def test_calls_are_read_from_lists_and_from_json(tmp_path: Path) -> None:
    import datasets

    calls = (Gaze((0.1, 0.2, 0.5, 0.6)), Search("Arda"), Glance())
    written = [as_dict(call) for call in calls]
    assert {task.calls for task in read_tasks(write(tmp_path / "silent"))} == {None}
    for number, value in enumerate([written, json.dumps(written)]):
        tasks = read_tasks(write(tmp_path / str(number), calls=value))
        assert tasks[2].calls == calls and tasks[3].calls is None
    for number, value in enumerate([[], "[]"]):
        assert read_tasks(write(tmp_path / f"none-{number}", calls=value))[2].calls == ()
    assert read_tasks(write(tmp_path / "blank", calls=""))[2].calls is None
    table = {"id": ["a"], "question": ["q"], "answers": [["x"]], "calls": [written]}  # Parquet fills all keys with None
    table["image"] = [{"bytes": png(scene(1)), "path": None}]
    datasets.Dataset.from_dict(table).to_parquet(str(tmp_path / "tasks.parquet"))
    assert read_tasks(tmp_path / "tasks.parquet")[0].calls == calls


def test_missing_folders_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="nowhere"):
        read_tasks(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match="empty"):
        read_tasks(tmp_path / "empty")
    (tmp_path / "tasks.jsonl").touch()
    with pytest.raises(TaskError, match="tasks.jsonl"):
        read_tasks(tmp_path / "tasks.jsonl")
    (tmp_path / "tasks.jsonl").write_text('{"id": "a"\n')
    with pytest.raises(TaskError, match="line 1 of tasks.jsonl"):
        read_tasks(tmp_path / "tasks.jsonl")
    (tmp_path / "tasks.jsonl").write_text('{"id": "a", "question": "q", "answers": ["x"]}\n')
    with pytest.raises(TaskError, match="no column of pictures"):
        read_tasks(tmp_path / "tasks.jsonl")


def test_rows_without_their_picture_are_skipped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write(tmp_path / "tasks")
    (folder / "images/2.png").unlink()
    (folder / "images/5.png").unlink()
    with caplog.at_level(logging.WARNING, logger="gog_env.tasks"):
        tasks = read_tasks(folder)
    assert [task.id for task in tasks] == ["t0", "t1", "t3", "t4", "t6", "t7"]
    assert [(skipped.row, skipped.id) for skipped in tasks.skipped] == [(2, "t2"), (5, "t5")]
    [record] = caplog.records
    assert "skipped 2 of 8" in record.message and "images/2.png" in record.message
    for picture in (folder / "images").iterdir():
        picture.unlink()
    with pytest.raises(TaskError, match="none of 8 has its picture"):
        read_tasks(folder)


def test_an_unreadable_picture_names_task_and_file(tmp_path: Path) -> None:
    folder = write(tmp_path / "tasks")
    (folder / "images/2.png").write_bytes(b"not a picture")
    tasks = read_tasks(folder)
    assert len(tasks) == 8
    tasks[1].picture()
    with pytest.raises(TaskError, match=r"task 't2': images/2\.png"):
        tasks[2].picture()


def test_a_large_photo_keeps_all_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.images.MAX_PIXELS", 64 * 64)
    monkeypatch.setattr("gog_env.task.MAX_PIXELS", 256 * 128)
    scene(1).resize((256, 128)).save(tmp_path / "a.jpg")
    scene(1).resize((256, 256)).save(tmp_path / "b.jpg")
    photo = PictureRef("a", "a.jpg", tmp_path / "a.jpg")
    assert photo.open().size == (64, 32)  # what is embedded in an index can be smaller
    for image in (photo, tmp_path / "a.jpg", (tmp_path / "a.jpg").read_bytes()):
        assert Task("t", "?", ("x",), image).picture().size == (256, 128)
    assert Task("t", "?", ("x",), tmp_path / "b.jpg").picture().size == (128, 128)


def test_two_pictures_in_a_row_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text(
        '{"id": "a", "question": "q", "answers": ["x"], "images": ["1.png", "2.png"]}'
    )
    with pytest.raises(TaskError, match="2 pictures"):
        read_tasks(tmp_path / "tasks.jsonl")


def test_evidence_is_checked_against_the_index(tasks: Tasks, knowledge: Any) -> None:
    tasks.check_against(knowledge)
    with pytest.raises(TaskError, match="2 of 8 tasks.*t0 needs 'D00', t4 needs 'D04'"):
        tasks.check_against({"D01", "D02", "D03", "D05", "D06", "D07"})


def test_ids_are_unique_and_must_exist(tasks: Tasks) -> None:
    with pytest.raises(TaskError, match="'t0' comes twice"):
        Tasks([tasks[0], tasks[0]])
    with pytest.raises(TaskError, match="no task 'zzz'"):
        tasks.by_id("zzz")


def fvqa_row(**changes: Any) -> dict[str, Any]:
    return {
        "prompt": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "<image>\nWho is this?"}],
        "images": [{"bytes": png(scene(4)), "path": None}],
        "reward_model": {"ground_truth": "Ada", "candidate_answers": '["Lovelace", "Ada", "\\ud83c\\uddea"]'},
        "data_source": "x/fvqa",
        **changes,
    }


def test_the_published_layout_of_fvqa_is_recognised(tmp_path: Path) -> None:
    import datasets

    file = str(tmp_path / "fvqa_test.parquet")
    datasets.Dataset.from_list([fvqa_row(), fvqa_row()]).to_parquet(file)
    tasks = read_tasks(file)
    assert [task.id for task in tasks] == ["fvqa_test-00000", "fvqa_test-00001"]
    assert tasks[0].question == "Who is this?"
    assert tasks[0].answers == ("Ada", "Lovelace", "🇪") and tasks[0].evidence is None
    assert picture_hash(tasks[0].picture()) == picture_hash(scene(4))
    broken = fvqa_row(reward_model={"ground_truth": "Ada", "candidate_answers": "[oops"})
    datasets.Dataset.from_list([fvqa_row(), broken]).to_parquet(file)
    with pytest.raises(TaskError, match="row 2 .*`candidate_answers` of task .* is not JSON"):
        read_tasks(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "Who is this?"}, "row 1 .*`prompt` of task 'fvqa-00000' is a text, not a list of turns"),
        ({"prompt": ["Who is this?"]}, "row 1 .*`prompt` of task 'fvqa-00000' is a list, not a list of turns with"),
        ({"prompt": [{"role": "user", "content": ["Who?"]}]}, "row 1 .*`prompt` .* holds a list, not a text"),
        ({"reward_model": "Ada"}, "row 1 .*`reward_model` of task 'fvqa-00000' is a text, not an object"),
        ({"reward_model": {"ground_truth": ["Ada"], "candidate_answers": "{}"}}, "`candidate_answers` .*an object"),
    ],
)
def test_a_wrong_row_of_fvqa_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list([fvqa_row(**changes)]).to_parquet(str(tmp_path / "fvqa.parquet"))
    with pytest.raises(TaskError, match=message) as caught:
        read_tasks(tmp_path / "fvqa.parquet")
    assert len(str(caught.value).splitlines()) == 1


def test_real_tasks(atlas: Path) -> None:
    tasks = read_tasks(atlas / "dev")
    assert len(tasks) == 150 and not tasks.skipped
    assert {task.kind for task in tasks} == {"visual", "glance", "gaze", "multi_hop", "compare"}
    assert tasks[0].picture().size == (448, 336)


def test_real_fvqa() -> None:
    file = SHARED / "data" / "fvqa_mini.parquet"
    if not file.is_file():
        pytest.skip("../shared/data/fvqa_mini.parquet is absent (set GOG_SHARED)")
    tasks = read_tasks(file)
    assert len(tasks) == 5
    assert tasks[0].answers[0] == "Spain" and "🇪🇸" in tasks[0].answers
    assert tasks[0].question == "What is the country of origin of this food?"
    assert all(min(task.picture().size) > 100 for task in tasks)


@pytest.mark.parametrize("benchmark", ["", "fvqa"])
def test_what_cannot_be_played_says_what_to_do(benchmark: str) -> None:
    """Published sets have a doctor, and parts that name no documents; one's own tasks have neither."""
    torn = png(scene(3))[:-40]
    task = Task(
        id="t", image=torn, question="Which?", answers=("Gold",), kind="", evidence=("D03",), benchmark=benchmark
    )
    with pytest.raises(TaskError, match="task 't': ") as broken:
        task.picture()
    assert ("--without FILE" in str(broken.value)) == bool(benchmark)
    with pytest.raises(TaskError, match="1 of 1 tasks need documents") as absent:
        Tasks([task], source="mine").check_against(frozenset())
    assert ("--part" in str(absent.value)) == bool(benchmark)
