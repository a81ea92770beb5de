"""What the commands' options accept as whole numbers: types for argparse, with a message that says what is right."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return value

    return read


natural = _whole(0)
"""A whole number of at least 0, such as a seed."""
positive = _whole(1)
"""A whole number of at least 1, such as a number of steps."""
several = _whole(2)
"""A whole number of at least 2, such as the size of a group."""
