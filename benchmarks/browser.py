"""A real Chromium without a window, for tests of pages and for their screenshots.

    with browser() as chromium:
        chromium.new_page().goto("http://127.0.0.1:8010/")

Playwright drives a Chromium that is installed already (`apt-get install chromium`); nothing is downloaded. GOG_CHROMIUM
names one that is called or lies otherwise. Needs the extra `browser`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from index import extras
from index.errors import GoGError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find() -> Path:
    """Where Chromium is.

    Raises:
        GoGError: it is not there, or what drives it is not installed; says what to do.
    """
    extras.need("playwright", extra="browser")
    named = os.environ.get("GOG_CHROMIUM")
    for name in (named,) if named else NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise GoGError(
        f"GOG_CHROMIUM is {named}, which cannot be run; name a Chromium" if named
        else "no Chromium is installed; apt-get install chromium, or name one in GOG_CHROMIUM"
    )  # fmt: skip


@contextmanager
def browser(options: Sequence[str] = (), fonts: Path | None = None) -> Iterator[Browser]:
    """A running Chromium, ended with the block.

    Args:
        options: more of its command line's.
        fonts: a folder whose fonts stand in for the system's wherever a page asks for those (by fontconfig).

    Raises:
        GoGError: as `find`.
    """
    path = find()
    from playwright.sync_api import sync_playwright

    root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = [*(["--no-sandbox"] if root else []), "--force-color-profile=srgb", *options]
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="gog-fonts-") as made:
        known: dict[str, str | float | bool] = dict(os.environ)
        if fonts is not None:
            file = Path(made) / "fonts.conf"
            file.write_text(_fontconfig(fonts.resolve()), encoding="utf-8")
            known["FONTCONFIG_FILE"] = str(file)
        running = playwright.chromium.launch(executable_path=path, args=arguments, env=known)
        try:
            yield running
        finally:
            running.close()


def _fontconfig(fonts: Path) -> str:
    """What tells fontconfig to take these fonts first, and the system's for letters that they lack."""
    first = sorted({name.split("-")[0] for name in (one.stem for one in fonts.glob("*.ttf"))})
    listed = "".join(f"<string>{escape(name)}</string>" for name in first)
    rules = "".join(
        f'<match target="pattern"><test name="family"><string>{family}</string></test>'
        f'<edit name="family" mode="prepend" binding="strong">{listed}</edit></match>'
        for family in ("sans", "sans-serif", "system-ui")
    )
    return (
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f"<dir>{escape(str(fonts))}</dir>{rules}</fontconfig>"
    )
