"""The reasons that demonstrations give, in as few words as say them, and what they are worked out from.

- A question of the world is read back by the templates that it was put with (`gog_env/world/wordings.json`, both
  lists): what it asks for, along which relations. Nothing but the question is needed, so that any written task will do.
- What is compared is read off the text that came back, as a reader would: a year has no comma, an area stands before
  "square kilometres", people are the number that is left.
- One way to say a thing: a small model has little room, and learns a reason best that is always in the same words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from gog_env.world.facts import FACTS
from gog_env.world.plans import COMPARED, SHARED
from gog_env.world.relations import RELATIONS
from gog_env.world.wordings import SPLITS, WORDS, wordings

WORD = {
    "capital": "capital",
    "ruler": "ruler",
    "founder": "founder",
    "founded": "founding year",
    "currency": "currency",
    "river": "river",
    "animal": "animal",
    "population": "population",
    "area": "area",
    "west": "western neighbour",
    "east": "eastern neighbour",
    "ally": "ally",
    "rival": "rival",
    "partner": "trading partner",
    "former_ruler": "former ruler",
    "name": "name",
}
"""Facts and relations in the words of reasons."""
SEEN = "seen in the picture"
WRONG_BANNER, BADLY_FRAMED, CLOSER = "wrong banner", "not well framed", "look closer"
OTHER_TITLE = "not that one"
NOT_THIS, THIS = "not this one", "this one"
NO_SUCH = "no such banner"
LOOK, LOOK_UP, IN_TEXT, NOWHERE = "look at it", "look it up", "the answer is in the text", "nothing is known of it"
"""Reasons where nothing is known of how the question was made: of tasks that are not the world's."""
_WINS = {"older": "earlier", "people": "more", "land": "larger"}
_NUMBERS = {
    "founded": r"(?<![\d,])\d{3,4}(?![\d,]*\d)",
    "area": r"[\d,]*\d(?= square kilometres)",
    "population": r"(?<![\d,])\d{1,3}(?:,\d{3})+(?!,?\d| square kilometres)",
}


@dataclass(frozen=True)
class Asking:
    """What a question asks for.

    Attributes:
        topic: `name`, a fact, `which_` and a relation, a comparison, or `of_` and what is shared, as in `plans.Plan`.
        path: relations from the banner outwards.
        other: the nation that an intersection names.
    """

    topic: str
    path: tuple[str, ...] = ()
    other: str = ""

    @property
    def word(self) -> str:
        """What is asked for, in the words of reasons; "" where nothing is looked up of one nation."""
        return WORD.get(self.topic.removeprefix("which_"), "")


def read_question(question: str) -> Asking | None:
    """What a question of the world asks for.

    Args:
        question: as put by `gog_env.world`, of either split.

    Returns:
        What was planned; None for a question that eyes alone answer, or that the world did not put.

    >>> read_question("Who rules the nation that once ruled the ally of the nation that flies the largest flag?")
    Asking(topic='ruler', path=('ally', 'former_ruler'), other='')
    >>> read_question("How many flags are shown?") is None
    True
    """
    for found in matches(question, tuple(f"of_{shared}" for shared in SHARED)):
        return Asking(found[0], other=found[1]["other"])
    for topic, _ in matches(question, tuple(COMPARED)):
        return Asking(topic)
    for topic, slots in matches(question, (*FACTS, *(f"which_{name}" for name in RELATIONS))):
        path = _path(slots["x"])
        if path is not None:
            return Asking(topic, path)
    return Asking("name") if next(matches(question, ("name",)), None) else None


def _path(nation: str) -> tuple[str, ...] | None:
    """The relations that lead to a nation from the one whose banner is meant; None for words of another kind."""
    for relation, slots in matches(nation, RELATIONS):
        inner = _path(slots["x"])
        if inner is not None:
            return (*inner, relation)
    return () if next(matches(nation, ("nation",)), None) else None


