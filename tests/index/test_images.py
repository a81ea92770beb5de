"""Decoding and the arithmetic of boxes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from index import images
from index.errors import SourceError

unit = st.floats(0, 1, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x0, x1 = sorted(draw(st.tuples(unit, unit).filter(lambda pair: abs(pair[0] - pair[1]) > 1e-9)))
    y0, y1 = sorted(draw(st.tuples(unit, unit).filter(lambda pair: abs(pair[0] - pair[1]) > 1e-9)))
    return (x0, y0, x1, y1)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind, **options)
    return data.getvalue()


@given(boxes(), st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_a_crop_has_pixels_and_lies_where_the_box_says(box, size):
    width, height = size
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.uint8)
    picture = Image.fromarray(np.dstack([grid, np.zeros((height, width), np.uint8)]))
    cut = np.asarray(images.crop(picture, box))
    assert cut.shape[0] >= 1 and cut.shape[1] >= 1
    left, top = cut[0, 0, :2]
    right, bottom = cut[-1, -1, :2] + 1
    for edge, wanted, side in (
        (left, box[0], width),
        (right, box[2], width),
        (top, box[1], height),
        (bottom, box[3], height),
    ):
        assert abs(float(edge) - wanted * side) <= 1.0
    assert images.crop(picture, (0, 0, 1, 1)).size == size


@given(boxes(), st.floats(0.01, 20))
def test_growing_keeps_the_picture_and_the_centre(box, factor):
    grown = images.grow(box, factor)
    assert images.check_box(grown) == grown
    if factor >= 1:
        assert grown[0] <= box[0] + 1e-9 and grown[2] >= box[2] - 1e-9
    inner = images.grow((0.4, 0.45, 0.6, 0.55), min(factor, 1.5))
    assert abs((inner[0] + inner[2]) / 2 - 0.5) < 1e-9 and abs((inner[1] + inner[3]) / 2 - 0.5) < 1e-9


@given(boxes(), st.floats(0, 0.49), st.integers(0, 2**32 - 1))
def test_jitter_is_seeded_bounded_and_valid(box, amount, seed):
    moved = images.jitter(box, amount, np.random.default_rng([seed]))
    assert moved == images.jitter(box, amount, np.random.default_rng([seed]))
    width, height = box[2] - box[0], box[3] - box[1]
    for place, side in ((0, width), (1, height), (2, width), (3, height)):
        assert abs(moved[place] - box[place]) <= amount * side + 1e-9
    assert images.check_box(moved) == moved


@given(boxes(), boxes())
def test_iou_is_symmetric_and_one_only_for_the_same_box(first, second):
    value = images.iou(first, second)
    assert 0 <= value <= 1 and value == images.iou(second, first)
    assert images.iou(first, first) == pytest.approx(1.0)


def test_iou_of_known_boxes():
    assert images.iou((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert images.iou((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)) == 0.0


@pytest.mark.parametrize(
    "box",
    [
        None, 3, "0,0,1,1", "1111", {"x": 1}, [0, 0, 1], [0, 0, 1, 1, 1], [0, 0, 1, None], [0, 0, 1, "1"],
        [True, 0, 1, 1], [0, 0, float("nan"), 1], [0, 0, float("inf"), 1], [-0.1, 0, 1, 1], [0, 0, 1.2, 1],
        [0.5, 0, 0.5, 1], [0.6, 0, 0.5, 1], [0, 0, 448, 336], [0, 0, 10**400, 1],
    ],
)  # fmt: skip
def test_a_bad_box_is_refused_in_one_line(box):
    with pytest.raises(ValueError) as caught:
        images.check_box(box)
    assert "box" in str(caught.value) and "\n" not in str(caught.value)


def test_what_rounding_pushes_past_the_edge_is_clipped():
    assert images.check_box([0, -1e-9, 1 + 1e-9, 1]) == (0.0, 0.0, 1.0, 1.0)
    assert images.check_box(np.array([0.1, 0.2, 0.3, 0.4])) == (0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize("size", [50, (80, 50), (10, 300)])
def test_letterbox_keeps_proportions_and_says_where_the_picture_is(size):
    canvas, place = images.letterbox(Image.new("RGB", (40, 20), "red"), size, fill=(0, 0, 255))
    assert canvas.size == ((size, size) if isinstance(size, int) else size)
    inside = np.asarray(images.crop(canvas, place))
    assert (inside == (255, 0, 0)).all()
    assert inside.shape[1] / inside.shape[0] == pytest.approx(2, rel=0.1)
    assert (np.asarray(canvas) == (0, 0, 255)).all(axis=-1).sum() == canvas.width * canvas.height - inside[:, :, 0].size


def test_every_mode_becomes_rgb_and_transparency_is_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    for data in (encoded(clear, "PNG"), encoded(clear, "WEBP", lossless=True)):
        opened = images.open_picture(data)
        assert (
            opened.mode == "RGB"
            and opened.getpixel((3, 3)) == (255, 255, 255)
            and opened.getpixel((0, 0)) == (255, 0, 0)
        )
    grey16 = Image.fromarray(np.full((3, 3), 128 * 256, np.uint16))
    assert images.open_picture(encoded(grey16, "PNG")).getpixel((1, 1)) == (128, 128, 128)
    for mode in ("1", "L", "P", "CMYK", "LA"):
        kind = "TIFF" if mode == "CMYK" else "PNG"
        assert images.open_picture(encoded(Image.new(mode, (3, 5)), kind)).size == (3, 5)


def test_exif_turns_the_picture():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    data = encoded(Image.new("RGB", (30, 10), "red"), "JPEG", exif=exif)
    assert images.open_picture(data).size == (10, 30)


def test_a_picture_hash_is_of_pixels_not_of_files(rng):
    picture = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    digests = {images.picture_hash(images.open_picture(encoded(picture, kind))) for kind in ("PNG", "BMP", "TIFF")}
    assert digests == {images.picture_hash(picture)}
    assert images.picture_hash(picture.transpose(Image.Transpose.TRANSPOSE)) not in digests
    assert images.picture_hash(picture.crop((0, 0, 6, 9))) not in digests


def test_damaged_and_dangerous_files_are_source_errors(tmp_path, monkeypatch):
    good = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "PNG")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n showpage\n%%EOF\n"
    for data in (b"", b"hello", good[: len(good) // 2], good[:20], eps, b"\x89PNG\r\n\x1a\n" + b"\0" * 50):
        with pytest.raises(SourceError, match="^a picture: "):
            images.open_picture(data, "a picture")
    with pytest.raises(SourceError, match="no such picture"):
        images.open_picture(tmp_path / "missing.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 64 * 64 - 1)
    with pytest.raises(SourceError, match="64x64 pixels are more than"):
        images.open_picture(good)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe0", b"II*\0", b"BM"]),
)
def test_no_bytes_raise_anything_but_a_source_error(data, magic):
    try:
        assert images.open_picture(magic + data).mode == "RGB"
    except SourceError as error:
        assert "\n" not in str(error)
