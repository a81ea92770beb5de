"""Opening a folder that may be replaced at any moment: the old one or the new one, whole, never parts of both.

A folder is exchanged in one step or, where the system cannot, by two renames; then the old one is deleted
(`index.working`). Who opens it at that moment may find no folder, files that disappear, or files of both. So what was
opened counts only if the folder is still the same one afterwards; otherwise it is opened again. What fails in a folder
that nobody exchanged has really failed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from index.errors import GoGError, IntegrityError
from index.seal import MANIFEST
from index.working import working_folder

T = TypeVar("T")

TRIES = 100
"""How often a folder is opened that is replaced every time; with pauses of `PAUSE` seconds."""
PAUSE = 0.05
_ONE = threading.RLock()
"""Threads open one after the other: NumPy reads headers of files by Python's parser, which up to 3.11 can fail with
"AST constructor recursion depth mismatch" when several threads are in it; and checking needs memory."""


def whole(path: Path, open_folder: Callable[[Path], T]) -> T:
    """Opens a folder as it was at one moment.

    Args:
        path: the folder.
        open_folder: opens it; may be called several times.

    Raises:
        GoGError: whatever `open_folder` raises while nobody replaces the folder, or somebody replaces it all the time.
    """
    for tried in range(TRIES):
        if tried:
            time.sleep(PAUSE)
        with _ONE:
            before = _identity(path)
            try:
                opened = open_folder(path)
            except (GoGError, OSError):
                if tried == TRIES - 1 or not _exchanged(path, before):
                    raise
            else:
                if _identity(path) == before:
                    return opened
    raise IntegrityError(f"index {path} was replaced {TRIES} times while it was opened; open it when that has ended")


def _identity(path: Path) -> tuple[int, ...] | None:
    """Names this folder and its manifest, and no other that ever lay there; None where there is no folder.

    Numbers of deleted files are given out again, and copies keep the time of change of their content, but not `ctime`.
    """
    try:
        folder = path.stat()
    except OSError:
        return None
    try:
        manifest = (path / MANIFEST).stat()
    except OSError:
        return folder.st_dev, folder.st_ino
    return folder.st_dev, folder.st_ino, manifest.st_ino, manifest.st_ctime_ns


def _exchanged(path: Path, before: tuple[int, ...] | None) -> bool:
    """True where another folder lies there now, or the old one has been moved aside and its successor is on its way."""
    moved = (working_folder(path) / "old").exists()  # looked for first: then the successor comes
    return _identity(path) != before or (before is None and moved)
