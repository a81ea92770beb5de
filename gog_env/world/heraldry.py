"""Rich banners, and families of look-alikes that differ in one small detail.

    rng = np.random.default_rng([7])
    rich_banner(rng)            # a field, ordinaries and charges; tens of thousands can be told apart at 64x64 pixels
    family(rng, size=6)         # a rich banner six times, with another small detail in each

- A family's base leaves a seat free, away from the edges, where the detail lies: on a band, on a great roundel or
  beside the main charge. Siblings share everything else to the pixel.
- The detail's size is `DETAIL` for all ways but two, so that one number says how closely one has to look: charges that
  are counted stand in a ring 1.84 times as wide, and a border runs along the edge, a fifth as thick.
- `family(rng, 7)` begins with the banners of `family(rng, 6)` from the same state of the generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import cos, pi, sin

from gog_env.world.arrangements import arranged, line
from gog_env.world.compositions import ordinaries, parted_field, strip
from gog_env.world.designs import Banner, Charge, Color, Pattern, contrast
from gog_env.world.flown import is_flown
from gog_env.world.marks import Rng
from gog_env.world.patterns import ORLES
from gog_env.world.tinctures import GRAND, RATIO, SMALL, Area, Scheme, bear, between, choose, on, scheme
from gog_env.world.tokens import DIVISIONS

DETAIL = (0.16, 0.19)
"""The size of the detail in which siblings differ, as a share of the banner's width (the module says of which ways)."""
MOST = 8
"""The largest family."""


@dataclass(frozen=True)
class Family:
    """Banners alike but for one small detail; `way`: one of `WAYS`."""

    way: str
    banners: tuple[Banner, ...]


def rich_banner(rng: Rng) -> Banner:
    """A full design: a field with ordinaries or charges or both, never one that a country flies."""
    while is_flown(banner := _rich(rng)) or _is_poor(banner):
        pass
    return banner


def _is_poor(banner: Banner) -> bool:
    """One figure on a plain field: among many thousands somebody else bears the same."""
    return banner.field.kind == "plain" and not banner.overlays and len(banner.charges) < 2


def _rich(rng: Rng) -> Banner:
    colors = scheme(rng)
    field = parted_field(rng, colors)
    overlays, marks, area = ordinaries(rng, colors, tuple(dict.fromkeys(field.colors)))
    return Banner(field, overlays, marks + arranged(rng, colors, area))


def family(rng: Rng, size: int = 6) -> Family:
    """A rich base and `size` siblings that differ in one small detail, each in its own.

    Args:
        rng: decides everything.
        size: siblings, 2 to `MOST`.

    Raises:
        ValueError: `size` is out of range.
    """
    if not 2 <= size <= MOST:
        raise ValueError(f"a family of {size} cannot be drawn; ask for 2 to {MOST}")
    way = choose(rng, WAYS)
    detail = between(rng, *DETAIL)
    while True:
        colors = scheme(rng)
        if way == "border":
            banners = _bordered(rng, colors, detail)
        else:
            base, seat = _seated(rng, colors)
            banners = tuple(
                replace(base, charges=base.charges + marks) for marks in _DETAILS[way](rng, colors, seat, detail)
            )
        order = rng.permutation(MOST)[:size].tolist()
        if not any(is_flown(banner) for banner in banners):
            return Family(way, tuple(banners[k] for k in order))


# bases with a seat for the detail


def _seated(rng: Rng, colors: Scheme) -> tuple[Banner, Area]:
    return choose(rng, (_banded, _paled, _grounded, _grounded, _beside))(rng, colors)


def _banded(rng: Rng, colors: Scheme) -> tuple[Banner, Area]:
    """A wide middle band for the detail, charges above and below."""
    a = choose(rng, colors)
    b = on(rng, colors, (a,))
    c = choose(rng, (a, on(rng, colors, (b,))))
    wide = between(rng, 1.5, 1.8)
    field = Pattern("rows", (a, b, c), (1.0, wide, 1.0))
    edge = 1 / (2 + wide)
    hoist = rng.random() < 0.35
    x0 = between(rng, 0.2, 0.26) if hoist else 0.0
    overlays: tuple[Pattern, ...] = ()
    marks: tuple[Charge, ...] = ()
    if hoist:
        overlays, marks = strip(rng, colors, 2, x0 * RATIO, Area(0, 0, x0, 1, ()), (a, b, c), 0.8)
        x0 += 0.04
    for low, high, ground in ((0.0, edge, a), (1 - edge, 1.0, c)):
        if rng.random() < 0.8:
            marks += line(rng, colors, Area(x0, low, 1, high, (ground,)))
    x = (1 + x0) / 2
    if not hoist and rng.random() < 0.6:  # a greater charge in the band, the detail beside it
        side = choose(rng, (-1, 1))
        marks += (bear(rng, colors, choose(rng, GRAND), x - side * 0.2, 0.5, 0.16, (b,)),)
        x += side * 0.2
    return Banner(field, overlays, marks), Area(x - 0.15, edge, x + 0.15, 1 - edge, (b,))


