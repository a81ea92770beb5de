"""Mosaics: patches are put together and taken apart again, and banners lie where their boxes say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from agents.nano import mosaics, scenes
from agents.nano.scenes import Scenes, pack, read
from gog_env.world.nations import WorldSpec


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder = tmp_path_factory.mktemp("scenes")
    pack(WorldSpec(seed=8, nations=48, name="school"), 50, folder)
    return read(folder)


def test_patches_are_joined_to_the_picture_that_they_were_cut_from() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (256, 352, 3)).astype(np.uint8)
    cut, grid = scenes.cut(Image.fromarray(colours))
    assert np.array_equal(mosaics.joined(cut, grid).transpose(1, 2, 0), colours)
    assert np.array_equal(mosaics.parted(colours.transpose(2, 0, 1), grid), cut)


def test_banners_lie_where_their_boxes_say_and_nowhere_else(table: Scenes) -> None:
    laid = mosaics.Mosaics([table])
    for seed in range(8):
        cut, row = laid.draw(np.random.default_rng(seed))
        again, same = laid.draw(np.random.default_rng(seed))
        assert np.array_equal(cut, again) and row == same and row["ranked"] is False
        picture = mosaics.joined(cut, laid.grid)
        assert len(row["boxes"]) == len(row["bears"]) >= 9 and all(row["bears"])
        empty = np.ones(picture.shape[1:], dtype=bool)
        for x0, y0, x1, y1 in row["boxes"]:
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            wide, high = (x1 - x0) * 352 * (mosaics.MARGIN + 0.03) + 2, (y1 - y0) * 256 * (mosaics.MARGIN + 0.03) + 2
            rows = slice(max(0, int(y0 * 256 - high)), int(y1 * 256 + high) + 1)
            columns = slice(max(0, int(x0 * 352 - wide)), int(x1 * 352 + wide) + 1)
            inside = picture[:, int(y0 * 256) : int(y1 * 256), int(x0 * 352) : int(x1 * 352)]
            assert inside.reshape(3, -1).std(1).max() > 5, "a banner is not plain"
            empty[rows, columns] = False
        ground = picture[:, empty]
        assert (ground == ground[:, :1]).all(), "what is not a banner or its margin is ground"


def test_the_last_fiftieth_of_the_scenes_is_left_for_exams(table: Scenes) -> None:
    shown = [bears for row in table.rows[:49] for bears in row["bears"] if bears]
    cut = mosaics.Mosaics([table])._cuts
    assert 0.5 * len(shown) < len(cut) <= len(shown) and all(bears in shown for _, bears in cut)
