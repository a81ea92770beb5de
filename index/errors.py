"""The few exceptions of the project, and how a command reports them.

Every message is one line that names the culprit (file, row, field) and says what to do next. A command raises one of
these; `cli` prints it as `error: …` and exits with status 2, so that a user never meets a traceback for a mistake of
input.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


class GoGError(Exception):
    """Base of all errors that this project raises on purpose."""


class SourceError(GoGError):
    """A knowledge source cannot be read: missing folder, row without `id`, duplicate ids, no usable row."""


class EncoderError(GoGError):
    """An encoder is unknown, its weights are missing, or it is not the one that an index was made with."""


class IntegrityError(GoGError):
    """A sealed index is missing files, truncated, altered or of an unknown format."""


class TaskError(GoGError):
    """Tasks cannot be read, or do not fit the index that they are asked against."""


class ModelError(GoGError):
    """A policy model cannot be loaded or cannot be used for what was asked."""


def cli(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> None:
    """Runs a command's `main`, turns `GoGError` into one line on stderr, and exits.

    Args:
        main: parses `argv` (None: the process's own) and returns an exit status or None for 0.
        argv: arguments, without the program's name.
    """
    try:
        status = main(argv) or 0
    except GoGError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