def _paled(rng: Rng, colors: Scheme) -> tuple[Banner, Area]:
    """A wide middle column for the detail, charges at both sides."""
    a = choose(rng, colors)
    b = on(rng, colors, (a,))
    c = choose(rng, (a, on(rng, colors, (b,))))
    wide = between(rng, 1.3, 1.7)
    edge = 1 / (2 + wide)
    marks: tuple[Charge, ...] = ()
    first = bear(rng, colors, choose(rng, GRAND), edge / 2, 0.5, edge * RATIO * 0.4, (a,))
    for x, ground in ((edge / 2, a), (1 - edge / 2, c)):
        marks += (replace(first, x=x) if a == c else bear(rng, colors, first.kind, x, 0.5, first.size, (ground,)),)
    overlays: tuple[Pattern, ...] = ()
    if rng.random() < 0.5:
        overlays, more = strip(rng, colors, choose(rng, (0, 1)), 0.2, Area(0, 0, 1, 1, ()), (a, b, c), 0.7)
        marks += more
    return Banner(Pattern("columns", (a, b, c), (1.0, wide, 1.0)), overlays, marks), Area(
        edge, 0.3, 1 - edge, 0.7, (b,)
    )


def _grounded(rng: Rng, colors: Scheme) -> tuple[Banner, Area]:
    """A great roundel, lozenge or square for the detail on a rich field."""
    field = parted_field(rng, colors)
    every = tuple(dict.fromkeys(field.colors))
    overlays, marks, area = ordinaries(rng, colors, every, 0.24)
    x, y = area.middle
    size = min(max(min(area.tall, area.across) * 0.44, 0.3), 0.34)
    ground = bear(rng, colors, choose(rng, ("disc", "disc", "billet")), x, y, size, every)
    if area.across > 4.2 * size and rng.random() < 0.75:
        small, step = size * 0.36, (area.across / 2 + size) / 2 / RATIO
        first = bear(rng, colors, choose(rng, SMALL), 0, 0, small, every)
        rows = choose(rng, ((0.0,), (-0.55, 0.55)))
        marks += tuple(replace(first, x=x + s * step, y=y + v * size * 1.2) for s in (-1, 1) for v in rows)
    half = size * 0.6
    return Banner(field, overlays, (*marks, ground)), Area(
        x - half / RATIO, y - half, x + half / RATIO, y + half, ground.colors[:1]
    )


def _beside(rng: Rng, colors: Scheme) -> tuple[Banner, Area]:
    """A main charge in one half, the detail in the other."""
    a = choose(rng, colors)
    b = on(rng, colors, (a,))
    field = choose(
        rng,
        (
            Pattern("plain", (a,)),
            Pattern("columns", (a, b), (1.0, 1.0)),
            Pattern("diagonal", (a, b), (0.0,)),
            Pattern("serrated", (a, b), (0.42, 0.1, 6.0)),
            Pattern("rows", (a, b), (1.0, 1.0)),
        ),
    )
    every = tuple(dict.fromkeys(field.colors))
    overlays: tuple[Pattern, ...] = ()
    marks: tuple[Charge, ...] = ()
    y0, y1 = 0.0, 1.0
    for side in choose(rng, ((0,), (1,), (0, 1))):
        depth = between(rng, 0.16, 0.24)
        more, charges = strip(rng, colors, side, depth, Area(0, 0, 1, 1, ()), every, 0.6)
        overlays, marks = overlays + more, marks + charges
        y0, y1 = (depth + 0.05, y1) if side == 0 else (y0, 1 - depth - 0.05)
    side, y = choose(rng, (-1, 1)), (y0 + y1) / 2
    under = {"plain": (a,), "rows": every, "diagonal": every}.get(field.kind, (a,) if side > 0 else (b,))
    marks += (bear(rng, colors, choose(rng, GRAND), 0.5 - side * 0.21, y, (y1 - y0) * 0.4, under),)
    under = {"plain": (a,), "rows": every, "diagonal": every}.get(field.kind, (b,) if side > 0 else (a,))
    x = 0.5 + side * 0.21
    return Banner(field, overlays, marks), Area(x - 0.15, y - 0.2, x + 0.15, y + 0.2, under)


