"""The encyclopaedia's articles: what is told of a nation, put together from sentences in varied wordings.

What belongs together is told together: who founded the nation and when, the capital and its river, people and area,
currency and animal, ruler and former ruler, the two neighbours, and ally, rival and partner. Each group has at least
three wordings for each part of it that is told; the nation's number decides wordings and order. Every sentence names
the nation, and "its" stands only where no other nation could be meant.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# {n} is the nation, the others are facts and relations by their names
_SENTENCES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("founder", "founded"): (
        "{n} was founded in {founded} by {founder}.",
        "{founder} founded {n} in {founded}.",
        "The founder of {n} was {founder}, in {founded}.",
        "In {founded} {n} was founded by {founder}.",
    ),
    ("founder",): ("{n} was founded by {founder}.", "{founder} founded {n}.", "The founder of {n} was {founder}."),
    ("founded",): (
        "{n} was founded in {founded}.",
        "In {founded} {n} was founded.",
        "The year {founded} saw {n} founded.",
    ),
    ("capital", "river"): (
        "The capital of {n} is {capital}, on the river {river}.",
        "{capital}, on the river {river}, is the capital of {n}.",
        "{n} has its capital {capital} on the river {river}.",
        "On the river {river} lies {capital}, the capital of {n}.",
    ),
    ("capital",): (
        "The capital of {n} is {capital}.",
        "{capital} is the capital of {n}.",
        "{n} has {capital} as its capital.",
    ),
    ("population", "area"): (
        "{n} has {population} people on {area} square kilometres.",
        "{population} people live on the {area} square kilometres of {n}.",
        "The population of {n} is {population}, its area {area} square kilometres.",
        "On {area} square kilometres {n} has {population} people.",
    ),
    ("population",): (
        "{n} has {population} people.",
        "The population of {n} is {population}.",
        "{population} people live in {n}.",
    ),
    ("area",): (
        "The area of {n} is {area} square kilometres.",
        "{n} covers {area} square kilometres.",
        "{n} has an area of {area} square kilometres.",
    ),
    ("currency", "animal"): (
        "The currency of {n} is the {currency}, its animal the {animal}.",
        "The animal of {n} is the {animal}, its currency the {currency}.",
        "In {n} the currency is the {currency}, the animal the {animal}.",
    ),
    ("currency",): (
        "The currency of {n} is the {currency}.",
        "{n} has the {currency} as its currency.",
        "The {currency} is the currency of {n}.",
    ),
    ("animal",): (
        "The animal of {n} is the {animal}.",
        "{n} has the {animal} as its animal.",
        "The {animal} is the animal of {n}.",
    ),
    ("ruler", "former_ruler"): (
        "The ruler of {n} is {ruler}; its former ruler is {former_ruler}.",
        "{n}, formerly ruled by {former_ruler}, has {ruler} as its ruler.",
        "{ruler} is the ruler of {n}, and {former_ruler} its former ruler.",
    ),
    ("ruler",): ("The ruler of {n} is {ruler}.", "{n} is ruled by {ruler}.", "{ruler} is the ruler of {n}."),
    ("former_ruler",): (
        "The former ruler of {n} is {former_ruler}.",
        "{n} was formerly ruled by {former_ruler}.",
        "{former_ruler} is the former ruler of {n}.",
    ),
    ("west", "east"): (
        "{n} borders {west} in the west and {east} in the east.",
        "{n} lies between {west} in the west and {east} in the east.",
        "In the west {n} borders {west}, in the east {east}.",
        "West of {n} lies {west}, east of it {east}.",
    ),
    ("west",): ("{n} borders {west} in the west.", "In the west {n} borders {west}.", "West of {n} lies {west}."),
    ("east",): ("{n} borders {east} in the east.", "In the east {n} borders {east}.", "East of {n} lies {east}."),
}
_GROUPS = tuple(group for group in _SENTENCES if len(group) == 2)
# of a partnership's sentence: how it begins, and how it says each
_TIES = (
    ("{n} is", "the ally of {ally}", "the rival of {rival}", "the trading partner of {partner}"),
    ("{n} has", "{ally} as ally", "{rival} as rival", "{partner} as trading partner"),
    ("{n} has", "the ally {ally}", "the rival {rival}", "the trading partner {partner}"),
)


def wordings(told: frozenset[str]) -> list[tuple[str, ...]]:
    """For each group of which something is told, its possible sentences with `{n}` and the names of what they tell."""
    groups = [_SENTENCES[parts] for group in _GROUPS if (parts := tuple(name for name in group if name in told))]
    ties = [i for i, name in enumerate(("ally", "rival", "partner"), 1) if name in told]
    if ties:
        groups.append(tuple(f"{way[0]} {_listed([way[i] for i in ties])}." for way in _TIES))
    return groups


def article_text(name: str, values: Mapping[str, str], rng: np.random.Generator) -> str:
    """An article.

    Args:
        name: the nation's.
        values: what is told, by the names of facts and relations, as text.
        rng: decides order and wordings.
    """
    groups = wordings(frozenset(values))
    sentences = [groups[int(i)][int(rng.integers(len(groups[int(i)])))] for i in rng.permutation(len(groups))]
    return " ".join(sentences).format(n=name, **values)


def _listed(items: list[str]) -> str:
    return f"{', '.join(items[:-1])} and {items[-1]}" if len(items) > 1 else items[0]
