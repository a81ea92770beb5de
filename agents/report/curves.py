"""Learning curves as small drawings: each logged number over the steps, faintly as it is and strongly as it runs.

Decisions: the drawings are SVG made here, with classes instead of colours, so that they follow the page's light and
dark, need no library and no script, and stay a few kilobytes: of more than `POINTS` steps, means of neighbours are
drawn. The strong line is the mean over a tenth of the steps around each one (`window`); short runs have none. Shares
have the axis 0 to 1, so that no noise looks like progress.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from agents.report.runs import Training

POINTS = 200
WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 8, 10, 22
_CALLS = ("calls/glance", "calls/gaze", "calls/search")
_PLURALS = dict(zip(_CALLS, ("Glances", "Gazes", "Searches"), strict=True))
_COLOURS = (4, 0, 7)
"""Colours of the calls, those that they have everywhere on the page."""
_PANELS: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("Reward", ("reward",), True),
    ("Accuracy", ("episode/accuracy",), True),
    ("Calls an episode", _CALLS, False),
    ("Episodes without a call", ("calls/no_search_rate",), True),
    ("Evidence found", ("episode/evidence_hit",), True),
    ("Box IoU", ("episode/box_iou",), True),
    ("Malformed actions", ("calls/invalid_rate",), True),
    ("Groups without signal", ("groups/without_signal",), True),
    ("Tokens written", ("completions/mean_length",), False),
    ("Loss", ("loss",), False),
    ("Token accuracy", ("mean_token_accuracy",), True),
    ("Entropy", ("entropy",), False),
    ("KL divergence", ("kl",), False),
    ("Gradient norm", ("grad_norm",), False),
    ("Learning rate", ("learning_rate",), False),
    ("Seconds a step", ("step_time",), False),
)
"""Titles, logged numbers, and whether they are shares of 1."""

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """A curve: whose it is, its number among the colours, paths of the raw and of the smoothed values, and its ends."""

    name: str
    colour: int
    raw: str
    smooth: str
    first: float
    last: float


@dataclass(frozen=True)
class Panel:
    """A drawing: title, axis marks as (place, label), and curves."""

    title: str
    lines: tuple[Line, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]

    @property
    def told(self) -> str:
        """The drawing in words."""
        lines = [f"{one.name + ' ' if one.name else ''}{short(one.first)} to {short(one.last)}" for one in self.lines]
        return f"{self.title}: {'; '.join(lines)}"


def panels(trainings: Sequence[Training]) -> list[Panel]:
    """The drawings of some trainings, those first that say most; numbers that nobody logged have none."""
    made = []
    for title, keys, bounded in _PANELS:
        if len(trainings) > 1 and len(keys) > 1:
            made += [_panel(f"{_PLURALS[key]} an episode", trainings, (key,), False) for key in keys]
        else:
            made.append(_panel(title, trainings, keys, bounded))
    return [one for one in made if one is not None]


def kind_panels(trainings: Sequence[Training], most: int) -> list[Panel]:
    """Accuracy by kind of task, of the `most` kinds that were logged most often."""
    logged = Counter(kind for one in trainings for row in one.rows for kind in map(_kind, row) if kind)
    kinds = sorted(sorted(logged, key=lambda kind: (-logged[kind], kind))[:most])
    made = [_panel(kind, trainings, (f"kind/{kind}/accuracy",), True) for kind in kinds]
    return [one for one in made if one is not None]


def _kind(key: str) -> str:
    return key[5:-9] if key.startswith("kind/") and key.endswith("/accuracy") else ""


def window(count: int) -> int:
    """Over how many neighbouring values a curve is smoothed: a tenth of them, an odd number; 1 is not at all.

    >>> window(8), window(30), window(200)
    (1, 3, 21)
    """
    return 1 if count < 10 else 2 * (count // 20) + 1


def smoothed(points: Points) -> Points:
    """The running mean over `window` values, of fewer at the ends."""
    half = window(len(points)) // 2
    values = [value for _, value in points]
    means = []
    for place in range(len(points)):
        around = values[max(0, place - half) : place + half + 1]
        means.append(math.fsum(around) / len(around))
    return [(step, mean) for (step, _), mean in zip(points, means, strict=True)]


def thinned(points: Points, most: int = POINTS) -> Points:
    """At most so many points, each the mean of its neighbours.

    >>> thinned([(1, 0.0), (2, 1.0), (3, 1.0), (4, 3.0)], 2)
    [(1.5, 0.5), (3.5, 2.0)]
    """
    if len(points) <= most:
        return points
    edges = [len(points) * place // most for place in range(most + 1)]
    parts = [points[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]
    return [(math.fsum(x for x, _ in some) / len(some), math.fsum(y for _, y in some) / len(some)) for some in parts]


def short(value: float) -> str:
    """A number in few letters.

    >>> short(0.31667), short(1536), short(2e-6), short(-3.7e-08), short(0.0), short(24.61), short(60.0), short(0.0075)
    ('0.317', '1,536', '2e-6', '−3.7e-8', '0', '24.6', '60', '0.0075')
    """
    size = abs(value)
    if size and size < 0.001:
        digits, _, power = f"{size:.1e}".partition("e")
        text = f"{digits.removesuffix('.0')}e{int(power)}"
    elif size >= 100:
        text = f"{size:,.0f}"
    elif size < 0.1:  # three figures: an axis may have marks at 0.0025 and 0.0075
        text = f"{size:.3g}"
    else:
        text = f"{size:.{1 if size >= 10 else 3}f}".rstrip("0").rstrip(".")
    return f"−{text}" if value < 0 else text


def nice_ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Round numbers that span a range.

    >>> nice_ticks(0.0, 1.0), nice_ticks(0.12, 0.31), nice_ticks(2.0, 2.0)
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.1, 0.2, 0.3, 0.4], [1.5, 1.75, 2.0, 2.25, 2.5])
    >>> nice_ticks(-1e-14, 3e-14)
    [-1e-14, 0.0, 1e-14, 2e-14, 3e-14]
    """
    size = max(abs(low), abs(high))
    if not high - low > 1e-9 * size:  # one value, or values that no axis can tell apart
        low, high = (low - size / 4, high + size / 4) if size else (0.0, 1.0)
    raw = (high - low) / most
    power = math.floor(math.log10(raw))
    unit = 10.0**power
    for step in (unit, 2 * unit, 2.5 * unit, 5 * unit, 10 * unit, 20 * unit):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    return [round(place * step, 3 - power) for place in range(first, last + 1)]


