"""Rich banners and families: distinct, full, the same for the same seed; siblings differ in one small detail."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gog_env.world.banners import caption, draw
from gog_env.world.charges import PAINTERS
from gog_env.world.flown import is_flown
from gog_env.world.heraldry import DETAIL, MOST, WAYS, Family, family, rich_banner


def some_families(count: int, size: int = 6) -> list[Family]:
    return [family(np.random.default_rng([71, seed]), size) for seed in range(count)]


def distances(flat: np.ndarray) -> np.ndarray:
    """How far pictures (one a row, 0 to 255) are from each other: the root of the mean square over their pixels."""
    flat = flat.astype(float)
    squares = (flat**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0) / flat.shape[1])


def test_rich_banners_repeat_are_full_and_never_flown() -> None:
    banners = [rich_banner(np.random.default_rng([70, seed])) for seed in range(300)]
    assert banners == [rich_banner(np.random.default_rng([70, seed])) for seed in range(300)]
    assert not any(is_flown(banner) for banner in banners)
    assert all(banner.charges for banner in banners)
    assert len({draw(banner, 24, 16).tobytes() for banner in banners}) == 300
    assert len({banner.field.kind for banner in banners}) >= 13
    assert len({over.kind for banner in banners for over in banner.overlays}) >= 3
    assert {mark.kind for banner in banners for mark in banner.charges} <= set(PAINTERS)
    for banner in banners:
        told = caption(banner)
        assert "\n" not in told and 8 < len(told) < 300


def test_no_two_of_many_rich_banners_look_alike() -> None:
    small = [
        np.asarray(draw(rich_banner(np.random.default_rng([73, seed])), 48, 32).resize((12, 8)), np.float32).ravel()
        for seed in range(700)
    ]
    apart = distances(np.stack(small))
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 12


def test_charges_stay_within_the_banner() -> None:
    out = total = 0
    for seed in range(200):
        for mark in rich_banner(np.random.default_rng([74, seed])).charges:
            total += 1
            out += not (0 <= mark.x <= 1 and 0 <= mark.y <= 1)
            assert mark.size < 0.55
    assert out == 0 and total > 500


def test_all_ways_occur_in_like_shares() -> None:
    ways = [family.way for family in some_families(280, 2)]
    assert set(ways) == set(WAYS)
    assert min(ways.count(way) for way in WAYS) > 18


@pytest.mark.parametrize("size", [2, 6, MOST])
def test_siblings_share_all_but_a_small_detail(size: int) -> None:
    for found in some_families(60, size):
        assert len(found.banners) == len(set(found.banners)) == size
        assert not any(is_flown(banner) for banner in found.banners)
        pictures = [np.asarray(draw(banner, 120, 80), int) for banner in found.banners]
        for i, one in enumerate(pictures):
            for other in pictures[:i]:
                changed = np.abs(one - other).sum(2) > 60
                # enough for a person at 120 pixels, and little of the banner
                assert 8 <= changed.sum() and changed.mean() < (0.25 if found.way == "border" else 0.06)


def test_the_detail_lies_away_from_the_edges_and_has_its_size() -> None:
    for found in some_families(120, MOST):
        pictures = np.stack([np.asarray(draw(banner, 120, 80), int) for banner in found.banners])
        changed = np.abs(pictures - pictures[0]).sum(3).max(0) > 60
        rows, columns = np.nonzero(changed.any(1))[0], np.nonzero(changed.any(0))[0]
        if found.way == "border":
            assert columns[0] >= 0.03 * 120 and rows[0] >= 0.03 * 80
            continue
        assert 0.11 * 120 < columns[0] and columns[-1] < 0.89 * 120 and 0.11 * 80 < rows[0] and rows[-1] < 0.89 * 80
        wide = (columns[-1] - columns[0] + 1) / 120
        ring = 1.84 if found.way == "count" else 1.0
        assert 0.95 * ring * DETAIL[0] < wide < 1.2 * ring * DETAIL[1]


def test_siblings_look_alike_where_they_are_small() -> None:
    """Reduced to 40 pixels the siblings of a family are nearer to each other than to any other banner."""
    families = some_families(30)
    small = np.stack(
        [
            np.asarray(draw(banner, 120, 80).resize((40, 27), Image.Resampling.BOX), np.float32).ravel()
            for found in families
            for banner in found.banners
        ]
    )
    apart = distances(small)
    own = np.arange(len(small)) // 6
    same = own[:, None] == own[None]
    assert (np.where(same, apart, 0).max(1) < np.where(same, np.inf, apart).min(1)).all()


def test_a_larger_family_begins_with_the_smaller() -> None:
    for seed in range(40):
        seven, six = (family(np.random.default_rng([75, seed]), size) for size in (7, 6))
        assert seven.way == six.way and seven.banners[:6] == six.banners


@pytest.mark.parametrize("size", [1, MOST + 1])
def test_impossible_sizes_are_told(size: int) -> None:
    with pytest.raises(ValueError, match="ask for 2 to 8"):
        family(np.random.default_rng(0), size)
