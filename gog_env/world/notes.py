"""Noise: notes on games, treaties and fairs that name nations and tell nothing that is asked.

Real knowledge is full of documents that mention what is searched for and do not help. There is one note for every
eight nations. It names two or three nations of one split in its text, none in its title; it has no picture; and it
says nothing of anybody's facts or relations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gog_env.world.names import Names
from gog_env.world.nations import SPLITS, World

EVERY = 8
"""Nations for each note."""

# {place} and {year} are of the event, {a}, {b} and {c} nations, the others words from the lists below
_NOTES: tuple[tuple[str, str], ...] = (
    (
        "The {place} Games of {year}",
        "The {place} Games of {year} opened in {weather}. {a} won the {sport}, {b} the {other_sport}. {c} had sent its "
        "youngest team and came home with a medal for fair play.",
    ),
    (
        "The Treaty of {place}",
        "The Treaty of {place} was signed in {year}, in {weather}. In it {a} and {b} agreed on tolls for {good} and "
        "{other_good}. It took the clerks eleven days to copy it out.",
    ),
    (
        "The {place} Fair",
        "Every autumn the {place} Fair fills a meadow with tents. Traders from {a} bring {good}, traders from {b} "
        "{other_good}. In {year} a guest from {c} counted four hundred stalls in {weather}.",
    ),
    (
        "The {place} Expedition",
        "The {place} Expedition set out in {year} to map the ice. Its crew came from {a}, {b} and {c}, its {good} from "
        "gifts. It turned back in {weather} and was met with songs.",
    ),
    (
        "The Lighthouse of {place}",
        "The lighthouse of {place} was lit for the first time in {year}, in {weather}. {a} gave the lamp, "
        "{b} the stone. Its keepers still trade {good} for {other_good} with passing ships.",
    ),
    (
        "The {place} Festival of Film",
        "At the {place} Festival of {year} a film from {a} about {good} shared the first prize with one from {b} about "
        "the {sport}. {c} showed a short comedy, in {weather} and in the open air.",
    ),
)
_SPORTS = ("archery", "fencing", "high jump", "long race", "rowing", "sailing", "swimming", "wrestling")
_GOODS = ("amber", "clocks", "cloth", "glass", "honey", "paper", "pottery", "salt", "silk", "tea", "timber", "wool")
_WEATHER = ("bright sunshine", "drizzle", "falling snow", "heavy rain", "high wind", "a thick fog", "the heat of noon")


@dataclass(frozen=True)
class Note:
    """A document without a picture."""

    id: str
    title: str
    text: str


def count_notes(world: World) -> int:
    """How many notes a world's knowledge holds."""
    return len(world) // EVERY


def note(world: World, k: int) -> Note:
    """Note `k` of a world, the same at every snapshot.

    Raises:
        IndexError: there is none.
    """
    if not 0 <= k < count_notes(world):
        raise IndexError(f"there is no note {k}; this world has {count_notes(world)}")
    rng = np.random.default_rng([28, world.spec.seed, k])
    members = world.split(SPLITS[int(rng.random() < len(world.split("heldout")) / len(world))])
    a, b, c = (world.name_at(members[int(i)]) for i in rng.choice(len(members), 3, replace=False))
    title, text = _NOTES[int(rng.integers(len(_NOTES)))]
    sport, other_sport = _two(rng, _SPORTS)
    good, other_good = _two(rng, _GOODS)
    words = {
        "place": Names("place", world.spec.seed)(k),
        "year": int(rng.integers(1850, 1990)),
        "weather": _WEATHER[int(rng.integers(len(_WEATHER)))],
        **{"a": a, "b": b, "c": c},
        **{"sport": sport, "other_sport": other_sport, "good": good, "other_good": other_good},
    }
    return Note(f"W{world.spec.seed}-note-{k:06d}", title.format(**words), text.format(**words))


def _two(rng: np.random.Generator, words: tuple[str, ...]) -> tuple[str, str]:
    one, two = rng.choice(len(words), 2, replace=False)
    return words[int(one)], words[int(two)]
