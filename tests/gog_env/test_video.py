"""An episode as a film: pages that stand long enough, files that decode to them, Gymnasium's own recorder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from PIL import Image, ImageSequence

import gog_env.video
from gog_env import trajectory
from gog_env.actions import Answer, Gaze, Malformed, Search
from gog_env.env import GlanceOrGazeEnv
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.task import Tasks
from gog_env.video import film, main, save, solved
from index.errors import GoGError, TaskError
from index.knowledge import KnowledgeIndex


@pytest.fixture(scope="module")
def episode(knowledge: KnowledgeIndex, tasks: Tasks) -> Episode:
    """One with a look, words, a slip and a wrong answer."""
    played = Episode(tasks.by_id("t3"), EpisodeConfig())
    look = Gaze((0.2, 0.25, 0.8, 0.75), thought="the disc in the middle " * 12)
    for action in (look, Search("Lüneva"), Malformed("x"), Answer("no")):
        step_batch([played], [action], knowledge)
    return played


def test_every_turn_is_shown_before_and_after_its_search(episode: Episode, knowledge: KnowledgeIndex) -> None:
    pages = film(episode, knowledge)
    assert len(pages) == 1 + 2 * 4
    assert len({page.tobytes() for page, _ in pages}) == len(pages)
    lasting = [seconds for _, seconds in pages]
    assert min(lasting) >= 1.5 and max(lasting) <= 9 and lasting[-1] >= 5
    assert lasting[1] > lasting[3]  # a long reason stands longer than none
    assert [seconds for _, seconds in film(episode, knowledge, 2.0)] == pytest.approx(
        [2 * one for one in lasting], abs=0.02
    )
    assert len(episode.turns) == 4


def test_a_gif_holds_the_pages_and_their_times(episode: Episode, knowledge: KnowledgeIndex, tmp_path: Path) -> None:
    pages = film(episode, knowledge)[:3]
    file = save(pages, tmp_path / "new" / "film.gif", width=480)
    with Image.open(file) as gif:
        shown = [(np.array(frame.convert("RGB")), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert [milliseconds for _, milliseconds in shown] == [
        pytest.approx(1000 * seconds, abs=10) for _, seconds in pages
    ]
    for (page, _), (drawn, _) in zip(pages, shown, strict=True):
        small = np.array(Image.fromarray(page).resize((480, 320), Image.Resampling.LANCZOS))
        assert drawn.shape == (320, 480, 3)
        assert np.abs(drawn.astype(int) - small).mean() < 4
    assert [one.name for one in file.parent.iterdir()] == ["film.gif"]


def test_an_mp4_stands_as_long_as_it_should(episode: Episode, knowledge: KnowledgeIndex, tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    pages = film(episode, knowledge)[:2]
    file = save(pages, tmp_path / "film.mp4", width=480)
    facts = next(ffmpeg.read_frames(str(file)))
    assert facts["size"] == (480, 320) and facts["codec"].startswith("h264")
    assert facts["duration"] == pytest.approx(sum(seconds for _, seconds in pages), abs=0.2)


def test_an_mp4_without_ffmpeg_says_which_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(GoGError, match=r"glance-or-gaze\[video\].*\.gif"):
        save([], tmp_path / "film.mp4")


def test_gymnasium_records_an_episode(knowledge: KnowledgeIndex, tasks: Tasks, tmp_path: Path) -> None:
    pytest.importorskip("moviepy")
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    env = gymnasium.wrappers.RecordVideo(
        GlanceOrGazeEnv(knowledge, tasks, render_mode="rgb_array"), str(tmp_path / "films"), lambda number: True
    )
    env.reset(seed=0, options={"task": "t3"})
    env.step(Gaze((0.2, 0.25, 0.8, 0.75)))
    env.step(Answer("no"))
    env.close()
    [file] = (tmp_path / "films").iterdir()
    facts = next(ffmpeg.read_frames(str(file)))
    assert facts["size"] == (960, 640)
    assert facts["duration"] == pytest.approx(12, abs=0.5)  # three pages of four seconds


def test_the_command_films_a_recorded_episode(
    episode: Episode, knowledge: KnowledgeIndex, tiny_index: Path, task_folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lines = tmp_path / "trajectories.jsonl"
    trajectory.write(lines, [trajectory.record(episode, knowledge.fingerprint)])
    mine = ["--index", str(tiny_index), "--tasks", str(task_folder)]
    main(["--trajectories", str(lines), "--task", "t3", *mine, "--out", str(tmp_path / "a.gif"), "--width", "240"])
    assert "task t3, 9 pages" in capsys.readouterr().out
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size == (240, 160)
    lines.write_text('{"version": 1}\n' + lines.read_text(encoding="utf-8"), encoding="utf-8")
    assert gog_env.video.recorded(lines, "t3")["task_id"] == "t3", "a record of nothing is passed over"
    for arguments, said in (
        (["--trajectories", str(lines), "--task", "t1"], "no trajectory of task 't1'"),
        (["--task", "t1"], "task 't1' has no calls"),
        (["--kind", "none"], "no task of kind 'none'.* gaze, glance"),
    ):
        with pytest.raises(TaskError, match=said):
            main([*arguments, *mine, "--out", str(tmp_path / "b.gif")])
    for arguments, said in (
        (["--out", "film.avi"], r"neither in \.gif nor in \.mp4"),
        (["--out", "a.gif", "--pace", "0"], "--pace 0.0 is out of range"),
        (["--out", "a.gif", "--width", "401"], "even number"),
        (["--out", "a.gif", "--index", "x"], "--index goes with --tasks"),
    ):
        with pytest.raises(TaskError, match=said):
            main(arguments)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.gif", "trajectories.jsonl"]


def test_the_shortest_way_is_played(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    from dataclasses import replace

    task = replace(tasks.by_id("t3"), calls=(Gaze((0.2, 0.25, 0.8, 0.75)), *[Search("Lüneva")] * 7))
    played = solved(task, knowledge)
    assert len(played.turns) == 9 and played.reward_parts.total == 1.0
    assert json.loads(trajectory.to_line(trajectory.record(played, "x")))["outcome"] == "answered"
    assert gog_env.video.parser().prog == "python -m gog_env.video"
