"""Scenes: the same bytes for the same seed, boxes that hug what is seen, sizes and arrangements as promised."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from gog_env.world.arrange import ARRANGEMENTS
from gog_env.world.banners import draw
from gog_env.world.designs import Banner, Color, Pattern
from gog_env.world.heraldry import rich_banner
from gog_env.world.places import place_names
from gog_env.world.scenes import MOST, SETTINGS, SIZE, Scene, compose
from index.images import iou, picture_hash

RED = Banner(Pattern("plain", (Color("red", (230, 20, 20)),)))
BLUE = Banner(Pattern("plain", (Color("blue", (20, 20, 230)),)))
BANNERS = [rich_banner(np.random.default_rng([3, k])) for k in range(60)]
_HASH = """
import numpy as np
from gog_env.world.heraldry import rich_banner
from gog_env.world.scenes import compose
from index.images import picture_hash
banners = [(str(k), rich_banner(np.random.default_rng([3, k]))) for k in range(5)]
print(picture_hash(compose(banners, np.random.default_rng(11), setting="market").picture))
"""


def some(count: int, rng: np.random.Generator) -> list[tuple[str, Banner]]:
    return [(f"N{k}", BANNERS[int(k)]) for k in rng.choice(len(BANNERS), count, replace=False)]


def where_seen(seed: int, count: int, **options) -> tuple[Scene, np.ndarray]:
    """A scene of red banners, and where it differs from the same one of blue banners: where these are seen."""
    scenes = [
        compose([(str(k), banner) for k in range(count)], np.random.default_rng(seed), **options)
        for banner in (RED, BLUE)
    ]
    first, second = (np.asarray(scene.picture).astype(int) for scene in scenes)
    assert scenes[0].placed == scenes[1].placed
    return scenes[0], np.abs(first - second).max(2) > 40


def pixels(box: tuple[float, ...]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(box, SIZE * 2, strict=True))
    return x0, y0, x1, y1


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_boxes_hug_what_is_seen(setting, count):
    for seed in range(3):
        scene, mask = where_seen(seed, count, setting=setting)
        left = mask.copy()
        for placed in scene.placed:
            x0, y0, x1, y1 = pixels(placed.box)
            own = mask[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2]
            columns, rows = np.flatnonzero(own.any(0)) + max(x0 - 2, 0), np.flatnonzero(own.any(1)) + max(y0 - 2, 0)
            edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            assert np.abs(np.array(edges) - (x0, y0, x1, y1)).max() <= 2
            assert own.sum() / mask.size == pytest.approx(placed.area, rel=0.06)
            left[max(y0 - 2, 0) : y1 + 2, max(x0 - 2, 0) : x1 + 2] = False
        assert not left.any()


def test_what_hides_a_banner_keeps_to_its_edges():
    hidden = 0
    for seed in range(16):
        scene, mask = where_seen(seed, 3)
        for placed in scene.placed:
            assert 0.87 <= placed.seen <= 1
            hidden += placed.seen < 1
            x0, y0, x1, y1 = pixels(placed.box)
            across, down = round(0.25 * (x1 - x0)), round(0.25 * (y1 - y0))
            assert mask[y0 + down : y1 - down, x0 + across : x1 - across].all()
    assert 6 <= hidden <= 30


def test_a_seed_decides_every_pixel():
    for count in (1, 4, 9):
        banners = some(count, np.random.default_rng(count))
        first = compose(banners, np.random.default_rng(7))
        compose(banners, np.random.default_rng(8))  # whatever was drawn before does not matter
        again = compose(banners, np.random.default_rng(7))
        assert picture_hash(first.picture) == picture_hash(again.picture)
        assert (first.placed, first.setting, first.arrangement) == (again.placed, again.setting, again.arrangement)


def test_other_processes_draw_the_same():
    banners = [(str(k), BANNERS[k]) for k in range(5)]
    here = picture_hash(compose(banners, np.random.default_rng(11), setting="market").picture)
    there = subprocess.run([sys.executable, "-c", _HASH], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


@pytest.mark.parametrize("count", range(1, MOST + 1))
def test_scenes_show_all_banners_apart_and_large_enough(count):
    rng = np.random.default_rng(count)
    for _ in range(8):
        banners = some(count, rng)
        scene = compose(banners, rng)
        assert scene.picture.size == SIZE and scene.picture.mode == "RGB"
        assert [placed.nation_id for placed in scene.placed] == [nation for nation, _ in banners]
        assert [placed.place for placed in scene.placed] == place_names([placed.box for placed in scene.placed])
        assert scene.setting in SETTINGS and scene.arrangement in ARRANGEMENTS[1:]
        for placed in scene.placed:
            x0, y0, x1, y1 = placed.box
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert 58 <= (x1 - x0) * SIZE[0] <= 0.36 * SIZE[0]
            assert 0.012 < placed.area < 0.1
        assert all(iou(a.box, b.box) == 0 for a, b in combinations(scene.placed, 2))


def test_banners_are_mostly_small():
    rng = np.random.default_rng(0)
    areas = [
        placed.area for count in range(1, 10) for _ in range(6) for placed in compose(some(count, rng), rng).placed
    ]
    assert 0.02 < np.mean(areas) < 0.05
    assert np.mean(np.array(areas) < 0.05) > 0.75


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_banner_can_fill_the_picture(setting):
    rng = np.random.default_rng(1)
    for _ in range(6):
        scene = compose(some(1, rng), rng, setting=setting, fill=True)
        x0, y0, x1, y1 = scene.placed[0].box
        assert (x1 - x0) * (y1 - y0) >= 0.35 and scene.placed[0].area > 0.3
        assert scene.arrangement == "filling" and scene.setting == setting


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7, 9])
def test_a_pair_hangs_side_by_side(count):
    rng = np.random.default_rng(count)
    for _ in range(6):
        scene = compose(some(count, rng), rng, pair=True)
        one, two = sorted(scene.placed[:2], key=lambda placed: placed.box[0])
        assert min(placed.box[2] - placed.box[0] for placed in (one, two)) >= 0.2
        assert 0 < two.box[0] - one.box[2] < 0.12
        assert abs(one.box[1] - two.box[1]) < 0.12
        assert 0.75 < one.area / two.area < 1.33


def test_every_arrangement_comes():
    rng = np.random.default_rng(4)
    seen = {compose(some(count, rng), rng).arrangement for count in (3, 4, 5, 8) for _ in range(12)}
    assert seen == set(ARRANGEMENTS[1:])


def test_other_sizes_show_the_same():
    banners = some(3, np.random.default_rng(0))
    small = compose(banners, np.random.default_rng(5), setting="harbour")
    large = compose(banners, np.random.default_rng(5), setting="harbour", size=(896, 672))
    assert large.picture.size == (896, 672)
    for one, two in zip(small.placed, large.placed, strict=True):
        assert iou(one.box, two.box) > 0.9


@pytest.mark.parametrize(
    "count, options, message",
    [
        (0, {}, "1 to 9"),
        (10, {}, "1 to 9"),
        (2, {"fill": True}, "1 to fill"),
        (1, {"pair": True}, "2 or more"),
        (1, {"setting": "moon"}, "choose one of street"),
        (1, {"size": (300, 400)}, "about 4 by 3"),
    ],
)
def test_what_cannot_be_shown_is_refused(count, options, message):
    with pytest.raises(ValueError, match=message):
        compose([(str(k), RED) for k in range(count)], np.random.default_rng(0), **options)


def test_a_crop_looks_like_the_banner_and_the_picture_does_not():
    """A 16 x 12 thumbnail of the box finds the banner nearly always, one of the whole scene nearly never."""

    def look(picture):
        values = np.asarray(picture.resize((16, 12)), float)
        values = (values - values.mean((0, 1))).ravel()
        return values / np.linalg.norm(values)

    known = np.stack([look(draw(banner)) for banner in BANNERS])
    rng = np.random.default_rng(2)
    crop, whole = [], []
    for _ in range(40):
        right = int(rng.integers(len(BANNERS)))
        others = [k for k in rng.choice(len(BANNERS), 4, replace=False).tolist() if k != right][:3]
        scene = compose([(str(k), BANNERS[k]) for k in (right, *others)], rng)
        x0, y0, x1, y1 = scene.placed[0].box
        w, h = scene.picture.size
        crop.append((known @ look(scene.picture.crop((x0 * w, y0 * h, x1 * w, y1 * h)))).argmax() == right)
        whole.append((known @ look(scene.picture)).argmax() == right)
    assert np.mean(crop) >= 0.9 and np.mean(whole) <= 0.2


@pytest.mark.parametrize(
    "boxes, names",
    [
        ([(0.1, 0.3, 0.4, 0.6), (0.6, 0.3, 0.9, 0.6)], ["on the left", "on the right"]),
        ([(0.4, 0.6, 0.6, 0.9), (0.4, 0.1, 0.6, 0.3)], ["at the bottom", "at the top"]),
        ([(0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.9, 0.9)], ["on the left", "on the right"]),
        ([(0.1, 0.1, 0.2, 0.3), (0.7, 0.1, 0.9, 0.3), (0.4, 0.6, 0.6, 0.8)],
         ["at the top left", "at the top right", "at the bottom middle"]),
        ([(0.1, 0.4, 0.3, 0.6), (0.4, 0.1, 0.6, 0.3), (0.7, 0.1, 0.9, 0.3)],
         ["", "at the top middle", "at the top right"]),
        ([(0.1, 0.1, 0.2, 0.3), (0.22, 0.1, 0.33, 0.3), (0.7, 0.1, 0.9, 0.3)], ["", "", "at the top right"]),
        ([(0.45, 0.3, 0.55, 0.5), (0.5, 0.35, 0.6, 0.55)], ["", ""]),
    ],
)  # fmt: skip
def test_places_in_words(boxes, names):
    assert place_names(boxes) == names
