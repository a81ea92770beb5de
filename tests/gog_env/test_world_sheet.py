"""The contact sheet: a page of a known size, the same for the same arguments, with frames where the gold boxes are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gog_env.world import sheet as module
from gog_env.world.nations import World, WorldSpec, make_world
from gog_env.world.questions import KINDS, make_task
from gog_env.world.sheet import main, sheet
from index.errors import TaskError


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(WorldSpec(seed=2, nations=240))


@pytest.fixture(scope="module")
def page(world) -> Image.Image:
    return sheet(world, columns=1, rows=1, kind="compare", seed=4)


def test_a_page_shows_the_scene_with_numbered_frames(world, page):
    fields, picture = make_task(world, "heldout", np.random.default_rng([4, 0, 0]), "compare")
    left = top = 22
    width, height = 328, 246
    shown = np.asarray(page).astype(int)
    plain = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    inside = np.abs(shown[top : top + height, left : left + width] - plain).max(2) < 60
    assert inside.mean() > 0.85  # but for frames and tags
    for color, (x0, y0, x1, y1) in zip(("d55e00", "0072b2"), fields["regions"], strict=True):
        rgb = [int(color[i : i + 2], 16) for i in (0, 2, 4)]
        near = np.abs(shown - rgb).max(2) < 12
        middle = round(top + (y0 + y1) / 2 * height)
        for edge in (left + x0 * width - 1, left + x1 * width + 1):
            assert near[middle, round(edge) - 2 : round(edge) + 3].any()


def test_pages_are_the_same_for_the_same_arguments(world, page):
    again = sheet(world, columns=1, rows=1, kind="compare", seed=4)
    other = sheet(world, columns=1, rows=1, kind="compare", seed=5)
    assert page.tobytes() == again.tobytes() != other.tobytes()


def test_a_page_goes_through_the_kinds_and_settings(world, monkeypatch):
    asked, cards = [], []

    def noted(world, split, rng, kind):
        asked.append((split, kind))
        return make_task(world, split, rng, kind)

    monkeypatch.setattr(module, "make_task", noted)
    monkeypatch.setattr(module, "_DRAWS", 3)
    monkeypatch.setattr(module, "_card", lambda page, left, top, fields, picture: cards.append(fields))
    page = sheet(world, "train", columns=4, rows=3)
    assert page.size == (44 + 4 * 346 - 18, 44 + 3 * 384 - 18)
    assert {split for split, _ in asked} == {"train"} and len(asked) < 3 * len(cards)
    assert [fields["kind"] for fields in cards] == [*KINDS, "gaze", "look_alike"], "then the most common ones again"
    assert len({fields["setting"] for fields in cards}) >= 5


def test_calls_are_told_in_one_line():
    calls = [{"type": "gaze", "box": [0.1, 0.1, 0.5, 0.5]}, *({"type": "search", "query": name} for name in "AB")]
    assert module._calls(calls) == "gaze · search “A”, “B”" and module._calls([]) == "no search"


def test_the_command_writes_a_page(tmp_path, capsys):
    file = tmp_path / "new" / "page.png"
    main(["--out", str(file), "--columns", "2", "--rows", "1", "--kind", "gaze", "--split", "train"])
    with Image.open(file) as page:
        assert page.format == "PNG" and page.size == (44 + 2 * 346 - 18, 44 + 384 - 18)
    assert f"wrote {file}" in capsys.readouterr().out


def test_other_files_than_png_are_refused(tmp_path):
    with pytest.raises(TaskError, match="end in .png"):
        main(["--out", str(tmp_path / "page.jpg")])


@pytest.mark.parametrize("arguments", [["--columns", "0"], ["--rows", "-1"]])
def test_an_empty_page_is_refused(tmp_path, arguments):
    with pytest.raises(TaskError, match="of 1 or more"):
        main(["--out", str(tmp_path / "page.png"), *arguments])


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TaskError, match="give another --out"):
        main(["--out", str(tmp_path / "file" / "page.png"), "--columns", "1", "--rows", "1", "--kind", "glance"])
