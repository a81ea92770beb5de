"""Drawings of an episode: a fixed canvas for people and videos, and plain text for terminals.

The canvas is drawn at twice its size and reduced, because Pillow draws lines and round corners without smoothing. The
font is the one that Pillow carries, so that a drawing is the same on every machine; what it has no letters for (CJK,
emoji) appears as boxes, and in full in the text.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .actions import Action, Answer, Gaze, Glance, Malformed, Search
from .episode import Episode, Turn

WIDTH, HEIGHT = 960, 640
#: Hits that are shown, with or without a picture.
CARDS = 3
_SCALE = 2
_PAPER, _CARD, _LINE = "#f6f5f1", "#ffffff", "#d9d6ce"
_INK, _GREY, _FAINT = "#22242a", "#6a6d75", "#a5a7ad"
_GOOD, _BAD = "#1f7a4d", "#b3392f"
# One colour a turn, told apart by colour-blind readers too (Okabe and Ito, the light ones darkened for white numerals).
_COLOURS = ("#0072b2", "#d55e00", "#008a65", "#b5588f", "#b07a00", "#3f8fc4", "#6b5bb5", "#5c6370")

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
    page.results(episode.turns[-1] if episode.turns else None, thumbnails, (568, 316, 936, 546))
    page.outcome(episode, (568, 562, 936, 616))
    return np.asarray(page.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), dtype=np.uint8).copy()


def ansi(episode: Episode) -> str:
    """Tells an episode in lines: task, question, every action with what it brought, and how it stands."""
    lines = [f"Task {episode.task.id}: {episode.task.question}"]
    for number, turn in enumerate(episode.turns, start=1):
        lines.append(f"{number}. {describe(turn.action)}")
        lines += [f"   {line}" for line in turn.text.splitlines()]
    return "\n".join([*lines, _status(episode)[0]]) + "\n"


def describe(action: Action) -> str:
    """An action in a few words."""
    if isinstance(action, Glance):
        return "glance"
    if isinstance(action, Gaze):
        return "gaze  " + "  ".join(f"{edge:.2f}" for edge in action.box)
    if isinstance(action, Search):
        return f"search  “{action.query}”"
    if isinstance(action, Answer):
        return f"answer  “{action.text}”"
    assert isinstance(action, Malformed)
    return f"malformed  {action.reason}"


def _status(episode: Episode) -> tuple[str, str, str]:
    """How the episode stands: the first words, what follows, a colour."""
    parts = episode.reward_parts
    if not episode.done:
        left = f"{episode.turns_left} turn{'s' if episode.turns_left != 1 else ''} left"
        return f"{left} · reward so far {_signed(parts.total)}", "", _GREY
    if episode.truncated:
        verdict, colour = "Out of turns", _BAD
    elif parts.accuracy:
        verdict, colour = "Correct", _GOOD
    else:
        verdict, colour = "Wrong", _BAD
    gold = "" if parts.accuracy else f" · the answer is {episode.task.answers[0]}"
    cost = f", cost {parts.cost:.2f}" if parts.cost else ""
    detail = f"accuracy {parts.accuracy:.0f}, format {parts.format:.0f}, {parts.calls} searches{cost}"
    return f"{verdict} · reward {_signed(parts.total)}{gold}", detail, colour


def _signed(value: float) -> str:
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", "−")


@functools.cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _SCALE)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow lacks FreeType; install the wheel from PyPI"
    return font


def _colour(number: int) -> str:
    return _COLOURS[(number - 1) % len(_COLOURS)]


class _Page:
    """The sheet and its pen; all measures in pixels of the finished canvas."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), _PAPER)
        self.pen = ImageDraw.Draw(self.image)

    # panels

    def picture(self, episode: Episode, room: Rectangle) -> None:
        """The picture as large as fits, with a numbered frame for every look at it."""
        left, top, right, bottom = room
        picture = episode.picture
        scale = min((right - left) / picture.width, (bottom - top) / picture.height)
        width, height = picture.width * scale, picture.height * scale
        x, y = left + (right - left - width) / 2, top + (bottom - top - height) / 2
        size = (max(1, round(width * _SCALE)), max(1, round(height * _SCALE)))
        self.image.paste(picture.resize(size, Image.Resampling.LANCZOS), (round(x * _SCALE), round(y * _SCALE)))
        self.rectangle((x, y, x + width, y + height), outline=_LINE)
        glances = 0
        tags: list[tuple[float, float, int]] = []
        for number, turn in enumerate(episode.turns, start=1):
            if isinstance(turn.action, Glance):
                inset = 2.0 + 5.0 * glances
                glances += 1
                box = (x + inset, y + inset, x + width - inset, y + height - inset)
            elif isinstance(turn.action, Gaze):
                x0, y0, x1, y1 = turn.action.box
                box = (x + x0 * width, y + y0 * height, x + x1 * width, y + y1 * height)
            else:
                continue
            self.rectangle(box, outline="#ffffff", width=4.5)
            self.rectangle(box, outline=_colour(number), width=2.5)
            at = [min(max(box[0], x), x + width - 18), min(max(box[1], y), y + height - 18)]
            while any(abs(at[0] - tag[0]) < 18 and abs(at[1] - tag[1]) < 18 for tag in tags) and at[0] < x + width - 36:
                at[0] += 19  # beside a tag that is already there
            tags.append((at[0], at[1], number))
        for tag_x, tag_y, number in tags:
            self.badge(tag_x, tag_y, number)

    def question(self, episode: Episode, room: Rectangle) -> None:
        """The question, large."""
        left, top, right, bottom = room
        self.text(left, top, "QUESTION", 10, _FAINT, bold=True)
        size = next(
            (size for size in (22, 19, 16) if len(self.wrap(episode.task.question, size, right - left)) <= 3), 13
        )
        most = int((bottom - top - 18) / (size * 1.3))
        self.paragraph(left, top + 18, episode.task.question, size, _INK, right - left, most)

    def history(self, episode: Episode, room: Rectangle) -> None:
        """One line a turn; with many turns the last ones."""
        left, top, right, bottom = room
        used, most = len(episode.turns), episode.config.max_turns
        self.text(left, top, f"TURN {used} OF {most}", 10, _FAINT, bold=True)
        top += 20
        rows = int((bottom - top) / 42)
        first = max(0, used - rows)
        if not episode.turns:
            self.text(left, top + 2, "Nothing has been searched yet.", 14, _GREY)
        for row, turn in enumerate(episode.turns[first:]):
            number, y = first + row + 1, top + row * 42
            self.badge(left, y + 1, number)
            bad = isinstance(turn.action, Malformed)
            self.line(left + 27, y, describe(turn.action), 14, _BAD if bad else _INK, right - left - 27)
            self.line(left + 27, y + 19, _brought(turn), 11.5, _GREY, right - left - 27)

    def results(self, turn: Turn | None, thumbnails: Sequence[Image.Image | None], room: Rectangle) -> None:
        """A card for each of the last hits."""
        left, top, right, bottom = room
        if turn is None or isinstance(turn.action, (Answer, Malformed)):
            return
        self.text(left, top, "LAST RESULTS", 10, _FAINT, bold=True)
        top += 18
        if not turn.hits:
            self.text(left, top + 2, turn.text, 14, _GREY)
            return
        gap = 8
        height = (bottom - top - gap * (CARDS - 1)) / CARDS
        for row, hit in enumerate(turn.hits[:CARDS]):
            y = top + row * (height + gap)
            self.rectangle((left, y, right, y + height), fill=_CARD, outline=_LINE, radius=6)
            picture = thumbnails[row] if row < len(thumbnails) else None
            x = left + 12
            if picture is not None:
                self.thumbnail(picture, (left + 6, y + 6, left + 84, y + height - 6))
                x = left + 94
            score = f"{hit.score:.3f}"
            score_width = self.pen.textlength(score, font=_font(11.5)) / _SCALE
            self.text(right - 10 - score_width, y + 9, score, 11.5, _GREY)
            self.line(x, y + 7, f"{row + 1}  {hit.title}", 14, _INK, right - 20 - score_width - x, bold=True)
            self.paragraph(x, y + 27, " ".join(hit.snippet.split()), 11, _GREY, right - 10 - x, 2)

    def outcome(self, episode: Episode, room: Rectangle) -> None:
        """How the episode stands, on a bar of its colour."""
        left, top, right, bottom = room
        words, detail, colour = _status(episode)
        over = episode.done
        self.rectangle(room, fill=colour if over else _PAPER, outline=colour if over else _LINE, radius=6)
        middle = (top + bottom) / 2
        ink = "#ffffff" if over else _GREY
        self.line(left + 14, middle - (19 if detail else 10), words, 15, ink, right - left - 28, bold=over)
        if detail:
            self.line(left + 14, middle + 3, detail, 11.5, "#f1efe9", right - left - 28)

    # strokes

    def rectangle(
        self, box: Rectangle, outline: str | None = None, fill: str | None = None, width: float = 1, radius: float = 0
    ) -> None:
        x0, y0, x1, y1 = (edge * _SCALE for edge in box)
        corners = (x0, y0, max(x0, x1), max(y0, y1))
        pen_width = max(1, round(width * _SCALE)) if outline else 0
        self.pen.rounded_rectangle(corners, radius * _SCALE, fill=fill, outline=outline, width=pen_width)

    def badge(self, x: float, y: float, number: int) -> None:
        """A number on its turn's colour, 18 pixels square."""
        self.rectangle((x, y, x + 18, y + 18), fill=_colour(number), outline="#ffffff", radius=4)
        at = ((x + 9) * _SCALE, (y + 9.2) * _SCALE)
        self.pen.text(at, str(number), font=_font(11.5), fill="#ffffff", anchor="mm", stroke_width=0.4)

    def thumbnail(self, picture: Image.Image, room: Rectangle) -> None:
        left, top, right, bottom = room
        scale = min((right - left) / picture.width, (bottom - top) / picture.height)
        width, height = picture.width * scale, picture.height * scale
        x, y = left + (right - left - width) / 2, top + (bottom - top - height) / 2
        size = (max(1, round(width * _SCALE)), max(1, round(height * _SCALE)))
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        self.image.paste(small, (round(x * _SCALE), round(y * _SCALE)))
        self.rectangle((x, y, x + width, y + height), outline=_LINE, width=0.5)

    def text(self, x: float, y: float, text: str, size: float, colour: str, bold: bool = False) -> None:
        at = (x * _SCALE, y * _SCALE)
        self.pen.text(at, text, font=_font(size), fill=colour, stroke_width=0.022 * size * _SCALE if bold else 0)

    def line(self, x: float, y: float, text: str, size: float, colour: str, width: float, bold: bool = False) -> None:
        """One line, cut with an ellipsis where it would leave `width`."""
        self.paragraph(x, y, text, size, colour, width, 1, bold)

    def paragraph(
        self, x: float, y: float, text: str, size: float, colour: str, width: float, most: int, bold: bool = False
    ) -> None:
        """At most `most` lines."""
        lines = self.wrap(text, size, width)
        if len(lines) > most:
            last = lines[most - 1] + "…"
            while len(last) > 1 and self.pen.textlength(last, font=_font(size)) > width * _SCALE:
                last = last[:-2].rstrip() + "…"
            lines = [*lines[: most - 1], last]
        for row, line in enumerate(lines):
            self.text(x, y + row * size * 1.3, line, size, colour, bold)

    def wrap(self, text: str, size: float, width: float) -> list[str]:
        """Lines no wider than `width`, broken at spaces, and within words that are wider by themselves."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self.fits(longer, size, width):
                lines[-1] = longer
                continue
            if lines[-1]:
                lines.append("")
            while not self.fits(word, size, width):
                end = next(end for end in range(len(word) - 1, 0, -1) if end == 1 or self.fits(word[:end], size, width))
                lines[-1], word = word[:end], word[end:]
                lines.append("")
            lines[-1] = word
        return lines

    def fits(self, text: str, size: float, width: float) -> bool:
        return len(text) < 2 or self.pen.textlength(text, font=_font(size)) <= width * _SCALE


def _brought(turn: Turn) -> str:
    """What a turn brought, in one line."""
    if isinstance(turn.action, Malformed):
        return "a turn lost, and the format reward"
    if isinstance(turn.action, Answer):
        return ""
    return ", ".join(hit.title for hit in turn.hits) or turn.text
