"""What all drawings for people are made with: their colours, and text in the font that comes with the project.

- The font lies beside the code (Pillow's own has no accents), so that a drawing is the same on every machine. Letters
  that it lacks lose their marks (ł, ş) or appear as boxes (CJK, emoji).
- Pages are drawn at `SCALE` times their size and reduced, because Pillow draws lines and round corners without
  smoothing. All measures here are in pixels of the finished page.
"""

from __future__ import annotations

import bisect
import functools
import unicodedata
from pathlib import Path

from PIL import ImageDraw, ImageFont

SCALE = 2
PAPER, CARD, LINE = "#f6f5f1", "#ffffff", "#d9d6ce"
INK, GREY, FAINT = "#22242a", "#6a6d75", "#a5a7ad"
GOOD, BAD = "#1f7a4d", "#b3392f"
COLOURS = ("#0072b2", "#d55e00", "#008a65", "#b5588f", "#b07a00", "#3f8fc4", "#6b5bb5", "#5c6370")
"""Told apart by colour-blind readers too (Okabe and Ito, the light ones darkened for white numerals)."""
_SHAPELESS = frozenset({"Cc", "Cf", "Cs", "Mn", "Me"})
_BASE = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T", "ŋ": "n", "ə": "e"}


@functools.cache
def font(size: float, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font, for a page that is reduced afterwards."""
    file = Path(__file__).parent / "fonts" / f"Aileron-{'SemiBold' if bold else 'Regular'}.ttf"
    return ImageFont.truetype(str(file), size * SCALE)


def plain(text: str) -> str:
    """The text in letters that the font has, as far as dropping marks gets.

    What has no shape of its own is left out: control characters, marks that turn a line around or pile up.

    >>> plain("Łódź")
    'Lódz'
    >>> plain("evil \u202etxt\u0336\x1b")
    'evil txt'
    """
    shown = []
    for letter in unicodedata.normalize("NFC", text):
        if unicodedata.category(letter) in _SHAPELESS:
            continue
        if ord(letter) > 0xFF and letter.isalpha():
            base = unicodedata.normalize("NFD", letter)[0]
            letter = _BASE.get(letter, base if ord(base) <= 0xFF else letter)
        shown.append(letter)
    return "".join(shown)


def write(
    pen: ImageDraw.ImageDraw, x: float, y: float, text: str, size: float, colour: str, bold: bool = False
) -> None:
    """Writes one line, its upper left corner here."""
    pen.text((x * SCALE, y * SCALE), plain(text), font=font(size, bold), fill=colour)


def length(text: str, size: float, bold: bool = False) -> float:
    """How wide a line is."""
    return font(size, bold).getlength(plain(text)) / SCALE


def fits(text: str, size: float, room: float, bold: bool = False) -> bool:
    """True if a line is no wider than `room`; a single letter always fits."""
    return len(text) < 2 or length(text, size, bold) <= room


def wrap(text: str, size: float, room: float, bold: bool = False) -> list[str]:
    """Lines no wider than `room`, broken at spaces, and within words that are wider by themselves."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if fits(longer, size, room, bold):
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        while not fits(word, size, room, bold):
            ends = range(1, len(word))  # the first letter always fits
            end = max(1, bisect.bisect_left(ends, True, key=lambda end: not fits(word[:end], size, room, bold)))
            lines[-1], word = word[:end], word[end:]
            lines.append("")
        lines[-1] = word
    return lines
