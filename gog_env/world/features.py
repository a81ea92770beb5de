"""What a person would name on a banner: "a yellow star", "three white crescents", "a red border".

    features(banner)            # the clearly visible parts, the largest first
    bears(other, feature)       # might anybody think that `other` has that part, too?

- A part is named only when it cannot be missed or taken for another: no specks, nothing cut off or covered, no colour
  that people call by different names, and never when the banner shows more of the sort that would not be named.
- `bears` errs on the other side: like parts in like colours of whatever size and number count, so that a reference by a
  feature ("the banner with a yellow star") fits one banner only when every other is far from it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import hypot

from gog_env.world.designs import Banner, Charge, Color, Pattern, contrast

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_PLURALS = {"leaf": "leaves", "cross": "crosses", "fleur-de-lis": "fleurs-de-lis", "fish": "fish"}
_SIDES = ("band along the top", "band along the bottom", "band along the left edge", "band along the right edge")

# what people call a charge, where that is plain and its main colour is what they see
_NAMES = {
    "star": "star", "disc": "disc", "lozenge": "diamond", "cross": "cross", "crescent": "crescent",
    "triangle": "triangle", "annulet": "ring", "billet": "square", "heart": "heart", "lily": "fleur-de-lis",
    "arrow": "arrow", "leaf": "leaf", "sun": "sun", "bird": "bird", "fish": "fish", "crown": "crown", "wheel": "wheel",
    "trident": "trident", "wreath": "wreath", "beast": "animal",
}  # fmt: skip
_DETAILED = frozenset(
    ("bird", "fish", "crown", "wheel", "wreath", "animal", "crescent")
)  # a second colour does no harm
_INSIDE = {  # small figures that a painter may put into a charge
    "shield": "shield star rosette tree ship bird animal tower fish leaf sun cross",
    "wreath": "star tree sun bird tower map rosette",
    "crossed swords": "sword star", "rosette": "rosette star disc", "rising sun": "sun", "roundel": "disc cross",
    "ship": "ship", "tree": "tree", "tower": "tower", "map": "map", "script": "writing", "serpent": "serpent",
    "mountain": "mountain triangle",
}  # fmt: skip
_LIKE_PARTS = tuple(
    frozenset(line.split(", "))
    for line in (
        "star, sun, rosette, disc, wheel", "disc, ring, wheel, rosette", "diamond, square, star",
        "cross, sword, square", "triangle, chevron, arrow, mountain, diamond", "leaf, tree, fleur-de-lis, trident",
        "bird, serpent, animal", "fish, ship, bird", "crescent, ring, disc", "wreath, ring, crescent, leaf",
        "heart, leaf, triangle, disc", "crown, tower, ship, fleur-de-lis", "shield, square, canton",
        "diagonal band, diagonal cross, chevron", "cross, diagonal cross", "canton, square", "writing, serpent",
        "map, animal, bird, tree",
    )
)  # fmt: skip
_LIKE_COLORS = tuple(
    frozenset(line.split(", "))
    for line in (
        "red, maroon", "red, orange", "maroon, brown, purple", "orange, yellow, gold", "orange, brown, gold",
        "blue, dark blue, light blue", "blue, purple, dark blue", "teal, blue, light blue", "teal, green, dark green",
        "green, dark green", "black, dark blue", "black, dark green", "black, brown", "black, purple", "white, grey",
        "grey, light blue", "black, grey", "black, maroon",
    )
)  # fmt: skip
_ALIASES = {
    "dark blue": ("dark blue", "blue", "navy", "navy blue"),
    "light blue": ("light blue", "blue", "sky blue", "pale blue"),
    "dark green": ("dark green", "green"),
    "gold": ("gold", "yellow", "golden"),
    "yellow": ("yellow", "gold", "golden"),
    "maroon": ("maroon", "dark red", "red", "burgundy"),
    "purple": ("purple", "violet"),
    "teal": ("teal", "turquoise", "green", "blue"),
    "grey": ("grey", "gray"),
}
_NAMED_BY_ALL = frozenset(
    ("white", "yellow", "light blue", "red", "blue", "green", "black", "dark blue", "dark green", "purple", "orange")
)
SPECK = 0.085
"""Radius under which a charge is not named (fraction of the height)."""


@dataclass(frozen=True)
class Feature:
    """A part that a banner shows: `part` in plain words, `color` by its plain name, and how many there are."""

    part: str
    color: str
    count: int = 1

    @property
    def phrase(self) -> str:
        """In words: "a yellow star", "three white stars"."""
        if self.count == 1:
            return f"{'an' if self.color[0] in 'aeiou' else 'a'} {self.color} {self.part}"
        number = NUMBERS[self.count] if self.count < len(NUMBERS) else str(self.count)
        return f"{number} {self.color} {_PLURALS.get(self.part, f'{self.part}s')}"


@dataclass(frozen=True)
class _Part:
    """One part as it lies on a banner; `clear`: anybody would name it so; `size`: for what is named first."""

    name: str
    color: Color
    clear: bool
    size: float


def features(banner: Banner) -> tuple[Feature, ...]:
    """The parts of a banner that a person would name without doubt, the most striking first."""
    parts = _named(_Same(banner))
    groups: dict[tuple[str, str], list[_Part]] = {}
    for part in parts:
        groups.setdefault((part.name, part.color.name), []).append(part)
    vague = {name for (name, color), group in groups.items() if not _is_clear(group, color)}
    found = [
        (sum(part.size for part in group), Feature(name, color, len(group)))
        for (name, color), group in groups.items()
        if name not in vague
    ]
    found.sort(key=lambda pair: (-pair[0], pair[1].part, pair[1].color))
    return tuple(feature for _, feature in found)


def bears(banner: Banner, feature: Feature) -> bool:
    """Whether anybody might say that the banner has such a part: a like part in a like colour, in any number."""
    return (feature.part, feature.color) in _likely(_Same(banner))


def mistakable(banner: Banner, feature: Feature) -> bool:
    """Whether the banner bears another part of that name, or a like part in a like colour."""
    others = {(part.name, part.color.name) for part in _named(_Same(banner))} - {(feature.part, feature.color)}
    return any(
        name == feature.part
        or (feature.part in _alike(name, _LIKE_PARTS) and feature.color in _alike(color, _LIKE_COLORS))
        for name, color in others
    )


def color_aliases(color: str) -> tuple[str, ...]:
    """The answers that name a colour rightly, its own word first."""
    return _ALIASES.get(color, (color,))


def _alike(name: str, groups: tuple[frozenset[str], ...]) -> frozenset[str]:
    """All that may be taken for a thing of this name, itself included."""
    return frozenset((name,)).union(*(group for group in groups if name in group))


def _is_clear(group: list[_Part], color: str) -> bool:
    if color not in _NAMED_BY_ALL or len(group) >= len(NUMBERS) or not all(part.clear for part in group):
        return False
    sizes = [part.size for part in group]
    return max(sizes) < 2 * min(sizes)  # a great cross and three small ones are not "four crosses"


class _Same:
    """A banner as a key: equal to itself alone, which spares the hash of all that is on it."""

    __slots__ = ("banner",)

    def __init__(self, banner: Banner) -> None:
        self.banner = banner

    def __hash__(self) -> int:
        return id(self.banner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.banner is self.banner


@functools.lru_cache(maxsize=256)
def _named(key: _Same) -> tuple[_Part, ...]:
    """The parts of a banner; a scene's are asked about many times over."""
    return tuple(_parts(key.banner))