def matches(text: str, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Which of these things a text may say, and what stands in the slots of the template that says it."""
    for key in keys:
        for pattern in _patterns(key):
            if found := pattern.fullmatch(text):
                yield key, found.groupdict()


@cache
def _patterns(key: str) -> tuple[re.Pattern[str], ...]:
    """A key's templates as patterns; a slot that comes twice must hold the same words."""
    found = []
    for template in (text for split in SPLITS for text in wordings()[key][split]):
        pattern, named = "", set()
        for part in re.split(r"(\{\w+\})", template):
            name = part[1:-1]
            if not part.startswith("{"):
                pattern += re.escape(part)
            elif name == "b":
                pattern += f"(?:{'|'.join(WORDS)})"
            else:
                pattern += f"(?P={name})" if name in named else f"(?P<{name}>.+)"
                named.add(name)
        found.append(re.compile(pattern, re.IGNORECASE))  # the first letter is a capital
    return tuple(found)


def survey(boxes: Sequence[Sequence[float]], bears: Sequence[Sequence[str]], most: int = 2) -> str:
    """What a picture shows, before anything is looked for: row by row, each banner's number, box and what it bears.

    Words that point at one banner are easier to follow in such a list than in the picture; and a number says which one
    comes next.

    Args:
        boxes: of the banners, in 0..1.
        bears: what each bears, the largest first.
        most: how much of it is said.

    >>> survey([(0.6, 0.1, 0.8, 0.3), (0.1, 0.1, 0.3, 0.3), (0.4, 0.6, 0.5, 0.7)], [["a red cross"], [], ["a star"]])
    '1[100, 100, 300, 300]; 2[600, 100, 800, 300] a red cross / 3[400, 600, 500, 700] a star'
    """
    told = [f"{_thousandths(box)} {', '.join(parts[:most])}".strip() for box, parts in zip(boxes, bears, strict=True)]
    number = itertools.count(1)
    return " / ".join("; ".join(f"{next(number)}{told[i]}" for i in row) for row in rows_of(boxes))


def rows_of(boxes: Sequence[Sequence[float]]) -> list[list[int]]:
    """The numbers of boxes row by row from the top, each row from left to right.

    Boxes are in one row if the middle of its highest one is within their heights.
    """
    left = sorted(range(len(boxes)), key=lambda i: boxes[i][1] + boxes[i][3])
    found: list[list[int]] = []
    while left:
        middle = (boxes[left[0]][1] + boxes[left[0]][3]) / 2
        row = [i for i in left if boxes[i][1] < middle < boxes[i][3]]
        found.append(sorted(row, key=lambda i: boxes[i][0] + boxes[i][2]))
        left = [i for i in left if i not in row]
    return found


def _thousandths(box: Sequence[float]) -> str:
    return f"[{', '.join(str(round(edge * 100) * 10) for edge in box)}]"


def find(asking: Asking | None) -> str:
    """The reason of the first look.

    >>> find(Asking("capital", ("rival", "former_ruler"))), find(Asking("older"))
    ('find its rival, former ruler, capital', 'compare founding year')
    >>> find(Asking("of_borders", other="Amon")), find(Asking("of_rival", other="Amon"))
    ('find the one bordering Amon', 'find the one with rival Amon')
    """
    if asking is None:
        return LOOK
    if asking.topic in COMPARED:
        return f"compare {WORD[COMPARED[asking.topic]]}"
    if asking.topic.startswith("of_"):
        shared = asking.topic.removeprefix("of_")
        how = "bordering" if shared == "borders" else f"with {WORD[shared]}"
        return f"find the one {how} {asking.other}"
    return f"find its {', '.join([*(WORD[relation] for relation in asking.path), asking.word])}"


def following(relation: str) -> str:
    """The reason of a search for the nation that a relation leads to.

    >>> following("partner")
    'next its trading partner'
    """
    return f"next its {WORD[relation]}"


def last(asking: Asking | None) -> str:
    """The reason of an answer that one article holds.

    >>> last(Asking("which_west"))
    'its western neighbour'
    """
    return f"its {asking.word}" if asking is not None else IN_TEXT


def told(text: str, topic: str) -> str | None:
    """The number that a comparison is about, as an article writes it; None where it does not tell one.

    Args:
        text: an article, or results whose first one is it.
        topic: a comparison of `plans.COMPARED`.

    >>> told("Amon was founded in 1479 by Ix. It has 1,250,000 people on 56,780 square kilometres.", "people")
    '1,250,000'
    """
    found = re.search(_NUMBERS[COMPARED[topic]], text)
    return found.group() if found else None


def compared(first: str, second: str, topic: str) -> str:
    """The reason of an answer that two numbers decide.

    >>> compared("1479", "1988", "older")
    '1479 or 1988: earlier'
    """
    return f"{first} or {second}: {_WINS[topic]}"
