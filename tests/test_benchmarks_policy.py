"""The tables of the method: figures by hand, what is trained with which options, and the whole road, small."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agents import curriculum, train_rl, train_sft
from agents.card import NANO
from benchmarks import policy_figures as figures
from benchmarks import policy_flags, policy_report, policy_table
from benchmarks.policy_data import Data, needs_gaze, write_demos
from benchmarks.policy_plan import QUICK, RECIPES, TABLES, Plan, evaluations, read_plan
from benchmarks.policy_stages import Stages, brief, check_plan
from gog_env.actions import Gaze, Glance
from gog_env.tasks import Task, read_tasks
from index.errors import TaskError
from index.images import crop
from index.records import read_source
from tests.conftest import NAMES, draw, write_source


def write_result(out: Path, policy: str, name: str, seed: int, right: str, **columns: Any) -> None:
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
    metrics = {"poison": {"obeyed": {"mean": 0.25}, "rewarded": 0}}
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
    one = figures.difference(rl, [row for row in sft if row.seed == 0], figures.right)
    assert one is not None and one.mean == found.mean, "one seed stands for all"
    assert figures.difference(rl, [], figures.right) is None


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


def test_plans_are_checked() -> None:
    assert read_plan(None, seeds=[4]).seeds == (4,) and read_plan(None, quick=True, tasks=None) == QUICK
    with pytest.raises(TaskError, match="no more --tasks"):
        read_plan(None, tasks=10**6)


def test_plans_come_from_files(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text('{"rl_steps": 7, "seeds": [1, 2]}')
    assert (
        read_plan(path, rl_steps=None) == Plan(rl_steps=7, seeds=(1, 2)) and read_plan(path, rl_steps=9).rl_steps == 9
    )
    path.write_text('{"steps": 7}')
    with pytest.raises(TaskError, match="has 'steps'; its fields are nations"):
        read_plan(path)
    with pytest.raises(TaskError, match="cannot be read"):
        read_plan(tmp_path / "nowhere.json")
    check_plan(tmp_path / "out" / "plan.json", {"a": 1})
    check_plan(tmp_path / "out" / "plan.json", {"a": 1})
    with pytest.raises(TaskError, match="was begun with a = 1, now it is 2"):
        check_plan(tmp_path / "out" / "plan.json", {"a": 2})


def test_each_policy_is_played_once_a_seed_and_set() -> None:
    listed = list(evaluations(list(TABLES), (0, 1, 2)))
    assert len(listed) == len(set(listed)) and ("oracle-reflect", "heldout", 1) not in listed
    assert {policy for policy, _, _ in listed} == {*RECIPES, "oracle-reflect"}
    assert all(recipe.start == "base" or recipe.start in RECIPES for recipe in RECIPES.values())


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stages whose commands only note what they were asked for; `calls` lists it."""
    calls: list[tuple[str, dict[str, str]]] = []

    def noting(name: str) -> Any:
        def main(argv: list[str]) -> int:
            flags = {one: argv[i + 1] if i + 1 < len(argv) else "" for i, one in enumerate(argv) if one[:2] == "--"}
            calls.append((name, flags))
            out = Path(flags["--out"])
            if name == "rates":
                out.parent.mkdir(parents=True, exist_ok=True)
                out.write_text('{"task_id": "t0", "passes": 1, "rollouts": 8}\n')
            else:
                (out / "model").mkdir(parents=True)
                (out / "run.json").write_text("{}")
            return 0

        return main

    for module, name in ((train_sft, "sft"), (train_rl, "rl"), (curriculum, "rates")):
        monkeypatch.setattr(module, "main", noting(name))
    monkeypatch.setattr(Data, "demos", lambda self, which, card, flags=False: Path(f"{which}.parquet"))
    monkeypatch.setattr(Data, "world", lambda self: tmp_path / "world")
    monkeypatch.setattr(Data, "index_path", lambda self, name: tmp_path / f"{name}-index")
    base = tmp_path / "base"
    base.mkdir()
    made = Stages(Data(Plan(), tmp_path / "work"), base, tmp_path / "out")
    return SimpleNamespace(stages=made, calls=calls, work=tmp_path / "work")


def test_what_a_policy_goes_on_from_is_trained_before_it_and_once(stages: SimpleNamespace) -> None:
    model = stages.stages.model("rl-cost", 1)
    assert model == stages.work / "models" / "rl-cost-1" / "model" and model.is_dir()
    assert [name for name, _ in stages.calls] == ["sft", "rates", "rl"]
    sft, rates, rl = (flags for _, flags in stages.calls)
    assert sft["--demos"] == "reflective.parquet" and sft["--seed"] == rl["--seed"] == "1"
    assert rates["--model"] == rl["--model"] == str(stages.work / "models" / "sft-1" / "model")
    assert rates["--limit"] == rl["--limit"] and rl["--rates"] == rates["--out"] and rl["--call-cost"] == "0.05"
    assert "--resume" not in rl
    stages.calls.clear()
    stages.stages.model("rl-cost", 1)
    assert not stages.calls, "what is there is not made again"
    for name, curricula in (("rl-uniform", "uniform"), ("rl-level1", "level1"), ("rl-adaptive", "adaptive")):
        stages.stages.model(name, 1)
        other = stages.calls[-1][1]
        assert other["--curriculum"] == curricula and "--call-cost" not in other
        assert ("--rates" in other) == (curricula != "uniform")
        same = ("--model", "--tasks", "--limit", "--steps", "--groups", "--group-size", "--lr", "--seed")
        assert all(other[option] == rl[option] for option in same), "equal numbers of rollouts"
    for name, demos in (("no-search", "answers"), ("glance-only", "glances"), ("no-reflection", "plain")):
        stages.stages.model(name, 1)
        assert stages.calls[-1][1] == {**sft, "--demos": f"{demos}.parquet", "--out": stages.calls[-1][1]["--out"]}


