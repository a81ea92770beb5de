"""What the commands share: options that say what would be right, and folders that are never lost."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from agents import evaluate, options, train_rl
from agents.settings import check_file, check_out, command_line, run_facts, run_folder, write_json
from index.errors import ModelError


def make_run(folder: Path, *more: str) -> Path:
    with run_folder(folder) as partial:
        write_json(partial / "run.json", {})
        (partial / "model").mkdir()
    for name in more:
        (folder / name).write_text("precious")
    return folder


def test_a_run_appears_when_it_is_complete(tmp_path: Path) -> None:
    with run_folder(tmp_path / "new" / "run") as partial:
        assert not (tmp_path / "new" / "run").exists()
        (partial / "run.json").write_text("{}")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run"]
    with pytest.raises(RuntimeError), run_folder(tmp_path / "new" / "other"):
        raise RuntimeError("stop")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["run"]


def test_a_run_is_replaced_by_force_and_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(ModelError, match="exists already.*--force"), run_folder(run):
        pass
    with pytest.raises(RuntimeError), run_folder(run, force=True):
        raise RuntimeError("stop")
    assert (run / "model").exists()
    with run_folder(run, force=True) as partial:
        write_json(partial / "run.json", {"new": True})
    assert "new" in (run / "run.json").read_text() and not (run / "model").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_force_never_deletes_what_is_not_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = tmp_path / "runs"
    kept = make_run(runs / "sft", "notes.txt")
    (runs / "demo").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(runs)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "model").mkdir()
    monkeypatch.chdir(runs)
    for out, reason in (
        (runs / "sft", "holds notes.txt"),
        (runs, "the folder you are in"),
        (".", "the folder you are in"),
        ("..", "above it"),
        ("/", "above it"),
        (tmp_path / "file", "not a folder"),
        (tmp_path / "link", "not a folder"),
        (tmp_path / "plain", "has none of"),
    ):
        with pytest.raises(ModelError, match=reason), run_folder(out, force=True):
            pytest.fail("the block began")
    monkeypatch.chdir(tmp_path / "plain")
    with pytest.raises(ModelError, match="holds demo"), run_folder(runs, force=True):
        pytest.fail("the block began")
    assert (kept / "notes.txt").read_text() == "precious"


def test_a_place_that_cannot_be_written_to_is_named_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    for check in (check_out, check_file):
        with pytest.raises(ModelError, match="cannot write .*file is not a folder that can be written to"):
            check(tmp_path / "file" / "run")
    with pytest.raises(ModelError, match="cannot write"):
        train_rl.main(["--model", "nowhere/at/all", "--out", str(tmp_path / "file" / "run")])
    with pytest.raises(ModelError, match="cannot write"):
        evaluate.main(["--policy", "direct", "--index", "nowhere", "--out", str(tmp_path / "file")])
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ModelError, match="cannot write"):
        check_out(tmp_path / "run")


def test_options_say_what_would_be_right() -> None:
    assert options.natural("0") == 0 and options.positive("3") == 3 and options.several("2") == 2
    assert options.share("0.5") == 0.5 and options.not_negative("0") == 0.0 and options.above_zero("1e-4") == 1e-4
    for read, text, wanted in (
        (options.natural, "-1", "at least 0"),
        (options.positive, "0", "at least 1"),
        (options.positive, "1.5", "at least 1"),
        (options.several, "1", "at least 2"),
        (options.share, "1.1", "from 0 to 1"),
        (options.not_negative, "-0.1", "at least 0"),
        (options.not_negative, "nan", "at least 0"),
        (options.above_zero, "0", "above 0"),
        (options.above_zero, "inf", "above 0"),
        (options.reporter, "paper", "none of none, tensorboard"),
    ):
        with pytest.raises(argparse.ArgumentTypeError, match=wanted):
            read(text)


@pytest.mark.parametrize(
    "wrong",
    ["--group-size 1", "--steps 0", "--limit 0", "--format-weight 2", "--call-cost -1", "--seed -1", "--temperature 0"],
)
def test_rl_refuses_what_cannot_be(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train_rl.parse_arguments(wrong.split())
    assert wrong.split()[0] in capsys.readouterr().err


def test_a_report_to_what_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert options.reporter("none") == "none"
    with pytest.raises(argparse.ArgumentTypeError, match="pip install wandb"):
        options.reporter("wandb")


def test_a_run_says_how_it_was_started() -> None:
    assert command_line("agents.x", ["--out", "my run"]) == "python -m agents.x --out 'my run'"
    facts = run_facts("agents.x", ["--seed", "1"], argparse.Namespace(seed=1))
    assert facts["command"] == "python -m agents.x --seed 1" and facts["options"] == {"seed": 1}
    assert facts["threads"] >= 1 and "torch" in facts["versions"]
