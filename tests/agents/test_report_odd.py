"""Pages about what is not the rule: benchmarks, mixed runs, unfinished ones, odd numbers, odd pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agents import compare, measures
from agents.compare_runs import read_contenders
from agents.report import __main__ as command
from agents.report import choose, curves, figures, gallery, page
from agents.report.ending import end_with_report
from agents.report.pictures import Pictures, by_id
from agents.report.runs import Training, read_runs
from gog_env.task import Task
from index.errors import TaskError
from tests.agents.made_runs import BOX, call, write_run
from tests.agents.report_page import Page, Thumbnails, gaze, hit, played, rendered, scene, tasks


def log(folder: Path, *rows: dict[str, Any]) -> Path:
    """A training's folder with nothing but its log."""
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_tasks_of_a_benchmark_are_shown_and_measured(tmp_path: Path) -> None:
    records = [played(f"{n}", 1.0, gaze(hit("A", "Ardania", "A#0")), benchmark="fvqa") for n in range(3)]
    write_run(tmp_path / "out" / "looks", records)
    asked = [Task(f"{n}", "?", ("gold",), scene(), benchmark="fvqa") for n in range(3)]
    text = page.render(read_runs([str(tmp_path / "out")]), Pictures(Thumbnails(), by_id(asked)))
    words = Page(text).text
    assert "shown without" not in words and "3 of 3 gazes measured" in words and "fvqa: 0" in words
    other = [Task("0", "?", ("gold",), scene(), benchmark="infoseek")]
    assert "fvqa: 0" not in by_id(other) and by_id(other).keys() == {"0", "infoseek: 0"}


def test_calls_by_kind_are_told_by_benchmark(tmp_path: Path) -> None:
    """Kinds of one name in two benchmarks, and a name with a colon in it."""
    records = [
        played("0", 1.0, call("glance"), call("glance"), kind="", benchmark="fvqa"),
        played("1", 1.0, kind="a: b", benchmark="fvqa"),
        played("0", 0.0, kind="", benchmark="infoseek"),
        played("1", 0.0, call("search", query="x"), kind="a: b", benchmark="infoseek"),
    ]
    found = figures.figures(read_contenders([str(write_run(tmp_path / "a", records))]), {})
    told = {kind["name"]: [row["calls"] for row in kind["rows"]] for kind in found["kinds"]}
    assert {name: [sum(calls.values()) for calls in some] for name, some in told.items()} == {
        "fvqa: other": [2.0], "fvqa: a: b": [0.0], "infoseek: other": [0.0], "infoseek: a: b": [1.0]
    }  # fmt: skip
    alone = figures.figures(read_contenders([str(write_run(tmp_path / "b", records[:2]))]), {})
    assert [(kind["name"], sum(kind["rows"][0]["calls"].values())) for kind in alone["kinds"]] == [
        ("a: b", 0.0), ("other", 2.0)
    ]  # fmt: skip


def test_every_figure_of_a_table_is_the_comparisons(tmp_path: Path) -> None:
    kinds = ("gaze", "hop_1", "gaze")
    for number, name in enumerate(("a", "b", "c")):
        records = [
            played(f"t{n:02d}", float((n * (number + 2)) % 5 < 2), *[gaze(hit("A" if n % 2 else "B"))] * (n % 3),
                   kind=kinds[n % 3]) for n in range(30 - number)
        ]  # fmt: skip
        write_run(tmp_path / name, records)
    runs = read_runs([str(tmp_path)])
    text = page.render(runs, Pictures())
    for entry in compare.compare(runs.evaluations)["policies"]:
        [row] = re.findall(rf'<th scope="row"><bdi>{entry["name"]}</bdi></th>(.*?)</tr>', text, re.DOTALL)
        told = re.sub(r"\s+", " ", Page(f"<table>{row}</table>").text)
        accuracy, apart = entry["accuracy"]["overall"], entry["difference"] and entry["difference"]["overall"]
        wanted = [f"{100 * accuracy['mean']:.1f}", f"{100 * accuracy['low']:.0f}–{100 * accuracy['high']:.0f}"]
        wanted += [f"{entry['costs']['calls']['mean']:.2f}", f"{100 * entry['retrieval']['hit@k']['mean']:.0f}"]
        wanted += [f"{100 * entry['behaviour']['no_search']['mean']:.0f}"]
        if apart:
            mean, low, high = (page._signed(100 * apart[part], int(part == "mean")) for part in ("mean", "low", "high"))
            wanted += [mean, f"{low} to {high}"]
        assert all(f" {one}" in f" {told}" for one in wanted), (wanted, told)
        for kind, stat in entry["accuracy"]["by"]["kind"].items():
            [card] = re.findall(rf'aria-label="{kind}"><h4>.*?tasks</small>(.*?)</section>', text, re.DOTALL)
            [line] = re.findall(rf"<bdi>{entry['name']}</bdi>(.*?)</div>", card, re.DOTALL)
            assert f">{100 * stat['mean']:.0f}\u00a0%<" in line


