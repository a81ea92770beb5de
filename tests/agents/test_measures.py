"""Measures: worked out by hand on small records, and against a second implementation on random ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents import measures
from agents.pass_rates import PassRate
from index.errors import TaskError

LEFT, RIGHT = [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def call(kind: str, *hits: str, **fields: Any) -> dict[str, Any]:
    return {"action": {"type": kind, **fields}, "hits": [{"document_id": hit} for hit in hits]}


def record(turns: list, evidence: str = "", regions: Any = (), right: float = 0.0, kind: str = "gaze") -> dict:
    answered = bool(turns) and turns[-1]["action"]["type"] == "answer"
    return {
        "task_id": f"{kind}-{evidence}-{len(turns)}",
        "kind": kind,
        "evidence": list(evidence),
        "regions": list(regions),
        "turns": turns,
        "outcome": "answered" if answered else "truncated",
        "config": {"hits": 3},
        "reward": {"accuracy": right, "total": 0.9 * right + 0.1 * answered},
    }


ANSWER = call("answer")
RECORDS = [
    record([call("glance", "X", "A"), ANSWER], "A", [LEFT], 1.0),
    record([call("gaze", "A", "B", box=LEFT), call("search", "C"), ANSWER], "AC", [RIGHT], 1.0, "hop_1"),
    record([call("gaze", "X", box=LEFT), call("malformed"), call("gaze", "Y", box=[0, 0, 1, 1])], "B", [LEFT]),
    record([call("search", "B"), call("search", "B"), ANSWER], "BD"),
    record([ANSWER], kind="visual", right=1.0),
]


def test_tasks_that_name_no_evidence_do_not_count_for_retrieval() -> None:
    silent = {**RECORDS[0], "evidence": None}
    assert measures.retrieval([*RECORDS, silent]) == measures.retrieval(RECORDS)


def test_measures_of_five_episodes() -> None:
    found = measures.measure(RECORDS)
    assert found["n"] == 5 and found["accuracy"]["mean"] == pytest.approx(3 / 5)
    assert {kind: (part["n"], part["mean"]) for kind, part in found["by_kind"].items()} == {
        "gaze": (3, pytest.approx(1 / 3)),
        "hop_1": (1, 1.0),
        "visual": (1, 1.0),
    }
    assert found["calls"] == pytest.approx({"glance": 1 / 5, "gaze": 3 / 5, "search": 3 / 5})
    assert found["no_search"] == pytest.approx(1 / 5)
    assert found["truncated"] == pytest.approx(1 / 5)
    assert found["invalid_actions"] == pytest.approx(1 / 12)
    assert found["turns"] == pytest.approx(12 / 5)
    assert found["reward"] == pytest.approx((3 * 1.0 + 0.1 + 0.0) / 5)
    assert found["retrieval"] == pytest.approx(
        {
            "n": 4,
            "k": 3,
            "hit@1": 2 / 4,
            "hit@k": 3 / 4,
            "picture_hit@1": 1 / 4,
            "picture_hit@k": 2 / 4,
            "recall": (1 + 1 + 0 + 0.5) / 4,
        }
    )
    assert found["box_iou"] == pytest.approx((0 + 0 + 1) / 3)  # regions: none gazed at, the wrong half, the right one
    assert found["box_iou_gazed"] == pytest.approx((0 + 1) / 2)


def test_what_is_not_there_is_not_a_zero() -> None:
    found = measures.measure([RECORDS[4]])
    assert found["box_iou"] is None and found["box_iou_gazed"] is None
    assert found["retrieval"]["hit@1"] is None and found["retrieval"]["n"] == 0
    header, rows = measures.rows({"direct": found})
    assert header == ["", "direct"] and ["box IoU", None] in rows and ["  visual (1)", 1.0] in rows


def test_gazes_count_as_zero_where_regions_were_not_gazed_at_but_only_once_someone_gazed() -> None:
    assert measures.measure(RECORDS[:1])["box_iou"] is None
    assert measures.measure(RECORDS[:2])["box_iou"] == 0.0


def test_hits_are_compared_at_the_depth_that_each_policy_was_shown() -> None:
    two = [{**one, "config": {"hits": 2}} for one in RECORDS]
    lines = {
        line[0]: line[1:] for line in measures.rows({"a": measures.measure(RECORDS), "b": measures.measure(two)})[1]
    }
    assert lines["evidence hit@3"] == [3 / 4, None] and lines["evidence hit@2"] == [None, 3 / 4]


def test_interval_agrees_with_resampling_episodes_one_by_one() -> None:
    rng = np.random.default_rng(5)
    values = (rng.random(150) < 0.7).astype(float)
    means = rng.choice(values, (10_000, 150)).mean(axis=1)
    assert measures.bootstrap_interval(values) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.008)
    rewards = rng.normal(size=80)
    means = rng.choice(rewards, (10_000, 80)).mean(axis=1)
    assert measures.bootstrap_interval(rewards) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(6)
    inside = 0
    for _ in range(200):
        low, high = measures.bootstrap_interval((rng.random(100) < 0.6).astype(float))
        inside += low <= 0.6 <= high
    assert 0.9 <= inside / 200 <= 0.99


def test_interval_is_seeded_and_exact_at_the_ends() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert measures.bootstrap_interval(values, 3) == measures.bootstrap_interval(values, 3)
    assert measures.bootstrap_interval([1.0] * 7) == (1.0, 1.0)
    assert measures.bootstrap_interval([0.0]) == (0.0, 0.0)


def test_hits_agree_with_a_second_reading_of_the_definition() -> None:
    rng = np.random.default_rng(7)
    records = []
    for _ in range(200):
        turns = []
        for _ in range(rng.integers(0, 4)):
            name = str(rng.choice(measures.CALLS))
            turns.append(call(name, *rng.permutation(list("ABCDEFGH"))[: rng.integers(0, 4)].tolist(), box=LEFT))
        records.append(record([*turns, ANSWER], "".join(rng.permutation(list("ABCDEFGH"))[: rng.integers(0, 3)])))
    asking = [one for one in records if one["evidence"]]
    lists = [[[hit["document_id"] for hit in turn["hits"]] for turn in one["turns"]] for one in asking]
    first = sum(any(ids[0] in one["evidence"] for ids in of if ids) for of, one in zip(lists, asking, strict=True))
    every = sum(any(hit in one["evidence"] for ids in of for hit in ids) for of, one in zip(lists, asking, strict=True))
    found = measures.retrieval(records)
    assert found["n"] == len(asking) < 200
    assert found["hit@1"] == pytest.approx(first / len(asking)) and found["hit@k"] == pytest.approx(every / len(asking))
    assert 0 < found["hit@1"] < found["hit@k"] < 1


def said(answer: str, *calls: Any, gold: str = "Arda", evidence: str = "A", regions: Any = (LEFT,), **more: Any) -> Any:
    one = record([*calls, ANSWER], evidence, regions, float(answer == gold), **more)
    return {**one, "answer": answer, "answers": [gold]}


def test_decisions_are_counted_where_they_are_due() -> None:
    look = call("gaze", "A", box=LEFT)
    records = [
        said("Arda", look),
        said("Arda"),  # a lucky guess, without the search that it needs
        said("not known", look),  # declined wrongly
        said("3", evidence="", regions=(), gold="3", kind="visual"),
        said("3", look, evidence="", regions=(), gold="3", kind="visual"),  # searched for nothing
        said("It is not known.", look, evidence="", gold="unknown", kind="unanswerable"),
        said("Belmo", look, evidence="", gold="unknown", kind="unanswerable"),
        {**said("Arda"), "evidence": None},  # nobody knows what it needs
    ]
    found = measures.decisions(records)
    assert {name: (part["n"], part["mean"]) for name, part in found.items()} == {
        "searched": (5, pytest.approx(4 / 5)),
        "unsearched": (2, 0.5),
        "declined": (2, 0.5),
        "wrongly_declined": (6, pytest.approx(1 / 6)),
    }
    assert found["searched"]["low"] < 0.8 < found["searched"]["high"]
    alone = measures.decisions(records[3:4])
    assert alone["searched"] == {"n": 0, "mean": None, "low": None, "high": None}
    measured = measures.measure(records)
    assert measured["calls_by_kind"]["gaze"]["gaze"] == pytest.approx(2 / 4)
    assert measured["all_calls"]["mean"] == pytest.approx(5 / 8) and measured["by_level"] is None


def test_accuracy_by_level_needs_pass_rates() -> None:
    rates = {RECORDS[0]["task_id"]: PassRate(4, 8), RECORDS[1]["task_id"]: PassRate(0, 8)}
    found = measures.measure(RECORDS, rates=rates)
    by_level = {level: (part["n"], part["mean"]) for level, part in found["by_level"].items()}
    assert by_level == {"1": (1, 1.0), "2": (1, 1.0), "unmeasured": (3, pytest.approx(1 / 3))}
    labels = [row[0] for row in measures.rows({"one": found})[1]]
    assert {"  level 1 (1)", "  level 2 (1)", "  level unmeasured (3)"} <= set(labels)


def test_a_paired_difference_is_surer_than_the_two_apart() -> None:
    rng = np.random.default_rng(8)
    easy = rng.random(400) < 0.6  # what decides most of both policies' answers
    records = [
        [
            {"task_id": f"t{row}", "reward": {"accuracy": float(flag if rng.random() < 0.9 else rng.random() < bias)}}
            for row, flag in enumerate(easy)
        ]
        for bias in (0.9, 0.1)
    ]
    found = measures.paired_difference(*records)
    ends = [measures.bootstrap_interval([one["reward"]["accuracy"] for one in some]) for some in records]
    assert found["n"] == 400 and found["low"] > 0 and found["mean"] == pytest.approx(0.08, abs=0.04)
    assert found["high"] - found["low"] < 0.6 * ((ends[0][1] - ends[0][0]) ** 2 + (ends[1][1] - ends[1][0]) ** 2) ** 0.5
    assert measures.paired_difference(records[0], records[0])["high"] == 0.0
    seeds = measures.paired_difference([*records[0], *records[1]], records[1])
    assert seeds["n"] == 400 and seeds["mean"] == pytest.approx(found["mean"] / 2), "several seeds count by their mean"
    with pytest.raises(TaskError, match="are not the same"):
        measures.paired_difference(records[0], records[1][:-1])
