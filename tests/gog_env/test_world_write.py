"""Writing worlds: the layouts that everybody reads, the same bytes for any number of processes, in constant memory."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gog_env.tasks import read_tasks
from gog_env.world import presets, shards, write
from gog_env.world.__main__ import main
from gog_env.world.album import pictures
from gog_env.world.nations import World, WorldSpec, article, make_world
from gog_env.world.notes import count_notes, note
from gog_env.world.portraits import STYLES
from gog_env.world.workers import in_order
from index.errors import TaskError
from index.images import picture_hash
from index.records import read_source

SPEC = WorldSpec(seed=5, nations=48)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("world") / "w"


@pytest.fixture(scope="module")
def written(world, out) -> dict[str, str]:
    return write.write_world(world, out, train=24, heldout=12, seed=1, check=True)


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_knowledge_reads_back_as_it_was_made(world, out, written):
    source = read_source(out / "kb")
    assert len(source) == 48 + count_notes(world)
    for document in source[:48:7]:
        nation = world.by_id(document.id)
        assert (document.title, document.text) == (nation.name, article(nation, world))
        album = pictures(nation, world)
        assert [style for style, _ in album][0] == "drawn" and len(album) == len(document.pictures) == 3
        assert picture_hash(document.pictures[0].open()) == picture_hash(album[0][1])
        for (_, picture), reference in zip(album, document.pictures, strict=True):
            apart = np.abs(np.asarray(picture, float) - np.asarray(reference.open(), float))
            assert apart.mean() < 8
    last = source[-1]
    assert (last.id, last.text, last.pictures) == ("W5-note-000005", note(world, 5).text, ())


def test_datasets_shows_the_pictures(out, written, tmp_path):
    import datasets

    shard = str(out / "kb" / "data-00000.parquet")
    rows = datasets.load_dataset("parquet", data_files=shard, split="train", cache_dir=str(tmp_path))
    assert rows[0]["images"][0].size == rows[0]["images"][1].size


def test_tasks_read_back_with_their_calls(world, out, written):
    for split, count in (("train", 24), ("heldout", 12)):
        tasks = read_tasks(out / split)
        assert len(tasks) == count and not tasks.skipped
        assert [task.id for task in tasks] == [f"{split}-{i:05d}" for i in range(count)]
        assert all(task.calls is not None for task in tasks)
        for task in tasks:
            assert all(world.by_id(document).heldout == (split == "heldout") for document in task.evidence)
            assert task.picture().size == (448, 336)
    rows = [json.loads(line) for line in (out / "train" / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert {"question", "answers", "kind", "evidence", "regions", "calls", "setting", "reference"} <= set(rows[0])


def test_bytes_depend_on_the_seed_alone(out, written, tmp_path):
    again = write.write_world(make_world(SPEC), tmp_path / "again", train=24, heldout=12, seed=1, jobs=2)
    assert again == written and files(tmp_path / "again") == files(out)
    assert [len(value) for value in written.values()] == [64, 64, 64]
    fewer = write.write_tasks(make_world(SPEC), tmp_path / "fewer", "train", 5, seed=1)
    assert fewer != written["train"]
    first, all_of_them = files(tmp_path / "fewer"), files(out / "train")
    assert first.pop("metadata.jsonl") != all_of_them["metadata.jsonl"] and first.items() <= all_of_them.items()
    write.write_tasks(make_world(SPEC), tmp_path / "other", "train", 2, seed=2)
    assert files(tmp_path / "other")["images/00000.jpg"] != first["images/00000.jpg"]


def test_a_later_snapshot_keeps_the_pictures_and_changes_answers(world, out, written, tmp_path):
    later = write.write_world(world.at(4), tmp_path / "later", train=24, heldout=12, seed=1)
    assert all(later[part] != written[part] for part in later)
    before, after = files(out), files(tmp_path / "later")
    assert {name: value for name, value in before.items() if name.endswith(".jpg")} == {
        name: value for name, value in after.items() if name.endswith(".jpg")
    }
    old, new = read_source(out / "kb"), read_source(tmp_path / "later" / "kb")
    assert old.ids == new.ids
    for one, two in zip(old, new, strict=True):
        assert one.title == two.title
        assert [p.source for p in one.pictures] == [p.source for p in two.pictures]
    for one, two in zip(read_tasks(out / "train"), read_tasks(tmp_path / "later" / "train"), strict=True):
        assert (one.question, one.evidence, one.regions) == (two.question, two.evidence, two.regions)


def test_only_what_has_changed_is_kept(world, tmp_path):
    old, new, kept = (tmp_path / name for name in ("old", "new", "kept"))
    write.write_tasks(world, old, "train", 24, seed=1)
    write.write_tasks(world.at(2), new, "train", 24, seed=1)
    write.write_tasks(world.at(2), kept, "train", 24, seed=1, only_changed=True)
    before, after = ({task.id: task for task in read_tasks(folder)} for folder in (old, new))
    changed = {name for name in before if before[name].answers[0] != after[name].answers[0]}
    found = {task.id: task for task in read_tasks(kept)}
    assert found and set(found) == changed
    assert all(task.answers == after[name].answers for name, task in found.items())
    with pytest.raises(TaskError, match="snapshot 0"):
        write.write_tasks(world, tmp_path / "none", "train", 2, only_changed=True)


@pytest.mark.parametrize(
    "wrong", [{"train": -1}, {"kind": "riddle"}, {"jobs": 0}, {"seed": -1}, {"only_changed": True}, {"heldout": 1}]
)
def test_arguments_are_checked_before_anything_is_written(tmp_path, monkeypatch, wrong):
    monkeypatch.setattr(write, "write_knowledge", lambda *_: pytest.fail("too late"))
    world = make_world(WorldSpec(nations=24, heldout=0))
    with pytest.raises(TaskError):
        write.write_world(world, tmp_path / "w", **{"train": 1, "heldout": 0, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_shards_and_row_groups(world, tmp_path, monkeypatch):
    import pyarrow.parquet as parquet

    monkeypatch.setattr(shards, "SHARD", 20)
    monkeypatch.setattr(shards, "ROW_GROUP", 10)
    write.write_knowledge(world, tmp_path / "kb")
    written = sorted((tmp_path / "kb").iterdir())
    assert [shard.name for shard in written] == [f"data-{i:05d}.parquet" for i in range(3)]
    assert [parquet.ParquetFile(shard).metadata.num_rows for shard in written] == [20, 20, 14]
    assert parquet.ParquetFile(written[0]).num_row_groups == 2
    assert len(read_source(tmp_path / "kb")) == 54


def test_pictures_are_of_several_styles(world):
    assert [style for style, _ in pictures(world.nation(3), make_world(replace(SPEC, pictures=7)))][:1] == ["drawn"]
    styles = {style for number in range(20) for style, _ in pictures(world.nation(number), world)}
    assert styles == set(STYLES)
    one, two = pictures(world.nation(3), world), pictures(world.nation(3), world.at(2))
    assert [(s, picture_hash(p)) for s, p in one] == [(s, picture_hash(p)) for s, p in two]


def squares(start: int, stop: int) -> list[int]:
    return [i * i for i in range(start, stop)]


def fails(start: int, stop: int) -> list[int]:
    raise TaskError(f"{start}: no")


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_keep_the_order_and_pass_errors_on(jobs):
    assert list(in_order(squares, 50, 4, jobs)) == squares(0, 50)
    assert list(in_order(squares, 0, 4, jobs)) == []
    with pytest.raises(TaskError, match="no"):
        list(in_order(fails, 50, 4, jobs))
    with pytest.raises(TaskError, match="--jobs"):
        list(in_order(squares, 3, 1, 0))


def slow_pid(start: int, stop: int) -> list[int]:
    time.sleep(0.3)
    return [os.getpid()]


def test_workers_end_with_a_parent_that_is_killed():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_world_write as t\n"
        "if __name__ == '__main__':\n"
        "    for pid in t.in_order(t.slow_pid, 1000, 1, 2): print(pid, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = {int(parent.stdout.readline()) for _ in range(6)}
    parent.kill()
    parent.wait()
    until = time.monotonic() + 20
    while (alive := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and time.monotonic() < until:
        time.sleep(0.1)
    assert pids and not alive


def test_ranges_are_made_as_they_are_wanted():
    made = []

    def make(start: int, stop: int) -> list[int]:
        made.append(start)
        return squares(start, stop)

    ahead = in_order(make, 10**12, 5)
    assert [next(ahead) for _ in range(6)] == squares(0, 6) and made == [0, 5]


def test_workers_need_no_torch():
    code = (
        "import sys, gog_env.world.write; heavy = {'torch', 'datasets', 'pyarrow', 'faiss'} & set(sys.modules);"
        " assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_nothing_half_written_stays(tmp_path, world, monkeypatch):
    with pytest.raises(RuntimeError), write.new_folder(tmp_path / "out") as folder:
        (folder / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(write, "check_task", lambda *_: (_ for _ in ()).throw(TaskError("unsound")))
    with pytest.raises(TaskError, match="unsound"):
        write.write_tasks(world, tmp_path / "t", "train", 3, check=True)
    assert list(tmp_path.iterdir()) == []
    write.write_tasks(world, tmp_path / "t", "train", 1)
    with pytest.raises(TaskError, match="not empty"):
        write.write_tasks(world, tmp_path / "t", "train", 1)
    with pytest.raises(TaskError, match="no split"):
        write.write_tasks(world, tmp_path / "u", "test", 3)
    with pytest.raises(TaskError, match="at least 1"):
        write.write_tasks(world, tmp_path / "u", "train", 0)
    with pytest.raises(TaskError, match="no nation of this world"):
        write.write_tasks(make_world(WorldSpec(nations=12, heldout=0)), tmp_path / "u", "heldout", 1)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--nations", "8"], "too few"),
        (["--seed", "-1"], "negative"),
        (["--heldout-share", "1.5"], "no share"),
        (["--train", "-3"], "negative"),
        (["--snapshot", "-1"], "no snapshot"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_command_line_bad_input(tmp_path, arguments, complaint):
    with pytest.raises(TaskError, match=complaint):
        main(["--out", str(tmp_path / "w"), *arguments])
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path, monkeypatch, capsys):
    command = [
        sys.executable,
        "-m",
        "gog_env.world",
        "--nations",
        "48",
        "--train",
        "3",
        "--heldout",
        "2",
        "--jobs",
        "2",
    ]
    command += ["--kind", "gaze", "--out"]
    done = subprocess.run([*command, str(tmp_path / "w")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["heldout", "kb", "train", "world.json"]
    prints = re.findall(r"^(kb|train|heldout) +([0-9a-f]{64})  \(of your own making\)$", done.stdout, re.MULTILINE)
    summary = json.loads((tmp_path / "w" / "world.json").read_text())
    assert dict(prints) == summary["fingerprints"] and len(prints) == 3
    assert summary["spec"]["nations"] == 48 and summary["spec"]["name"] == "custom"
    assert {task.kind for task in read_tasks(tmp_path / "w" / "train")} == {"gaze"}
    again = subprocess.run([*command, str(tmp_path / "w")], capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "not empty" in again.stderr
    main(["--out", str(tmp_path / "unsplit"), "--nations", "24", "--heldout-share", "0", "--train", "2", "--no-check"])
    assert "0 held-out tasks" in capsys.readouterr().out and not (tmp_path / "unsplit" / "heldout").exists()


def test_presets_are_published_and_known_again(tmp_path, monkeypatch, capsys):
    spec = WorldSpec(nations=24, name="world-s")
    monkeypatch.setitem(presets.PRESETS, "world-s", presets.Preset(spec, 2, 1))
    monkeypatch.setattr(presets, "PUBLISHED", tmp_path / "presets.json")
    main(["--out", str(tmp_path / "w"), "--no-check"])
    assert capsys.readouterr().out.count("(none is published)") == 3
    with pytest.raises(TaskError, match="no world"):
        presets.record([tmp_path], tmp_path / "presets.json")
    presets.record([tmp_path / "w"], tmp_path / "presets.json")
    assert presets.published("world-s") == json.loads((tmp_path / "w" / "world.json").read_text())["fingerprints"]
    main(["--out", str(tmp_path / "again"), "--no-check"])
    assert capsys.readouterr().out.count("(as published)") == 3
    main(["--out", str(tmp_path / "other"), "--no-check", "--train", "1", "--snapshot", "1"])
    assert capsys.readouterr().out.count("(of your own making)") == 3
    with pytest.raises(TaskError, match="no preset as it should be"):
        presets.record([tmp_path / "other"], tmp_path / "presets.json")
    wrong = {"version": presets.VERSION, "world-s": {"kb": "0" * 64}}
    (tmp_path / "presets.json").write_text(json.dumps(wrong))
    main(["--out", str(tmp_path / "third"), "--no-check", "--train", "1"])
    assert "NOT the published one" in capsys.readouterr().out
    (tmp_path / "presets.json").write_text(json.dumps({**wrong, "version": -1}))
    assert presets.published("world-s") == {}


@pytest.mark.parametrize("name, nations", [("world-s", 400), ("world-m", 4000), ("world-l", 50_000)])
def test_presets(name, nations):
    preset = presets.PRESETS[name]
    assert preset.spec == WorldSpec(seed=0, nations=nations, name=name, heldout=0.25, snapshot=0, pictures=3)
    assert len(make_world(preset.spec)) == nations


@pytest.mark.slow
def test_the_small_preset_is_the_published_one(tmp_path):
    preset = presets.PRESETS["world-s"]
    found = write.write_world(make_world(preset.spec), tmp_path / "w", preset.train, preset.heldout, jobs=2)
    assert found == presets.published("world-s")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_world(tmp_path):
    code = (
        "import re, sys; from gog_env.world.nations import WorldSpec, make_world;"
        "from gog_env.world.write import write_knowledge;"
        "write_knowledge(make_world(WorldSpec(nations=int(sys.argv[1]))), sys.argv[2]);"
        # not getrusage: its peak begins with that of the process that started this one
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()).group(1))"
    )
    peaks = []
    for nations in (1500, 6000):
        place = str(tmp_path / str(nations))
        done = subprocess.run(
            [sys.executable, "-c", code, str(nations), place], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 120 and peaks[1] < 600, peaks


def test_a_huge_world_is_written_at_once_and_leaves_nothing_when_told_to_end(tmp_path):
    """The first shard grows within seconds; nobody waits for a million nations to be made first."""
    command = [
        sys.executable,
        "-m",
        "gog_env.world",
        "--nations",
        "1000000",
        "--jobs",
        "2",
        "--out",
        str(tmp_path / "w"),
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300  # a few seconds on a machine that is free
        while time.monotonic() < until and running.poll() is None:
            if any(os.path.getsize(file) > 100_000 for file in tmp_path.rglob("data-00000.parquet")):
                break
            time.sleep(0.1)
        else:
            pytest.fail("nothing was written in five minutes")
        running.terminate()
        assert running.wait(60) == 143 and list(tmp_path.iterdir()) == []
    finally:
        running.kill()
        running.wait()
