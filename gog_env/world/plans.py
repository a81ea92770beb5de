"""What a question is about, decided before its scene is composed: whose banners are shown and what is asked of whom.

- Only what articles tell is asked (`Nation.told`), along relations that articles tell, to nations that are not shown.
- Whose banners are hard to tell apart is asked by `look_alike` (and `unanswerable`) alone: other kinds that take
  knowledge are about nations without siblings.
- Where words alone would do, nothing is asked: the article of the nation that an intersection names does not name the
  one that is asked for (whatever it says of it), and the answer after k searches stands in no article read before.
- Nothing here looks at what changes from snapshot to snapshot: the same generator plans the same question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from gog_env.world.facts import FACTS
from gog_env.world.facts import shown as written
from gog_env.world.features import Feature, features, mistakable
from gog_env.world.nations import Nation, World, article
from gog_env.world.relations import RELATIONS

T = TypeVar("T")

_OFTEN = {"capital": 2.0, "ruler": 2.0}
"""Facts that are asked more often than others: those that change."""
COMPARED = {"older": "founded", "people": "population", "land": "area"}
"""The fact that each comparison takes."""
SHARED = ("borders", "former_ruler", "ally", "rival", "partner")
"""What an intersection asks for; `borders` is `west` or `east`."""
_SHARED_WEIGHTS = (0.4, 0.3, 0.1, 0.1, 0.1)
_SIZES = (2, 3, 4, 5, 6, 7, 8, 9)
_SIZE_WEIGHTS = (0.1, 0.2, 0.21, 0.18, 0.14, 0.07, 0.05, 0.05)
_STRANGERS, _SIBLINGS = 0.1, 0.15
"""Shares of strangers and of look-alikes among the banners that a question is not about."""
_MANY_STRANGERS = 1 << 18
_TRIES = 60


@dataclass(frozen=True)
class Plan:
    """A question without its words.

    Attributes:
        kind: one of `questions.KINDS`.
        topic: `name`, a fact, `which_` and a relation, a comparison, `of_` and what is shared, or what can be seen
            (`count`, `color`, `number`, `larger`, `place`).
        shown: whose banners the scene shows, in its order.
        targets: which of them the question speaks of; empty where the scene decides.
        path: relations that lead on from the target.
        reached: the nations along the path.
        feature: what is asked of a banner that is only looked at.
        other: the nation that the question names.
        pair: the first two hang side by side.
    """

    kind: str
    topic: str
    shown: tuple[Nation, ...]
    targets: tuple[int, ...] = ()
    path: tuple[str, ...] = ()
    reached: tuple[Nation, ...] = ()
    feature: Feature | None = None
    other: Nation | None = None
    pair: bool = False


def pick(rng: np.random.Generator, things: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of several things, by weights (which need not add up to 1) or evenly."""
    if weights is None:
        return things[int(rng.integers(len(things)))]
    edges = np.cumsum(weights)
    return things[min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(things) - 1)]


def tells(text: str, value: str) -> bool:
    """Does a text hold a value as words of their own?

    >>> tells("It has 1,250,000 people.", "1,250,000"), tells("It has 1,250,000 people.", "250")
    (True, False)
    """
    return re.search(rf"(?<![\w,.]){re.escape(value)}(?!\w|[.,]\d)", text) is not None


def value(nation: Nation, fact: str) -> str:
    """A fact (or the `name`) as an article writes it."""
    return nation.name if fact == "name" else written(nation.facts, fact)


def related(nation: Nation, relation: str, world: World) -> Nation | None:
    """The nation that a relation leads to, None where there is none."""
    other = getattr(nation.relations, relation)
    return world.by_id(other) if other else None


def known(nation: Nation) -> list[str]:
    """The relations that a nation's article tells."""
    return [name for name in RELATIONS if name in nation.told and getattr(nation.relations, name)]


def shares(nation: Nation, shared: str, other: Nation) -> bool:
    """Does `other` stand to the nation as `shared` (of `SHARED`) says, whether an article tells it or not?"""
    names = ("west", "east") if shared == "borders" else (shared,)
    return any(getattr(nation.relations, name) == other.id for name in names)