# details: eight forms of one thing at a seat; `size` is a share of the banner's width

Forms = list[tuple[Charge, ...]]


def _clear(rng: Rng, colors: Scheme, beneath: tuple[Color, ...]) -> Color:
    """One of the two tinctures that are lighter or darker than all that lies beneath by the widest step."""
    left = [color for color in colors if min(contrast(color.rgb, under.rgb) for under in beneath) >= 190]
    light = {color: 0.3 * color.rgb[0] + 0.59 * color.rgb[1] + 0.11 * color.rgb[2] for color in (*colors, *beneath)}
    ranked = sorted(left or colors, key=lambda color: -min(abs(light[color] - light[under]) for under in beneath))
    return choose(rng, tuple(ranked[:2]))


def _charge(rng: Rng, colors: Scheme, kind: str, seat: Area, radius: float) -> Charge:
    x, y = seat.middle
    return Charge(kind, (_clear(rng, colors, seat.under),), x, y, radius * RATIO, seed=int(rng.integers(2**31)))


def _kinds(rng: Rng, colors: Scheme, seat: Area, size: float) -> Forms:
    first = _charge(rng, colors, "disc", seat, size / 2)
    return [(replace(first, kind=kind, number=5 if kind == "star" else 0),) for kind in _KINDS]


_KINDS = ("star", "disc", "lozenge", "cross", "crescent", "triangle", "annulet", "billet")


def _turns(rng: Rng, colors: Scheme, seat: Area, size: float) -> Forms:
    first = _charge(rng, colors, choose(rng, ("arrow", "arrow", "heart")), seat, size / 2)
    return [(replace(first, angle=pi / 4 * k),) for k in range(MOST)]


def _divisions(rng: Rng, colors: Scheme, seat: Area, size: float) -> Forms:
    first = _charge(rng, colors, "roundel", seat, size / 2)
    shown = (*first.colors, _clear(rng, colors, (*first.colors, *seat.under)))
    return [(replace(first, colors=shown, number=k),) for k in range(len(DIVISIONS))]


def _orders(rng: Rng, colors: Scheme, seat: Area, size: float) -> Forms:
    """Three stripes in one square: six orders of their colours, and two in which the first comes twice."""
    a = _clear(rng, colors, seat.under)
    b = _clear(rng, colors, (a, *seat.under))
    c = _clear(rng, colors, (a, b, *seat.under))
    x, y = seat.middle
    turn = choose(rng, (0.0, pi / 2))
    orders = ((a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a), (a, b, a), (b, a, b))
    return [(Charge("billet", order, x, y, size * RATIO * 0.6, turn, 3),) for order in orders]


def _counts(rng: Rng, colors: Scheme, seat: Area, size: float) -> Forms:
    """Three to ten small charges in a ring of one size."""
    first = _charge(rng, colors, choose(rng, ("disc", "lozenge", "billet")), seat, size * 0.17)
    x, y = seat.middle
    reach = size * 0.75
    return [
        tuple(
            replace(first, x=x + reach * sin(2 * pi * k / n), y=y - reach * RATIO * cos(2 * pi * k / n))
            for k in range(n)
        )
        for n in range(3, 3 + MOST)
    ]


_DETAILS: dict[str, Callable[[Rng, Scheme, Area, float], Forms]] = {
    "kind": _kinds, "turn": _turns, "division": _divisions, "order": _orders, "count": _counts,
}  # fmt: skip
WAYS = (*_DETAILS, "border")
"""What siblings differ in."""


def _bordered(rng: Rng, colors: Scheme, size: float) -> tuple[Banner, ...]:
    """A thin frame within the edge, in eight styles."""
    field = parted_field(rng, colors)
    every = tuple(dict.fromkeys(field.colors))
    color = _clear(rng, colors, every)
    inset, thick = 0.06, size * 0.22
    edge = inset + 3 * thick
    area = Area(edge, edge * RATIO, 1 - edge, 1 - edge * RATIO, every)
    marks = arranged(rng, colors, area)
    return tuple(
        Banner(field, (Pattern("orle", (color,), (inset, thick, float(k))),), marks) for k in range(len(ORLES))
    )
