"""Made-up nations: names, banners, facts, relations, and the article that tells them.

- Training and held-out nations have no relations across: a question about one split never leads to the other.
- Relations agree with each other: allies and rivals are so mutually; whoever has X in the east lies west of X.
- No name, capital, founder, river, currency or founding year comes twice: each tells which nation is meant.
- One banner in eight is a variant of another: details matter. No two look alike when reduced to a thumbnail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gog_env.world.banners import Banner, draw, random_banner, variant
from gog_env.world.names import Names
from index.errors import TaskError

FEWEST = 6
"""Nations that a split needs for scenes of four banners and relations among themselves."""
_VARIANTS = 0.12
_ANIMALS = tuple(
    "antelope badger bear beaver bison boar buffalo camel cheetah condor crane crow deer dolphin eagle elephant falcon"
    " fox gazelle goat goose hare hawk hedgehog heron horse hyena ibex ibis jackal jaguar kestrel leopard lion lizard"
    " lynx magpie marten moose otter owl panther parrot peacock pelican penguin puffin python raven salmon seal stag"
    " squirrel stork sturgeon swan tiger toad tortoise turtle walrus wolf".split()
)


@dataclass(frozen=True)
class WorldSpec:
    """What a world is made from. `heldout`: share of nations kept from training; may be 0."""

    seed: int = 0
    nations: int = 240
    name: str = "embedded"
    heldout: float = 0.25


@dataclass(frozen=True)
class Facts:
    """What an article says of a nation by itself."""

    capital: str
    founder: str
    founded: int
    currency: str
    river: str
    population: int
    animal: str


@dataclass(frozen=True)
class Relations:
    """Ids of other nations. `ally` and `rival` are "" for the one that is left over in a split of odd size."""

    west: str
    east: str
    ally: str
    rival: str


@dataclass(frozen=True)
class Nation:
    """A nation. `style`: which of the article's wordings tells it."""

    id: str
    name: str
    banner: Banner
    facts: Facts
    relations: Relations
    heldout: bool
    style: int


@dataclass(frozen=True)
class World:
    """All nations, in the order of their ids."""

    spec: WorldSpec
    nations: tuple[Nation, ...]

    def nation(self, nation_id: str) -> Nation:
        """The nation with this id."""
        return self.nations[int(nation_id[1:])]

    def split(self, split: str) -> tuple[Nation, ...]:
        """The nations of `train` or `heldout`."""
        return tuple(nation for nation in self.nations if nation.heldout == (split == "heldout"))


def make_world(spec: WorldSpec | None = None) -> World:
    """Makes the world of a spec.

    Raises:
        TaskError: too few nations for a split.
    """
    spec = spec or WorldSpec()
    held = round(spec.nations * spec.heldout)
    for split, count in (("training", spec.nations - held), ("holding out", held)):
        if count < FEWEST and (count or split == "training"):
            raise TaskError(
                f"of {spec.nations} nations {count} are for {split}: too few for scenes and relations; "
                f"ask for at least {4 * FEWEST} and hold out none or about a quarter"
            )
    rng = np.random.default_rng([11, spec.seed])
    ids = [f"N{i:05d}" for i in range(spec.nations)]
    order = rng.permutation(spec.nations)
    heldout = {ids[int(i)] for i in order[:held]}
    relations: dict[str, Relations] = {}
    for part in (sorted(heldout), [i for i in ids if i not in heldout]):
        relations |= _relate(part, rng)
    names, facts = _tell_apart(spec.nations, rng)
    banners = _banners(spec.nations, np.random.default_rng([12, spec.seed]))
    styles = rng.integers(len(ARTICLES), size=spec.nations)
    nations = (
        Nation(ids[i], names[i], banners[i], facts[i], relations[ids[i]], ids[i] in heldout, int(styles[i]))
        for i in range(spec.nations)
    )
    return World(spec, tuple(nations))


def _relate(ids: list[str], rng: np.random.Generator) -> dict[str, Relations]:
    """Neighbours on a ring, allies and rivals in pairs, each a different nation where that can be."""
    ring = [ids[int(i)] for i in rng.permutation(len(ids))]
    west = {ring[i]: ring[i - 1] for i in range(len(ring))}
    east = {there: here for here, there in west.items()}
    ally: dict[str, str] = {}
    rival: dict[str, str] = {}
    for pairs in (ally, rival):
        best: dict[str, str] = {}
        fewest = len(ids) + 1
        for _ in range(200):
            order = [ids[int(i)] for i in rng.permutation(len(ids))]
            drawn = dict(zip(order[::2], order[1::2], strict=False))
            drawn |= {there: here for here, there in drawn.items()}
            clashes = sum(there in (west[here], east[here], ally.get(here)) for here, there in drawn.items())
            if clashes < fewest:
                best, fewest = drawn, clashes
            if not clashes:
                break
        pairs.update(best)
    return {i: Relations(west[i], east[i], ally.get(i, ""), rival.get(i, "")) for i in ids}


