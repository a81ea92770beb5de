"""What the pictures of pages are made with: how a page is opened, what is cut from it, how it is written.

Decisions: pages are laid out 1024 pixels wide and taken at 1.25 of that, 1280, so that their text can be read where a
picture is shown smaller; phones have 360 pixels, taken at 1.5, and several of their screens lie side by side instead of
one strip that is a mile long. A picture has at most 256 colours, a fraction of the bytes, and appears under its name
when it is complete.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from index.errors import GoGError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, PHONE = {"width": 1024, "height": 900}, {"width": 360, "height": 760}
FINE, PHONE_FINE = 1.25, 1.5
"""Pixels of a picture for one of the page's."""
PATIENCE = 300_000
"""Milliseconds that a page may take on a busy machine."""
COLOURS = 256
_KEPT, _FLAT = 64, 0.0005
"""So many colours at most are kept as they are, those that cover a larger share: grounds and lines of the page."""
_GAP, _GROUND = 24, (222, 219, 211)
_SCROLL = "(at) => scrollTo(0, at ? document.querySelector(at).getBoundingClientRect().top + scrollY - 12 : 0)"


def opened(running: Browser, address: str, phone: bool = False, height: int | None = None) -> Page:
    """A page of its own, on a screen or a phone, light, without movement.

    Args:
        running: the browser.
        address: what to open.
        phone: narrow, and touched.
        height: of the screen instead of the usual one: whatever lies within is drawn without scrolling.
    """
    size = dict(PHONE if phone else WIDE)
    options: dict[str, Any] = {"device_scale_factor": PHONE_FINE if phone else FINE}
    options |= {"has_touch": True, "is_mobile": True} if phone else {}
    context = running.new_context(
        viewport={"width": size["width"], "height": height or size["height"]},
        reduced_motion="reduce",
        color_scheme="light",
        **options,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(address)
    return page


def still(page: Page) -> None:
    """Nothing has the focus, nothing is on its way."""
    page.evaluate("() => document.activeElement?.blur()")
    page.wait_for_load_state("networkidle")
    page.evaluate("() => document.fonts.ready.then(() => true)")


def whole(page: Page, bottom: float | None = None) -> Image.Image:
    """The page from its top, to its end or to so many of its pixels."""
    still(page)
    page.evaluate("() => scrollTo(0, 0)")
    if bottom is None:
        return _read(page.screenshot(full_page=True))
    size = page.viewport_size
    assert size is not None
    return _read(page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": size["width"], "height": bottom}))


def part(page: Page, selector: str, margin: float = 0) -> Image.Image:
    """What the elements cover that a selector names, and so many pixels of the page around it.

    Raises:
        GoGError: the page has no such element, or none that can be seen.
    """
    still(page)
    page.evaluate("() => scrollTo(0, 0)")
    boxes = [box for one in page.locator(selector).all() if (box := one.bounding_box()) is not None]
    if not boxes:
        raise GoGError(f"the page has no {selector} that could be taken a picture of")
    left, top = (max(0.0, min(box[side] for box in boxes) - margin) for side in ("x", "y"))
    right = max(box["x"] + box["width"] for box in boxes) + margin
    bottom = max(box["y"] + box["height"] for box in boxes) + margin
    clip: Any = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    return _read(page.screenshot(full_page=True, clip=clip))


def screens(page: Page, selectors: Sequence[str]) -> list[Image.Image]:
    """What a screen shows, scrolled to one element after the other; the empty selector is the top."""
    still(page)
    taken = []
    for selector in selectors:
        for _ in range(2):  # what lies out of sight has its height guessed until it comes near
            page.evaluate(_SCROLL, selector)
            page.wait_for_timeout(200)
        taken.append(_read(page.screenshot()))
    return taken


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row, as high as the highest, on a quiet ground."""
    width = sum(one.width for one in pictures) + _GAP * (len(pictures) + 1)
    made = Image.new("RGB", (width, max(one.height for one in pictures) + 2 * _GAP), _GROUND)
    left = _GAP
    for one in pictures:
        made.paste(one, (left, _GAP))
        left += one.width + _GAP
    return made


def few_colours(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours: those that cover most of it as they are, the others by maximum coverage and k-means.

    Of Pillow's ways these two gave the smallest files and the smallest errors on these pages, but bend pale grounds.
    It is not dithered, which doubles the bytes and blurs the letters.
    """
    picture = picture.convert("RGB")
    codes = np.asarray(picture).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, counts = np.unique(codes, return_counts=True)
    order = np.argsort(counts, kind="stable")[::-1][:_KEPT]
    kept = [int(found[place]) for place in order if counts[place] > _FLAT * codes.size]
    others = picture.quantize(COLOURS - len(kept), method=Image.Quantize.MAXCOVERAGE, kmeans=4)
    palette = (others.getpalette() or [])[: 3 * (COLOURS - len(kept))]
    places = np.array(others)
    for place, code in enumerate(kept, start=len(palette) // 3):
        places[codes == code] = place
    made = Image.fromarray(places).convert("P")
    made.putpalette([*palette, *(edge for code in kept for edge in (code >> 16, code >> 8 & 255, code & 255))])
    return made


def save(picture: Image.Image, path: Path) -> None:
    """Writes a picture as PNG of few colours, whole or not at all, and says how large it is.

    Raises:
        GoGError: it cannot be written there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        few_colours(picture).save(beside, format="PNG", optimize=True)
        os.replace(beside, path)
    except OSError as error:
        raise GoGError(
            f"{path} cannot be written ({error.strerror or error}); name an --out that you may write to"
        ) from None
    finally:
        if beside.exists():
            beside.unlink()
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1024:.0f} KiB")


def _read(taken: bytes) -> Image.Image:
    return Image.open(io.BytesIO(taken)).convert("RGB")
