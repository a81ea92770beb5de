"""Figures with an outline of their own: birds, beasts, ships, trees, towers, lands, writing and the like.

Details come from the generator that a painter gets, so that two eagles are two different eagles.
"""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np

from gog_env.world.designs import RGB
from gog_env.world.frames import Frame, mirror, path, shake, smooth, star_points


def bird(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """An eagle displayed, or a bird in flight."""
    if rng.random() < 0.55:  # displayed, wings spread
        span, lift = float(rng.uniform(0.8, 1.05)), float(rng.uniform(-0.9, -0.3))
        half = [
            (0.02, -0.62),
            (0.16, -0.5),
            (0.14, -0.3),
            (0.4, lift + 0.15),
            (span, lift),
            (span * 0.96, lift + 0.4),
            (span * 0.8, lift + 0.62),
            (0.5, lift + 0.9),
            (0.26, 0.25),
            (0.18, 0.5),
            (0.36, 0.95),
            (0.12, 0.86),
            (0.02, 1),
        ]
        points = np.asarray(half) + rng.normal(0, 0.03, (len(half), 2))
        points[:, 0] = np.maximum(points[:, 0], 0.02)
        f.polygon(mirror(points.tolist()), c[0])
        if rng.random() < 0.4:  # two heads
            for side in (-1, 1):
                f.disc(side * 0.16, -0.68, 0.16, c[0])
                f.polygon([(side * 0.28, -0.74), (side * 0.48, -0.64), (side * 0.28, -0.6)], c[0])
        else:
            f.disc(0.03, -0.68, 0.17, c[0])
            f.polygon([(0.14, -0.76), (0.4, -0.64), (0.14, -0.6)], c[-1])
        if len(c) > 1:
            f.polygon(path("-0.14,-0.15 0.14,-0.15 0.12,0.2 0,0.36 -0.12,0.2"), c[1])
    else:  # in flight
        outline = path(
            "-1,0.1 -0.7,-0.02 -0.3,0.05 -0.5,-0.9 -0.1,-0.6 0.2,0.0 0.62,-0.12 0.82,-0.02 "
            "1,0.06 0.75,0.14 0.4,0.34 0.3,0.85 0.05,0.6 -0.1,0.36 -0.6,0.4 -0.98,0.34"
        )
        f.polygon(smooth(shake(outline, rng, 0.05), 3), c[0])
        f.disc(0.72, 0.02, 0.05, c[-1])


def beast(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A beast walking, with a mane or horns."""
    leg, neck, side = float(rng.uniform(0.35, 0.6)), float(rng.uniform(0.1, 0.55)), float(rng.choice([-1, 1]))
    body = [
        (-0.8, -0.1),
        (-0.3, -0.24),
        (0.3, -0.22),
        (0.5, -0.3 - neck),
        (0.72, -0.46 - neck),
        (1.0, -0.26 - neck),
        (0.96, -0.14 - neck),
        (0.74, -0.1 - neck),
        (0.66, 0.2),
        (0.4, 0.34),
        (-0.4, 0.28),
        (-0.75, 0.36),
    ]
    f.polygon([(side * x, y) for x, y in smooth(shake(body, rng, 0.035), 4)], c[0])
    for x in (-0.7, -0.42, 0.36, 0.6):
        stride = float(rng.uniform(-0.16, 0.16))
        f.polygon(
            [
                (side * u, v)
                for u, v in (
                    (x - 0.1, 0.1),
                    (x + 0.12, 0.1),
                    (x + 0.06 + stride, 0.3 + leg),
                    (x - 0.08 + stride, 0.3 + leg),
                )
            ],
            c[0],
        )
    tail = smooth(shake(path("-0.75,0 -1,-0.2 -0.9,-0.6 -1.06,-0.5 -1.12,-0.2 -0.85,0.14"), rng, 0.06))
    f.polygon([(side * x, y) for x, y in tail], c[0])
    if rng.random() < 0.5:
        f.disc(side * 0.6, -0.22 - neck, 0.3, c[-1])
        f.disc(side * 0.7, -0.28 - neck, 0.18, c[0])
    else:
        f.line([(side * 0.66, -0.42 - neck), (side * 0.56, -0.8 - neck)], 0.07, c[0])
        f.line([(side * 0.78, -0.42 - neck), (side * 0.86, -0.8 - neck)], 0.07, c[0])


def fish(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A fish with a fin."""
    body = path("1,0 0.6,-0.3 0,-0.4 -0.5,-0.16 -1,-0.42 -0.84,0 -1,0.42 -0.5,0.16 0,0.4 0.6,0.3")
    f.polygon(smooth(shake(body, rng, 0.04), 4), c[0])
    f.polygon([(-0.1, -0.35), (0.1, -0.66), (0.4, -0.34)], c[0])
    f.disc(0.62, -0.08, 0.08, c[-1])


def ship(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A ship with one to three masts."""
    f.polygon([(-0.95, 0.4), (0.95, 0.35), (0.65, 0.8), (-0.7, 0.8)], c[0])
    masts = int(rng.integers(1, 4))
    for k in range(masts):
        x, top = (k - (masts - 1) / 2) * 0.55, -1 + 0.2 * float(rng.random())
        f.line([(x, 0.4), (x, top)], 0.07, c[0])
        if rng.random() < 0.5:
            f.polygon([(x + 0.05, top + 0.1), (x + 0.5, 0.25), (x + 0.05, 0.25)], c[-1])
        else:
            for y in (top + 0.1, top + 0.62):
                f.polygon([(x - 0.22, y), (x + 0.22, y), (x + 0.28, y + 0.42), (x - 0.28, y + 0.42)], c[-1])
    if rng.random() < 0.6:
        f.polygon(smooth(path("-1,0.86 -0.5,0.78 0,0.88 0.5,0.78 1,0.88 1,1 0,1 -1,1"), 3), c[-1])


def tree(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A round tree, a fir or a palm."""
    trunk, crown = c[-1], c[0]
    f.polygon([(-0.08, 0.95), (-0.05, -0.4), (0.05, -0.4), (0.08, 0.95)], trunk)
    style = int(rng.integers(3))
    if style == 0:
        for _ in range(int(rng.integers(6, 10))):
            f.disc(float(rng.uniform(-0.5, 0.5)), float(rng.uniform(-0.7, 0.05)), float(rng.uniform(0.22, 0.36)), crown)
    elif style == 1:
        for k in range(3):
            y = -1 + k * 0.45
            f.polygon([(0, y), (0.35 + k * 0.16, y + 0.62), (-0.35 - k * 0.16, y + 0.62)], crown)
    else:
        for k in range(7):
            t = pi + pi * k / 6
            f.polygon(
                smooth(
                    [
                        (0, -0.4),
                        (0.5 * cos(t), -0.62 + 0.35 * sin(t)),
                        (0.9 * cos(t), -0.4 + 0.45 * sin(t) + 0.2),
                        (0.5 * cos(t), -0.5 + 0.3 * sin(t)),
                    ],
                    4,
                ),
                crown,
            )
    if rng.random() < 0.5:
        f.polygon(smooth([(-0.7, 0.95), (0, 0.8), (0.7, 0.95), (0, 1.05)], 4), crown)


def leaf(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A lobed leaf."""
    lobes = int(rng.integers(2, 5))
    half: list[tuple[float, float]] = [(0.02, -1)]
    for k in range(lobes):
        y, reach = -0.7 + 1.2 * k / lobes, float(rng.uniform(0.5, 0.95))
        half += [(0.22, y), (reach, y - 0.12), (reach * 0.85, y + 0.14), (0.28, y + 1.0 / lobes * 0.8)]
    half += [(0.2, 0.6), (0.05, 0.55), (0.05, 1)]
    f.polygon(mirror(half), c[0])


def tower(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A tower, or a castle of three."""
    towers = int(rng.choice([1, 3]))
    for k in range(towers):
        x, y, w = (
            ((k - 1) * 0.62 if towers == 3 else 0.0),
            (-0.3 if towers == 3 and k != 1 else -0.75),
            (0.24 if towers == 3 else 0.5),
        )
        f.polygon([(x - w, 0.8), (x - w, y), (x + w, y), (x + w, 0.8)], c[0])
        for i in range(3):
            cx = x - w + w * (i + 0.5) * 2 / 3
            f.polygon(
                [
                    (cx - w * 0.22, y - 0.2),
                    (cx + w * 0.22, y - 0.2),
                    (cx + w * 0.22, y + 0.02),
                    (cx - w * 0.22, y + 0.02),
                ],
                c[0],
            )
        f.polygon([(x - 0.07, y + 0.25), (x + 0.07, y + 0.25), (x + 0.07, y + 0.5), (x - 0.07, y + 0.5)], c[-1])
    f.polygon(
        [(-0.95, 0.4), (0.95, 0.4), (0.95, 0.9), (-0.95, 0.9)]
        if towers == 3
        else [(-0.65, 0.7), (0.65, 0.7), (0.65, 0.9), (-0.65, 0.9)],
        c[0],
    )
    f.polygon(path("-0.14,0.9 -0.14,0.62 0,0.5 0.14,0.62 0.14,0.9"), c[-1])


def land(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """The outline of a land: a random closed coast, now and then with islands."""
    count = int(rng.integers(14, 26))
    around = 2 * pi * np.arange(count) / count
    radii = 0.66 + rng.normal(0, 0.1, count)
    for wave in (2, 3, 4):  # bays and capes
        radii += rng.normal(0, 0.13) * np.cos(wave * around + rng.uniform(0, 2 * pi))
    radii = np.clip(radii, 0.2, 1.05)
    coast = np.stack([radii * np.cos(around), radii * np.sin(around) * float(rng.uniform(0.55, 1.0))], 1)
    f.polygon(smooth(coast, 3), c[0])
    for _ in range(int(rng.integers(0, 3))):
        f.disc(float(rng.uniform(-0.9, 0.9)), float(rng.uniform(0.75, 0.95)), float(rng.uniform(0.05, 0.12)), c[0])


def swords(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """Two crossed swords, straight or curved."""
    bend = float(rng.uniform(0, 0.5))
    for side in (-1, 1):
        blade = [(side * 0.75, 0.8), (side * 0.1 + side * bend * 0.4, -0.05), (-side * 0.85, -0.85)]
        f.line(blade, 0.13, c[0])
        f.line([(side * 0.4, 0.72), (side * 0.78, 0.36)], 0.1, c[-1])
    if rng.random() < 0.5:
        f.part(0, -0.5, 0.3).polygon(star_points(5, 0.382), c[-1])


def trident(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A trident."""
    f.line([(0, 1), (0, -0.95)], 0.13, c[0])
    reach, y = float(rng.uniform(0.4, 0.7)), float(rng.uniform(-0.2, 0.2))
    for side in (-1, 1):
        f.line([(0, y + 0.2), (side * reach * 0.8, y), (side * reach, -0.3), (side * reach, -0.8)], 0.12, c[0])
    for x in (-reach, 0, reach):
        f.polygon([(x - 0.2, -0.66), (x, -1.05), (x + 0.2, -0.66)], c[0])


def script(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """Strokes that look like writing."""
    x = -1.3
    while x < 1.2:
        width = float(rng.uniform(0.16, 0.5))
        points = [(x + width * u, float(rng.uniform(-0.42, 0.3))) for u in np.linspace(0, 1, 4)]
        f.line(smooth([*points, *[(px, py + 0.05) for px, py in reversed(points)]], 4), 0.1, c[0])
        if rng.random() < 0.5:
            f.line([(x + width, 0.2), (x + width, -0.6)], 0.1, c[0])
        if rng.random() < 0.4:
            f.disc(x + width / 2, 0.5, 0.07, c[0])
        x += width + 0.08


def serpent(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A winding serpent with spikes and feet."""
    waves, phase = float(rng.uniform(1.0, 2.2)), float(rng.uniform(0, 2 * pi))
    path = [(u, 0.45 * sin(waves * pi * u + phase) - 0.35 * u) for u in np.linspace(-1, 0.9, 30)]
    f.line(path, 0.24, c[0])
    x, y = path[-1]
    f.disc(x, y, 0.24, c[0])
    f.polygon([(x + 0.1, y - 0.2), (x + 0.42, y), (x + 0.1, y + 0.16)], c[0])
    for k in range(4, 28, 4):
        px, py = path[k]
        f.polygon([(px - 0.1, py - 0.08), (px, py - 0.34), (px + 0.1, py - 0.08)], c[0])
        if k % 8 == 0:
            f.line([(px, py), (px + 0.06, py + 0.38)], 0.09, c[0])
    f.disc(x + 0.06, y - 0.06, 0.06, c[-1])


def mountain(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """One to three peaks with snow."""
    peaks = int(rng.integers(1, 4))
    for k in range(peaks):
        x, top = (k - (peaks - 1) / 2) * 0.6, float(rng.uniform(-0.9, -0.4))
        f.polygon([(x, top), (x + 0.6, 0.7), (x - 0.6, 0.7)], c[0])
        f.polygon([(x, top), (x + 0.16, top + 0.4), (x, top + 0.28), (x - 0.16, top + 0.4)], c[-1])
    f.polygon([(-1, 0.76), (1, 0.76), (0.8, 0.95), (-0.8, 0.95)], c[-1])


def crown(f: Frame, c: list[RGB], n: int, rng: np.random.Generator) -> None:
    """A crown with balls on its points."""
    n = n or 5
    top = []
    for i in range(n):
        x = -0.9 + 1.8 * i / (n - 1)
        top += [(x, -0.6 - 0.2 * (i % 2)), (x + 0.9 / (n - 1), 0.05)]
    f.polygon([*top[:-1], (0.75, 0.6), (-0.75, 0.6)], c[0])
    f.polygon([(-0.75, 0.66), (0.75, 0.66), (0.75, 0.86), (-0.75, 0.86)], c[-1])
    for i in range(n):
        f.disc(-0.9 + 1.8 * i / (n - 1), -0.66 - 0.2 * (i % 2), 0.11, c[-1])
