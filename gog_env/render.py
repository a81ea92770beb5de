"""Drawings of an episode: a fixed canvas for people and videos, and plain text for terminals.

A page reads from the upper left to the lower right: the question, the picture with a numbered frame for every look at
it, the turns taken, then the turn under way, what was searched with and why beside what it found, and in the end the
answer, the gold one and the reward.

- Until an episode is over nothing of the gold answer or the evidence is drawn: pages may serve as observations.
- Font, colours and fineness are those of `lettering`. Letters that the font lacks are drawn without their marks or as
  boxes; the text form has them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from index.images import crop

from .actions import Action, Answer, Gaze, Glance, Malformed, Search
from .canvas import Canvas, Rectangle, colour
from .episode import Episode, Turn
from .lettering import BAD, CARD, GOOD, GREY, INK, LINE, PAPER, length, wrap

WIDTH, HEIGHT = 960, 640
#: Hits that are shown, with or without a picture.
CARDS = 3
_RIGHT = 936
_BAR = 54


def rgb_array(episode: Episode, thumbnails: Sequence[Image.Image | None] = (), found: bool = True) -> np.ndarray:
    """Draws an episode.

    Args:
        episode: as it stands.
        thumbnails: pictures of the last turn's hits, None for a hit without one.
        found: False draws the moment before the last turn's search comes back (for videos).

    Returns:
        `(640, 960, 3)` uint8.
    """
    page = _Page(WIDTH, HEIGHT)
    over = episode.done and found
    page.question(episode, (24, 20, _RIGHT, 92))
    page.picture(episode, (24, 100, 544, 490))
    page.history(episode, (568, 100, _RIGHT, 338), found)
    if episode.turns:
        page.turn(episode, (24, 504, 544, 616))
    else:
        page.rules(episode, (24, 504, 544, 616))
    below = (568, 350, _RIGHT, 616 - (_BAR + 12 if over else 0))
    if episode.answer is not None and over:
        page.answer(episode, below)
    elif episode.turns and found:
        page.results(episode.turns[-1], thumbnails, below)
    elif episode.turns:
        page.text(568, 350, "FOUND", 10, GREY, bold=True)
        page.text(568, 370, "searching …" if isinstance(episode.turns[-1].action, _SEARCHES) else "…", 14, GREY)
    if over:
        page.outcome(episode, (568, 616 - _BAR, _RIGHT, 616))
    return page.array()


def ansi(episode: Episode) -> str:
    """Tells an episode in lines: task, question, every action with what it brought, and how it stands."""
    lines = [f"Task {episode.task.id}: {episode.task.question}"]
    for number, turn in enumerate(episode.turns, start=1):
        lines.append(f"{number}. {' '.join(describe(turn.action)).strip()}")
        lines += [f"   {line}" for line in turn.text.splitlines()]
    if episode.done:
        lines.append(f"Gold answer: {' / '.join(episode.task.answers)}")
    words, detail, _ = _status(episode)
    return "\n".join([*lines, f"{words} ({detail})" if detail else words]) + "\n"


def describe(action: Action) -> tuple[str, str]:
    """An action in a few words: its name, and what it is about."""
    name = type(action).__name__.lower()
    if isinstance(action, Gaze):
        return name, "[" + ", ".join(f"{edge:.2f}" for edge in action.box) + "]"
    if isinstance(action, Search):
        return name, f"“{action.query}”"
    if isinstance(action, Answer):
        return name, f"“{action.text}”"
    return name, action.reason if isinstance(action, Malformed) else ""


_SEARCHES = (Glance, Gaze, Search)
_HEADS = {
    Glance: "THE WHOLE PICTURE IS SEARCHED WITH",
    Gaze: "THIS CROP IS SEARCHED WITH",
    Search: "THESE WORDS ARE SEARCHED FOR",
    Answer: "ANSWERED",
    Malformed: "NO ACTION",
}


def _status(episode: Episode) -> tuple[str, str, str]:
    """How the episode stands: the first words, what follows, a colour."""
    parts = episode.reward_parts
    if not episode.done:
        left = f"{episode.turns_left} turn{'s' if episode.turns_left != 1 else ''} left"
        return f"{left} · reward so far {_short(parts.total)}", "", GREY
    if episode.truncated:
        verdict, ink = "Out of turns", BAD
    elif 0 < parts.accuracy < 1:  # rules such as token F1 know shares
        verdict, ink = "Partly right", GOOD
    elif parts.accuracy:
        verdict, ink = "Correct", GOOD
    else:
        verdict, ink = "Wrong", BAD
    cost = f", cost {parts.cost:.2f}" if parts.cost else ""
    searches = f"{parts.calls} search{'es' if parts.calls != 1 else ''}"
    score = "no answer" if episode.truncated else f"accuracy {_short(parts.accuracy)}, format {_short(parts.format)}"
    detail = f"{score}, {searches}{cost}"
    if episode.truncated:
        detail += f"; the gold answer is {episode.task.answers[0]}"
    return f"{verdict} · reward {_short(parts.total)}", detail, ink


def _short(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


class _Page(Canvas):
    """The panels of a page, each in its room."""

    def question(self, episode: Episode, room: Rectangle) -> None:
        """The question, as large as its room allows."""
        left, top, right, bottom = room
        text = episode.task.question[:1200]
        for size in (24.0, 20.0, 17.0, 14.0, 12.0):
            most = int((bottom - top) / (size * 1.3))
            if len(wrap(text, size, right - left)) <= most:
                break
        self.paragraph(left, top, episode.task.question, size, INK, right - left, most)

    def picture(self, episode: Episode, room: Rectangle) -> None:
        """The picture as large as fits, with a numbered frame for every look; the last one's is the strongest."""
        x, y, right, bottom = self.paste(episode.picture, room)
        width, height = right - x, bottom - y
        self.rectangle((x, y, right, bottom), outline=LINE)
        looks = [row for row, turn in enumerate(episode.turns, 1) if isinstance(turn.action, (Glance, Gaze))]
        glances = 0
        tags: list[tuple[float, float, int]] = []  # drawn last, above all frames
        for number in looks:
            action, last = episode.turns[number - 1].action, number == looks[-1]
            if isinstance(action, Gaze):
                x0, y0, x1, y1 = action.box
                box = (x + x0 * width, y + y0 * height, x + x1 * width, y + y1 * height)
                halo, line = (5.5, 3.5) if last else (3.0, 1.5)
                self.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline="#ffffff", width=halo)
                self.rectangle(box, outline=colour(number), width=line)
                above = box[1] - 20 >= y  # a tag inside a small box would hide what was looked at
                at = [min(box[0] - 1, right - 19), box[1] - 20 if above else min(box[1], bottom - 19)]
            else:
                inset = 5.0 * glances
                glances += 1
                box = (x + inset, y + inset, right - inset, bottom - inset)
                self.rectangle(box, outline=colour(number), width=4 if last else 2)
                at = [box[0] + 8, box[1] + 8]
            while any(abs(at[0] - tag[0]) < 19 and abs(at[1] - tag[1]) < 19 for tag in tags) and at[0] < right - 38:
                at[0] += 20
            tags.append((at[0], at[1], number))
        for tag_x, tag_y, number in tags:
            self.badge(tag_x, tag_y, number)

    def history(self, episode: Episode, room: Rectangle, found: bool) -> None:
        """Two lines a turn; with many turns the last ones."""
        left, top, right, bottom = room
        used, most = len(episode.turns), episode.config.max_turns
        self.text(left, top, f"TURNS · {used} OF {most}", 10, GREY, bold=True)
        if used and not episode.done:
            so_far = f"reward so far {_short(episode.reward_parts.total)}"
            self.text(right - length(so_far, 11.5), top - 1, so_far, 11.5, GREY)
        rows = int((bottom - top - 18) / 36)
        first = max(0, used - rows)
        for row, turn in enumerate(episode.turns[first:]):
            number, y = first + row + 1, top + 20 + row * 36
            now = number == used
            if now:
                self.rectangle((left - 6, y - 3, right + 6, y + 33), fill=CARD, outline=LINE, radius=6)
            self.badge(left, y + 1, number)
            name, detail = describe(turn.action)
            ink = BAD if isinstance(turn.action, Malformed) else INK
            self.text(left + 27, y, name, 14, ink, bold=True)
            x = left + 27 + length(name, 14, bold=True) + 7
            end = right - (self.evidence(episode, turn, right, y) if found else 0)
            self.line(x, y, detail, 14, ink, end - x)
            self.line(left + 27, y + 17, _brought(turn) if found or not now else "…", 11.5, GREY, right - left - 27)

    def evidence(self, episode: Episode, turn: Turn, right: float, y: float) -> float:
        """Says, of an episode that is over, that a turn found what the answer takes; returns the room it took."""
        wanted = set(episode.task.evidence or ()) if episode.done else set()
        rank = next((rank for rank, hit in enumerate(turn.hits, 1) if hit.document_id in wanted), 0)
        if not rank:
            return 0
        words = f"evidence, rank {rank}"
        width = length(words, 11.5, bold=True)
        self.text(right - width, y + 1, words, 11.5, GOOD, bold=True)
        return width + 8

    def rules(self, episode: Episode, room: Rectangle) -> None:
        """What may be done, before anything was."""
        left, top, right, _ = room
        self.text(left, top, "A NEW QUESTION", 10, GREY, bold=True)
        turns = episode.config.max_turns
        words = (
            "Glance searches with the whole picture, gaze with a crop of it, search with words. "
            f"{turns} turn{'s' if turns != 1 else ''}, the last one for the answer."
        )
        self.paragraph(left, top + 20, words, 14, GREY, right - left, 4)

    def turn(self, episode: Episode, room: Rectangle) -> None:
        """The last turn: what it searched with, and why."""
        left, top, right, bottom = room
        number, turn = len(episode.turns), episode.turns[-1]
        action = turn.action
        self.badge(left, top - 3, number)
        self.text(left + 26, top, _HEADS[type(action)], 10, GREY, bold=True)
        top += 22
        x = left
        if isinstance(action, (Glance, Gaze)):
            picture = turn.picture
            if picture is None:  # released; it is cut again
                picture = episode.picture if isinstance(action, Glance) else crop(episode.picture, action.box)
            drawn = self.paste(picture, (left, top, left + 168, bottom), centred=False)
            self.rectangle(drawn, outline=colour(number), width=2)
            x = drawn[2] + 14
            self.reason(action, (x, top, right, bottom))
            return
        ink = BAD if isinstance(action, Malformed) else INK
        size = 18 if len(describe(action)[1]) < 60 else 14
        lines = self.paragraph(x, top, describe(action)[1], size, ink, right - x, 2)
        self.reason(action, (x, top + lines * size * 1.3 + 6, right, bottom))

    def reason(self, action: Action, room: Rectangle) -> None:
        """The thought that led to an action; for a gaze without one, how much it looked at."""
        left, top, right, bottom = room
        said = " ".join(action.thought[:2000].split())
        if not said and isinstance(action, Gaze):
            x0, y0, x1, y1 = action.box
            said = f"{x1 - x0:.0%} of the picture's width and {y1 - y0:.0%} of its height"
        self.paragraph(left, top, said, 13, INK if action.thought else GREY, right - left, int((bottom - top) / 16.9))

    def results(self, turn: Turn, thumbnails: Sequence[Image.Image | None], room: Rectangle) -> None:
        """What the last turn brought: a card for each hit, or a text."""
        left, top, right, bottom = room
        self.text(left, top, "FOUND", 10, GREY, bold=True)
        top += 18
        if not turn.hits:
            self.paragraph(left, top + 2, turn.text, 14, BAD if turn.error else GREY, right - left, 6)
            return
        score = "SCORE" if isinstance(turn.action, Search) else "SIMILARITY"
        self.text(right - 10 - length(score, 10, bold=True), top - 18, score, 10, GREY, bold=True)
        gap = 8
        height = (bottom - top - gap * (CARDS - 1)) / CARDS
        for row, hit in enumerate(turn.hits[:CARDS]):
            y = top + row * (height + gap)
            self.rectangle((left, y, right, y + height), fill=CARD, outline=LINE, radius=6)
            picture = thumbnails[row] if row < len(thumbnails) else None
            x = left + 12
            if picture is not None:
                self.thumbnail(picture, (left + 7, y + 7, left + 99, y + height - 7))
                x = left + 110
            score = f"{hit.score:.3f}"
            score_width = length(score, 11.5)
            self.text(right - 10 - score_width, y + 9, score, 11.5, GREY)
            self.line(x, y + 7, f"{row + 1}. {hit.title}", 14, INK, right - 20 - score_width - x, bold=True)
            snippet = " ".join(hit.snippet[:2000].split())
            self.paragraph(x, y + 27, snippet, 11.5, GREY, right - 10 - x, int((height - 29) / 15))

    def answer(self, episode: Episode, room: Rectangle) -> None:
        """The answer given, the gold one, and what the reward is made of."""
        left, top, right, bottom = room
        parts = episode.reward_parts
        gold, *aliases = episode.task.answers
        self.text(left, top, "ANSWER", 10, GREY, bold=True)
        lines = self.paragraph(
            left, top + 16, episode.answer or "", 20, GOOD if parts.accuracy else BAD, right - left, 2
        )
        y = top + 26 + lines * 26
        self.text(left, y, "GOLD ANSWER", 10, GREY, bold=True)
        lines = self.paragraph(left, y + 16, gold, 20, INK, right - left, 2)
        y += 20 + lines * 26
        if aliases and y + 16 < bottom - 40:
            self.line(left, y, "or " + ", ".join(aliases[:20]), 12, GREY, right - left)
        values = [("ACCURACY", _short(parts.accuracy)), ("FORMAT", _short(parts.format)), ("CALLS", str(parts.calls))]
        values += [("COST", f"{parts.cost:.3g}")] if parts.cost else []
        step = (right - left) / len(values)
        for column, (name, value) in enumerate(values):
            self.text(left + column * step, bottom - 38, name, 10, GREY, bold=True)
            self.line(left + column * step, bottom - 24, value, 18, INK, step - 8)

    def outcome(self, episode: Episode, room: Rectangle) -> None:
        """How the episode ended, on a bar of its colour."""
        left, top, right, bottom = room
        words, detail, ink = _status(episode)
        self.rectangle(room, fill=ink, outline=ink, radius=6)
        middle = (top + bottom) / 2
        self.line(left + 14, middle - 19, words, 15, CARD, right - left - 28, bold=True)
        self.line(left + 14, middle + 3, detail, 11.5, PAPER, right - left - 28)


def _brought(turn: Turn) -> str:
    """What a turn brought, in one line."""
    if isinstance(turn.action, Malformed):
        return "a turn lost, and the format reward"
    if isinstance(turn.action, Answer):
        return ""
    return ", ".join(hit.title[:200] for hit in turn.hits) or turn.text
