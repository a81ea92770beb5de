"""Where banners hang in a scene: scattered, in a row, in two rows, or one that fills the picture.

All measures are units of the picture (`settings.brushes.HIGH` of them from top to bottom); spots never touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gog_env.world.settings.brushes import HIGH, Dice, Zone

ARRANGEMENTS = ("filling", "scattered", "row", "two rows")
GAP = 7.0
"""Least distance between two banners, in units."""
_FRAMED = 20.0
"""The same where banners are framed."""
LEAST, LEAST_OF_PAIR = 61.0, 94.0
"""Least width of a banner's cloth, and of look-alikes that hang side by side, in units."""
_MOST_OF_PAIR = 126.0
_WIDTHS = {1: (72, 106), 2: (66, 106), 3: (63, 90), 4: (63, 90), 5: (63, 88), 6: (63, 86), 7: (61, 84), 8: (61, 82)}
_LONGEST_ROW = 5
_STANDS_OUT = 1.27


@dataclass(frozen=True)
class Spot:
    """Centre, width and height (of the flat cloth), turn (radians, clockwise) and row of a banner."""

    x: float
    y: float
    width: float
    height: float
    tilt: float = 0.0
    row: int = 0

    def apart(self, other: Spot, gap: float = GAP) -> bool:
        """Whether two spots keep their distance, with room for waves and tilts."""
        across, down = (self.width + other.width) / 2, (self.height + other.height) / 2
        room = 0.06 * (self.height + other.height)
        return abs(self.x - other.x) >= across + gap + room or abs(self.y - other.y) >= down + gap + 2 * room


def choose(count: int, fill: bool, pair: bool, dice: Dice) -> str:
    """An arrangement that suits this many banners."""
    if fill:
        return "filling"
    ways = ["scattered", "scattered"]
    if 3 <= count <= (_LONGEST_ROW - pair):
        ways += ["row", "row"]
    if 4 <= count:
        ways += ["two rows"] * (2 if count < 7 else 4)
    return dice.of(ways)


def arrange(
    count: int, arrangement: str, pair: bool, zone: Zone, dice: Dice, flat: bool = False, large: Sequence[int] = ()
) -> list[Spot] | None:
    """Finds a place for each of several banners.

    Args:
        count: how many.
        arrangement: one of `ARRANGEMENTS`.
        pair: whether the first two hang side by side, large and about equal.
        zone: the part of the picture where banners may hang (x0, y0, x1, y1).
        dice: decides.
        flat: whether they are pictures on a wall, which hang nearly straight.
        large: banners (by their turn) that are as large as those of a pair.

    Returns:
        Spots in the order of the banners; None if this throw of the dice found no room.
    """
    if arrangement == "filling":
        return [_filling(zone, dice, flat)]
    low, high = _WIDTHS[min(count, 8)]
    if arrangement == "scattered":
        return _scattered(count, pair, (low, high), zone, dice, flat, large)
    return _rows(count, arrangement, pair, (low, high), zone, dice, flat, large)


def _tilt(dice: Dice, flat: bool) -> float:
    return dice.between(-0.035, 0.035) if flat else dice.between(-0.13, 0.13) * dice.between(0.2, 1)


def _filling(zone: Zone, dice: Dice, flat: bool) -> Spot:
    wide = zone[2] - zone[0]
    ratio = dice.between(1.3, 1.6)
    width = dice.between(0.7, 0.85) * min(wide, 1.32 * HIGH)
    if width / ratio > 0.82 * HIGH:
        width = 0.82 * HIGH * ratio
    height = width / ratio
    x = dice.between(zone[0] + 0.52 * width, max(zone[2] - 0.52 * width, zone[0] + 0.52 * width))
    y = dice.between(0.52 * height, max(HIGH - 0.55 * height, 0.53 * height))
    return Spot(x, min(y, HIGH - 0.53 * height), width, height, _tilt(dice, flat) * 0.5)


