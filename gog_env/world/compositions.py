"""What lies under the charges of a rich banner: its field, and ordinaries along the sides, a border or a canton."""

from __future__ import annotations

from gog_env.world.arrangements import ARRANGEMENTS
from gog_env.world.designs import Banner, Charge, Color, Pattern
from gog_env.world.marks import Rng
from gog_env.world.tinctures import RATIO, SMALL, Area, Scheme, alike, bear, between, choose, on, weighted


def parted_field(rng: Rng, colors: Scheme) -> Pattern:
    """A field, plain or divided, in two or three tinctures."""
    a = choose(rng, colors)
    b = on(rng, colors, (a,))
    c = on(rng, colors, (b,)) if rng.random() < 0.5 else a
    kind = weighted(rng, _FIELDS)
    if kind == "plain":
        return Pattern(kind, (a,))
    if kind in ("rows", "columns"):
        count = choose(rng, (2, 2, 3, 3, 3, 5, 6, 7))
        if count == 3:
            return Pattern(kind, (a, b, c), (1.0, choose(rng, (1.0, 1.6, 2.4)), 1.0))
        if count == 2:
            return Pattern(kind, (a, b), (1.0, choose(rng, (1.0, 1.0, 0.6, 1.5))))
        return Pattern(kind, ((a, b) * 4)[:count], (1.0,) * count)
    if kind == "waves":
        count, number = choose(rng, (2, 3, 5, 6)), float(choose(rng, (2, 3, 4)))
        return Pattern(kind, ((a, b) * 4)[:count], (between(rng, 0.03, 0.06), number, *(1.0,) * count))
    if kind == "pall":
        hoist = on(rng, colors, (b,))
        return Pattern(kind, (a, c, hoist, b, b), (between(rng, 0.14, 0.24), 0.0, 0.4))
    if kind == "serrated":
        return Pattern(
            kind, (a, b), (between(rng, 0.24, 0.42), between(rng, 0.06, 0.14), float(choose(rng, (4, 6, 8))))
        )
    if kind == "chevron":
        return Pattern(kind, (a, c, b), (between(rng, 0.2, 0.34), between(rng, 0.62, 0.76), between(rng, 0.2, 0.28)))
    return {
        "diagonal": lambda: Pattern(kind, (a, b), (float(choose(rng, (0, 1))),)),
        "bend": lambda: Pattern(kind, (a, c, b, b), (float(choose(rng, (0, 1))), between(rng, 0.2, 0.4), 0.0)),
        "quarters": lambda: Pattern(kind, (a, b, b, a) if rng.random() < 0.6 else (a, b, c, a), (0.5, 0.5)),
        "cross": lambda: Pattern(kind, (a, b, b), (choose(rng, (0.5, 0.5, 0.36)), 0.5, between(rng, 0.14, 0.3), 0.0)),
        "saltire": lambda: Pattern(kind, (a, c, b, b), (between(rng, 0.14, 0.28), 0.0)),
        "rays": lambda: Pattern(kind, (a, b), (0.5, 0.5, float(choose(rng, (8, 12, 16))), choose(rng, (0.0, 0.5)))),
        "lozenge": lambda: Pattern(kind, (a, b, b), (between(rng, 0.34, 0.46), between(rng, 0.36, 0.46), 0.0)),
        "checks": lambda: Pattern(kind, (a, b), (float(choose(rng, (3, 4, 6))), float(choose(rng, (2, 4))))),
    }[kind]()


_FIELDS = (
    ("plain", 0.18), ("rows", 0.12), ("columns", 0.12), ("diagonal", 0.07), ("quarters", 0.07), ("cross", 0.07),
    ("saltire", 0.06), ("bend", 0.06), ("waves", 0.05), ("rays", 0.05), ("lozenge", 0.05), ("pall", 0.02),
    ("checks", 0.02), ("serrated", 0.03), ("chevron", 0.03),
)  # fmt: skip


# ordinaries: strips along the sides, a border, a canton


