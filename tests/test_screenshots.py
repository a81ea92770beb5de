"""The pictures of pages: which episode is shown, how they are put together and written; in a real Chromium, if any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from agents.report import page as report
from agents.report.pictures import Pictures
from agents.report.runs import read_runs
from benchmarks import browser, pictures, report_pictures, screenshots
from index.errors import GoGError, TaskError
from tests.agents.made_runs import call, write_run
from tests.agents.report_page import Page, Thumbnails, gaze, hit, played, tasks
from tests.conftest import ROOT

LARGEST = 256 << 10
"""Bytes of a picture of a page."""


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """Two policies: one that glances and finds A only in t0, one that gazes and finds it everywhere but in t3."""
    found, nothing = hit("A", "Arda", "A#0"), hit("B", "Belmo", "B#0")
    glances = [
        played(name, float(name == "t0"), call("glance") | {"hits": [found if name == "t0" else nothing]})
        for name in ("t0", "t1", "t2", "t3")
    ]
    write_run(tmp_path / "runs" / "glance", glances)
    gazes = [
        played("t0", 1.0, gaze(found, thought="closer")),
        played("t1", 1.0, gaze(found)),
        played("t2", 1.0, call("glance") | {"hits": [nothing]}, gaze(found, nothing, thought="closer")),
        played("t3", 0.0, gaze(nothing, thought="closer")),
    ]
    write_run(tmp_path / "runs" / "gazes", gazes)
    return tmp_path


def test_the_episode_that_is_shown_is_one_that_a_gaze_decided(folder: Path) -> None:
    runs = read_runs([str(folder / "runs")])
    [(contender, record)] = report_pictures.telling(runs.evaluations)
    assert (contender.name, record["task_id"]) == ("gazes", "t2"), "with reasons and a glance of its own before"
    shown = Page(report.render(report_pictures.only([(contender, record)]), Pictures(Thumbnails(), tasks("t2"))))
    assert len(shown.all("article", class_="episode card")) == 1 and "Which is t2?" in shown.text


def test_where_it_did_not_glance_itself_the_one_that_did_stands_before_it(folder: Path) -> None:
    runs = read_runs([str(folder / "runs")])
    first, second = runs.evaluations
    gazes = next(one for one in (first, second) if one.name == "gazes")
    [run] = gazes.runs
    without = replace(gazes, runs=(replace(run, records=tuple(one for one in run.records if one["task_id"] != "t2")),))
    some = report_pictures.telling([next(one for one in (first, second) if one.name == "glance"), without])
    assert [(one.name, record["task_id"]) for one, record in some] == [("glance", "t1"), ("gazes", "t1")]
    assert [one.name for one in report_pictures.only(some).evaluations] == ["glance", "gazes"]


def test_without_such_an_episode_it_says_what_is_needed(folder: Path) -> None:
    runs = read_runs([str(folder / "runs" / "glance")])
    with pytest.raises(TaskError, match="name others with --run, one of them by a policy that glances"):
        report_pictures.telling(runs.evaluations)


def test_pictures_lie_side_by_side() -> None:
    made = pictures.side_by_side([Image.new("RGB", (30, 50), "red"), Image.new("RGB", (20, 40), "blue")])
    assert made.size == (30 + 20 + 3 * 24, 50 + 2 * 24)
    assert made.getpixel((24, 24)) == (255, 0, 0) and made.getpixel((24 + 30 + 24, 24)) == (0, 0, 255)


def test_grounds_keep_their_colour_and_the_rest_comes_near() -> None:
    page = Image.new("RGB", (200, 100), "#f6f5f1")
    page.paste("#f1f8f4", (0, 0, 60, 60))
    page.paste(Image.merge("RGB", [Image.effect_noise((100, 100), strength) for strength in (20, 60, 90)]), (100, 0))
    few = pictures.few_colours(page)
    again = few.convert("RGB")
    assert few.mode == "P" and len(again.getcolors(1 << 16)) <= 256
    assert again.getpixel((90, 90)) == (246, 245, 241) and again.getpixel((5, 5)) == (241, 248, 244)
    away = [abs(one - other) for one, other in zip(again.tobytes(), page.tobytes(), strict=True)]
    assert sum(away) / len(away) < 10


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "a.png"
    pictures.save(Image.effect_noise((90, 60), 80), path)
    with Image.open(path) as read:
        assert read.size == (90, 60) and len(read.convert("RGB").getcolors(1 << 16)) <= 256
    assert [one.name for one in path.parent.iterdir()] == ["a.png"]
    assert f"{path}: 90 x 60, " in capsys.readouterr().out
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(GoGError, match="b.png cannot be written .*name an --out"):
        pictures.save(Image.new("RGB", (9, 9)), tmp_path / "file" / "b.png")


def test_fonts_come_before_the_systems() -> None:
    told = ElementTree.fromstring(browser._fontconfig(screenshots.FONTS).split("?>", 1)[1].split('dtd">', 1)[1])
    assert told.findtext("dir") == str(screenshots.FONTS) and told.findtext("include") == "/etc/fonts/fonts.conf"
    rules = {rule.findtext("test/string"): rule.findtext("edit/string") for rule in told.iter("match")}
    assert rules == {"sans": "Aileron", "sans-serif": "Aileron", "system-ui": "Aileron"}
    assert list(screenshots.FONTS.glob("Aileron-*.ttf"))


def test_the_command_makes_the_sheet_without_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(screenshots.sheet, "main", asked.append)
    monkeypatch.setattr(screenshots, "find", lambda: pytest.fail("no browser is needed"))
    assert screenshots.main(["--out", str(tmp_path), "--only", "sheet"]) == 0
    assert asked == [["--out", str(tmp_path / "world.png")]]


def test_nothing_is_played_for_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("a file")
    with pytest.raises(GoGError, match="is not a folder; name another"):
        screenshots.main(["--out", str(tmp_path / "docs")])


def test_pictures_of_the_docs_are_light_and_shown() -> None:
    told = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for path in sorted([*(ROOT / "docs").glob("play*.png"), *(ROOT / "docs").glob("report*.png")]):
        assert path.stat().st_size <= LARGEST, path.name
        assert f"{path.name})" in told, f"no page shows {path.name}"
        with Image.open(path) as read:
            assert read.height <= 1.3 * read.width, f"{path.name} is a strip"


def test_pages_are_taken_in_a_browser(folder: Path) -> None:
    try:
        browser.find()
    except GoGError as error:
        pytest.skip(str(error))
    log = [{"step": step, "reward": step / 20, "loss": 1 / step} for step in range(1, 21)]
    (folder / "rl").mkdir()
    (folder / "rl" / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    runs, seen = read_runs([str(folder / "runs")]), Pictures(Thumbnails(), tasks("t0", "t1", "t2", "t3"))
    pages, out = report_pictures.written(folder, runs, seen), folder / "out"
    with browser.browser(fonts=screenshots.FONTS) as running:
        report_pictures.take(running, pages, out)
        report_pictures.take_curves(running, str(folder / "rl"), folder, out)
        with pytest.raises(TaskError, match="is no training"):
            report_pictures.take_curves(running, str(folder / "runs" / "gazes"), folder, out)
        page = pictures.opened(running, pages["report"].as_uri())
        assert page.evaluate("document.fonts.check('16px system-ui')")
        with pytest.raises(GoGError, match="has no #nothing"):
            pictures.part(page, "#nothing")
    sizes = {}
    for path in sorted(out.iterdir()):
        with Image.open(path) as read:
            sizes[path.stem] = read.size
            assert len(read.convert("RGB").getcolors(1 << 20)) > 8, f"{path.name} is blank"
    assert sorted(sizes) == ["report", "report-curves", "report-episode", "report-phone"]
    assert sizes["report"][0] == 1280 and sizes["report"][1] > 600
    assert sizes["report-episode"][0] > 1100 and sizes["report-phone"][0] > sizes["report-phone"][1]