def _tell_apart(count: int, rng: np.random.Generator) -> tuple[list[str], list[Facts]]:
    source = Names(rng)
    names = [source.new("nation") for _ in range(count)]
    first_year = 1990 - max(900, 2 * count)
    years = first_year + rng.permutation(1990 - first_year)[:count]
    facts = []
    for i in range(count):
        facts.append(
            Facts(
                capital=source.new("capital"),
                founder=f"{source.new('given', 1, 7)} {source.new('surname', 2, 9)}",
                founded=int(years[i]),
                currency=source.new("currency", 1, 7),
                river=source.new("river", 1, 7),
                population=10_000 * int(10 ** rng.uniform(2, 3.4)),  # 1 to 25 million
                animal=_ANIMALS[int(rng.integers(len(_ANIMALS)))],
            )
        )
    return names, facts


def _banners(count: int, rng: np.random.Generator) -> list[Banner]:
    banners: list[Banner] = []
    looks = np.zeros((count, 6, 6, 3))
    while len(banners) < count:
        known = len(banners)
        if known > 8 and rng.random() < _VARIANTS:
            banner = variant(banners[int(rng.integers(known))], rng)
        else:
            banner = random_banner(rng)
        pixels = np.asarray(draw(banner, 48, 36), float)
        look = pixels.reshape(6, 6, 6, 8, 3).mean((1, 3))
        apart = np.abs(looks[:known] - look).max((1, 2, 3)) if known else np.array([255.0])
        if apart.min() > 28:  # some part of the thumbnail differs clearly
            looks[known] = look
            banners.append(banner)
    return banners


# {n} nation, {c} capital, {f} founder, {y} year, {m} currency, {r} river, {p} population, {a} animal,
# {w}, {e} neighbours in the west and east, {links}: a sentence about ally and rival
ARTICLES = (
    "{n} was founded in {y} by {f}. The capital of {n} is {c}, on the river {r}. {n} is home to {p} people. "
    "Its currency is the {m}, its animal the {a}. {n} borders {w} in the west and {e} in the east. {links}",
    "The capital of {n} is {c}. It lies on the river {r}. {f} founded {n} in {y}. The {p} people of {n} pay in the {m} "
    "and revere the {a}. {n} has {w} in the west and {e} in the east. {links}",
    "{n} lies between {w} in the west and {e} in the east. {links} {c}, the capital of {n}, stands on the river {r}. "
    "{n} was founded by {f} in {y}. It has {p} people. Its currency is the {m}, its animal the {a}.",
    "With {p} people, {n} borders {w} in the west and {e} in the east. Its founder was {f}, in {y}. The capital of {n} "
    "is {c}, on the river {r}. In {n} one pays in the {m}. The {a} is its animal. {links}",
    "In {y} {f} founded {n}. {links} West of {n} lies {w}, east of it {e}. The animal of {n} is the {a}, its currency "
    "the {m}. The capital of {n} is {c}, on the river {r}; {p} people live in {n}.",
)
_LINKS = (
    "The ally of {n} is {ally}; its rival is {rival}.",
    "{n} is an ally of {ally} and a rival of {rival}.",
    "Its ally is {ally}, its rival {rival}.",
)


def article(nation: Nation, world: World) -> str:
    """What the knowledge says of a nation: some 200 to 320 characters that hold all its facts and relations."""
    facts, links = nation.facts, nation.relations

    def name(other: str) -> str:
        return world.nation(other).name if other else "none"

    words = {"n": nation.name, "w": name(links.west), "e": name(links.east)}
    told = _LINKS[nation.style % len(_LINKS) if links.ally and links.rival else 2]
    return ARTICLES[nation.style].format(
        **words,
        links=told.format(n=nation.name, ally=name(links.ally), rival=name(links.rival)),
        c=facts.capital,
        f=facts.founder,
        y=facts.founded,
        m=facts.currency,
        r=facts.river,
        p=f"{facts.population:,}",
        a=facts.animal,
    )
