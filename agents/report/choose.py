"""Which episodes a page shows: few enough to stay light, of every kind, right ones and wrong ones.

Decisions: the same tasks for all policies that have common ones, so that one sees what each did about the same
question; what room those leave goes to tasks that a policy has alone. Tasks are drawn in turns by kind, within a kind
in turns by how they came out (policies differ, all wrong, all right), within that in the order of the SHA-256 of their
ids: no taste, no luck, the same page again. That makes them examples and no sample: shares among them say nothing, and
the page says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from agents.compare_runs import Contender, by_task
from agents.measures import Record

EPISODES = 72
"""Episodes on a page."""
POLICIES = 18
"""Policies whose episodes are shown; of more, the first ones."""


def chosen(contenders: Sequence[Contender], most: int = EPISODES) -> list[tuple[Contender, Record]]:
    """The episodes to show, those of one task together.

    Args:
        contenders: policies; of more than 18 the first ones.
        most: episodes in all.
    """
    shown = list(contenders)[: min(POLICIES, max(1, most))]
    found: list[tuple[Contender, Record]] = []
    for members, common in _sharing(shown):
        some = _of(members, common, most * len(members) // len(shown)) if len(members) > 1 else []
        room = (most * len(members) // len(shown) - len(some)) // len(members)
        found += some
        for one in members:
            found += _of([one], set(one.first) - common if len(members) > 1 else common, room)
    return found


def _sharing(contenders: Sequence[Contender]) -> list[tuple[list[Contender], set[str]]]:
    """The policies in groups with common tasks, and these."""
    groups: list[tuple[list[Contender], set[str]]] = []
    for one in contenders:
        for members, common in groups:
            if not common.isdisjoint(one.first):
                members.append(one)
                common.intersection_update(one.first)
                break
        else:
            groups.append(([one], set(one.first)))
    return groups


def _of(contenders: Sequence[Contender], tasks: set[str], most: int) -> list[tuple[Contender, Record]]:
    """Episodes of these tasks, as many as fit whole tasks into."""
    means = [by_task(one.records, lambda record: record["reward"]["accuracy"]) for one in contenders]
    first = contenders[0].first
    records = {id(one): _records(one) for one in contenders}

    def outcome(task: str) -> str:
        values = {value for found in means for value in [found[task]]}
        if len(values) > 1 or not values <= {0.0, 1.0}:
            return "0 mixed"
        return "2 right" if values == {1.0} else "1 wrong"

    strata: dict[str, dict[str, list[str]]] = {}
    for task in sorted(tasks, key=lambda name: hashlib.sha256(name.encode("utf-8", "replace")).digest()):
        strata.setdefault(str(first[task]["kind"]), {}).setdefault(outcome(task), []).append(task)
    lines = [_in_turns([found[name] for name in sorted(found)]) for _, found in sorted(strata.items())]
    found: list[tuple[Contender, Record]] = []
    for task in _in_turns(lines):
        pairs = [(one, record) for one in contenders for record in _examples(records[id(one)][task])]
        if len(found) + len(pairs) > most:
            return found or pairs[:most]  # what one asks for may be less than a task's episodes
        found += pairs
    return found


def _records(contender: Contender) -> Mapping[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in contender.records:
        found.setdefault(record["task_id"], []).append(record)
    return found


def _examples(records: Sequence[Record]) -> list[Record]:
    """One of a task's episodes, or a wrong and a right one where there are both: what GRPO learns from."""
    first: Callable[[bool], Record | None] = lambda right: next(  # noqa: E731
        (record for record in records if (record["reward"]["accuracy"] >= 1) == right), None
    )
    return [record for record in (first(False), first(True)) if record is not None]


def _in_turns(lines: Sequence[Sequence[str]]) -> list[str]:
    """One of each line, then the next of each.

    >>> _in_turns([["a", "b", "c"], ["d"]])
    ['a', 'd', 'b', 'c']
    """
    longest = max(map(len, lines), default=0)
    return [line[place] for place in range(longest) for line in lines if place < len(line)]
