"""Drawings of an episode: a fixed canvas for people and videos, and plain text for terminals.

Font, colours and fineness are those of `lettering`. Letters that the font lacks are drawn without their marks or as
boxes; the text form has them all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .actions import Action, Answer, Gaze, Glance, Malformed, Search
from .episode import Episode, Turn
from .lettering import BAD, CARD, COLOURS, FAINT, GOOD, GREY, INK, LINE, PAPER, SCALE, fits, font, length, wrap, write

WIDTH, HEIGHT = 960, 640
#: Hits that are shown, with or without a picture.
CARDS = 3

Rectangle = tuple[float, float, float, float]


def rgb_array(episode: Episode, thumbnails: Sequence[Image.Image | None] = ()) -> np.ndarray:
    """Draws an episode.

    Args:
        episode: as it stands.
        thumbnails: pictures of the last turn's hits, None for a hit without one.

    Returns:
        `(640, 960, 3)` uint8.
    """
    page = _Page()
    page.picture(episode, (24, 24, 544, 414))
    page.question(episode, (24, 430, 544, 616))
    page.history(episode, (568, 24, 936, 300))
    if episode.answer is not None:
        page.answer(episode, (568, 316, 936, 546))
    elif episode.turns:
        page.results(episode.turns[-1], thumbnails, (568, 316, 936, 546))
    page.outcome(episode, (568, 562, 936, 616))
    return np.array(page.image.reduce(SCALE), dtype=np.uint8)


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


def _status(episode: Episode) -> tuple[str, str, str]:
    """How the episode stands: the first words, what follows, a colour."""
    parts = episode.reward_parts
    if not episode.done:
        left = f"{episode.turns_left} turn{'s' if episode.turns_left != 1 else ''} left"
        return f"{left} · reward so far {_signed(parts.total)}", "", GREY
    if episode.truncated:
        verdict, colour = "Out of turns", BAD
    elif parts.accuracy:
        verdict, colour = "Correct", GOOD
    else:
        verdict, colour = "Wrong", BAD
    cost = f", cost {parts.cost:.2f}" if parts.cost else ""
    searches = f"{parts.calls} search{'es' if parts.calls != 1 else ''}"
    score = "no answer" if episode.truncated else f"accuracy {parts.accuracy:.0f}, format {parts.format:.0f}"
    detail = f"{score}, {searches}{cost}"
    if episode.truncated:
        detail += f"; the gold answer is {episode.task.answers[0]}"
    return f"{verdict} · reward {_signed(parts.total)}", detail, colour


def _signed(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


def _colour(number: int) -> str:
    return COLOURS[(number - 1) % len(COLOURS)]


class _Page:
    """The sheet and its pen; all measures in pixels of the finished canvas."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
        self.pen = ImageDraw.Draw(self.image)

    # panels

    def picture(self, episode: Episode, room: Rectangle) -> None:
        """The picture as large as fits, with a numbered frame for every look at it."""
        left, top, right, bottom = room
        picture = episode.picture
        scale = min((right - left) / picture.width, (bottom - top) / picture.height)
        width, height = picture.width * scale, picture.height * scale
        x, y = left + (right - left - width) / 2, top + (bottom - top - height) / 2
        size = (max(1, round(width * SCALE)), max(1, round(height * SCALE)))
        self.image.paste(picture.resize(size, Image.Resampling.BICUBIC), (round(x * SCALE), round(y * SCALE)))
        self.rectangle((x, y, x + width, y + height), outline=LINE)
        glances = 0
        tags: list[tuple[float, float, int]] = []  # drawn last, above all frames
        for number, turn in enumerate(episode.turns, start=1):
            if isinstance(turn.action, Glance):
                inset = 5.0 * glances
                glances += 1
                box = (x + inset, y + inset, x + width - inset, y + height - inset)
                self.rectangle(box, outline=_colour(number), width=4)
                at = [box[0] + 8, box[1] + 8]
            elif isinstance(turn.action, Gaze):
                x0, y0, x1, y1 = turn.action.box
                box = (x + x0 * width, y + y0 * height, x + x1 * width, y + y1 * height)
                self.rectangle((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), outline="#ffffff", width=4.5)
                self.rectangle(box, outline=_colour(number), width=2.5)
                above = box[1] - 20 >= y  # a tag inside a small box would hide what was looked at
                at = [min(box[0] - 1, x + width - 19), box[1] - 20 if above else min(box[1], y + height - 19)]
            else:
                continue
            while any(abs(at[0] - tag[0]) < 19 and abs(at[1] - tag[1]) < 19 for tag in tags) and at[0] < x + width - 38:
                at[0] += 20
            tags.append((at[0], at[1], number))
        for tag_x, tag_y, number in tags:
            self.badge(tag_x, tag_y, number)

    def question(self, episode: Episode, room: Rectangle) -> None:
        """The question, large."""
        left, top, right, bottom = room
        self.text(left, top, "QUESTION", 10, FAINT, bold=True)
        size = next((size for size in (22, 19, 16) if len(wrap(episode.task.question, size, right - left)) <= 3), 13)
        most = int((bottom - top - 18) / (size * 1.3))
        self.paragraph(left, top + 18, episode.task.question, size, INK, right - left, most)

    def history(self, episode: Episode, room: Rectangle) -> None:
        """One line a turn; with many turns the last ones."""
        left, top, right, bottom = room
        used, most = len(episode.turns), episode.config.max_turns
        self.text(left, top, f"TURNS · {used} OF {most}", 10, FAINT, bold=True)
        top += 20
        rows = int((bottom - top) / 42)
        first = max(0, used - rows)
        if not episode.turns:
            self.text(left, top + 2, "Nothing has been searched yet.", 14, GREY)
        for row, turn in enumerate(episode.turns[first:]):
            number, y = first + row + 1, top + row * 42
            self.badge(left, y + 1, number)
            name, detail = describe(turn.action)
            ink = BAD if isinstance(turn.action, Malformed) else INK
            self.text(left + 27, y, name, 14, ink, bold=True)
            x = left + 27 + length(name, 14, bold=True) + 7
            self.line(x, y, detail, 14, ink, right - x)
            self.line(left + 27, y + 19, _brought(turn), 11.5, GREY, right - left - 27)

    def answer(self, episode: Episode, room: Rectangle) -> None:
        """The answer given, and the gold one."""
        left, top, right, _ = room
        colour = GOOD if episode.reward_parts.accuracy else BAD
        gold, *aliases = episode.task.answers
        self.text(left, top, "ANSWER", 10, FAINT, bold=True)
        lines = self.paragraph(left, top + 18, episode.answer or "", 20, colour, right - left, 3)
        top += 36 + lines * 26
        self.text(left, top, "GOLD ANSWER", 10, FAINT, bold=True)
        lines = self.paragraph(left, top + 18, gold, 20, INK, right - left, 2)
        if aliases:
            self.paragraph(left, top + 22 + lines * 26, "or " + ", ".join(aliases), 12, GREY, right - left, 3)

    def results(self, turn: Turn, thumbnails: Sequence[Image.Image | None], room: Rectangle) -> None:
        """What the last turn brought: a card for each hit, or a text."""
        left, top, right, bottom = room
        self.text(left, top, "LAST RESULTS", 10, FAINT, bold=True)
        top += 18
        if not turn.hits:
            self.paragraph(left, top + 2, turn.text, 14, BAD if turn.error else GREY, right - left, 6)
            return
        gap = 8
        height = (bottom - top - gap * (CARDS - 1)) / CARDS
        for row, hit in enumerate(turn.hits[:CARDS]):
            y = top + row * (height + gap)
            self.rectangle((left, y, right, y + height), fill=CARD, outline=LINE, radius=6)
            picture = thumbnails[row] if row < len(thumbnails) else None
            x = left + 12
            if picture is not None:
                self.thumbnail(picture, (left + 6, y + 6, left + 84, y + height - 6))
                x = left + 94
            score = f"{hit.score:.3f}"
            score_width = length(score, 11.5)
            self.text(right - 10 - score_width, y + 9, score, 11.5, GREY)
            self.line(x, y + 7, f"{row + 1}. {hit.title}", 14, INK, right - 20 - score_width - x, bold=True)
            self.paragraph(x, y + 27, " ".join(hit.snippet.split()), 11, GREY, right - 10 - x, 2)

    def outcome(self, episode: Episode, room: Rectangle) -> None:
        """How the episode stands, on a bar of its colour."""
        left, top, right, bottom = room
        words, detail, colour = _status(episode)
        over = episode.done
        self.rectangle(room, fill=colour if over else PAPER, outline=colour if over else LINE, radius=6)
        middle = (top + bottom) / 2
        ink = "#ffffff" if over else GREY
        self.line(left + 14, middle - (19 if detail else 10), words, 15, ink, right - left - 28, bold=over)
        if detail:
            self.line(left + 14, middle + 3, detail, 11.5, "#f1efe9", right - left - 28)

    # strokes

    def rectangle(
        self, box: Rectangle, outline: str | None = None, fill: str | None = None, width: float = 1, radius: float = 0
    ) -> None:
        x0, y0, x1, y1 = (edge * SCALE for edge in box)
        corners = (x0, y0, max(x0, x1), max(y0, y1))
        pen_width = max(1, round(width * SCALE)) if outline else 0
        self.pen.rounded_rectangle(corners, radius * SCALE, fill=fill, outline=outline, width=pen_width)

    def badge(self, x: float, y: float, number: int) -> None:
        """A number on its turn's colour, 18 pixels square."""
        self.rectangle((x, y, x + 18, y + 18), fill=_colour(number), outline="#ffffff", radius=4)
        at = ((x + 9) * SCALE, (y + 9.2) * SCALE)
        self.pen.text(at, str(number), font=font(11.5, True), fill="#ffffff", anchor="mm")

    def thumbnail(self, picture: Image.Image, room: Rectangle) -> None:
        left, top, right, bottom = room
        scale = min((right - left) / picture.width, (bottom - top) / picture.height)
        width, height = picture.width * scale, picture.height * scale
        x, y = left + (right - left - width) / 2, top + (bottom - top - height) / 2
        size = (max(1, round(width * SCALE)), max(1, round(height * SCALE)))
        small = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
        self.image.paste(small, (round(x * SCALE), round(y * SCALE)))
        self.rectangle((x, y, x + width, y + height), outline=LINE, width=0.5)

    def text(self, x: float, y: float, text: str, size: float, colour: str, bold: bool = False) -> None:
        write(self.pen, x, y, text, size, colour, bold)

    def line(self, x: float, y: float, text: str, size: float, colour: str, width: float, bold: bool = False) -> None:
        """One line, cut with an ellipsis where it would leave `width`."""
        self.paragraph(x, y, text, size, colour, width, 1, bold)

    def paragraph(
        self, x: float, y: float, text: str, size: float, colour: str, width: float, most: int, bold: bool = False
    ) -> int:
        """At most `most` lines; returns how many."""
        lines = wrap(text, size, width, bold)
        if len(lines) > most:
            last = lines[most - 1] + "…"
            while len(last) > 1 and not fits(last, size, width, bold):
                last = last[:-2].rstrip() + "…"
            lines = [*lines[: most - 1], last]
        for row, line in enumerate(lines):
            self.text(x, y + row * size * 1.3, line, size, colour, bold)
        return len(lines)


def _brought(turn: Turn) -> str:
    """What a turn brought, in one line."""
    if isinstance(turn.action, Malformed):
        return "a turn lost, and the format reward"
    if isinstance(turn.action, Answer):
        return ""
    return ", ".join(hit.title for hit in turn.hits) or turn.text
