"""A banner in words: one line in the plain terms of vexillology, which the text tower of an encoder learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gog_env.world.designs import Banner, Charge, Pattern
from gog_env.world.patterns import ORLES

_SIDES = ("chief", "base", "strip at the hoist", "strip at the fly")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _join(words: Sequence[str]) -> str:
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _tell_field(p: Pattern) -> str:
    names = [color.name for color in p.colors]
    if p.kind in ("rows", "columns", "waves"):
        way = {"rows": "horizontal", "columns": "vertical", "waves": "wavy"}[p.kind]
        if len(names) == 1:
            return _a(f"{names[0]} field")
        if len(names) > 5:
            return f"{_number(len(names))} {way} stripes of {_join(names)}"
        return f"{_number(len(names))} {way} bands of {', '.join(names[:-1])} and {names[-1]}"
    if p.kind == "plain":
        return _a(f"{names[0]} field")
    if p.kind == "cross":
        rim = f" edged {names[1]}" if p.values[3] else ""
        return f"{_a(names[2])} {'Nordic ' if p.values[0] != 0.5 else ''}cross{rim} on {names[0]}"
    if p.kind == "saltire":
        return f"{_a(names[3])} saltire{f' edged {names[2]}' if p.values[1] else ''} on {_join(names[:2])}"
    if p.kind == "union":
        return f"{_a(names[3])} cross over {_a(names[2])} saltire edged {names[1]} on {names[0]}"
    if p.kind == "bend":
        return f"{_a(names[3])} diagonal band{f' edged {names[2]}' if p.values[2] else ''} between {_join(names[:2])}"
    if p.kind == "pall":
        return f"{_a(names[4])} pall between {_join(names[:3])}"
    if p.kind == "lozenge":
        return f"{_a(names[2])} lozenge on {names[0]}"
    if p.kind == "serrated":
        return f"{_a(names[0])} serrated hoist beside {names[1]}"
    if p.kind == "pile":
        return f"a triangle of {_join(names[1:])} from the {'foot' if p.values[0] else 'top'} on {names[0]}"
    if p.kind == "chevron":
        return f"{_a(names[2])} chevron on {_join(names[:2])}"
    plain = {"diagonal": "a diagonal division of", "quarters": "quarters of", "rays": "rays of", "checks": "checks of"}
    return f"{plain[p.kind]} {_join(names)}"


def _tell_place(x: float, y: float) -> str:
    if 0.4 <= x <= 0.6 and 0.4 <= y <= 0.6:
        return "in the centre"
    side = "hoist" if x < 0.4 else "fly" if x > 0.6 else ""
    level = "upper" if y < 0.4 else "lower" if y > 0.6 else ""
    return f"at the {f'{level} {side}'.strip() or 'centre'}" if side else f"in the {level} half"


def _plural(kind: str) -> str:
    return {"leaf": "leaves", "cross": "crosses", "lily": "lilies", "crossed swords": "crossed swords"}.get(
        kind, f"{kind}s"
    )


def _tell_charges(marks: Sequence[Charge]) -> list[str]:
    groups: dict[tuple[str, str], list[Charge]] = {}
    for mark in marks:
        groups.setdefault((mark.colors[0].name, mark.kind), []).append(mark)
    told = []
    for (color, kind), group in groups.items():
        x, y = (float(np.mean([getattr(mark, axis) for mark in group])) for axis in ("x", "y"))
        pointed = f"{group[0].number}-pointed " if kind == "star" and group[0].number != 5 else ""
        if kind in ("roundel", "billet") and len(group[0].colors) > 1:
            color = " and ".join(shown.name for shown in group[0].colors)
        name = f"{color} crescent and star" if kind == "crescent" and group[0].number else f"{color} {pointed}{kind}"
        if len(group) > 1:
            name = f"{_number(len(group))} {color} {pointed}{_plural(kind)}"
        elif kind != "crossed swords":
            name = _a(name)
        told.append(f"{name} {_tell_place(x, y)}")
    return told


def caption(banner: Banner) -> str:
    """One line that describes a banner: field, what lies over it, charges; no more than about 200 characters."""
    parts = []
    for over in banner.overlays:
        if over.inner is not None:
            parts.append(
                f"a canton of {_tell_field(over.inner.field)}"
                + "".join(f" with {c.rsplit(' in ', 1)[0]}" for c in _tell_charges(over.inner.charges)[:1])
            )
        else:
            color = over.colors[-1 if over.kind == "triangle" else 0].name
            bar = "bar at the hoist" if over.kind == "bar" and over.values[3] == 1 else "line"
            told = {
                "triangle": f"{_a(color)} triangle at the hoist",
                "bar": f"{_a(color)} {bar}",
                "border": f"{_a(color)} border",
                "side": f"{_a(color)} {_SIDES[int(over.values[0]) if over.kind == 'side' else 0]}",
                "orle": f"{_a(ORLES[int(over.values[2]) if over.kind == 'orle' else 0])} {color} frame",
            }
            parts.append(told.get(over.kind, f"an ornamented {color} strip at the hoist"))
    parts = list(dict.fromkeys(parts)) + _tell_charges(banner.charges)
    return _tell_field(banner.field) + (f" with {_join(parts)}" if parts else "")
