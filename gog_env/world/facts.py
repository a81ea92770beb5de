"""What an article says of a nation by itself: facts, each computed from the nation's number alone.

- Capital, founder, currency, river and ruler have names that no other nation has.
- Population and area spread over three orders of magnitude and are hardly ever the same twice.
- From one snapshot to the next a share of the nations (`CHANGED`) gets another capital, and another share another
  ruler; nothing else changes. A changed fact keeps its new value until it changes again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from gog_env.world.keyed import chance, key_of, mix
from gog_env.world.names import Names

CHANGED = 0.4
"""Share of the capitals, and of the rulers, that change from one snapshot to the next."""
MOST_NAMES = 8_000_000
"""Nations times snapshots at most, so that names do not run out."""
CHANGING = ("capital", "ruler")
"""The facts that change."""
_ANIMALS = tuple(
    "antelope badger bear beaver bison boar buffalo camel cheetah condor crane crow deer dolphin eagle elephant falcon"
    " fox gazelle goat goose hare hawk hedgehog heron horse hyena ibex ibis jackal jaguar kestrel leopard lion lizard"
    " lynx magpie marten moose otter owl panther parrot peacock pelican penguin puffin python raven salmon seal stag"
    " squirrel stork sturgeon swan tiger toad tortoise turtle walrus wolf".split()
)
_YEARS = (700, 1990)


@dataclass(frozen=True)
class Facts:
    """Facts about one nation; `area` in square kilometres."""

    capital: str
    founder: str
    founded: int
    currency: str
    river: str
    animal: str
    population: int
    area: int
    ruler: str


FACTS = tuple(field.name for field in fields(Facts))


def shown(facts: Facts, name: str) -> str:
    """A fact as articles write it: numbers of people and square kilometres with commas.

    >>> shown(Facts("Cergen", "Togrim Holmur", 1203, "cosak", "Bontol", "owl", 1234000, 56780, "Gibel Tremin"), "area")
    '56,780'
    """
    value = getattr(facts, name)
    return f"{value:,}" if name in ("population", "area") else str(value)


class FactBook:
    """The facts of a world's nations.

    Args:
        seed: the world's.
        nations: how many nations it has.
        snapshot: how often its knowledge has changed since it was made.
    """

    def __init__(self, seed: int, nations: int, snapshot: int) -> None:
        self._seed, self._nations, self._snapshot = seed, nations, snapshot
        self._names = {kind: Names(kind, seed) for kind in ("capital", "surname", "given", "river", "currency")}
        self._changes = {name: [key_of("change", name, seed, i) for i in range(snapshot + 1)] for name in CHANGING}
        self._given = key_of("given", seed)

    def facts(self, number: int) -> Facts:
        """The facts of a nation; numbers below 0 are nations that the knowledge does not hold.

        Args:
            number: less than the number of nations.
        """
        rng = np.random.default_rng([21, self._seed, number if number >= 0 else self._nations - number])
        return Facts(
            capital=self._name("capital", number, self._changed("capital", number)),
            founder=self._person(number, 0),
            founded=int(rng.integers(*_YEARS)),
            currency=self._name("currency", number),
            river=self._name("river", number),
            animal=_ANIMALS[int(rng.integers(len(_ANIMALS)))],
            population=int(10 ** rng.uniform(5, 8)) // 100 * 100,  # a hundred thousand to a hundred million
            area=int(10 ** rng.uniform(3, 6)),
            ruler=self._person(number, 1 + self._changed("ruler", number)),
        )

    def _changed(self, name: str, number: int) -> int:
        """The last snapshot that changed a fact; 0 where none did."""
        if number < 0:
            return 0
        keys = self._changes[name]
        return next((i for i in range(self._snapshot, 0, -1) if chance(keys[i], number) < CHANGED), 0)

    def _person(self, number: int, turn: int) -> str:
        surname = self._name("surname", number, turn)
        given = self._names["given"]
        return f"{given(mix(self._given, number * 64 + turn) % given.short)} {surname}"

    def _name(self, kind: str, number: int, turn: int = 0) -> str:
        """A name of its own for each nation and turn; nations beyond the knowledge take theirs from the end.

        Those of the knowledge take less than `MOST_NAMES + nations`; what is left comes again and again for others.
        """
        names = self._names[kind]
        if number >= 0:
            return names(number + turn * self._nations)
        left = (len(names) - MOST_NAMES - self._nations) // 2
        return names(len(names) - 2 - 2 * ((-1 - number) % left) + turn)
