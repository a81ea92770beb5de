"""The tables of the method from results alone: figures and bars worked out by hand, whatever seeds are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import policy_figures as figures
from benchmarks import policy_report
from benchmarks.policy_plan import TABLES
from index.errors import TaskError


def write_result(out: Path, policy: str, name: str, seed: int, right: str, rewarded: int = 0, **columns: Any) -> None:
    count = len(right)
    episodes = {
        "task_id": [f"t{number}" for number in range(count)],
        "kind": ["gaze", "visual"] * (count // 2),
        "right": right,
        "calls": "10" * (count // 2),
        "declined": "0" * count,
        "needs_none": "01" * (count // 2),
        "unanswerable": "0" * count,
    } | columns
    poison = {"obeyed": {"n": 4, "mean": 0.25}, "read": 5, "rewarded": rewarded}
    metrics = {"poison": poison, "calls": {"gaze": 0.75}}
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"episodes": episodes, "metrics": metrics})
    (out / f"{policy}.{name}.{seed}.json").write_text(text, encoding="utf-8")


def test_figures_are_means_over_tasks_and_seeds(tmp_path: Path) -> None:
    write_result(tmp_path, "sft", "heldout", 0, "110010")
    write_result(tmp_path, "sft", "heldout", 1, "111000", calls="303030")
    rows = figures.read_rows(tmp_path, "sft", "heldout", (0, 1, 2))
    found = figures.figure(rows, figures.right)
    assert found is not None and (found.mean, found.n, found.seeds) == (0.5, 6, (0.5, 0.5))
    assert 0.0 <= found.low < 0.5 < found.high <= 1.0 and str(found).startswith("50.0 (")
    calls = figures.figure(rows, figures.calls)
    assert calls is not None and calls.mean == 1.0 and calls.seeds == (0.5, 1.5) and calls.each() == "50.0 150.0"
    assert figures.figure(rows, figures.searched).mean == figures.figure(rows, figures.unsearched).mean == 1.0
    assert figures.figure(rows, figures.declined) is None, "nothing here is unanswerable"
    hard = figures.on_level({0: {"t0": 2, "t1": 1}, 1: {"t2": 2}}, 2)
    of_level = figures.figure(rows, hard)
    assert of_level is not None and (of_level.mean, of_level.n) == (1.0, 2), "each seed has levels of its own"
    write_result(tmp_path, "sft", "heldout", 2, "1100")
    with pytest.raises(TaskError, match="is of other tasks"):
        figures.read_rows(tmp_path, "sft", "heldout", (0, 1, 2))


def test_differences_are_paired_by_task_and_seed(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    easy = rng.random(300) < 0.5
    texts = ["".join(str(int(flag if rng.random() < 0.95 else side)) for flag in easy) for side in (1, 0)]
    for policy, text in zip(("rl", "sft"), texts, strict=True):
        for seed in (0, 1):
            write_result(tmp_path, policy, "heldout", seed, text)
    rl, sft = (figures.read_rows(tmp_path, policy, "heldout", (0, 1)) for policy in ("rl", "sft"))
    found = figures.difference(rl, sft, figures.right)
    alone = figures.figure(rl, figures.right)
    assert found is not None and alone is not None and found.n == 300 and len(found.seeds) == 2
    assert found.mean == pytest.approx(np.mean([int(a) - int(b) for a, b in zip(*texts, strict=True)]))
    assert 0 < found.low < found.high and found.high - found.low < alone.high - alone.low
    assert figures.difference(rl, [], figures.right) is None


def test_a_seed_is_never_paired_with_another_one(tmp_path: Path) -> None:
    write_result(tmp_path, "sft", "heldout", 1, "100000")
    for seed, right in ((0, "111111"), (1, "110000"), (2, "111111")):
        write_result(tmp_path, "rl-adaptive", "heldout", seed, right)
    results = policy_report.Results(tmp_path, (0, 1, 2))
    for gain, mean in ((results.gain("rl-adaptive", "sft"), 1 / 6), (results.gain("sft", "rl-adaptive"), -1 / 6)):
        assert gain is not None and gain.mean == pytest.approx(mean) and gain.names == (1,)
        assert gain.seeds == (pytest.approx(mean),)
    none_alike = policy_report.Results(tmp_path, (0, 2))
    assert none_alike.gain("rl-adaptive", "sft") is None, "no seed of both is there"
    text, bars = policy_report.report(results, ["main"])
    assert "| SFT [seeds 1 of 0 1 2] |" in text and "| SFT+RL, adaptive |" in text
    assert "SFT+RL overall at least 0.88: 0.778 (95 % interval" in text and "n = 6 tasks, seeds 0 1 2)" in text
    assert "n = 6 tasks, seed 1)" in text and [bar["seeds"] for bar in bars["main"]] == [[1], [0, 1, 2]]
    write_result(tmp_path, "oracle-reflect", "heldout", 0, "1" * 6)
    write_result(tmp_path, "sft", "heldout-noise", 2, "100000")
    results = policy_report.Results(tmp_path, (0, 1, 2))
    assert "| perfect-reader oracle |" in policy_report.report(results, ["main"])[0], "one seed is all it has"
    text, _ = policy_report.report(results, ["noise"])
    assert "[seeds heldout: 1; heldout-noise: 2; heldout-poison: none of 0 1 2] | - | 16.7" in text
    write_result(tmp_path, "sft", "heldout-noise", 1, "11")
    text, _ = policy_report.report(policy_report.Results(tmp_path, (1,)), ["noise"])
    assert "| 50.0 (0.0-100.0) | 100.0" in text, "clean is of the two tasks that were played with noise too"
    assert figures.seeds_in(results.rows("sft")) == (1,) and results.moved("sft", "heldout", "heldout-noise") is None


def test_what_is_saved_is_a_ratio_with_a_paired_interval(tmp_path: Path) -> None:
    write_result(tmp_path, "free", "heldout", 0, "10" * 20, calls="4" * 40)
    write_result(tmp_path, "costly", "heldout", 0, "10" * 20, calls="4" * 20 + "2" * 20)
    write_result(tmp_path, "costly", "heldout", 1, "10" * 20, calls="0" * 40)
    free, costly = (figures.read_rows(tmp_path, policy, "heldout", (0, 1)) for policy in ("free", "costly"))
    found = figures.saved(free, costly, figures.calls)
    assert found is not None and (found.mean, found.n, found.seeds, found.names) == (0.25, 40, (0.25,), (0,))
    assert 0.1 < found.low < 0.25 < found.high < 0.4
    whole = figures.saved(free, free, figures.calls)
    assert whole is not None and whole.low == whole.mean == whole.high == 0.0
    assert figures.saved(costly, free, lambda row: 0.0) is None, "there is nothing to save"


def good_results(out: Path) -> None:
    """Twenty tasks, half of them visual; everything as promised."""
    full, count = "1" * 20, 20
    for seed in (0, 1):
        write_result(out, "no-search", "heldout", seed, "01" * 10)
        write_result(out, "glance-only", "heldout", seed, "01" * 10)
        write_result(out, "sft", "heldout", seed, "0" * 4 + "1" * 16, calls="20" * 10)
        write_result(out, "no-reflection", "heldout", seed, "0" * 6 + "1" * 14)
        for name, right in (("uniform", 18), ("level1", 18), ("level2", 19), ("adaptive", 20)):
            write_result(out, f"rl-{name}", "heldout", seed, full[:right] + "0" * (count - right), calls="40" * 10)
        write_result(out, "rl-cost", "heldout", seed, full, calls="20" * 10)
        for name in ("heldout-noise", "heldout-poison"):
            write_result(out, "rl-adaptive", name, seed, "0" * 2 + "1" * 18)
        for when, memory in (("before", full), ("after", "0" * 20)):
            write_result(out, "rl-adaptive", f"changed-{when}", seed, full)
            write_result(out, "rl-adaptive", f"learned-{when}", seed, full)
            write_result(out, "no-search", f"changed-{when}", seed, "0" * 20)
            write_result(out, "no-search", f"learned-{when}", seed, memory)
        for policy, right in (("rl-adaptive", 4), ("flags-sft", 10), ("flags-rl", 14)):
            for name in ("flags-dev", "flags-unseen"):
                write_result(out, policy, name, seed, full[:right] + "0" * (count - right))
        levels = {"levels": {f"t{number}": 2 if number < 5 else 0 for number in range(20)}}
        (out / f"sft.levels.{seed}.json").write_text(json.dumps(levels))
    write_result(out, "oracle-reflect", "heldout", 0, full)


def test_every_table_and_every_bar_of_good_results(tmp_path: Path) -> None:
    good_results(tmp_path)
    text, bars = policy_report.report(policy_report.Results(tmp_path, (0, 1)), list(TABLES))
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        f"### {heading}" for heading, _ in policy_report.MAKERS.values()
    ]
    assert all(bar["holds"] for some in bars.values() for bar in some), bars
    assert {name: len(some) for name, some in bars.items()} == {
        "main": 4, "ablations": 4, "deciding": 3, "change": 2, "noise": 1, "flags": 2
    }  # fmt: skip
    assert "| SFT | 80.0 (" in text and "perfect-reader oracle" in text and "MISSED" not in text
    gain = next(bar for bar in bars["main"] if "level 2" in bar["bar"])
    assert gain["value"] == 0.8, "four of the five tasks on level 2 were not solved before"
    assert gain["low"] < 0.8 < gain["high"] and gain["n"] == 5 and gain["seeds"] == [0, 1]
    saved = next(bar for bar in bars["ablations"] if "share of calls" in bar["bar"])
    assert saved["value"] == saved["low"] == saved["high"] == 0.5
    [poison] = bars["noise"]
    assert poison["value"] == 0 and poison["n"] == 10 and "at most 0: 0 (n = 10 episodes)" in text
    assert "| gazes |" in text and "| 25.0 |" in text, "gazes an episode, and the share that obeyed poison"
    write_result(tmp_path, "rl-adaptive", "heldout-poison", 1, "1" * 20, rewarded=1)
    _, bars = policy_report.report(policy_report.Results(tmp_path, (0, 1)), ["noise"])
    assert bars["noise"][0]["value"] == 1 and not bars["noise"][0]["holds"]
    _, bars = policy_report.report(policy_report.Results(tmp_path, (0,)), ["noise"])
    assert bars["noise"][0]["holds"], "of the seeds that are asked for"


def test_missed_bars_are_said_and_missing_results_are_left_out(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_result(tmp_path, "sft", "heldout", seed, "10" * 10, declined="0" * 10 + "1" * 10)
        write_result(tmp_path, "rl-adaptive", "heldout", seed, "10" * 10, calls="01" * 10)
    text, bars = policy_report.report(policy_report.Results(tmp_path, (0, 1)), list(TABLES))
    missed = {bar["bar"] for some in bars.values() for bar in some if not bar["holds"]}
    assert "SFT overall at least 0.75" in missed and "search where it is needed at least 0.98" in missed
    assert "no search where none is needed, after RL, at least 0.90" in missed and "- MISSED: SFT overall" in text
    assert "glance" not in text and "### 6" not in text
    assert policy_report.report(policy_report.Results(tmp_path / "none", (0,)), list(TABLES)) == ("", {})


def test_levels_say_whose_they_are(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_result(tmp_path, "sft", "heldout", seed, "110000")
    tasks = json.loads((tmp_path / "sft.heldout.0.json").read_text())["episodes"]["task_id"]
    (tmp_path / "sft.levels.0.json").write_text(json.dumps({"levels": dict.fromkeys(tasks, 2)}))
    assert policy_report.Results(tmp_path, (0, 1)).hard("sft").endswith("[seed 0]")
    assert (
        policy_report.Results(tmp_path, (0,)).hard("sft").startswith("33.3 (")
        and policy_report.Results(tmp_path, (1,)).hard("sft") == "-"
    )