def _sizes(count: int, pair: bool, widths: tuple[float, float], dice: Dice, spread: float = 1.0) -> list[float]:
    """Widths, mostly unlike; the first two about equal where they are a pair; in many scenes one stands out."""
    low, high = widths
    middle = dice.between(low, low + 0.75 * (high - low)) if spread < 1 else 0.0
    sizes = []
    for _ in range(count):
        if spread < 1:
            sizes.append(min(high, max(low, middle * dice.between(1 - spread, 1 + spread))))
        else:
            sizes.append(low * (high / low) ** dice.between(0, 1))
    roll, one = dice.between(0, 1), dice.whole(0, count - 1)
    if spread > 0.2 and roll < 0.6:  # by area a good third larger or smaller than any other
        large = roll < 0.42
        most, least = (high / _STANDS_OUT, low) if large else (high, low * _STANDS_OUT)
        sizes = [max(least, min(most, size)) for size in sizes]
        sizes[one] = dice.between(0.96, 1.0) * high if large else low * dice.between(1.0, 1.03)
    if pair:
        first = dice.between(LEAST_OF_PAIR, _MOST_OF_PAIR)
        sizes[:2] = [first, max(LEAST_OF_PAIR, first * dice.between(0.95, 1.05))]
    return sizes


def _side_by_side(first: Spot, width: float, dice: Dice, flat: bool) -> Spot:
    """The second of a pair, a little right or left of the first."""
    gap = _FRAMED if flat else GAP
    side = 1 if dice.chance(0.5) else -1
    ratio = first.width / first.height
    height = width / ratio
    reach = (first.width + width) / 2 + gap + dice.between(3, 10) + 0.06 * (first.height + height)
    y = first.y + dice.between(-5, 5)
    return Spot(
        first.x + side * reach, y, width, height, first.tilt + dice.between(-0.03, 0.03) * (not flat), first.row
    )


def _within(spot: Spot, zone: Zone) -> bool:
    across, down = spot.width * 0.52, spot.height * 0.56
    return zone[0] + across <= spot.x <= zone[2] - across and zone[1] + down <= spot.y <= zone[3] - down


def _scattered(
    count: int, pair: bool, widths: tuple[float, float], zone: Zone, dice: Dice, flat: bool, large: Sequence[int]
) -> list[Spot] | None:
    sizes = _sizes(count, pair, widths, dice)
    for one in large:
        if not (pair and one < 2):
            sizes[one] = dice.between(LEAST_OF_PAIR, _MOST_OF_PAIR)
    spots: list[Spot] = []
    # cells keep a few banners well apart, so that words for their places are clear; many banners fall where they may
    cells = dice.shuffled([(0.2, 0.25), (0.5, 0.2), (0.8, 0.25), (0.2, 0.78), (0.5, 0.82), (0.8, 0.78)])
    loose = count > 6 or dice.chance(0.25)
    for k, width in enumerate(sizes):
        if k == 1 and pair:
            spots.append(_side_by_side(spots[0], width, dice, flat))
            if not _within(spots[1], zone):
                return None
            continue
        for _ in range(40):
            height = width / dice.between(1.4, 1.62)
            x, y = (dice.between(0, 1), dice.between(0, 1)) if loose else cells[k]
            spread = 0.0 if loose else 0.13
            x, y = x + dice.between(-spread, spread), y + dice.between(-spread, spread) * 1.3
            spot = Spot(
                zone[0] + 0.53 * width + x * (zone[2] - zone[0] - 1.06 * width),
                zone[1] + 0.57 * height + y * (zone[3] - zone[1] - 1.14 * height),
                width, height, _tilt(dice, flat),
            )  # fmt: skip
            if _within(spot, zone) and all(spot.apart(other, _FRAMED if flat else GAP) for other in spots):
                spots.append(spot)
                break
        else:
            return None
    return spots


def _rows(
    count: int,
    arrangement: str,
    pair: bool,
    widths: tuple[float, float],
    zone: Zone,
    dice: Dice,
    flat: bool,
    large: Sequence[int],
) -> list[Spot] | None:
    """One row or two, each along a line that sags; in the order of the banners."""
    low, high = widths
    gap = _FRAMED if flat else GAP
    upper = count if arrangement == "row" else count // 2 + (count % 2 and dice.whole(0, 1))
    shares = [upper] if arrangement == "row" else [upper, count - upper]
    pair_row = dice.whole(0, len(shares) - 1) if pair else -1
    if pair and shares[pair_row] < 2:
        return None
    even = dice.chance(0.6)
    indices = dice.shuffled(range(2 if pair else 0, count))
    spots: dict[int, Spot] = {}
    depth = (zone[3] - zone[1]) / len(shares)
    for row, share in enumerate(shares):
        members = [indices.pop() for _ in range(share - 2 * (row == pair_row))]
        if row == pair_row:
            at = dice.whole(0, len(members))
            members[at:at] = [0, 1] if dice.chance(0.5) else [1, 0]
        great = [m for m in members if m in large or (pair and m < 2)]
        sizes = _row_sizes(members, great, (low, high), zone[2] - zone[0], 0.1 if even else 0.35, dice, gap)
        if sizes is None:
            return None
        ratio = dice.between(1.36, 1.66)
        band = (zone[0], zone[1] + row * depth, zone[2], zone[1] + (row + 1) * depth)
        pair_at = min(members.index(0), members.index(1)) if row == pair_row else -1
        spots |= {m: replace(s, row=row) for m, s in _along(members, sizes, ratio, pair_at, band, dice, flat).items()}
    if any(not _within(spot, zone) for spot in spots.values()):
        return None
    placed = [spots[i] for i in range(count)]
    if any(not a.apart(b, gap * 0.5) for i, a in enumerate(placed) for b in placed[:i] if a.row != b.row):
        return None
    return placed


