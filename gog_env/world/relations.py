"""Relations between nations: neighbours on a ring, allies, rivals and partners in pairs, former rulers on a cycle.

A split's nations are dealt into regions of some two dozen, and relations stay within a region: they are drawn region
by region when asked for, so that a world of a million nations is related without a list of its nations. The six
nations that one nation is related to differ, and none is the nation itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np

from gog_env.world.keyed import Permutation

REGION = 24
"""Nations of a region; the last one of a split has up to twice as many, and a small split is one region."""
FEWEST = 12
"""Nations that a split needs for six relations and nine banners in a scene."""


@dataclass(frozen=True)
class Relations:
    """Ids of other nations. `ally`, `rival` and `partner` are "" for the one left over in a region of odd size."""

    west: str = ""
    east: str = ""
    ally: str = ""
    rival: str = ""
    former_ruler: str = ""
    partner: str = ""


RELATIONS = tuple(field.name for field in fields(Relations))


class Regions:
    """Who is related to whom among the members 0..size-1 of a split.

    Args:
        size: members of the split, at least `FEWEST`.
        key: what decides the relations.
    """

    def __init__(self, size: int, *key: int) -> None:
        self._size = size
        self._key = key
        self._dealt = Permutation(size, "regions", *key)
        self._count = max(1, size // REGION)
        self._drawn = lru_cache(maxsize=4096)(self._draw)

    def related(self, member: int) -> dict[str, int]:
        """The member that each relation leads to; -1 where there is none."""
        place = self._dealt(member)
        region = min(place // REGION, self._count - 1)
        first = region * REGION
        table = self._drawn(region)
        there = table[:, place - first]
        return {
            name: self._dealt.inverse(first + int(other)) if other >= 0 else -1
            for name, other in zip(RELATIONS, there, strict=True)
        }

    def _draw(self, region: int) -> np.ndarray:
        size = REGION if region < self._count - 1 else self._size - REGION * (self._count - 1)
        return draw_region(size, np.random.default_rng([22, *self._key, region]))


def draw_region(size: int, rng: np.random.Generator) -> np.ndarray:
    """Relations among `size` nations: a table (6, size) in the order of `RELATIONS`, -1 where there is none."""
    while (table := _tried(size, rng)) is None:
        pass
    return table


def _tried(size: int, rng: np.random.Generator) -> np.ndarray | None:
    table = np.full((len(RELATIONS), size), -1, np.int16)
    here = np.arange(size)
    taken = np.eye(size, dtype=bool)
    west, east = np.roll(here, 1), np.roll(here, -1)
    taken[here, west] = taken[here, east] = True
    for name, there in (("west", west), ("east", east)):
        table[RELATIONS.index(name)] = there
    for name in ("former_ruler", "ally", "rival", "partner"):
        for _ in range(300):
            order = rng.permutation(size)
            if name == "former_ruler":
                one, two = order, np.roll(order, -1)
            else:
                one, two = order[: size // 2], order[size // 2 : size // 2 * 2]
            if not taken[one, two].any():
                break
        else:
            return None  # the first relations left too little room
        taken[one, two] = taken[two, one] = True
        table[RELATIONS.index(name), one] = two
        if name != "former_ruler":
            table[RELATIONS.index(name), two] = one
    return table
