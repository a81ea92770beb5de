"""Words for places in a picture, and the rows that things stand in.

Every word has a clear reading, for who offers it, and a loose one, for who doubts it; what lies between is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from index.images import Box

BLUR = 0.025
"""How much the eye may be out about a position, as a share of the picture."""
_APART = 0.16
_CORNERS = tuple(f"at the {row} {column}" for row in ("top", "bottom") for column in ("left", "middle", "right"))
# two things: axis, and whether it is the place with the smaller coordinate
_SIDES = {"on the left": (0, True), "on the right": (0, False), "at the top": (1, True), "at the bottom": (1, False)}

Centre = tuple[float, float]


def centre(box: Box) -> Centre:
    """The middle of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def place_names(boxes: Sequence[Box]) -> list[str]:
    """Where each of several banners is, in words that nobody could take for another's; "" where there are none.

    Of two banners one is "on the left" or "at the top" of the other; with more, each has a row (top, bottom) and a
    column (left, middle, right), clear of the borders between these, and no other banner is near that place.

    >>> place_names([(0.6, 0.3, 0.9, 0.6), (0.1, 0.35, 0.4, 0.6)])
    ['on the right', 'on the left']
    """
    centres = [centre(box) for box in boxes]
    if len(boxes) == 1:
        return ["in the picture"]
    names = []
    for i in range(len(boxes)):
        words = [words for words in (*_SIDES, *_CORNERS) if _clearly_placed(words, centres, i)]
        names.append(words[0] if words else "")
    return names


def _clearly_placed(words: str, centres: Sequence[Centre], i: int) -> bool:
    others = [j for j in range(len(centres)) if j != i]
    if words in _SIDES:
        axis, smaller = _SIDES[words]
        if len(others) != 1:
            return False
        step = centres[others[0]][axis] - centres[i][axis]
        return (step if smaller else -step) > _APART
    return _in_corner(words, centres[i], -0.06) and not any(_in_corner(words, centres[j], 0.06) for j in others)


def _in_corner(words: str, point: Centre, slack: float) -> bool:
    """Whether a centre is where the words say: loosely with slack > 0, clearly with slack < 0."""
    x, y = point
    low, high = {"left": (-1.0, 0.38), "middle": (0.36, 0.64), "right": (0.62, 2.0)}[words.split()[-1]]
    above = y < 0.47 + slack if "top" in words else y > 0.48 - slack
    return above and low - slack < x < high + slack


def fits_place(words: str, centres: Sequence[Centre], i: int) -> bool:
    """Whether anybody could say this of the thing with centre `i`."""
    if words == "in the picture":
        return True
    if words in _SIDES:
        axis, smaller = _SIDES[words]
        values = [point[axis] for point in centres]
        return values[i] <= min(values) + BLUR if smaller else values[i] >= max(values) - BLUR
    return _in_corner(words, centres[i], 0.06)


def rows(boxes: Sequence[Box]) -> list[list[int]] | None:
    """The rows that boxes stand in, from top to bottom, each from left to right; None where that is not plain.

    >>> rows([(0.6, 0.1, 0.8, 0.3), (0.1, 0.12, 0.3, 0.3), (0.3, 0.6, 0.5, 0.8)])
    [[1, 0], [2]]
    """
    centres = [centre(box) for box in boxes]
    order = sorted(range(len(boxes)), key=lambda i: centres[i][1])
    found: list[list[int]] = []
    for i in order:
        if found and centres[i][1] < max(boxes[j][3] for j in found[-1]):
            found[-1].append(i)
        else:
            found.append([i])
    for row in found:  # whatever is in a row is beside all others of it
        middles = [centres[i][1] for i in row]
        if max(middles) >= min(boxes[j][3] for j in row) or min(middles) <= max(boxes[j][1] for j in row):
            return None
        row.sort(key=lambda i: centres[i][0])
    return found
