"""Long work: how far it is, without a terminal, and what is left behind when it is told to end."""

from __future__ import annotations

import os
import signal
import time

import pytest

from index import progress
from index.errors import cli
from index.progress import watched
from index.seal import publishing


def test_without_a_terminal_there_is_a_line_now_and_then(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    for number in watched(iter(range(1250)), "reading", 1250, "page"):
        assert number == int(now)
        now += 1.0  # a page takes a second
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1250 // 30
    assert lines[0] == "reading: 30 of 1,250 (2 %)" and lines[-1] == "reading: 1,230 of 1,250 (98 %)"


def test_short_and_silent_work_says_nothing(monkeypatch, capsys):
    assert list(watched("abc", "reading", 3, "page")) == ["a", "b", "c"]
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(watched("abc", "reading", 3, "page", shown=False)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_command_that_is_told_to_end_cleans_up(tmp_path):
    def main(argv: object) -> int:
        with publishing(tmp_path / "out") as folder:
            (folder / "part").write_text("x")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        return 0

    with pytest.raises(SystemExit) as caught:
        cli(main)
    assert caught.value.code == 143 and list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