def test_policies_without_room_are_named(tmp_path: Path) -> None:
    for number in range(choose.POLICIES + 2):
        write_run(tmp_path / f"p{number:02d}", [played("t0", 1.0)])
    text = rendered(tmp_path)
    assert len(Page(text).all("article")) == choose.POLICIES
    assert "no episodes are shown of p18, p19: 18 policies have room" in text


def test_box_iou_is_that_of_the_measures(tmp_path: Path) -> None:
    region = [0.0, 0.0, 0.5, 0.25]
    records = [
        played("t0", 1.0, gaze(), regions=[region]), played("t1", 1.0, call("glance"), regions=[BOX]), played("t2", 1.0)
    ]  # fmt: skip
    [one] = figures.figures(read_contenders([str(write_run(tmp_path / "a", records))]), {})["policies"]
    assert one["box_iou"] == measures.measure(records)["box_iou"] == 0.25  # half of the gaze, and an episode without
    [none] = figures.figures(read_contenders([str(write_run(tmp_path / "b", records[1:]))]), {})["policies"]
    assert none["box_iou"] is None
    assert "box IoU 0.25" in re.sub(r"\s+", " ", Page(rendered(tmp_path / "a")).text)


def test_policies_with_common_tasks_are_shown_side_by_side_beside_others(tmp_path: Path) -> None:
    names = [f"t{n}" for n in range(20)]
    for policy in ("a", "b"):
        write_run(tmp_path / policy, [played(name, float(policy == "a")) for name in names])
    write_run(tmp_path / "c", [played(f"u{n}", 1.0) for n in range(20)])
    write_run(tmp_path / "d", [played(name, 1.0) for name in ("u3", *(f"v{n}" for n in range(20)))])
    shown = choose.chosen(read_contenders([str(tmp_path)]), 40)
    of = {name: [record["task_id"] for policy, record in shown if policy.name == name] for name in ("a", "b", "c", "d")}
    assert of["a"] == of["b"] and len(of["a"]) == 10
    assert of["c"][0] == of["d"][0] == "u3" and len(of["c"]) == len(of["d"]) == 10, "one common task, and their own"
    assert [record["task_id"] for _, record in shown[:4:2]] == of["a"][:2]
    seeds = [played("t0", 0.0), played("t0", 1.0)]
    [one] = read_contenders([str(write_run(tmp_path / "e", seeds))])
    assert len(choose.chosen([one], 1)) == 1 and not choose.chosen([one], 0)


def test_what_makes_a_table_unfair_stands_at_the_table(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [played("t0", 1.0), played("t1", 1.0), played("t2", 1.0)])
    write_run(tmp_path / "b", [played("t0", 0.0), played("t9", 0.0)])
    text = rendered(tmp_path)
    assert text.count("Not a fair comparison") == 1
    assert text.index("against a") < text.index("Not a fair comparison") < text.index("Accuracy by kind")
    words = re.sub(r"\s+", " ", Page(text).text)
    assert "tasks differ: of 4 in all" in words and "−100.0 −100 to −100 of 1 task" in words
    fair = rendered(tmp_path / "a")
    assert "fair comparison" not in fair and "of 3 tasks" not in Page(fair).text


def test_a_training_without_rollouts_has_its_page(tmp_path: Path) -> None:
    folder = log(tmp_path / "sft", {"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0})
    assert end_with_report(folder, None, ()) == f"report: {folder / 'report.html'}"
    parsed = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "Training of sft" in parsed.text and "2 steps" in parsed.text and not parsed.all("article")
    assert [svg["aria-label"] for svg in parsed.all("svg", role="img")] == ["Loss: 2 to 1"]


def test_a_run_that_is_not_finished_or_is_here_can_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished = log(tmp_path / "runs" / ".rl.unfinished", {"step": 1, "reward": 0.5})
    log(tmp_path / "runs" / "other", {"step": 1, "reward": 0.5})
    command.main([f"mine={unfinished}", "--out", str(tmp_path / "now.html")])
    assert "Training of mine" in (tmp_path / "now.html").read_text(encoding="utf-8")
    assert [one.name for one in read_runs([str(tmp_path / "runs")]).trainings] == ["other"], "it has to be named"
    monkeypatch.chdir(tmp_path / "runs" / "other")
    assert [one.name for one in read_runs(["."]).trainings] == ["other"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match="holds no run"):
        read_runs(["."])


@pytest.mark.parametrize(
    "values",
    [(0.0, 3e-14), (1e-6, 9.999999999999999e-07), (1.0, 1.0000000000000002), (-1e300, 1e300), (2e-13, 2e-13),
     (1e-299, 0.0), (1e18, 1e18 + 1000)],
)  # fmt: skip
def test_numbers_of_any_size_are_drawn(values: tuple[float, float]) -> None:
    [panel] = curves.panels(
        [Training("a", Path(), {}, tuple({"step": float(n), "loss": v} for n, v in enumerate(values)))]
    )
    places = [place for place, _ in panel.up]
    assert len(set(places)) == len(places) >= 2 and all(10 <= place <= 168 for place in places)
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.-]+)", panel.lines[0].raw)]
    assert len(heights) == 2 and all(10 <= height <= 168 for height in heights)


