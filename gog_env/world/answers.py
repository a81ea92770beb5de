"""Gold answers and their aliases, in words: names, numbers, colours, places, and that something is not known.

The first answer is worded as in the article that tells it; aliases are what else people write for the same. Answers
are compared by `rewards.normalize_answer`, so that case, articles and thousands separators need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gog_env.rewards import normalize_answer
from gog_env.world.features import Feature
from gog_env.world.names import plain
from gog_env.world.nations import Nation, World
from gog_env.world.plans import related, value
from gog_env.world.scenes import Placed

UNKNOWN = ("unknown", "it is not known", "not known", "cannot be known", "cannot be answered", "unanswerable")
"""The answers that count as right where the knowledge does not hold a nation."""
_PARTS = ("half", "side", "part")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def distinct(answers: Sequence[str]) -> list[str]:
    """The answers without those that count as equal to an earlier one."""
    found: dict[str, str] = {}
    for answer in answers:
        found.setdefault(normalize_answer(answer), answer)
    return list(found.values())


def aliases(name: str) -> list[str]:
    """A name, with and without its accents."""
    return list(dict.fromkeys((name, plain(name))))


def number(count: int) -> list[str]:
    """A small number in digits and in words."""
    return [str(count), *NUMBERS[count - 1 : count]]


def plural(feature: Feature) -> str:
    """What several of a feature's part are called: "stars"."""
    return replace(feature, count=2).phrase.removeprefix("two ").removeprefix(f"{feature.color} ")


def told(nation: Nation, topic: str, world: World) -> list[str]:
    """A nation's name, fact or (`which_` and its name) relation, the wording of its article first."""
    if topic.startswith("which_"):
        other = related(nation, topic.removeprefix("which_"), world)
        return aliases(other.name) if other else []
    text = value(nation, topic)
    if topic == "population" and nation.facts.population >= 1_000_000:
        return [text, f"{nation.facts.population / 1e6:.6f}".rstrip("0").rstrip(".") + " million"]
    if topic == "area":
        return [text, *(f"{text} {unit}" for unit in ("km²", "square kilometres", "square kilometers"))]
    return aliases(text)


def halves_of(placed: Placed) -> list[tuple[str, list[str]]]:
    """What can be said without doubt of where a banner is: topic (`where`, `side`, `half`) and answers.

    Its whole box must lie in one half; for `where` in one quarter, and towards the side.
    """
    x0, y0, x1, y1 = placed.box
    across = "left" if x1 < 0.49 else "right" if x0 > 0.51 else ""
    down = "top" if y1 < 0.49 else "bottom" if y0 > 0.51 else ""
    upper = {"top": "upper", "bottom": "lower", "": ""}[down]
    found = []
    if across and down and abs(x0 + x1 - 1) > 1 / 3:
        corners = [f"{down} {across}", f"{upper} {across}"]
        names = [form for corner in corners for form in (corner, f"{corner} corner", f"{corner}-hand corner")]
        found.append(("where", _said(names)))
    if across:
        found.append(("side", _said([across, *(f"{across} {part}" for part in _PARTS), f"{across}-hand side"])))
    if down:
        found.append(("half", _said([upper, down, *(f"{name} {part}" for name in (upper, down) for part in _PARTS)])))
    return found


def place_answers(place: str, word: str) -> list[str]:
    """The banner at a place, itself first: "at the top left", "top left", "the one at the top left" ...

    Args:
        place: words of `places.place_names`.
        word: what the banner is called.
    """
    bare = place.removeprefix("at the ").removeprefix("on the ")
    found = [place]
    for name in dict.fromkeys((bare, *(bare.replace("middle", other) for other in ("center", "centre")))):
        sides = [f"{name}-hand side", f"{name} side"] if name in ("left", "right") else []
        for where in _said([name, *sides]):
            found += [where, f"the one {where}", f"the {word} {where}"] if " the " in where else [where]
        found += [f"the {name} one", f"the {name} {word}"]
    return found


def _said(names: Sequence[str]) -> list[str]:
    """Each place as people put it, with and without small words before and behind it."""
    forms = [f"{before}{name}" for name in names for before in ("", "on the ", "in the ", "at the ")]
    return [f"{form}{behind}" for form in forms for behind in ("", " of the picture")]