def _panel(title: str, trainings: Sequence[Training], keys: Sequence[str], bounded: bool) -> Panel | None:
    several = len(keys) > 1
    found: list[tuple[str, int, Points]] = []
    for number, one in enumerate(trainings):
        for place, key in enumerate(keys):
            if points := one.series(key):
                name = key.rpartition("/")[2] if several else one.name if len(trainings) > 1 else ""
                found.append((name, _COLOURS[place] if several else number, points))
    if not found:
        return None
    values = [value for *_, points in found for _, value in points]
    steps = [step for *_, points in found for step, _ in points]
    bounded = bounded and min(values) >= 0 and max(values) <= 1
    lowest = min(0.0, *values) if several else min(values)
    marks = [0.0, 0.25, 0.5, 0.75, 1.0] if bounded else nice_ticks(lowest, max(values))
    low, high, first, last = marks[0], marks[-1], min(steps), max(steps)

    def x(step: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (value - low) / (high - low))

    def path(points: Points) -> str:
        if len(points) == 1:  # a dot: a line of no length with round ends
            points = points * 2
        return "M" + "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in thinned(points))

    lines = []
    for name, colour, points in found:
        smooth = smoothed(points)
        drawn = path(smooth) if window(len(points)) > 1 else ""
        lines.append(Line(name, colour % 8, path(points), drawn, smooth[0][1], smooth[-1][1]))
    across = [(x(first), short(first)), (x(last), short(last))] if last > first else [(x(first), short(first))]
    return Panel(title, tuple(lines), tuple(across), tuple((y(mark), short(mark)) for mark in marks))