def test_numbers_that_cannot_be_drawn_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "rl"
    folder.mkdir()
    odd = '{"step": 1, "a": 1' + "0" * 400 + ', "b": NaN, "c": Infinity, "d": 1e301, "e": 1e-310, "f": 2}\n'
    (folder / "log.jsonl").write_text(odd)
    assert read_runs([str(folder)]).trainings[0].rows == ({"step": 1.0, "e": 0.0, "f": 2.0},)
    (folder / "log.jsonl").write_text('{"step": NaN}\n{"step": 2}\n')
    with pytest.raises(TaskError, match="line 1: no log of a step"):
        read_runs([str(folder)])


def test_a_number_that_stays_nought_is_drawn_from_nought() -> None:
    rows = tuple({"step": float(n), "calls/glance": 0.0} for n in range(3))
    pair = [Training(name, Path(), {}, rows) for name in ("a", "b")]
    assert [label for _, label in curves.panels(pair)[0].up] == ["0", "0.25", "0.5", "0.75", "1"]


def test_kinds_of_a_training_are_bounded(tmp_path: Path) -> None:
    rows = [{"step": n, "reward": 0.5, **{f"kind/{'k' * 500}{m}/accuracy": 0.5 for m in range(40)}} for n in (1, 2)]
    rows.append({"step": 3, "kind/often/accuracy": 0.5})
    found = rendered(log(tmp_path / "rl", *rows, *({**rows[2], "step": n} for n in (4, 5))))
    panels = Page(found).all("figure", class_="panel")
    assert len(panels) == page.KINDS + 1 and ">often<" in found and "k" * 61 not in found


@pytest.mark.parametrize("size", [(20, 10), (1, 1), (900, 3), (3, 900)])
def test_small_and_narrow_pictures_carry_their_numbers(size: tuple[int, int], tmp_path: Path) -> None:
    tiny = Image.new("RGB", size, "teal")
    turns = [call("glance"), *[gaze()] * 4, *[call("glance")] * 4]
    record = played("t0", 1.0, *turns, regions=[BOX, ["odd"], None, [0, 0, 2, 2]])
    write_run(tmp_path / "a", [record])
    [one], _ = gallery.episodes(
        choose.chosen(read_contenders([str(tmp_path / "a")])),
        Pictures(None, {"t0": [Task("t0", "?", ("gold",), tiny)]}), gallery.Album(),
    )  # fmt: skip
    assert one["scene"] is None, "another picture than the recorded one"
    one = gallery.episode("p", record, tiny, Pictures(), gallery.Album())
    assert max(one["scene"].width, one["scene"].height) >= 320 and len(one["regions"]) == 1
    assert len(one["marks"]) == 9 and all(mark["w"] >= 0 and mark["h"] >= 0 for mark in one["marks"])


def test_numbers_do_not_hide_one_another() -> None:
    right = [0.9, 0.0, 1.0, 0.1]
    record = played("t0", 1.0, *[{**gaze(), "action": {"type": "gaze", "box": right}}] * 9)
    marks = gallery.episode("p", record, scene(), Pictures(), gallery.Album())["marks"]
    places = [(mark["tag_x"], mark["tag_y"]) for mark in marks]
    near = [(a, b) for n, a in enumerate(places) for b in places[:n] if abs(a[0] - b[0]) < 22 and abs(a[1] - b[1]) < 22]
    assert len(places) == 9 and not near
    assert all(0 <= x <= 480 - 22 and 0 <= y <= 300 - 22 for x, y in places)


def test_one_episode_that_says_little_has_its_page(tmp_path: Path) -> None:
    """As earlier versions wrote it: no rule, no benchmark, no costs; no kind, no evidence, no region, no picture."""
    record = {
        name: value
        for name, value in played("only", 0.0, kind="", evidence=None, regions=[], answer=None).items()
        if name not in ("rule", "benchmark", "split", "span", "choices", "picture", "question", "answers")
    } | {"outcome": "truncated", "reward": {"accuracy": 0.0}}
    words = re.sub(r"\s+", " ", Page(rendered(write_run(tmp_path / "a", [record]))).text)
    assert "1 policy, 1 task;" in words and "95 %: 0 % to 0 %, 1 task" in words and "none: ran out of turns" in words
    assert "The picture is not at hand." in words and "mean reward –" in words and "other" in words
    assert tasks("x").keys() == {"x"}