def strip(
    rng: Rng, colors: Scheme, side: int, depth: float, area: Area, beneath: tuple[Color, ...], charged: float
) -> tuple[tuple[Pattern], tuple[Charge, ...]]:
    """A chief (0), base (1), hoist (2) or fly (3) strip, often with small charges in a row."""
    color = on(rng, colors, beneath)
    line = choose(rng, (0, 0, 0, 1, 2, 3))
    share = depth if side < 2 else depth / RATIO
    teeth = float(choose(rng, (5, 7, 9, 11) if side < 2 else (4, 5, 7)))
    tall = 0.06 if side < 2 else 0.06 / RATIO
    ground = Pattern("side", (color,), (float(side), share, float(line), teeth if line else 0.0, tall if line else 0.0))
    if rng.random() >= charged:
        return (ground,), ()
    number, size = choose(rng, (1, 2, 3, 3, 4, 5) if side < 2 else (1, 2, 3, 3, 4)), depth * 0.34
    if number == 1:
        size = depth * 0.4
    first = bear(rng, colors, choose(rng, SMALL), 0, 0, size, (color,))
    low, high = (area.x0, area.x1) if side < 2 else (area.y0, area.y1)
    spread = [low + (high - low) * (k + 0.5) / number for k in range(number)]
    middle = share / 2 if side in (0, 2) else 1 - share / 2
    return (ground,), alike(first, [(u, middle) if side < 2 else (middle, u) for u in spread])


def ordinaries(
    rng: Rng, colors: Scheme, under: tuple[Color, ...], deepest: float = 0.3
) -> tuple[tuple[Pattern, ...], tuple[Charge, ...], Area]:
    """Strips, a border or a canton over a field of the colours `under`: overlays, their charges, and the area left."""
    kind = weighted(rng, _ORDINARIES)
    x0, y0, x1, y1 = 0.0, 0.0, 1.0, 1.0
    overlays: list[Pattern] = []
    marks: list[Charge] = []
    if kind == "border":
        width = between(rng, 0.07, 0.12)
        overlays = [Pattern("border", (on(rng, colors, under),), (width, choose(rng, (0.0, 0.0, 9.0, 12.0, 15.0))))]
        rim = width * (1.9 if overlays[0].values[1] else 1)
        return tuple(overlays), (), Area(rim / RATIO, rim, 1 - rim / RATIO, 1 - rim, under)
    if kind == "canton":
        ground = on(rng, colors, under)
        w, h = between(rng, 0.34, 0.42), between(rng, 0.4, 0.5)
        inner = _canton(rng, colors, ground)
        return (Pattern("canton", (), (0.0, 0.0, w, h), inner),), (), Area(w, 0.04, 1, 0.96, under)
    sides = {"chief": (0,), "base": (1,), "hoist": (2,), "fly": (3,), "flanks": (2, 3), "fesses": (0, 1),
             "corner": (0, 2), "none": ()}[kind]  # fmt: skip
    for side in sides:
        depth = between(rng, 0.2, deepest) * (0.8 if len(sides) > 1 else 1)
        area = Area(x0, y0, x1, y1, under)
        if kind in ("flanks", "fesses") and overlays:  # the second like the first
            first = overlays[0]
            overlays.append(Pattern("side", first.colors, (float(side), *first.values[1:])))
            marks += [
                Charge(
                    m.kind,
                    m.colors,
                    *((1 - m.x, m.y) if side == 3 else (m.x, 1 - m.y)),
                    m.size,
                    m.angle,
                    m.number,
                    m.seed,
                )
                for m in tuple(marks)
            ]
            reach = first.values[1] + first.values[4]
        else:
            laid, more = strip(rng, colors, side, depth, area, under, 0.6)
            overlays += laid
            marks += more
            reach = laid[0].values[1] + laid[0].values[4]
        x0, x1 = (reach, x1) if side == 2 else (x0, 1 - reach) if side == 3 else (x0, x1)
        y0, y1 = (reach, y1) if side == 0 else (y0, 1 - reach) if side == 1 else (y0, y1)
    return tuple(overlays), tuple(marks), Area(x0, y0, x1, y1, under)


_ORDINARIES = (
    ("none", 0.14), ("chief", 0.14), ("base", 0.1), ("hoist", 0.14), ("fly", 0.06), ("flanks", 0.08), ("fesses", 0.08),
    ("border", 0.14), ("canton", 0.1), ("corner", 0.02),
)  # fmt: skip


def _canton(rng: Rng, colors: Scheme, ground: Color) -> Banner:
    if rng.random() < 0.3:
        cross = on(rng, colors, (ground,))
        kind, values = ("cross", (0.5, 0.5, 0.24, 0.0)) if rng.random() < 0.5 else ("saltire", (0.22, 0.0))
        shown = (ground, cross, cross) if kind == "cross" else (ground, ground, cross, cross)
        return Banner(Pattern(kind, shown, values))
    area = Area(0, 0, 1, 1, (ground,))
    style = choose(rng, ("single", "single", "row", "three", "ring"))
    return Banner(Pattern("plain", (ground,)), (), ARRANGEMENTS[style](rng, colors, area))
