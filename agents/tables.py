"""Tables as text, for the screen and for Markdown. Plain functions, no dependency."""

from __future__ import annotations

from collections.abc import Sequence

Cell = str | int | float | None


def cell(value: Cell, digits: int = 2) -> str:
    """One value as text: floats rounded, None as a dash.

    >>> cell(0.5), cell(None), cell(12)
    ('0.50', '-', '12')
    """
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 2) -> str:
    """Aligns columns for a terminal: the first to the left, the others to the right.

    >>> print(text_table(["policy", "accuracy"], [["direct", 0.1], ["oracle", 1.0]]))
    policy  accuracy
    ------  --------
    direct      0.10
    oracle      1.00
    """
    lines = [list(header), *([cell(value, digits) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(text.ljust(width) if column == 0 else text.rjust(width) for column, (text, width) in enumerate(pairs))
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 2) -> str:
    """The same table in Markdown.

    >>> print(markdown_table(["policy", "accuracy"], [["a|b", None]]))
    | policy | accuracy |
    |---|---:|
    | a\\|b | - |
    """
    lines = [list(header), *([cell(value, digits) for value in row] for row in rows)]
    texts = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]
    return "\n".join([texts[0], "|---|" + "---:|" * (len(header) - 1), *texts[1:]])