@functools.lru_cache(maxsize=256)
def _likely(key: _Same) -> frozenset[tuple[str, str]]:
    """Every (part, colour) that somebody might see on a banner."""
    shown = {(part.name, part.color.name) for part in _named(key)}
    return frozenset(
        pair for name, color in shown for pair in product(_alike(name, _LIKE_PARTS), _alike(color, _LIKE_COLORS))
    )


def _parts(banner: Banner) -> Iterator[_Part]:
    """Everything on a banner that has a name, clear or not."""
    strips = {_SIDES[int(over.values[0])] for over in banner.overlays if over.kind == "side"}
    for part in _field_parts(banner.field, not banner.overlays):
        if part.name not in strips:  # else a strip lies on it
            yield part
    for over in banner.overlays:
        yield from _overlay_parts(over, banner.field.colors)
    for i, mark in enumerate(banner.charges):
        beneath = _beneath(banner, i)
        whole = all(0.005 < u < 0.995 for u in _extent(mark))
        open_ = not any(_covers(later, mark) for later in banner.charges[i + 1 :])
        yield from _charge_parts(mark, whole and open_ and _stands_out(mark.colors[0], beneath), mark.size)


def _field_parts(field: Pattern, bare: bool) -> Iterator[_Part]:
    colors = field.colors
    if field.kind == "cross":
        yield _Part("cross", colors[2], field.values[2] >= 0.12, 0.5)
    elif field.kind == "saltire":
        yield _Part("diagonal cross", colors[3], field.values[0] >= 0.12, 0.5)
    elif field.kind == "union":
        yield from (_Part("cross", color, False, 0.5) for color in colors[1:])
        yield _Part("diagonal cross", colors[2], False, 0.5)
    elif field.kind == "bend":
        yield _Part("diagonal band", colors[3], field.values[1] >= 0.12, 0.4)
    elif field.kind == "lozenge":
        yield _Part("diamond", colors[2], bare, 0.5)
    elif field.kind == "chevron":
        yield _Part("chevron", colors[2], True, 0.5)
    elif field.kind == "pall":
        yield _Part("triangle", colors[2], False, 0.3)
        yield from (_Part(name, colors[4], False, 0.3) for name in ("diagonal band", "chevron", "cross"))
    elif field.kind == "pile":
        yield from (_Part("triangle", color, False, 0.3) for color in colors)
    elif field.kind == "checks":
        yield from (_Part("square", color, False, 0.2) for color in colors)
    elif field.kind == "quarters":
        yield _Part("canton", colors[0], False, 0.3)
    elif field.kind == "rays":
        yield from (_Part("sun", color, False, 0.3) for color in colors)
    elif field.kind == "serrated":
        yield _Part(_SIDES[2], colors[0], False, 0.3)
        yield _Part(_SIDES[3], colors[1], False, 0.3)
    elif field.kind in ("rows", "waves", "columns"):
        first, last = (0, 1) if field.kind != "columns" else (2, 3)
        yield _Part(_SIDES[first], colors[0], False, 0.3)
        yield _Part(_SIDES[last], colors[-1], False, 0.3)


