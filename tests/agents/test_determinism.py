"""What the benchmark of determinism demands of an index build: the same bytes only where the threads are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.determinism import hit_lists, holds
from index.knowledge import KnowledgeIndex
from tests.conftest import draw, write_source


def test_bytes_must_be_equal_for_equal_threads_only() -> None:
    build = {"build": "b", "threads": "2", "same fingerprint": True, "same bytes": False, "same hits": True}
    assert holds(build) and holds({**build, "threads": "1", "same bytes": True})
    assert not holds({**build, "threads": "1"})
    assert not holds({**build, "same hits": False}) and not holds({**build, "same fingerprint": False})


def test_hit_lists_are_those_of_pictures_and_of_words(
    tiny_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"file_name": "0.png", "id": "t", "question": "What is it?", "answers": ["x"], "regions": [[0, 0, 1, 0.5]]}
    tasks = write_source(tmp_path / "tasks", [row], {"0.png": draw(0)})
    asked: list[str] = []
    real = KnowledgeIndex.search_text

    def search_text(self, queries, k=5):
        asked.extend(queries)
        return real(self, queries, k)

    monkeypatch.setattr(KnowledgeIndex, "search_text", search_text)
    found = hit_lists(tiny_index, tasks)
    assert len(found) == 3 and asked == ["What is it?"] and len(found[0]) == 10
