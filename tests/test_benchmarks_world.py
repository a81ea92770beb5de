"""The benchmarks of made worlds: figures worked out by hand, and the commands on a tiny world with a random encoder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import world_speed, world_table
from benchmarks.worlds import WorldName, code_key, made_world
from gog_env.episode import EpisodeConfig
from index.errors import GoGError

TINY = WorldName("60", 3)


def part(mean: float, n: int = 10) -> dict[str, Any]:
    return {"n": n, "mean": mean, "low": max(0.0, mean - 0.1), "high": min(1.0, mean + 0.1)}


def policy(overall: float, **kinds: float) -> dict[str, Any]:
    hits = {"n": 10, "k": 3, "hit@1": overall, "hit@k": overall}
    return {
        "n": 20,
        "accuracy": part(overall, 20),
        "by_kind": {kind: part(value) for kind, value in kinds.items()},
        "retrieval": hits,
        "retrieval_by_kind": {kind: {**hits, "n": 0 if kind == "visual" else 10} for kind in kinds},
        "calls": {"glance": 0.5, "gaze": 1.0, "search": 0.25},
    }


def good() -> dict[str, dict[str, Any]]:
    return {
        "direct": policy(0.1, visual=1.0, gaze=0.0, look_alike=0.0, unanswerable=0.0),
        "random": policy(0.02, visual=0.1, gaze=0.0, look_alike=0.0, unanswerable=0.1),
        "glance": policy(0.25, visual=1.0, gaze=0.05, look_alike=0.1, unanswerable=0.0),
        "random-gaze-1": policy(0.15, visual=1.0, gaze=0.05, look_alike=0.05, unanswerable=0.05),
        "random-gaze": policy(0.2, visual=1.0, gaze=0.1, look_alike=0.1, unanswerable=0.1),
        "loose-crop": policy(0.8, visual=1.0, gaze=0.9, look_alike=0.6, unanswerable=0.0),
        "oracle-crop": policy(0.97, visual=1.0, gaze=0.98, look_alike=0.92, unanswerable=0.5),
        "oracle-reflect": policy(0.99, visual=1.0, gaze=0.98, look_alike=0.97, unanswerable=0.5),
    }


def missed(policies: dict[str, dict[str, Any]]) -> list[str]:
    return [one["bar"] for one in world_table.findings(policies) if not one["holds"]]


def test_what_the_world_promises_is_checked_policy_by_policy() -> None:
    assert missed(good()) == []
    for name, kind, value, bar in (
        ("oracle-reflect", "", 0.97, "oracle-reflect on all tasks at least 0.98"),
        ("oracle-reflect", "gaze", 0.94, "oracle-reflect on gaze at least 0.95"),
        ("glance", "", 0.41, "glance on all tasks at most 0.40"),
        ("glance", "look_alike", 0.16, "glance on look_alike at most 0.15"),
        ("random-gaze", "", 0.26, "random-gaze on all tasks at most 0.25"),
        ("random", "", 0.06, "random on all tasks at most 0.05"),
        ("direct", "visual", 0.9, "direct on visual at least 1.00"),
        ("direct", "unanswerable", 0.1, "direct on unanswerable never"),
        ("loose-crop", "look_alike", 0.83, "loose-crop on look_alike at least 0.15 below oracle-crop"),
    ):
        policies = good()
        (policies[name]["by_kind"][kind] if kind else policies[name]["accuracy"])["mean"] = value
        assert missed(policies) == [bar]
    some = {name: good()[name] for name in ("glance", "random")}
    assert len(world_table.findings(some)) == 4, "bars of policies that did not play, and kinds without tasks, are none"


def test_the_table_has_every_kind_with_its_interval() -> None:
    header, rows = world_table.rows(good())
    assert header[1:] == list(good()) == list(world_table.POLICIES)
    lines = {str(row[0]).strip(): row[1:] for row in rows}
    assert lines["gaze (10)"][6] == "98.0 88.0-100" and lines["overall (20)"][2] == "25.0 15.0-35.0"
    assert lines["evidence hit@1"][0] == "10.0" and lines["calls an episode"][0] == "1.75"
    assert "visual" not in lines and "look_alike" in lines, "kinds without evidence have no hits"


def test_the_table_fits_a_screen() -> None:
    lines = world_table.text_tables(good()).splitlines()
    assert max(map(len, lines)) <= 120
    heads = [line.split()[3:] for line in lines if line.startswith("accuracy in %")]
    assert [name for head in heads for name in head] == list(world_table.POLICIES) and len(heads) == 2


def test_worlds_that_are_to_be_alike_are_compared_policy_by_policy() -> None:
    accuracy = {"world-m:0": 0.2, "world-m:1": 0.25, "world-s:0": 0.22, "400:7": 0.9}
    worlds = {
        WorldName.read(name): {"policies": {"glance": policy(value, gaze=value / 2)}}
        for name, value in accuracy.items()
    }
    seeds, sizes = world_table.spread(worlds)
    assert (seeds["group"], seeds["points"], seeds["holds"]) == ("world-m, 2 seeds", 5.0, False)
    assert (sizes["group"], sizes["points"], sizes["holds"]) == ("seed 0, 2 sizes", 2.0, True)
    assert seeds["accuracy"] == {"world-m:0": 0.2, "world-m:1": 0.25} and seeds["by_kind"] == {"gaze": 2.5}
    header, rows = world_table.spread_rows([seeds, sizes])
    assert rows[0] == ["world-m, 2 seeds: glance", "world-m:0 20.0, world-m:1 25.0", "5.0"] and len(header) == 3


def test_worlds_are_named_by_preset_or_size_and_seed() -> None:
    assert WorldName.read("world-l:4").spec().nations == 50_000 and WorldName.read("world-l:4").spec().seed == 4
    assert WorldName.read("60:3") == TINY and TINY.spec().nations == 60 and str(TINY) == "60:3"
    assert TINY.options() == ["--nations", "60", "--seed", "3"]
    for wrong in ("world-x", "60:x", ":1", "-5", "6.5:0", "world-s:-1"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no world; write world-s"):
            WorldName.read(wrong)
    assert code_key() == code_key()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


def test_the_command_plays_a_world_and_uses_it_again(
    work: Path, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--tasks", "24", "--encoder", str(tiny_encoder), "--work", str(work), "--out"]
    assert world_table.main(["--worlds", str(TINY), *common, str(tmp_path / "a")]) == 1, "a random encoder finds little"
    printed = capsys.readouterr().out
    assert "60:3: 24 heldout tasks" in printed and "missed: 60:3: oracle-reflect on" in printed
    made = {path: path.stat().st_mtime_ns for path in work.rglob("*")}
    world_table.main(["--worlds", str(TINY), *common, str(tmp_path / "b")])
    assert made == {path: path.stat().st_mtime_ns for path in work.rglob("*")}, "nothing is made twice"

    first, second = (json.loads((tmp_path / name / "60-3.json").read_text()) for name in "ab")
    for found in (first, second):
        found.pop("seconds"), found.pop("command")
    assert first == second, "the same world, the same figures"
    assert list(first["policies"]) == sorted(world_table.POLICIES) and first["tasks"] == 24
    assert str(work) not in json.dumps(first) and set(first["world"]["fingerprints"]) == {"kb", "heldout"}
    direct = first["policies"]["direct"]
    assert direct["by_kind"].pop("visual", part(1.0))["mean"] == 1.0
    assert all(one["mean"] == 0.0 for one in direct["by_kind"].values())
    assert sum(direct["calls"].values()) == 0 and sum(first["policies"]["random-gaze"]["calls"].values()) > 1
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["spread"] == [] and summary["missed"]


def test_slices_change_nothing(work: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.policies import BASELINES
    from gog_env.tasks import read_tasks
    from index import KnowledgeIndex

    made = made_world(TINY, work, "heldout", 24, str(tiny_encoder))
    index, tasks = KnowledgeIndex.open(made.index, str(tiny_encoder)), list(read_tasks(made.tasks))
    played = []
    for size in (256, 7):
        monkeypatch.setattr(world_table, "SLICE", size)
        players = [BASELINES[name](tasks, index, 2) for name in ("random", "oracle-crop")]
        played.append(world_table.measure(world_table.play(players, tasks, index, EpisodeConfig())))
    assert played[0] == played[1] and played[0]["oracle-crop"]["n"] == 24


def test_speed_of_a_tiny_world(tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--count", "5", "--tasks", "4", "--jobs", "1", "--encoder", str(tiny_encoder), "--work", str(tmp_path)]
    assert world_speed.main(["--world", str(TINY), *more, "--out", str(tmp_path / "speed.json")]) == 0
    found = json.loads((tmp_path / "speed.json").read_text())
    assert set(found["one core"]) == {"tasks", "tasks, checked", "pictures"}
    assert all(one["n"] == 5 and one["a_second"] > 0 and one["a_cpu_second"] > 0 for one in found["one core"].values())
    assert set(found["whole"]) == {"write", "index"}
    for one in found["whole"].values():
        assert one["seconds"] > 0 and one["mib"] > 0.01 and (one["peak_mib"] is None or one["peak_mib"] > 20)
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"], "the world is removed again"
    assert "on one core" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="memory is looked up in /proc")
def test_memory_is_that_of_a_command_and_its_processes() -> None:
    import multiprocessing

    before = world_speed.resident(os.getpid())
    assert before > 10 * 2**20
    child = multiprocessing.get_context("spawn").Process(target=hold, args=(64,))
    child.start()
    try:
        most = 0
        while child.is_alive():
            most = max(most, world_speed.resident(os.getpid()))
    finally:
        child.join()
    assert most - before > 64 * 2**20


def hold(mib: int) -> None:
    import time

    block = bytearray(mib * 2**20)
    for place in range(0, len(block), 4096):
        block[place] = 1
    time.sleep(0.5)


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(GoGError, match="python -c raise SystemExit.* failed: no disk"):
        world_speed.measured(["-c", "raise SystemExit('no disk')"])
    assert world_speed.measured(["-c", "pass"])["seconds"] >= 0 and sys.executable