def _overlay_parts(over: Pattern, beneath: tuple[Color, ...]) -> Iterator[_Part]:
    if over.inner is not None:
        wide, tall = over.values[2:4]
        ground = over.inner.field
        clear = ground.kind == "plain" and _stands_out(ground.colors[0], beneath)
        yield from (_Part("canton", color, clear, 0.3) for color in ground.colors)
        for part in _parts(over.inner):
            yield _Part(part.name, part.color, part.clear and part.size * tall >= SPECK, part.size * tall)
        return
    color = over.colors[-1 if over.kind == "triangle" else 0]
    clear = _stands_out(color, beneath)
    if over.kind == "border":
        yield _Part("border", color, clear and over.values[0] >= 0.06, 0.4)
    elif over.kind == "orle":
        yield _Part("border", color, False, 0.3)
    elif over.kind == "side":
        yield _Part(_SIDES[int(over.values[0])], color, clear and over.values[1] >= 0.1, 0.3)
    elif over.kind == "triangle":
        yield _Part("triangle", color, clear and over.values[0] < 0.7, 0.4)
    elif over.kind == "ornament":
        yield _Part(_SIDES[2], color, False, 0.3)
        yield from (_Part(name, shown, False, 0.1) for shown in over.colors[1:] for name in ("star", "diamond", "disc"))
    else:
        yield from (_Part(side, color, False, 0.3) for side in _SIDES)


def _charge_parts(mark: Charge, free: bool, size: float) -> Iterator[_Part]:
    name = _NAMES.get(mark.kind, "")
    if name:
        plain = len(set(mark.colors)) == 1 or name in _DETAILED
        starlike = mark.kind != "star" or 4 < (mark.number or 5) < 8
        yield _Part(name, mark.colors[0], free and plain and starlike and size >= SPECK, size)
        if not plain:
            yield from (_Part(name, color, False, size) for color in mark.colors[1:])
    if mark.kind == "crescent" and mark.number:
        yield _Part("star", mark.colors[-1], False, size * 0.38)
    for inside in _INSIDE.get(mark.kind, "").split():
        yield from (_Part(inside, color, False, size * 0.4) for color in dict.fromkeys(mark.colors))


def _stands_out(color: Color, beneath: tuple[Color, ...]) -> bool:
    return all(contrast(color.rgb, under.rgb) >= 150 for under in beneath)


def _extent(mark: Charge) -> tuple[float, float, float, float]:
    half = mark.size / 1.5
    return mark.x - half, mark.x + half, mark.y - mark.size, mark.y + mark.size


def _covers(later: Charge, mark: Charge) -> bool:
    """Whether a charge hides so much of an earlier one that it is not plain what that is."""
    apart = hypot((later.x - mark.x) * 1.5, later.y - mark.y)
    if apart + later.size <= mark.size * 1.05:  # it lies on it
        return later.size > 0.75 * mark.size
    return apart < 0.8 * (later.size + mark.size)


def _beneath(banner: Banner, number: int) -> tuple[Color, ...]:
    """The colours that may lie under a charge: of the charge or the strip that it lies on, or of the field."""
    mark = banner.charges[number]
    for below in reversed(banner.charges[:number]):
        if hypot((below.x - mark.x) * 1.5, below.y - mark.y) + mark.size <= below.size * 1.05:
            return below.colors[:1]
    for over in reversed(banner.overlays):
        if over.kind == "side":
            side, depth = int(over.values[0]), over.values[1]
            along = (mark.y, 1 - mark.y, mark.x, 1 - mark.x)[side]
            if along < depth:
                return over.colors
    field = banner.field
    if field.kind in ("rows", "columns"):
        low, high = (mark.y - mark.size, mark.y + mark.size) if field.kind == "rows" else _extent(mark)[:2]
        ends = [sum(field.values[: k + 1]) / sum(field.values) for k in range(len(field.values))]
        for color, start, end in zip(field.colors, [0.0, *ends], ends, strict=False):
            if start - 0.01 <= low and high <= end + 0.01:
                return (color,)
    return field.colors
