"""Drawings fit their canvas and show what happened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import gog_env.render
from gog_env import lettering
from gog_env.actions import Answer, Gaze, Glance, Malformed, Search
from gog_env.env import GlanceOrGazeEnv
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.lettering import length
from gog_env.nothing import Nothing
from gog_env.render import ansi, rgb_array
from gog_env.task import Task, Tasks
from index.knowledge import KnowledgeIndex

from .conftest import TRICKY, scene


def differ(first: np.ndarray, second: np.ndarray) -> tuple[slice, slice]:
    """The smallest window in which two drawings differ."""
    rows, columns = np.nonzero((first != second).any(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_an_episode_is_drawn_turn_by_turn(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    env = GlanceOrGazeEnv(knowledge, tasks, render_mode="rgb_array", thumbnails=0)
    env.reset(seed=0, options={"task": "t3"})
    frames = [env.render()]
    for action in (Gaze((0.2, 0.25, 0.8, 0.75)), Search("Lüneva"), Malformed("x"), Answer("no")):
        env.step(action)
        frames.append(env.render())
    assert all(frame.shape == (640, 960, 3) and frame.dtype == np.uint8 for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == 5
    picture = slice(100, 490), slice(24, 544)
    assert (frames[0][picture] != frames[1][picture]).any()  # the box gazed at
    assert (frames[1][picture] == frames[2][picture]).all()
    cards = slice(366, 616), slice(568, 672)
    assert len(np.unique(frames[1][cards].reshape(-1, 3), axis=0)) > 100  # thumbnails, although observations have none
    bar = frames[4][590, 930]
    assert bar[0] > 150 and bar[1] < 100  # red: wrong
    assert (env.render() == frames[4]).all() and env.render() is not env.render()


def test_accents_have_glyphs() -> None:
    """No accented letter of Latin-1 is drawn as the box for missing letters, or without its accent."""
    page = gog_env.render._Page(960, 640)

    def drawn(text: str) -> bytes:
        page.pen.rectangle((0, 0, 200, 100), fill="white")
        page.text(5, 5, text, 30, "black")
        return page.image.crop((0, 0, 200, 100)).tobytes()

    letters = "éöñüàçåøßíÉÖÑœŒ"
    assert (
        len({drawn(letter) for letter in letters + "eonuacaosiEONoO\U0001f5ff"})
        == len(set(letters + "eonuacsiEONO")) + 1
    )
    assert drawn("ł") == drawn("l") and drawn("ş") == drawn("s")


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (37, 300), (1200, 900)])
def test_any_picture_and_any_text_fit(size: tuple[int, int], knowledge: KnowledgeIndex) -> None:
    words = "W" * 120 + " " + "wide words " * 60
    task = Task("t" * 200, words, ("é" * 300, words), Image.new("RGB", size, "teal"))
    episode = Episode(task, EpisodeConfig(max_turns=30, hits=5))
    blank = rgb_array(episode)
    margins = [(slice(0, 640), slice(948, 960)), (slice(0, 640), slice(0, 12)), (slice(622, 640), slice(0, 960))]
    plan: list[Any] = [
        Glance(),
        Gaze((0, 0, 1e-4, 1e-4)),
        Gaze((0.99, 0.99, 1, 1)),
        Search("x" * 300),
        Malformed("y" * 400),
    ]
    for action in plan * 3:
        step_batch([episode], [action], knowledge)
    for action in [*plan, Answer("z" * 300)]:
        [turn] = step_batch([episode], [action], knowledge)
        drawing = rgb_array(episode, [None, knowledge.thumbnail(turn.hits[1].picture_id)] if len(turn.hits) > 1 else [])
        assert drawing.shape == (640, 960, 3)
        assert all((drawing[margin] == blank[margin]).all() for margin in margins)  # nothing runs over them


def test_a_search_is_drawn_before_it_comes_back(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    episode = Episode(tasks.by_id("t3"), EpisodeConfig())
    step_batch([episode], [Gaze((0.2, 0.25, 0.8, 0.75), thought="the disc")], knowledge)
    before, after = rgb_array(episode, found=False), rgb_array(episode)
    rows, columns = differ(before, after)
    assert rows.start >= 100 and columns.start >= 560  # the same picture, crop and reason; other results
    bare = Episode(tasks.by_id("t3"), EpisodeConfig())
    step_batch([bare], [Gaze((0.2, 0.25, 0.8, 0.75))], knowledge)
    rows, columns = differ(after, rgb_array(bare))
    assert rows.start >= 504 and columns.stop <= 544  # the reason, beside the crop


def test_evidence_is_named_with_the_outcome_and_not_before(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    [hits] = knowledge.search_text(["ally of Arda"], 3)
    episode = Episode(replace(tasks.by_id("t3"), evidence=(hits[0].document_id,)))
    for action in (Search("ally of Arda"), Answer("wrong")):
        step_batch([episode], [action], knowledge)
    good = [int(lettering.GOOD[place : place + 2], 16) for place in (1, 3, 5)]
    named = [
        bool((rgb_array(episode, found=found)[100:338, 568:] == good).all(axis=2).any()) for found in (False, True)
    ]
    assert named == [False, True]


def test_the_gold_answer_is_drawn_at_the_end_only(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    """Pages before the end are the same whatever the gold answer and the evidence are."""
    task = tasks.by_id("t3")
    other = replace(task, answers=("Another",), evidence=("D09",))
    pages = []
    for one in (task, other):
        episode = Episode(one, EpisodeConfig())
        pages.append([rgb_array(episode)])
        for action in (Gaze((0.2, 0.25, 0.8, 0.75)), Search("Lüneva"), Answer("no")):
            step_batch([episode], [action], knowledge)
            pages[-1] += [rgb_array(episode, found=False), rgb_array(episode)]
    same = [(first == second).all() for first, second in zip(*pages, strict=True)]
    assert same == [True] * 5 + [same[5], False]


@pytest.mark.parametrize(
    "text", ["x" * 1_000_000, "\u0336" * 5000, "\ud800 \x00\x1b[31m", "\u202eevil", "a\n" * 9999, ""]
)
def test_hostile_texts_are_drawn_within_their_room(text: str) -> None:
    """Whatever a document holds leaves the page around it as it is, and is cut before it is measured."""
    page = gog_env.render._Page(400, 200)
    empty = page.array()
    page.paragraph(20, 20, text, 14, "black", 300, 2)
    page.line(20, 80, text, 14, "black", 300, bold=True)
    drawn = page.array()
    drawn[20:110, 18:324] = empty[20:110, 18:324]
    assert (drawn == empty).all()


def test_a_long_word_is_measured_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letter by letter it took ten seconds a page."""
    measured: list[int] = []

    def counted(text: str, *rest: Any) -> float:
        measured.append(len(text))
        return length(text, *rest)

    monkeypatch.setattr(lettering, "length", counted)
    lines = lettering.wrap("x" * 1200 + " end", 12, 912)
    assert "".join(lines) == "x" * 1200 + " end" and all(length(line, 12) <= 912 for line in lines)
    assert all(length(line + "x", 12) > 912 for line in lines[:-1]), "no room is left"
    assert len(measured) < 15 * len(lines)