def _row_sizes(
    members: list[int],
    great: list[int],
    widths: tuple[float, float],
    wide: float,
    spread: float,
    dice: Dice,
    gap: float,
) -> dict[int, float] | None:
    """Widths for the members of a row, the great ones as large as a pair and alike; None if the row is too short."""
    share = len(members)
    most = min(widths[1], 0.93 * ((wide - gap) / share - gap))
    if most < LEAST:
        return None
    drawn = _sizes(share, False, (min(widths[0], most), most), dice, spread)
    sizes = dict(zip(members, drawn, strict=True))
    if great:
        rest = share - len(great)
        largest = min(_MOST_OF_PAIR, (wide - rest * (LEAST + 2 * gap)) / len(great) - 3 * gap)
        if largest < LEAST_OF_PAIR:
            return None
        first = dice.between(LEAST_OF_PAIR, largest)
        for member in great:
            sizes[member] = max(LEAST_OF_PAIR, min(largest, first * dice.between(0.96, 1.04)))
        left = (wide - sum(sizes[member] for member in great) - (share + 3) * gap) / max(rest, 1) - gap
        if rest and left < LEAST:
            return None
        sizes |= {member: min(sizes[member], left) for member in members if member not in great}
    return sizes


def _along(
    members: list[int], sizes: dict[int, float], ratio: float, pair_at: int, band: Zone, dice: Dice, flat: bool
) -> dict[int, Spot]:
    """One row of banners with free room shared out between them, hanging from a line that sags or slopes.

    The banner at `pair_at` and the next one stay close.
    """
    gap = _FRAMED if flat else GAP
    heights = {member: sizes[member] / (ratio * dice.between(0.97, 1.03)) for member in members}
    swell = [0.06 * 2 * heights[member] for member in members]
    free = band[2] - band[0] - sum(sizes.values()) - sum(swell)
    gaps = [0.1 if k == pair_at + 1 > 0 else dice.between(0.5, 1.5) for k in range(len(members) + 1)]
    spare = max(0.0, free - gap * (len(members) + 1))
    scale = spare / sum(gaps)
    tallest = max(heights.values())
    sag, slope = (0.0, 0.0) if flat else (dice.between(4, 16), dice.between(-0.05, 0.05))
    top = band[1] + dice.between(0.1, 0.9) * max(0.0, band[3] - band[1] - tallest * 1.2 - sag - abs(slope) * 200)
    x, spots = band[0] + gap + gaps[0] * scale, {}
    middle, half = (band[0] + band[2]) / 2, (band[2] - band[0]) / 2
    for k, member in enumerate(members):
        width, height = sizes[member], heights[member]
        x += width / 2 + swell[k] / 2
        part = (x - middle) / half
        line = top + abs(slope) * half + sag * (1 - part**2) + slope * half * part
        lean = (-2 * sag * part / half + slope) * 0.8
        y = line + (tallest / 2 if flat else height / 2) + 0.07 * height
        spots[member] = Spot(x, y, width, height, dice.between(-0.03, 0.03) + (0 if flat else lean))
        x += width / 2 + swell[k] / 2 + gap + gaps[k + 1] * scale
    return spots


def scaled(spot: Spot, unit: float) -> Spot:
    """The same spot in pixels, where a unit is `unit` pixels."""
    return replace(spot, x=spot.x * unit, y=spot.y * unit, width=spot.width * unit, height=spot.height * unit)
