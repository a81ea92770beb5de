"""The machine's description, and the command that runs all benchmarks."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as all_benchmarks
from benchmarks import machine
from benchmarks.__main__ import ATLAS, BENCHMARKS, Benchmark, run_all

ROOT = Path(__file__).resolve().parent.parent


def test_the_machine_is_described_without_names_and_paths(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    facts = machine.machine_facts()
    assert facts["cpu"] and 0 < facts["cores"] <= (os.cpu_count() or 1) and 0.1 < facts["memory_gib"] < 2**20
    assert (
        facts["libraries"]["numpy"] == sys.modules["numpy"].__version__ and facts["threads"]["OMP_NUM_THREADS"] == "3"
    )
    text = json.dumps(facts)
    for private in (socket.gethostname(), str(ROOT), str(Path.home()), getpass.getuser()):
        assert len(private) < 4 or private not in text
    assert "/" not in facts["system"] and facts["python"].endswith(".".join(map(str, sys.version_info[:3])))


def test_a_containers_limits_count(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(machine, "_LIMITS", (tmp_path / "memory.max",))
    whole = machine.usable_cores(), machine.usable_memory()
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert (machine.usable_cores(), machine.usable_memory()) == (0.5, 1 << 20)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.usable_cores(), machine.usable_memory()) == whole


@pytest.mark.parametrize(
    ("release", "numbers"),
    [("6.1.0-18-amd64", "6.1.0"), ("5.15.0-1-provider+host7", "5.15.0"), ("x", ""), ("6.18", "6.18")],
)
def test_kernels_are_named_by_numbers(release, numbers):
    assert machine._numbers(release) == numbers


def test_a_benchmarks_file_says_what_decides_its_results_and_its_times():
    facts = machine.bench_facts("benchmarks.tamper", ["--seed", "3"], argparse.Namespace(seed=3))
    assert facts["command"] == "python -m benchmarks.tamper --seed 3" and facts["options"] == {"seed": 3}
    assert {"versions", "threads", "machine"} <= set(facts)


def test_benchmarks_run_in_turn_and_one_that_fails_stops_nothing(tmp_path):
    listed = [
        Benchmark("good", "a"),
        Benchmark("flags", "b", ("--data", ATLAS)),
        Benchmark("bad", "c", ("-x",), ("-q",)),
    ]
    ran: list[list[str]] = []

    def run(command: list[str]) -> int:
        ran.append(command[1:])
        if "benchmarks.good" in command:
            Path(command[-1]).write_text("{}")
        return int("benchmarks.bad" in command)

    (tmp_path / "bad.json").write_text("{}")  # of an earlier run
    rows = run_all(listed, tmp_path, tmp_path / "none", quick=False, run=run)
    assert [row["status"] for row in rows] == ["ok", "left out", "failed"]
    assert [row["file"] for row in rows] == [str(tmp_path / "good.json"), None, None]
    assert ran[1] == ["-m", "benchmarks.bad", "-x", "--out", str(tmp_path / "bad.json")]
    (tmp_path / "flags" / "kb").mkdir(parents=True)
    rows = run_all(listed, tmp_path, tmp_path / "flags", quick=True, run=run)
    assert [row["status"] for row in rows] == ["ok", "ok", "failed"]
    assert ran[3][2:4] == ["--data", str(tmp_path / "flags")] and "-q" in ran[4]


def test_a_benchmark_whose_library_is_missing_is_left_out_and_says_what_brings_it(tmp_path):
    listed = [Benchmark("odd", "a", needs=("no_such_library",))]
    (row,) = run_all(listed, tmp_path, tmp_path, quick=False, run=lambda command: pytest.fail("it ran"))
    assert row["status"] == "left out" and row["why"] == "no_such_library not installed; pip install no_such_library"


def test_a_benchmark_may_write_into_the_folder():
    scale = Benchmark("scale", "a", writes="s.json")
    assert scale.command(Path("out"), Path("none"), quick=False)[-2:] == ["--out", "out"]
    assert scale.file(Path("out")) == Path("out/s.json")


def test_the_command_writes_what_ran_and_on_what(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(all_benchmarks, "BENCHMARKS", (Benchmark("machine", "only --help", ("--help",), ()),))
    assert all_benchmarks.main(["--out", str(tmp_path / "bench")]) == 0
    written = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert written["ran"][0]["status"] == "ok" and written["machine"]["cores"] > 0
    assert "bench.json" in capsys.readouterr().out
    assert all_benchmarks.main(["--list"]) == 0
    assert capsys.readouterr().out.split()[0] == "machine"


def test_what_the_list_passes_on_is_understood():
    assert len({each.name for each in BENCHMARKS}) == len(BENCHMARKS)
    for each in BENCHMARKS:
        text = (ROOT / "benchmarks" / f"{each.name}.py").read_text(encoding="utf-8")
        for option in ("--out", *(part for part in (*each.arguments, *each.quick) if part.startswith("--"))):
            assert f'"{option}"' in text, f"{each.name} has no {option}"
