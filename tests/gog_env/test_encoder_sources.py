"""The source that the shipped encoder learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gog_env.world.banners import draw
from gog_env.world.encoder_sources import BLOCK, FAMILY, banner_at, write_banners
from index.errors import SourceError
from index.records import read_source


def test_source_reads_back_and_a_larger_one_begins_with_it(tmp_path: Path) -> None:
    small, large = (write_banners(tmp_path / str(count), count, seed=3) for count in (8, 12))
    first, second = read_source(small), read_source(large)
    assert len(first) == 8 and len(second) == 12
    for a, b in zip(first, second, strict=False):
        assert (a.id, a.text) == (b.id, b.text) and a.text
        assert a.pictures[0].open().tobytes() == b.pictures[0].open().tobytes()
        assert a.pictures[0].open().size == (120, 80)
    again = write_banners(tmp_path / "again", 8, seed=3)
    assert (again / "banners.parquet").read_bytes() == (small / "banners.parquet").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["12", "8", "again"]


def test_a_block_mixes_variants_siblings_and_rich_banners() -> None:
    for start in (0, BLOCK, 5 * BLOCK):
        block = [banner_at(0, start + row) for row in range(BLOCK)]
        groups = [block[row : row + FAMILY] for row in range(0, BLOCK, FAMILY)]
        assert all(len(set(group)) > 1 for group in groups)
        for siblings in groups[2:4]:  # one small detail apart
            assert len({banner.field for banner in siblings}) == 1
            pictures = [np.asarray(draw(banner, 120, 80), int) for banner in siblings]
            for other in pictures[1:]:
                assert 0 < (np.abs(other - pictures[0]).sum(2) > 30).mean() < 0.25
    assert banner_at(0, 0) != banner_at(1, 0)


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="exists"):
        write_banners(tmp_path, 4)
    with pytest.raises(SourceError, match="at least 1"):
        write_banners(tmp_path / "none", 0)
    assert not (tmp_path / "none").exists()
