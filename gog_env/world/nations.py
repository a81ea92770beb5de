"""Made-up nations: names, banners, facts, relations, and the article that tells them.

- Nation `k` is a function of the world's spec and `k` alone: a world of a million nations is made in no time and takes
  no memory but a cache.
- Training and held-out nations have no relations across, and families of look-alike banners lie within one split.
- Relations agree with each other: allies, rivals and partners are so mutually; who has X in the east lies west of X.
- No name, capital, founder, ruler, river or currency comes twice: each tells which nation is meant.
- A quarter of the nations are little known: their articles tell about half. `Nation.told` says what.
- `World.at(snapshot)` is the same world later, when some capitals and rulers have changed; nothing else has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from gog_env.world.articles import article_text
from gog_env.world.designs import Banner
from gog_env.world.facts import FACTS, MOST_NAMES, FactBook, Facts, shown
from gog_env.world.heraldry import family, rich_banner
from gog_env.world.names import Names
from gog_env.world.relations import FEWEST, RELATIONS, Regions, Relations
from gog_env.world.slots import BLOCK, SIBLINGS, Members, Slots
from index.errors import TaskError

MOST = 1_000_000
"""Nations of the largest world: ids have six digits."""
STUBS = 0.25
"""Share of the nations of which articles tell about half."""
SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class WorldSpec:
    """What a world is made from.

    Attributes:
        seed: decides everything.
        nations: how many the knowledge holds.
        name: what to call it; changes nothing.
        heldout: share of nations kept from training; may be 0.
        snapshot: how often the knowledge has changed.
        pictures: of each nation, in the knowledge.
    """

    seed: int = 0
    nations: int = 400
    name: str = "custom"
    heldout: float = 0.25
    snapshot: int = 0
    pictures: int = 3


@dataclass(frozen=True)
class Nation:
    """A nation.

    Attributes:
        id: of its document.
        number: its place in the world; below 0 for a stranger, whom the knowledge does not hold.
        family: number of its family, if others have banners like its own.
        told: the facts and relations that its article tells, by name.
    """

    id: str
    number: int
    name: str
    banner: Banner
    facts: Facts
    relations: Relations
    heldout: bool
    family: int | None
    told: frozenset[str]


class World:
    """All nations of a spec, each made when asked for. Use `make_world`, which checks the spec."""

    def __init__(self, spec: WorldSpec) -> None:
        self.spec = spec
        self.slots = Slots(spec.seed, spec.nations, spec.heldout)
        self._names = Names("nation", spec.seed)
        self._facts = FactBook(spec.seed, spec.nations, spec.snapshot)
        self._regions = {
            held: Regions(size, spec.seed, int(held)) for held in (False, True) if (size := self.slots.size(held))
        }
        self._cached = lru_cache(maxsize=4096)(self._make)
        self._family = lru_cache(maxsize=1024)(self._make_family)

    def __len__(self) -> int:
        return self.spec.nations

    def __repr__(self) -> str:
        return f"World({self.spec})"

    def nation(self, number: int) -> Nation:
        """The nation of a number.

        Raises:
            IndexError: there is none.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"there is no nation {number}; this world has {len(self)}")
        return self._cached(int(number))

    def by_id(self, nation_id: str) -> Nation:
        """The nation that has an id.

        Raises:
            KeyError: the knowledge holds none.
        """
        return self.nation(self.number(nation_id))

    def number(self, nation_id: str) -> int:
        """The number of the nation that has an id.

        Raises:
            KeyError: the knowledge holds none.
        """
        return self.slots.number_of(nation_id)

    def name_of(self, nation_id: str) -> str:
        """The name of the nation that has an id, without making all of it.

        Raises:
            KeyError: the knowledge holds none.
        """
        return self._names(self.number(nation_id))

    def name_at(self, number: int) -> str:
        """The name of the nation of a number, without making all of it."""
        return self._names(number)

    def split(self, split: str) -> Members:
        """The numbers of the nations of `train` or `heldout`, a lazy sequence.

        Raises:
            TaskError: there is no such split.
        """
        return Members(self.slots, _held(split))

    def siblings(self, nation: Nation) -> tuple[int, ...]:
        """The numbers of the other nations whose banners differ from this one's in a small detail; `()` if none."""
        if nation.family is None:
            return ()
        first = BLOCK * nation.family
        return tuple(number for number in range(first, first + SIBLINGS) if number != nation.number)

    def stranger(self, split: str, k: int) -> Nation:
        """A nation that the knowledge does not hold and whose relations nobody knows.

        Args:
            split: whose tasks may show it.
            k: 0 or more; even ones have a banner of their own, odd ones one of a family of the split. Names are new
                for the first 400,000, beyond them some other stranger may have had them.

        Raises:
            TaskError: there is no such split, or `k` is below 0.
        """
        if k < 0:
            raise TaskError(f"there is no stranger {k}; count from 0")
        held = _held(split)
        code = 2 * k + held
        families = self.slots.families(held)
        block = self.slots.block(held, k // 2 % families) if k % 2 and families else None
        if block is None:
            banner = rich_banner(np.random.default_rng([24, self.spec.seed, code]))
        else:
            banner = self._family(block)[SIBLINGS]
        name = self._names(len(self) + code % (len(self._names) - len(self)))
        facts = self._facts.facts(-1 - code)
        nation_id = f"W{self.spec.seed}-stranger-{code:06d}"
        return Nation(nation_id, -1 - code, name, banner, facts, Relations(), held, block, frozenset())

    def at(self, snapshot: int) -> World:
        """The same world at another snapshot.

        Raises:
            TaskError: there is no such snapshot.
        """
        return self if snapshot == self.spec.snapshot else make_world(replace(self.spec, snapshot=snapshot))

    def _make(self, number: int) -> Nation:
        slots, held, block = self.slots, self.slots.is_held(number), self.slots.family(number)
        if block is None:
            banner = rich_banner(np.random.default_rng([23, self.spec.seed, number]))
        else:
            banner = self._family(block)[number % BLOCK]
        related = self._regions[held].related(slots.member(number))
        links = {name: slots.id(slots.number(held, there)) for name, there in related.items() if there >= 0}
        told = _told(np.random.default_rng([25, self.spec.seed, number]), tuple(links))
        facts = self._facts.facts(number)
        name = self._names(number)
        return Nation(slots.id(number), number, name, banner, facts, Relations(**links), held, block, told)

    def _make_family(self, block: int) -> tuple[Banner, ...]:
        """The siblings of a block, and one more whom the knowledge does not hold."""
        return family(np.random.default_rng([26, self.spec.seed, block]), SIBLINGS + 1).banners


def make_world(spec: WorldSpec | None = None) -> World:
    """Makes the world of a spec.

    Raises:
        TaskError: a number that cannot be; the message says what to ask for.
    """
    spec = spec or WorldSpec()
    if spec.seed < 0:
        raise TaskError(f"seed {spec.seed} is negative; give 0 or more")
    if spec.nations < 0:
        raise TaskError(f"{spec.nations} nations: a negative number; ask for {2 * FEWEST} or more")
    if spec.nations > MOST:
        raise TaskError(f"{spec.nations} nations are too many; ask for {MOST} at most")
    if not 0 <= spec.heldout < 1:
        raise TaskError(f"heldout {spec.heldout} is no share of nations; give 0 or more and less than 1, such as 0.25")
    most = MOST_NAMES // max(spec.nations, 1) - 1
    if not 0 <= spec.snapshot <= most:
        raise TaskError(f"there is no snapshot {spec.snapshot} of {spec.nations} nations; choose one of 0..{most}")
    if spec.pictures < 1:
        raise TaskError(f"{spec.pictures} pictures a nation are too few; ask for at least 1")
    slots = Slots(spec.seed, spec.nations, spec.heldout)
    for split, held in (("training", False), ("holding out", True)):
        count = slots.size(held)
        if count < FEWEST and (count or not held or spec.heldout):
            raise TaskError(
                f"of {spec.nations} nations {count} are for {split}: too few for scenes and relations; "
                f"ask for at least {2 * FEWEST} and hold out none or about a quarter"
            )
    return World(spec)


def article(nation: Nation, world: World) -> str:
    """What the knowledge says of a nation: all of `nation.told`, in some 450 characters (250 of a stub)."""
    values = {name: shown(nation.facts, name) for name in FACTS if name in nation.told}
    for name in RELATIONS:
        if name in nation.told:
            values[name] = world.name_of(getattr(nation.relations, name))
    return article_text(nation.name, values, np.random.default_rng([27, world.spec.seed, nation.number]))


def _told(rng: np.random.Generator, links: tuple[str, ...]) -> frozenset[str]:
    if rng.random() >= STUBS:
        return frozenset(FACTS + links)
    facts = [name for name in FACTS if name != "capital"]
    some = [facts[int(i)] for i in rng.choice(len(facts), int(rng.integers(3, 6)), replace=False)]
    known = [links[int(i)] for i in rng.choice(len(links), int(rng.integers(2, 4)), replace=False)]
    return frozenset(["capital", *some, *known])


def _held(split: str) -> bool:
    if split not in SPLITS:
        raise TaskError(f"there is no split {split!r}; choose {' or '.join(SPLITS)}")
    return split == "heldout"