def test_options_are_those_of_the_commands(stages: SimpleNamespace) -> None:
    from agents.rl_settings import make_parser

    stages.stages.model("rl-cost", 0)
    known = {option for action in make_parser()._actions for option in action.option_strings}
    assert set(stages.calls[-1][1]) <= known


def test_rl_that_was_killed_is_resumed(stages: SimpleNamespace) -> None:
    unfinished = stages.work / "models" / ".rl-uniform-0.unfinished" / "trainer" / "checkpoint-20"
    unfinished.mkdir(parents=True)
    (unfinished / "gog.json").write_text("{}")
    stages.stages.model("rl-uniform", 0)
    assert "--resume" in stages.calls[-1][1]


def test_results_hold_a_character_a_task() -> None:
    def record(answer: str, gold: str, calls: int, evidence: list[str], kind: str) -> dict[str, Any]:
        reward = {"accuracy": float(answer == gold), "calls": calls}
        regions = [[0, 0, 1, 1]] if kind != "visual" else []
        fields = {"task_id": kind, "kind": kind, "answer": answer, "answers": [gold], "evidence": evidence}
        return {**fields, "regions": regions, "reward": reward}

    found = brief(
        [
            record("Arda", "Arda", 2, ["D0"], "gaze"),
            record("unknown", "Belmo", 12, ["D1"], "hop_1"),
            record("3", "3", 0, [], "visual"),
            record("not known", "unknown", 1, [], "unanswerable"),
        ]
    )
    assert found["right"] == "1010" and found["calls"] == "2901" and found["declined"] == "0101"
    assert found["needs_none"] == "0010" and found["unanswerable"] == "0001"


def test_demonstrations_without_search_and_without_gaze(tiny_index: Path, tmp_path: Path) -> None:
    from agents.chats import read_chats
    from index import KnowledgeIndex

    rows, pictures = [], {}
    for number in range(6):
        kind = ("glance", "gaze", "visual")[number % 3]
        evidence = [] if kind == "visual" else [f"D{number:02d}"]
        region = {"glance": [[0.0, 0.0, 1.0, 1.0]], "gaze": [[0.0, 0.0, 0.4, 0.4]], "visual": []}[kind]
        name = f"images/{number}.png"
        pictures[name] = draw(number, (120, 80))
        answer = NAMES[number] if evidence else "1"
        about = {"id": f"t{number}", "question": f"What is number {number}?", "answers": [answer], "kind": kind}
        rows.append({"file_name": name, **about, "evidence": evidence, "regions": region})
    folder = write_source(tmp_path / "train", rows, pictures)
    index = KnowledgeIndex.open(tiny_index)
    assert [needs_gaze(task) for task in read_tasks(folder)] == [False, True, False] * 2
    assert write_demos("answers", folder, index, NANO, tmp_path / "answers.parquet") == 6
    chats = read_chats(tmp_path / "answers.parquet")
    for row, task in zip(chats, read_tasks(folder), strict=True):
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        said = row["messages"][1]
        assert not said.get("tool_calls") and task.answers[0] in said["content"][0]["text"]
    assert 2 <= write_demos("glances", folder, index, NANO, tmp_path / "glances.parquet") <= 4
    for row in read_chats(tmp_path / "glances.parquet"):
        names = {call["function"]["name"] for message in row["messages"] for call in message.get("tool_calls") or ()}
        assert names <= {"glance", "search"}
    only = write_source(tmp_path / "gazes" / "train", [rows[1]], {"images/1.png": pictures["images/1.png"]})
    with pytest.raises(TaskError, match="can be demonstrated as 'glances'"):
        write_demos("glances", only, index, NANO, tmp_path / "none.parquet")
    assert needs_gaze(Task("a", "?", ("b",), b"", calls=(Gaze((0, 0, 1, 1)),)))
    assert not needs_gaze(Task("a", "?", ("b",), b"", regions=((0, 0, 1, 1),), calls=(Glance(),)))


