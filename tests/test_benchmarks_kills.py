"""`benchmarks.kill_builds`: a few trials of every kind; all of them are what the slow test and the benchmark run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def trials(tmp_path: Path, *options: str) -> dict:
    out = tmp_path / "kills.json"
    command = [sys.executable, "-m", "benchmarks.kill_builds", "--out", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "at the target afterwards" in done.stdout
    return json.loads(out.read_text())


def check(found: dict, kills: int) -> None:
    assert found["summary"]["random moment"]["trials"] == kills
    for row in found["trials"]:
        assert row["good"] and row["same bytes"] and row["each once"] and row["nothing beside"], row
        assert row["target"] in ("old", "new", "refusal") and sum(row["vectors"].values()) == found["pictures"]
    at = {row["at"]: row["target"] for row in found["trials"]}
    assert at["before exchange"] == "old" and at["after exchange"] == "new"
    assert {row["target"] for row in found["trials"] if row["kind"] in ("full disk", "read-only folder")} == {"old"}


def test_three_kills_a_full_disk_and_a_locked_folder(tmp_path):
    small = ("--documents", "24", "--side", "48", "--batch-size", "16")
    check(trials(tmp_path, "--kills", "3", "--renames", "2", "--fills", "1", *small), 3)


@pytest.mark.slow
def test_twenty_kills_every_rename_and_full_disks(tmp_path):
    found = trials(tmp_path, "--kills", "20", "--fills", "6", "--documents", "60", "--side", "96")
    check(found, 20)
    at = {row["at"]: row["target"] for row in found["trials"]}
    assert at["after move old"] == "refusal" and at["before move new"] == "refusal" and at["after move new"] == "new"
    assert any(row["vectors"]["resumed"] for row in found["trials"])
