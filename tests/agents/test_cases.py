"""What is known of a task: made directly or found again from a folder, it is the same."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from agents.cases import Case, by_kind, cases_of, check_shares, make_cases, shown_in
from agents.thoughts import rows_of
from gog_env.tasks import read_tasks
from gog_env.world.nations import WorldSpec, make_world
from gog_env.world.write import write_world
from index.errors import TaskError
from index.images import picture_hash

SPEC = WorldSpec(seed=11, nations=60, name="cases")
COUNT = 14


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cases") / "world"
    write_world(make_world(SPEC), out, COUNT, 0, seed=3)
    return out


def test_made_cases_are_the_written_tasks_to_the_pixel(folder: Path) -> None:
    written = read_tasks(folder / "train")
    made = list(make_cases(make_world(SPEC), "train", COUNT, seed=3))
    assert [case.task for case in made] == list(written)
    assert [picture_hash(c.task.picture()) for c in made] == [picture_hash(t.picture()) for t in written]
    assert list(make_cases(make_world(SPEC), "train", 3, seed=3, start=5)) == made[5:8], "each by its number alone"
    found = cases_of(written, shown_in(folder / "train"))
    assert [(case.asking, case.banners) for case in found] == [(case.asking, case.banners) for case in made]
    assert any(len(case.boxes) > 1 for case in made)


def test_boxes_are_found_only_where_the_scene_is_the_same(folder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    find, task = shown_in(folder / "train"), read_tasks(folder / "train")[0]
    assert find is not None and find(task)
    assert find(replace(task, question="Another?")) == find(replace(task, id="mine")) == ()
    assert shown_in(tmp_path / "train") is None, "nothing beside it says how it was made"
    summary = json.loads((folder / "world.json").read_text())
    (tmp_path / "world.json").write_text(json.dumps({**summary, "version": -1}))
    assert shown_in(tmp_path / "train") is None, "another version draws other scenes"
    (tmp_path / "world.json").write_text("{}")
    assert shown_in(tmp_path / "train") is None
    assert shown_in(None) is not None, "the embedded world is known"


def test_reading_order_is_row_by_row() -> None:
    for case in make_cases(make_world(SPEC), "train", 4, shares={"intersection": 1}):
        tops = [box[1] for box in case.boxes]
        assert case.task.kind == "intersection" and case.task.regions[0] in case.boxes
        assert tops[0] < min(box[3] for box in case.boxes)
        assert list(case.boxes) == [case.boxes[i] for row in rows_of(case.boxes) for i in row]


def test_shares_decide_how_many_of_each_kind_are_made() -> None:
    made = make_cases(make_world(SPEC), "train", 40, shares={"visual": 3, "gaze": 1, "compare": 0})
    kinds = Counter(case.task.kind for case in made)
    assert set(kinds) == {"visual", "gaze"} and 22 <= kinds["visual"] <= 38


def test_shares_choose_as_many_written_tasks_as_can_be(colours) -> None:  # type: ignore[no-untyped-def]
    cases = [Case(colours.task(f"{kind}-{i}", kind=kind)) for i in range(10) for kind in ("a", "b", "c")]
    chosen = by_kind(cases, {"a": 0.5, "b": 0.25})
    assert Counter(case.task.kind for case in chosen) == {"a": 10, "b": 5}
    assert [case for case in cases if case in chosen] == chosen, "in their order"
    assert by_kind(cases, {"a": 0.5, "b": 0.25}, seed=1) != chosen
    with pytest.raises(TaskError, match="no kind 'd' among the tasks to take a share of; they have a, b, c"):
        by_kind(cases, {"d": 1})


@pytest.mark.parametrize(("given", "said"), [({"gaze": -1.0}, "is -1.0"), ({"gaze": 0.0}, "all shares are 0")])
def test_shares_that_are_none_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(TaskError, match=said):
        check_shares(given)