class Planner:
    """Draws plans of one split's questions. All its methods give None where luck was bad: try again."""

    def __init__(self, world: World, split: str, rng: np.random.Generator) -> None:
        """Plans with the nations of `split`; `rng` decides everything."""
        self.world, self.split, self.rng = world, split, rng
        self.numbers = world.split(split)
        self.most = max(2, min(_SIZES[-1], len(self.numbers) // 2))

    def plan(self, kind: str) -> Plan | None:
        """A plan of this kind."""
        rng = self.rng
        if kind == "visual":
            return self._visual()
        if kind == "intersection":
            shared = pick(rng, SHARED, _SHARED_WEIGHTS)
            plans = (self._intersection(shared) for _ in range(_TRIES))
            return next((plan for plan in plans if plan), None)
        if kind == "compare":
            return self._compare()
        if kind == "unanswerable":
            stranger = self._stranger()
            topic = self._topic(FACTS, RELATIONS)
            return self._show(Plan(kind, topic, (stranger,), (0,)))
        nation = self._draw(siblings=kind == "look_alike")
        if kind.startswith("hop_"):
            return self._hops(kind, nation, int(kind.removeprefix("hop_")))
        topic = self._topic([name for name in FACTS if name in nation.told], known(nation))
        found = Plan(kind, topic, (nation,), (0,))
        if kind == "glance":
            return found
        if kind == "look_alike" and rng.random() < 0.5:
            sibling = self.world.nation(pick(rng, self.world.siblings(nation)))
            beside = int(rng.integers(2))
            pair = (sibling, nation) if beside else (nation, sibling)
            return self._show(replace(found, shown=pair, targets=(beside,), pair=True))
        return self._show(found)

    def _draw(self, siblings: bool | None = None) -> Nation:
        """A nation of the split; one whose banner others resemble (`siblings`), none resembles, or either (None)."""
        number = pick(self.rng, self.numbers)
        while siblings is not None and siblings == (self.world.slots.family(number) is None):
            number = pick(self.rng, self.numbers)
        return self.world.nation(number)

    def _stranger(self) -> Nation:
        return self.world.stranger(self.split, int(self.rng.integers(_MANY_STRANGERS)))

    def _topic(self, facts: Sequence[str], relations: Sequence[str], name: float = 0.1) -> str:
        """What to ask of a nation: its name, a relation or a fact."""
        roll = self.rng.random()
        if roll < name:
            return "name"
        if relations and roll < name + 0.22:
            return f"which_{pick(self.rng, relations)}"
        return pick(self.rng, facts, [_OFTEN.get(fact, 1.0) for fact in facts])

    def _show(
        self, plan: Plan, count: int = 0, barred: frozenset[str] = frozenset(), strangers: float = _STRANGERS
    ) -> Plan:
        """The plan with `count` banners (0: as many as usual) in its scene, in an order that says nothing."""
        rng, world = self.rng, self.world
        count = count or min(self.most, pick(rng, _SIZES, _SIZE_WEIGHTS))
        shown = list(plan.shown)
        taken = {nation.id for nation in (*shown, *plan.reached)} | barred
        for _ in range(_TRIES):
            if len(shown) >= count:
                break
            roll = rng.random()
            if roll < strangers:
                nation = self._stranger()
            elif shown and roll < strangers + _SIBLINGS:
                like = pick(rng, shown)
                siblings = world.siblings(like) if like.family is not None else ()
                nation = world.nation(pick(rng, siblings)) if siblings else self._draw()
            else:
                nation = self._draw()
            if nation.id not in taken and all(nation.banner != other.banner for other in shown):
                taken.add(nation.id)
                shown.append(nation)
        fixed = 2 if plan.pair else 0
        order = [*range(fixed), *(fixed + int(i) for i in rng.permutation(len(shown) - fixed))]
        targets = tuple(order.index(target) for target in plan.targets)
        return replace(plan, shown=tuple(shown[i] for i in order), targets=targets)

    def _hops(self, kind: str, nation: Nation, hops: int) -> Plan | None:
        chain, path = [nation], []
        for _ in range(hops):
            ids = [one.id for one in chain]
            links = [name for name in known(chain[-1]) if getattr(chain[-1].relations, name) not in ids]
            if not links:
                return None
            path.append(pick(self.rng, links))
            chain.append(self.world.by_id(getattr(chain[-1].relations, path[-1])))
        last, ids = chain[-1], [one.id for one in chain]
        ends = [name for name in known(last) if getattr(last.relations, name) not in ids]
        topic = self._topic([fact for fact in FACTS if fact in last.told], ends, name=0.0)
        end = related(last, topic.removeprefix("which_"), self.world) if topic.startswith("which_") else None
        gold = end.name if end else value(last, topic)
        if any(tells(article(earlier, self.world), gold) for earlier in chain[:-1]):
            return None  # it would be read too early
        return self._show(Plan(kind, topic, (nation,), (0,), tuple(path), tuple(chain[1:])))

    def _compare(self) -> Plan | None:
        topic = pick(self.rng, tuple(COMPARED))
        fact = COMPARED[topic]
        one, two = self._draw(siblings=False), self._draw(siblings=False)
        if one.id == two.id or not (fact in one.told and fact in two.told) or value(one, fact) == value(two, fact):
            return None
        return self._show(Plan("compare", topic, (one, two), (0, 1)))

    def _intersection(self, shared: str) -> Plan | None:
        rng, world = self.rng, self.world
        nation = self._draw(siblings=False)
        names = [name for name in known(nation) if name == shared or (shared == "borders" and name in ("west", "east"))]
        if not names:
            return None
        other = related(nation, pick(rng, names), world)
        if other is None or other.id == nation.id:
            return None
        if tells(article(other, world), nation.name):
            return None  # it would name the answer, and nobody had to look
        rest = {getattr(other.relations, name) for name in RELATIONS}
        plan = self._show(
            Plan("intersection", f"of_{shared}", (nation,), (0,), other=other),
            barred=frozenset(rest | {other.id}) - {nation.id},
            strangers=0.0,
        )
        if len(plan.shown) < 2 or sum(shares(one, shared, other) for one in plan.shown) > 1:
            return None
        return plan

    def _visual(self) -> Plan | None:
        rng = self.rng
        topic = pick(rng, ("count", "color", "number", "larger", "place"), (0.26, 0.26, 0.18, 0.12, 0.18))
        if topic in ("color", "number"):
            nation = self._draw()
            clear = tuple(f for f in features(nation.banner) if topic == "color" or f.count > 1)
            clear = tuple(f for f in clear if not mistakable(nation.banner, f))
            if not clear:
                return None
            plan = Plan("visual", topic, (nation,), (0,), feature=pick(rng, clear))
            return plan if rng.random() < 0.08 else self._show(plan)
        if topic == "count":
            return self._show(Plan("visual", topic, ()), count=1 + int(rng.integers(self.most)))
        return self._show(Plan("visual", topic, ()))
