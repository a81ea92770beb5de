"""The world: nations that agree with each other, scenes without doubt, tasks that prove themselves, stable bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gog_env.rewards import accuracy
from gog_env.tasks import Tasks, read_tasks
from gog_env.world import questions
from gog_env.world.__main__ import main
from gog_env.world.banners import draw
from gog_env.world.names import Names, plain
from gog_env.world.nations import World, WorldSpec, article, make_world
from gog_env.world.questions import KINDS, make_task
from gog_env.world.scenes import SIZE, compose, place_names
from gog_env.world.write import new_folder, write_knowledge, write_tasks, write_world
from index.errors import TaskError
from index.images import iou
from index.records import read_source

SPEC = WorldSpec(seed=5, nations=60)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(SPEC)


@pytest.fixture(scope="module")
def written(world, tmp_path_factory) -> Path:
    return write_world(world, tmp_path_factory.mktemp("world") / "w", train=90, heldout=60, seed=1)


@pytest.fixture(scope="module", params=["train", "heldout"])
def split_tasks(request, written) -> tuple[str, Tasks]:
    return request.param, read_tasks(written / request.param)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_equal_specs_give_equal_worlds(world):
    assert make_world(SPEC) == world
    other = make_world(WorldSpec(seed=6, nations=60))
    assert {n.name for n in other.nations} != {n.name for n in world.nations}


def test_splits_are_disjoint_and_cover(world):
    train, heldout = ({n.id for n in world.split(split)} for split in ("train", "heldout"))
    assert len(heldout) == 15 and not train & heldout and len(train | heldout) == 60


def test_relations_agree_and_stay_within_a_split(world):
    for nation in world.nations:
        links = nation.relations
        assert world.nation(links.west).relations.east == nation.id
        assert world.nation(links.east).relations.west == nation.id
        for name in ("ally", "rival"):
            if other := getattr(links, name):
                assert other != nation.id and getattr(world.nation(other).relations, name) == nation.id
        others = [other for other in (links.west, links.east, links.ally, links.rival) if other]
        assert len(set(others)) == len(others)
        assert all(world.nation(other).heldout == nation.heldout for other in others)


@pytest.mark.parametrize("seed", range(3))
def test_articles_hold_every_fact_and_have_their_length(seed):
    world = make_world(WorldSpec(seed=seed, nations=120))
    for nation in world.nations:
        text, facts, links = article(nation, world), nation.facts, nation.relations
        assert 200 <= len(text) <= 320
        assert text.count(nation.name) >= 2
        told = [facts.capital, facts.founder, str(facts.founded), facts.currency, facts.river, f"{facts.population:,}"]
        told += [facts.animal, *(world.nation(o).name for o in vars(links).values() if o)]
        assert all(word in text for word in told)


def test_what_names_a_nation_comes_once(world):
    for value in (
        lambda n: plain(n.name).casefold(),
        lambda n: n.facts.capital,
        lambda n: n.facts.founder,
        lambda n: n.facts.founded,
        lambda n: n.facts.river,
        lambda n: n.facts.currency,
    ):
        assert len({value(nation) for nation in world.nations}) == 60


def test_names_are_told_apart_by_two_letters_and_some_are_not_ascii():
    source = Names(np.random.default_rng(0))
    names = [plain(source.new("nation")).casefold() for _ in range(300)]
    accented = sum(not Names(np.random.default_rng(i)).new("nation").isascii() for i in range(300))
    assert 10 < accented < 60

    def near(a: str, b: str) -> bool:
        return len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) < 2

    assert not any(near(a, b) for i, a in enumerate(names) for b in names[:i])


def test_banners_of_a_world_look_different(world):
    looks = np.stack(
        [np.asarray(draw(n.banner, 48, 36), float).reshape(6, 6, 6, 8, 3).mean((1, 3)) for n in world.nations]
    )
    for i in range(1, len(looks)):
        assert np.abs(looks[:i] - looks[i]).max((1, 2, 3)).min() > 20


def test_a_split_needs_nations():
    with pytest.raises(TaskError, match="too few"):
        make_world(WorldSpec(nations=12))
    unsplit = make_world(WorldSpec(nations=12, heldout=0))
    assert not unsplit.split("heldout")
    with pytest.raises(TaskError, match="no nation of this world"):
        write_tasks(unsplit, "nowhere", "heldout", 1)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_scenes_show_their_banners_in_their_boxes(world, count):
    rng = np.random.default_rng(count)
    for _ in range(8):
        nations = [world.nations[int(i)] for i in rng.choice(60, count, replace=False)]
        scene = compose([(n.id, n.banner) for n in nations], rng)
        assert scene.picture.size == SIZE and scene.picture.mode == "RGB"
        assert [p.nation_id for p in scene.placed] == [n.id for n in nations]
        assert [p.place for p in scene.placed] == place_names([p.box for p in scene.placed])
        for x0, y0, x1, y1 in (p.box for p in scene.placed):
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert 0.1 < x1 - x0 < 0.95 and 0.08 < y1 - y0 < 0.95
            assert count == 1 or x1 - x0 < 0.5
        boxes = [p.box for p in scene.placed]
        assert all(iou(a, b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_crop_looks_like_the_banner_and_the_picture_does_not(world):
    """A 16 x 12 thumbnail of the box finds the nation nearly always, one of the whole scene nearly never."""

    def look(picture):
        values = np.asarray(picture.resize((16, 12)), float)
        values = (values - values.mean((0, 1))).ravel()
        return values / np.linalg.norm(values)

    known = np.stack([look(draw(n.banner)) for n in world.nations])
    rng = np.random.default_rng(2)
    crop, whole = [], []
    for _ in range(40):
        nations = [world.nations[int(i)] for i in rng.choice(60, 3, replace=False)]
        scene = compose([(n.id, n.banner) for n in nations], rng)
        x0, y0, x1, y1 = scene.placed[0].box
        w, h = scene.picture.size
        right = int(nations[0].id[1:])
        crop.append((known @ look(scene.picture.crop((x0 * w, y0 * h, x1 * w, y1 * h)))).argmax() == right)
        whole.append((known @ look(scene.picture)).argmax() == right)
    assert np.mean(crop) >= 0.9 and np.mean(whole) <= 0.2


@pytest.mark.parametrize(
    "boxes, names",
    [
        ([(0.1, 0.3, 0.4, 0.6), (0.6, 0.3, 0.9, 0.6)], ["on the left", "on the right"]),
        ([(0.4, 0.6, 0.6, 0.9), (0.4, 0.1, 0.6, 0.3)], ["at the bottom", "at the top"]),
        ([(0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)], ["at the top left", "at the bottom right"]),
        ([(0.1, 0.4, 0.3, 0.6), (0.4, 0.1, 0.6, 0.3), (0.7, 0.1, 0.9, 0.3)], None),
        ([(0.1, 0.1, 0.2, 0.3), (0.22, 0.1, 0.33, 0.3), (0.7, 0.1, 0.9, 0.3)], None),
    ],
)
def test_places_in_words(boxes, names):
    assert place_names(boxes) == names


def test_every_task_proves_itself(world, written, split_tasks):
    split, tasks = split_tasks
    articles = {document.id: document for document in read_source(written / "kb")}
    members = {nation.id for nation in world.split(split)}
    assert {task.kind for task in tasks} == set(KINDS)
    for task in tasks:
        assert set(task.evidence) <= members
        assert len(set(task.answers)) == len(task.answers) and accuracy(task.answers[0], task.answers) == 1.0
        assert task.picture().size == SIZE
        wanted = {"visual": (0, 0), "glance": (1, 1), "gaze": (1, 1), "multi_hop": (2, 1), "compare": (2, 2)}[task.kind]
        assert (len(task.evidence), len(task.regions)) == wanted
        if task.kind in ("glance", "gaze", "multi_hop"):
            last = articles[task.evidence[-1]]
            assert task.answers[0] in last.text + last.title
        if task.kind == "multi_hop":
            assert articles[task.evidence[1]].title in articles[task.evidence[0]].text
        if task.kind == "compare":
            assert task.answers[0] in [articles[document].title for document in task.evidence]
        if task.kind in ("gaze", "multi_hop", "compare"):
            assert any(word in task.question for word in ("at the ", "on the "))


def test_a_place_in_a_question_means_one_banner(world, monkeypatch):
    """The words for each region in the question are that banner's and no other's of the scene."""
    scenes = []
    monkeypatch.setattr(questions, "compose", lambda *args: scenes.append(compose(*args)) or scenes[-1])
    for i in range(60):
        fields, _ = make_task(world, "train", np.random.default_rng(i), ("gaze", "multi_hop", "compare")[i % 3])
        places = [placed.place for placed in scenes[-1].placed]
        assert len(set(places)) == len(places) > 1
        for region in fields["regions"]:
            placed = next(p for p in scenes[-1].placed if list(p.box) == region)
            assert placed.place in fields["question"]


def test_counts_and_sizes_are_right(world):
    for i in range(40):
        fields, _ = make_task(world, "train", np.random.default_rng(i), "visual")
        assert fields["evidence"] == [] and fields["regions"] == []
        if fields["question"].startswith("How many"):
            assert fields["answers"][0] in "1234"
        else:
            assert fields["answers"][0] in fields["question"]


def test_bytes_depend_on_the_seed_alone(world, written, tmp_path):
    again = write_world(make_world(SPEC), tmp_path / "again", train=12, heldout=6, seed=1)
    first, second = files(written), files(again)
    for name, content in second.items():
        if name.endswith("metadata.jsonl"):
            assert first[name].startswith(content)
        else:
            assert first[name] == content
    other = write_tasks(world, tmp_path / "other", "train", 2, seed=2)
    assert files(other)["images/00000.jpg"] != first["train/images/00000.jpg"]


def test_the_layout_reads_back(world, written):
    source = read_source(written / "kb")
    assert [d.id for d in source] == [n.id for n in world.nations]
    assert [d.title for d in source] == [n.name for n in world.nations]
    assert source[3].pictures[0].open().size == (240, 160)
    rows = [json.loads(line) for line in (written / "train" / "metadata.jsonl").read_text("utf-8").splitlines()]
    assert list(rows[0]) == ["file_name", "id", "question", "answers", "kind", "evidence", "regions"]
    assert [r["id"] for r in rows] == [t.id for t in read_tasks(written / "train")]


def test_nothing_half_written_stays(tmp_path, world):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out") as folder:
        (folder / "part").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write_knowledge(world, tmp_path / "kb")
    with pytest.raises(TaskError, match="not empty"):
        write_knowledge(world, tmp_path / "kb")
    with pytest.raises(TaskError, match="no split"):
        write_tasks(world, tmp_path / "t", "test", 3)
    with pytest.raises(TaskError, match="at least 1"):
        write_tasks(world, tmp_path / "t", "train", 0)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--nations", "8"], "too few"),
        (["--seed", "-1"], "negative"),
        (["--share", "1.5"], "no share"),
        (["--train", "-3"], "negative"),
    ],
)
def test_command_line_bad_input(tmp_path, arguments, complaint):
    with pytest.raises(TaskError, match=complaint):
        main(["--out", str(tmp_path / "w"), *arguments])
    assert list(tmp_path.iterdir()) == []


def test_command_line(tmp_path):
    command = [sys.executable, "-m", "gog_env.world", "--nations", "24", "--train", "3", "--heldout", "2", "--out"]
    done = subprocess.run([*command, str(tmp_path / "w")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["heldout", "kb", "train"]
    again = subprocess.run([*command, str(tmp_path / "w")], capture_output=True, text=True)
    assert again.returncode == 2 and again.stderr.count("\n") == 1 and "not empty" in again.stderr