def test_a_share_of_an_answer_is_no_right_one() -> None:
    task = Task("t", "Which two?", ("red blue",), Image.new("RGB", (60, 40)), rule="f1")
    told = {}
    for answer in ("red blue", "red", "green"):
        episode = Episode(task)
        step_batch([episode], [Answer(answer)], Nothing())
        told[answer] = ansi(episode).splitlines()[-1]
        assert rgb_array(episode).shape == (640, 960, 3)
    assert told["red blue"].startswith("Correct · reward 1 (accuracy 1,")
    assert told["red"].startswith("Partly right · reward 0.7 (accuracy 0.667, format 1")
    assert told["green"].startswith("Wrong · reward 0.1 (accuracy 0,")


def test_ansi_tells_everything(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    env = GlanceOrGazeEnv(knowledge, tasks, render_mode="ansi")
    env.reset(seed=0, options={"task": "t3"})
    assert env.render() == f"Task t3: {TRICKY}\n6 turns left · reward so far 0\n"
    for action in (Gaze((0.2, 0.25, 0.8, 0.75)), Search("Lüneva"), (1, None)):
        env.step(action)
    text = env.render()
    assert "1. gaze [0.20, 0.25, 0.80, 0.75]\n   [1] " in text
    assert "2. search “Lüneva”\n   [1] Lüneva: Lüneva has the capital Lünevaville." in text
    assert "3. malformed a box is four numbers" in text and "3 turns left" in text
    assert "Gold3xyz" not in text
    env.step(Answer("東京"))
    assert env.render().endswith(
        "4. answer “東京”\nGold answer: Gold3xyz / Alias3xyz\nWrong · reward 0 (accuracy 0, format 0, 2 searches)\n"
    )


def test_truncation_is_told(knowledge: KnowledgeIndex) -> None:
    episode = Episode(Task("a", "q?", ("gold",), scene(1)), EpisodeConfig(max_turns=1, call_cost=0.25))
    step_batch([episode], [Glance()], knowledge)
    assert "Out of turns · reward −0.25 (no answer, 1 search, cost 0.25; the gold answer is gold)" in ansi(episode)


def test_render_without_a_mode_warns(knowledge: KnowledgeIndex, tasks: Tasks) -> None:
    env = GlanceOrGazeEnv(knowledge, tasks)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_fonts_lie_beside_the_code() -> None:
    folder = Path(gog_env.render.__file__).parent / "fonts"
    assert sorted(file.name for file in folder.iterdir()) == [
        "ABOUT.txt",
        "Aileron-Regular.ttf",
        "Aileron-SemiBold.ttf",
    ]