def test_real_flags_of_countries_that_training_never_shows(atlas: Path) -> None:
    countries = {country.id: country for country in read_source(atlas / "kb")}
    train = read_tasks(atlas / "train")
    shown = {name for task in [*train, *read_tasks(atlas / "dev")] for name in policy_flags._asked(task)}
    single = [task for task in train if task.kind in ("gaze", "glance")]
    assert len(single) == 314
    for task in single:
        [name] = task.evidence or ()
        assert policy_flags.told(task.question, countries[name]) == task.answers[0], task.question
    hop = next(task for task in train if "borders" in task.question)
    assert policy_flags.told(hop.question, countries["FRA"]) is None
    made = policy_flags.unseen_tasks(atlas, 60)
    assert len(made) == 60 and len({task.evidence for task in made}) >= 40
    assert not shown.intersection(name for task in made for name in task.evidence or ())
    again = policy_flags.unseen_tasks(atlas, 60)
    assert [(a, a.picture().tobytes()) for a in made[:5]] == [(b, b.picture().tobytes()) for b in again[:5]]
    task = made[0]
    flag = countries[(task.evidence or ("",))[0]].pictures[0].open().convert("RGB").resize((12, 8))
    seen = crop(task.picture(), task.regions[0]).resize((12, 8))
    assert np.corrcoef(np.asarray(flag, float).ravel(), np.asarray(seen, float).ravel())[0, 1] > 0.95
    old = {one.question: one for one in single}[task.question]
    assert task.picture().size == old.picture().size


def test_the_atlas_is_optional_and_its_absence_is_said(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        with pytest.raises(TaskError, match="needs the atlas .*name its folder with --atlas"):
            policy_flags.atlas_folder(folder)
    with pytest.raises(TaskError, match="no fifth of the countries"):
        policy_flags.unseen_countries(["A", "B"], {"A", "B"})


def test_the_split_of_unseen_countries_can_be_written(atlas: Path, tmp_path: Path) -> None:
    assert policy_flags.main(["--data", str(atlas), "--out", str(tmp_path / "unseen"), "--count", "3"]) == 0
    read = read_tasks(tmp_path / "unseen")
    assert len(read) == 3 and [task.answers for task in read] == [
        t.answers for t in policy_flags.unseen_tasks(atlas, 3)
    ]
    with pytest.raises(TaskError, match="name another --out"):
        policy_flags.main(["--data", str(atlas), "--out", str(tmp_path / "unseen")])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of the nano architecture, as small as can be."""
    from agents.nano.architecture import Size, make_model, make_processor, make_tokenizer

    folder = tmp_path_factory.mktemp("base") / "model"
    size = Size(hidden=32, text_layers=1, vision_layers=2, heads=1, vision_heads=2, vocabulary=700)
    tokenizer = make_tokenizer(["Which nation's banner is at the top left?"] * 20, size.vocabulary)
    make_model(tokenizer, size).save_pretrained(folder)
    make_processor(tokenizer, size).save_pretrained(folder)
    NANO.save(folder)
    return folder


@pytest.mark.slow
def test_the_whole_road_in_minutes(
    base: Path, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    rates = [
        {"task_id": f"train-{number:05d}", "kind": "gaze", "passes": number % 3, "rollouts": 2} for number in range(8)
    ]
    (work / "rates").mkdir(parents=True)  # a random model passes nothing: without these there were no level 1
    (work / "rates" / "sft-0.train.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rates))
    tables = ["main", "ablations", "deciding", "change", "noise"]
    given = ["--base", str(base), "--quick", "--work", str(work), "--out", str(out), "--encoder", str(tiny_encoder)]
    assert policy_table.main([*given, "--tables", *tables]) == 1, "random models miss the bars"
    printed = capsys.readouterr().out
    assert all(f"### {number}." in printed for number in (1, 2, 3, 4, 5)) and "MISSED: SFT overall" in printed
    results = sorted(path.name for path in out.glob("*.*.?.json"))
    assert "rl-level1.heldout.0.json" in results and "no-search.learned-after.0.json" in results
    made = {path: path.stat().st_mtime_ns for folder in (work, out) for path in folder.rglob("*.json*")}
    assert policy_table.main([*given, "--tables", *tables]) == 1
    now = {path: path.stat().st_mtime_ns for path in made}
    assert [path.name for path in made if made[path] != now[path]] == ["bars.json"], "nothing is made twice"
    text = (out / "tables.md").read_text()
    assert policy_table.main(["--report", "--quick", "--out", str(out), "--tables", *tables]) == 1
    assert (out / "tables.md").read_text() == text
    assert str(tmp_path) not in "".join(path.read_text() for path in out.glob("*.heldout.?.json"))
    with pytest.raises(TaskError, match="was begun with rl_steps = 1, now it is 3"):
        policy_table.main([*given, "--rl-steps", "3", "--tables", "main"])


def test_the_command_says_what_it_needs(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from index.errors import ModelError

    where = ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    with pytest.raises(ModelError, match="holds no model to begin with"):
        policy_table.main(["--base", str(tmp_path), *where])
    with pytest.raises(TaskError, match="name its folder with --atlas, or leave the table out with --tables"):
        policy_table.main(["--base", str(base), "--quick", *where])
    assert policy_table.main(["--report", *where]) == 1 and "no results" in capsys.readouterr().out
    assert not (tmp_path / "work").exists() and not (tmp_path / "out").exists()
