"""Words that point at one banner of a scene: by its place, its size, a feature that it bears, its turn in an order.

Two readers share every rule. `references` is strict: it offers words only where they are plainly right (the largest is
larger by a good third, the left one is well left, nobody could say that another banner bears a star of that colour).
`fits` is generous: it says whether anybody at all could mean a banner by them. Words are good when exactly one banner
fits them, and `references` gives no others.

    for words in references(scene, banners)[0]:
        print(words.by, words.phrase.format(b="flag"))     # order the second flag from the left
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gog_env.world.designs import Banner
from gog_env.world.features import Feature, bears, features
from gog_env.world.places import BLUR, fits_place

if TYPE_CHECKING:
    from gog_env.world.scenes import Scene

BY = ("place", "size", "feature", "order")
_CLEARLY, _PERHAPS = 1.35, 1.15
"""How many times larger a banner is that is called the largest; how much the eye may be out."""
_APART = 0.05
"""How far centres are apart where an order is told, as a share of the picture."""
_ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


@dataclass(frozen=True)
class Reference:
    """Words for one banner.

    Attributes:
        by: one of `BY`.
        phrase: a noun phrase with `{b}` for "banner": "the second {b} from the left".
        about: what it says, for `fits`: place words, "largest", "2 left", "1 right top".
        feature: the feature that it names.
    """

    by: str
    phrase: str
    about: str = ""
    feature: Feature | None = None


def references(scene: Scene, banners: Sequence[Banner], targets: Sequence[int] | None = None) -> list[list[Reference]]:
    """All words that point at one banner of a scene, and plainly so.

    Args:
        scene: as composed.
        banners: the designs of `scene.placed`, in that order.
        targets: the banners that words are wanted for; None: all.

    Returns:
        A list for each banner, perhaps empty, and empty where none are wanted; in each, references by place, size,
        order and feature, in that order.
    """
    found: list[list[Reference]] = []
    for i in range(len(banners)):
        if targets is not None and i not in targets:
            found.append([])
            continue
        offered = [*_places(scene, i), *_sizes(scene, i), *_orders(scene, i), *_features(banners, i)]
        alone = [r for r in offered if all(fits(r, scene, banners, j) == (j == i) for j in range(len(banners)))]
        found.append(alone)
    return found


def fits(reference: Reference, scene: Scene, banners: Sequence[Banner], i: int) -> bool:
    """Whether anybody could mean banner `i` by these words, with a generous reading.

    Args:
        reference: the words.
        scene: as composed.
        banners: the designs of `scene.placed`, in that order.
        i: which of them.
    """
    if reference.by == "feature":
        assert reference.feature is not None
        return bears(banners[i], reference.feature)
    if reference.by == "place":
        return fits_place(reference.about, scene.centres, i)
    if reference.by == "size":
        areas = [placed.area for placed in scene.placed]
        if reference.about == "largest":
            return areas[i] * _PERHAPS >= max(areas)
        return areas[i] <= min(areas) * _PERHAPS
    return _fits_order(reference.about, scene, i)


# places, sizes, orders


def _places(scene: Scene, i: int) -> list[Reference]:
    words = scene.placed[i].place
    return [Reference("place", f"the {{b}} {words}", words)] if words else []


def _sizes(scene: Scene, i: int) -> list[Reference]:
    area = scene.placed[i].area
    rest = [placed.area for j, placed in enumerate(scene.placed) if j != i]
    if rest and area >= _CLEARLY * max(rest):
        words = ("larger", "bigger") if len(rest) == 1 else ("largest", "biggest")
        return [Reference("size", f"the {word} {{b}}", "largest") for word in words]
    if rest and area * _CLEARLY <= min(rest):
        return [Reference("size", f"the {'smaller' if len(rest) == 1 else 'smallest'} {{b}}", "smallest")]
    return []


def _orders(scene: Scene, i: int) -> list[Reference]:
    found, across = scene.rows, [x for x, _ in scene.centres]
    if len(across) < 3:
        return []
    if found is None or len(found) > 2 or scene.arrangement == "scattered":
        names = []
        rest = [x for j, x in enumerate(across) if j != i]
        if across[i] + 2 * _APART < min(rest):
            names = [("the leftmost {b}", "1 left"), ("the {b} furthest to the left", "1 left")]
        elif across[i] - 2 * _APART > max(rest):
            names = [("the rightmost {b}", "1 right"), ("the {b} furthest to the right", "1 right")]
        return [Reference("order", phrase, about) for phrase, about in names]
    k = next(k for k, row in enumerate(found) if i in row)
    row = found[k]
    if len(row) < 2 or any(across[b] - across[a] < _APART for a, b in zip(row, row[1:], strict=False)):
        return []
    which = "" if len(found) == 1 else ("top", "bottom")[k]
    tail = f" in the {which} row" if which else ""
    left, right = row.index(i) + 1, len(row) - row.index(i)
    offered = []
    for place, side in ((left, "left"), (right, "right")):
        if place == 1:
            words = (f"the {side}most {{b}}{tail}", f"the {{b}} furthest to the {side}{tail}")
            offered += [(phrase, f"1 {side} {which}") for phrase in words]
        elif place <= (len(row) + 1) // 2 or side == "left":
            offered.append((f"the {_ORDINALS[place]} {{b}} from the {side}{tail}", f"{place} {side} {which}"))
    if left == right and len(row) > 1:
        offered.append((f"the middle {{b}}{tail}" if tail else "the {b} in the middle", f"{left} left {which}"))
    return [Reference("order", phrase, about.strip()) for phrase, about in offered]


def _fits_order(about: str, scene: Scene, i: int) -> bool:
    """Whether banner `i` may be taken for that one in the order: centres may be misjudged a little."""
    number, side, *row = about.split()
    centres = scene.centres
    members: Sequence[int] = range(len(centres))
    if row:
        found = scene.rows
        if found is None or len(found) != 2:
            return False
        members = found[("top", "bottom").index(row[0])]
        if i not in members:
            return False
    sign = 1 if side == "left" else -1
    steps = [sign * (centres[j][0] - centres[i][0]) for j in members if j != i]
    surely, perhaps = sum(step < -BLUR for step in steps), sum(step < BLUR for step in steps)
    return surely < int(number) <= perhaps + 1


# features


def _features(banners: Sequence[Banner], i: int) -> list[Reference]:
    return [
        Reference("feature", f"the {{b}} with {feature.phrase}", feature.phrase, feature)
        for feature in features(banners[i])
        if not any(bears(other, feature) for j, other in enumerate(banners) if j != i)
    ]
