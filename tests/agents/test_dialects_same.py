"""In whichever dialect a way of looking is told, it finds, costs and earns the same on the same tasks of the world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents import grounding
from agents.dialects import MODULES, dialect
from agents.policies import OracleCrop
from agents.rollout import run_episodes
from benchmarks import dialects as bench
from gog_env import embedded
from gog_env.actions import Gaze, Glance
from gog_env.episode import EpisodeConfig
from tests.agents.test_dialects import CALLS

#: Who can name a part of the picture.
GAZING = {"gog", *(name for name, calls in CALLS.items() if Gaze in calls)}


def check(rows: list[bench.Row], count: int, looks: int) -> None:
    assert len(rows) == 2 * len(MODULES) and all(row.holds and row.tasks == count for row in rows)
    for row in rows:
        assert (row.accuracy, row.calls, row.reward) == (row.own_accuracy, row.own_calls, row.own_reward)
    by = {(row.dialect, row.way): row for row in rows}
    own = by["gog", "looks"]
    assert own.within == count and own.accuracy > 0.97
    for name in MODULES:
        row = by[name, "looks"]
        if name in GAZING:
            assert (row.within, row.accuracy, row.reward) == (count, own.accuracy, own.reward)
        else:
            least = looks if Glance in CALLS[name] else 0
            assert least <= row.within < count and row.accuracy_within in (1.0, None)
        titles = by[name, "titles"]
        limited = {"mmsearch-r1"}
        assert (titles.within == count) == (name not in limited) or titles.within > 0.9 * count
        if titles.within == count:
            assert titles.accuracy == by["gog", "titles"].accuracy


def test_a_few_tasks_are_played_alike_in_every_dialect() -> None:
    listed = list(embedded.tasks("heldout"))
    tasks = [next(task for task in listed if task.kind == kind) for kind in sorted({task.kind for task in listed})]
    rows = bench.compare(tuple(MODULES), tuple(bench.WAYS), tasks, embedded.index())
    check(rows, len(tasks), looks=2)
    assert "10/10" in bench.table(rows)


@pytest.mark.slow
def test_two_hundred_tasks_are_played_alike_in_every_dialect(tmp_path: Path) -> None:
    assert bench.main(["--out", str(tmp_path / "d.json")]) == 0
    written = json.loads((tmp_path / "d.json").read_text())
    rows = [bench.Row(**{key: value for key, value in row.items() if key != "holds"}) for row in written["rows"]]
    check(rows, 200, looks=30)
    assert sum(written["kinds"].values()) == 200 and written["machine"]


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialect that misreads boxes by a hundredth does not pass for the same."""
    from agents.dialects import sensenova_mars

    tasks = [task for task in embedded.tasks("heldout") if task.kind == "gaze"][:3]
    monkeypatch.setattr(sensenova_mars, "CARD", replace(sensenova_mars.CARD, box_scale=990))
    read = sensenova_mars._zoom
    monkeypatch.setattr(sensenova_mars, "_zoom", lambda box, base, scale: read(box, base, 1000))
    (row,) = bench.compare(["sensenova-mars"], ["looks"], tasks, embedded.index())
    assert not row.holds and row.same == 0


def test_with_a_grounder_a_thing_named_in_words_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gold box of each picture is what the words refer to: one look a task, the same as by a box."""
    tasks = [task for task in embedded.tasks("heldout") if task.kind == "gaze" and len(task.regions) == 1][:6]
    tasks = [replace(task, image=task.picture()) for task in tasks]
    at = {id(task.image): task.regions[0] for task in tasks}

    class Eyes:
        def find(self, picture: object, expression: str) -> object:
            return at[id(picture)]

    class Names(OracleCrop):
        def look(self, task, turn):  # type: ignore[no-untyped-def]
            action = super().look(task, turn)
            return replace(action, thought="<img_search>the banner in question</img_search>") if action else None

    monkeypatch.setattr(grounding, "grounder", lambda path: Eyes())
    card = replace(dialect("deepmmsearch-r1").CARD, grounder="somewhere")
    index, config = embedded.index(), EpisodeConfig()
    said = run_episodes(bench.Speaking(Names(tasks, index), card), tasks, index, config)
    boxed = run_episodes(OracleCrop(tasks, index), tasks, index, config)
    assert [bench.course(one) for one in said] == [bench.course(one) for one in boxed]
    assert all(one.reward_parts.accuracy == 1.0 for one in said)
