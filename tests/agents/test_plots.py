"""Plots: which there are, what they show, that they repeat themselves, and what is said without matplotlib."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from agents import plots
from agents.report.runs import read_runs
from index.errors import ModelError, TaskError
from tests.agents.made_runs import call, episodes, record, write_run

pytest.importorskip("matplotlib")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An evaluation of two policies and a training of thirty steps."""
    write_run(tmp_path / "runs" / "blind", episodes([0.0, 0.0, 1.0, 0.0]))
    looking = [record(f"t{n:03d}", 1.0, call("gaze", "A", box=[0, 0, 1, 1]), kind="gaze") for n in range(4)]
    write_run(tmp_path / "runs" / "looks", looking)
    (tmp_path / "runs" / "rl").mkdir()
    rows = [
        {"step": n, "reward": n / 40, "loss": -n / 1e4, "calls/gaze": 1.5, "calls/search": 0.1} for n in range(1, 31)
    ]
    (tmp_path / "runs" / "rl" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "runs"


def test_plots_show_the_runs_figures(runs: Path) -> None:
    made = plots.drawn(read_runs([str(runs)]))
    assert list(made) == ["learning_curves", "calls_curves", "accuracy", "accuracy_by_kind", "calls"]
    [field] = made["accuracy"].axes
    assert [bar.get_width() for bar in field.patches] == [0.25, 1.0]
    assert [label.get_text() for label in field.get_yticklabels()] == ["blind", "looks"]
    reward, loss = made["learning_curves"].axes
    assert reward.get_ylim() == (0, 1) and loss.get_ylim()[0] < 0 and reward.get_title(loc="left") == "reward"
    assert list(reward.lines[0].get_ydata()) == [n / 40 for n in range(1, 31)]
    widths = [bar.get_width() for bar in made["calls"].axes[0].patches]
    assert widths == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]  # glances, gazes, searches of both
    assert [field.get_title(loc="left") for field in made["accuracy_by_kind"].axes] == ["gaze (4)"]
    assert made["accuracy"].axes[0].get_xlabel().endswith("over 4 tasks)")
    *_, searches = made["calls_curves"].axes
    assert searches.get_ylim() == (0, pytest.approx(0.105)) and made["calls_curves"].axes[0].get_ylim() == (0, 1)
    only = plots.drawn(read_runs([str(runs / "rl")]), width=3.3)
    assert list(only) == ["learning_curves", "calls_curves"] and only["learning_curves"].get_figwidth() == 3.3


def test_names_are_no_formulae_and_counts_are_those_of_all(runs: Path, tmp_path: Path) -> None:
    import matplotlib

    before = matplotlib.get_backend(auto_select=False)
    write_run(tmp_path / "odd", [record("t000", 1.0, kind="$x^$"), record("t001", 1.0)])
    made = plots.drawn(read_runs([str(runs / "blind"), f"$\\frac$={tmp_path / 'odd'}"]))
    assert made["accuracy"].axes[0].get_xlabel().endswith("over 2 to 4 tasks)")
    assert [field.get_title(loc="left") for field in made["accuracy_by_kind"].axes] == ["$x^$ (1)", "gaze (1 to 4)"]
    [svg] = plots.save({"accuracy": made["accuracy"]}, tmp_path / "svg", ["svg"])
    assert "$\\frac$" in svg.read_text(encoding="utf-8")
    assert matplotlib.get_backend(auto_select=False) == before, "a notebook's own plots stay where they were"


def test_the_command_writes_the_same_files_again(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        plots.main([str(runs / "looks"), "--out", str(tmp_path / name), "--width", "3"])
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(f"{n}.{form}" for n in ("accuracy", "accuracy_by_kind", "calls") for form in plots.FORMATS)
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert (tmp_path / "a" / "accuracy.pdf").read_bytes().startswith(b"%PDF")
    assert "looks" in (tmp_path / "a" / "accuracy.svg").read_text() and "accuracy.png" in capsys.readouterr().out


def test_what_cannot_be_drawn_is_said(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs / "rl" / "log.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(TaskError, match="nothing to plot"):
        plots.main([str(runs / "rl"), "--out", str(tmp_path / "none")])
    assert not (tmp_path / "none").exists()
    with pytest.raises(ModelError, match="is a file"):
        plots.main([str(runs), "--out", str(runs / "rl" / "log.jsonl")])
    for wrong in (["--format", "gif"], ["--width", "0.5"], ["--width", "1000"]):
        with pytest.raises(SystemExit):
            plots.main([str(runs), "--out", str(tmp_path / "x"), *wrong])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModelError, match=r"glance-or-gaze\[plots\]"):
        plots.main([str(runs), "--out", str(tmp_path / "x")])
