"""Made-up names: syllables put together by a small phonology, so that they can be said, read and told apart.

Names within a `Names` never come twice, nor twice but for accents or one letter: a text search for one must not find
another. About one in ten has a letter beyond ASCII.
"""

from __future__ import annotations

import unicodedata

import numpy as np

_ONSETS = (
    "b", "b", "br", "c", "d", "d", "dr", "f", "g", "gr", "h", "j", "k", "k", "kr", "l", "l", "m", "m", "n", "n", "p",
    "p", "pr", "qu", "r", "r", "s", "s", "sh", "st", "t", "t", "th", "tr", "v", "v", "w", "y", "z",
)  # fmt: skip
_VOWELS = tuple("aaaaaaeeeeeeiiiioooooouuu") + ("ai", "au", "ei", "io")
_CODAS = ("", "", "", "", "l", "l", "m", "n", "n", "r", "r", "s", "sh", "th", "k", "nd", "rn", "x")
_ENDINGS: dict[str, tuple[str, ...]] = {
    "nation": ("ia", "ia", "or", "and", "esh", "una", "ara", "is", "ea", "mar", "oth", "een", "ova", "uay", "istan"),
    "capital": ("mir", "burg", "port", "ton", "haven", "polis", "grad", "wick", "sala", "ora", "dun", "field", "en"),
    "surname": ("ek", "ov", "son", "ani", "ell", "ez", "ur", "ald", "in", "iko"),
    "given": ("a", "o", "en", "is", "ul", "ira", "an", "et"),
    "river": ("a", "e", "o", "une", "ine", "ol"),
    "currency": ("a", "ar", "in", "o", "ek", "al", "um"),
}
_ACCENTS = {"a": "áåã", "e": "éèê", "i": "í", "o": "öóôø", "u": "üú", "n": "ñ", "c": "ç"}
ACCENTED = 0.1
"""Share of names with a letter beyond ASCII."""


def plain(name: str) -> str:
    """A name without accents.

    >>> plain("São Tøme")
    'Sao Tome'
    """
    return "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c)).replace("ø", "o")


def _one_apart(word: str) -> set[str]:
    """The word with each letter in turn left open, and with an open place: two that share one differ by one letter."""
    changed = {f"{word[:i]}?{word[i + 1 :]}" for i in range(len(word))}
    return {word} | changed | {f"{word[:i]}?{word[i:]}" for i in range(len(word) + 1)}


class Names:
    """A source of names, each given once. The order of calls and the generator decide them all."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Starts without any name given."""
        self._rng = rng
        self._taken: set[str] = set()

    def new(self, kind: str, syllables: int = 2, longest: int = 9) -> str:
        """A name that is unlike all earlier ones; `kind` picks its endings.

        Args:
            kind: `nation`, `capital`, `surname`, `given`, `river` or `currency` (the last in lower case).
            syllables: before the ending, at most; one fewer now and then.
            longest: letters at most.
        """
        while True:
            word = self._word(_ENDINGS[kind], syllables)
            near = _one_apart(word)
            if 4 <= len(word) <= longest and self._taken.isdisjoint(near):
                break
            longest += self._rng.random() < 0.001  # a huge world needs longer names
        self._taken |= near
        if self._rng.random() < ACCENTED:
            places = [i for i, letter in enumerate(word[:-2]) if letter in _ACCENTS] or [len(word) - 2]
            place = places[int(self._rng.integers(len(places)))]
            accents = _ACCENTS.get(word[place], word[place])
            word = word[:place] + accents[int(self._rng.integers(len(accents)))] + word[place + 1 :]
        return word if kind == "currency" else word.capitalize()

    def _word(self, endings: tuple[str, ...], syllables: int) -> str:
        rng = self._rng
        count = syllables - int(syllables > 1 and rng.random() < 0.4)
        word = "" if rng.random() < 0.12 else _ONSETS[int(rng.integers(len(_ONSETS)))]
        for i in range(count):
            word += _VOWELS[int(rng.integers(len(_VOWELS)))]
            if i < count - 1:
                coda = _CODAS[int(rng.integers(len(_CODAS)))] if rng.random() < 0.4 else ""
                word += coda + _ONSETS[int(rng.integers(len(_ONSETS)))]
        ending = endings[int(rng.integers(len(endings)))]
        if ending[0] in "aeiou":  # a consonant between two vowels, none beside another consonant
            word += ("l", "n", "r", "m", "d", "t", "v", "s")[int(rng.integers(8))]
        else:
            word += ("", "", "n", "r", "l")[int(rng.integers(5))]
        return word + ending
