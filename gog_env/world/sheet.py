"""A contact sheet: a page of scenes with the question, what has to be looked at, the shortest calls and the answer.

    python -m gog_env.world.sheet --out runs/sheet.png --preset world-m --split train --kind look_alike
    python -m gog_env.world.sheet --out docs/world.png      # the page in the README

Numbered frames are drawn around the gold boxes in the order in which they are to be looked at. A page goes through the
kinds of questions one by one, then again from the most common one on, and shows every setting about equally often.
Same arguments, same page.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from gog_env.actions import Search, from_dict
from gog_env.lettering import CARD, COLOURS, GOOD, GREY, INK, LINE, PAPER, SCALE, font, length, wrap, write
from gog_env.world.nations import World, make_world
from gog_env.world.presets import PRESETS
from gog_env.world.questions import KINDS, SHARES, make_task
from gog_env.world.scenes import SETTINGS
from index.errors import TaskError, cli

_WIDTH, _HEIGHT = 328, 246
_CELL_HEIGHT, _GAP, _MARGIN = 366, 18, 22
_FRAMES = (COLOURS[1], COLOURS[0], *COLOURS[2:4])
_ORDER = (*KINDS, *(kind for _, kind in sorted(zip(SHARES, KINDS, strict=True), key=lambda pair: -pair[0])))
"""The kinds as a page goes through them."""
_DRAWS = 12
"""So many tasks at most are made for a place on the page, until one has a setting that came least so far."""


def sheet(
    world: World, split: str = "heldout", columns: int = 3, rows: int = 4, kind: str | None = None, seed: int = 0
) -> Image.Image:
    """Draws a page of tasks.

    Args:
        world: whose tasks.
        split: "train" or "heldout".
        columns: how many scenes lie side by side.
        rows: how many lie above each other.
        kind: one of `questions.KINDS`; None: all in turn.
        seed: decides which.

    Returns:
        An RGB page, 346 x 384 pixels a scene and a margin.

    Raises:
        TaskError: the world has no such tasks.
    """
    if columns < 1 or rows < 1:
        raise TaskError(f"a page of {columns} x {rows} scenes is empty; give --columns and --rows of 1 or more")
    size = (2 * _MARGIN + columns * (_WIDTH + _GAP) - _GAP, 2 * _MARGIN + rows * (_CELL_HEIGHT + _GAP) - _GAP)
    page = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), PAPER)
    shown: Counter[str] = Counter()
    for place in range(columns * rows):
        wanted = kind or _ORDER[place % len(_ORDER)]
        fewest = min(shown[setting] for setting in SETTINGS)
        drawn: list[tuple[dict[str, Any], Image.Image]] = []
        while len(drawn) < _DRAWS and not any(shown[task["setting"]] == fewest for task, _ in drawn):
            drawn.append(make_task(world, split, np.random.default_rng([seed, place, len(drawn)]), wanted))
        fields, picture = min(drawn, key=lambda task: shown[task[0]["setting"]])
        shown[fields["setting"]] += 1
        row, column = divmod(place, columns)
        _card(page, _MARGIN + column * (_WIDTH + _GAP), _MARGIN + row * (_CELL_HEIGHT + _GAP), fields, picture)
    return page.reduce(SCALE)


def _card(page: Image.Image, left: float, top: float, fields: Mapping[str, Any], picture: Image.Image) -> None:
    pen = ImageDraw.Draw(page)
    box = tuple(value * SCALE for value in (left - 6, top - 6, left + _WIDTH + 6, top + _CELL_HEIGHT))
    pen.rounded_rectangle(box, 7 * SCALE, fill=CARD, outline=LINE, width=SCALE)
    scaled = picture.resize((_WIDTH * SCALE, _HEIGHT * SCALE), Image.Resampling.BICUBIC)
    page.paste(scaled, (round(left * SCALE), round(top * SCALE)))
    for number, region in enumerate(fields["regions"], start=1):
        x0, y0, x1, y1 = (edge * side for edge, side in zip(region, (_WIDTH, _HEIGHT) * 2, strict=True))
        _frame(pen, (left + x0, top + y0, left + x1, top + y1), number, top - 3)
    x, y, width = left + 6, top + _HEIGHT + 8, _WIDTH - 12
    kind = fields["kind"].replace("_", " ").upper()
    write(pen, x, y, kind, 11, _FRAMES[0], bold=True)
    x_calls = x + length(kind, 11, True) + 10
    calls, room = _calls(fields["calls"]), x + width - x_calls
    size = next((size for size in (12.0, 11.5, 11.0, 10.5) if length(calls, size) <= room), 10.0)
    write(pen, x_calls, y - 1, _fitted(calls, size, room), size, GREY)
    y += 20
    sizes = (14.0, 13.5, 13.0, 12.5, 12.0, 11.5)
    high = _CELL_HEIGHT - _HEIGHT - 60
    size = next((s for s in sizes if len(wrap(fields["question"], s, width, True)) * s * 1.28 <= high), 11.0)
    for line in wrap(fields["question"], size, width, True)[:5]:
        write(pen, x, y, line, size, INK, bold=True)
        y += size * 1.28
    write(pen, x, top + _CELL_HEIGHT - 24, _fitted(fields["answers"][0], 14, width, True), 14, GOOD, bold=True)


def _calls(calls: Sequence[Mapping[str, Any]]) -> str:
    """The shortest calls in a few words: "gaze · search “Toruna”, “Belmo”"."""
    told: list[str] = []
    for call in calls:
        action = from_dict(dict(call))
        if isinstance(action, Search) and told and told[-1].startswith("search "):
            told[-1] += f", “{action.query}”"
        else:
            told.append(f"search “{action.query}”" if isinstance(action, Search) else type(action).__name__.lower())
    return " · ".join(told) or "no search"


def _frame(pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], number: int, highest: float) -> None:
    """A numbered frame around what has to be looked at; its tag, above it, is never above `highest`."""
    x0, y0, x1, y1 = box
    color = _FRAMES[(number - 1) % len(_FRAMES)]
    for grow, width, ink in ((3.0, 4.0, "#ffffff"), (2.0, 2.0, color)):
        edges = tuple(value * SCALE for value in (x0 - grow, y0 - grow, x1 + grow, y1 + grow))
        pen.rectangle(edges, outline=ink, width=round(width * SCALE))
    y_tag = max(y0 - 18, highest)
    tag = tuple(value * SCALE for value in (x0 - 3, y_tag, x0 + 12, y_tag + 15))
    pen.rounded_rectangle(tag, 3 * SCALE, fill=color, outline="#ffffff", width=SCALE)
    middle = ((x0 + 4.5) * SCALE, (y_tag + 7.5) * SCALE)
    pen.text(middle, str(number), font=font(10.5, True), fill="#ffffff", anchor="mm")


def _fitted(text: str, size: float, width: float, bold: bool = False) -> str:
    """The text, cut with an ellipsis where it is wider."""
    if length(text, size, bold) <= width:
        return text
    while text and length(text + "…", size, bold) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def save(page: Image.Image, out: str | Path) -> Path:
    """Writes a page as PNG; colours lose their last bit, which nobody sees and which takes a sixth of the file.

    Raises:
        TaskError: `out` does not end in .png, or it cannot be written.
    """
    file = _png(out)
    page = page.point([value & 254 | value >> 7 for value in range(256)] * 3)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        page.save(file, format="PNG", optimize=True)
    except OSError as error:
        raise TaskError(
            f"{file} cannot be written ({error.strerror or error}); give another --out, in a folder you may write to"
        ) from error
    return file


def _png(out: str | Path) -> Path:
    file = Path(out).expanduser()
    if file.suffix.lower() != ".png":
        raise TaskError(f"--out {file} does not end in .png; a page is written as PNG")
    return file


def main(argv: Sequence[str] | None = None) -> None:
    """Draws a page and says where it is."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.world.sheet",
        description="Draw a page of scenes with their questions, gold boxes, shortest calls and answers.",
        epilog="example: python -m gog_env.world.sheet --kind look_alike --out runs/sheet.png",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write, ending in .png")
    parser.add_argument("--preset", choices=list(PRESETS), default="world-s", help="which world (default: world-s)")
    parser.add_argument("--split", choices=("train", "heldout"), default="heldout", help="default: heldout")
    parser.add_argument("--columns", type=int, default=3, help="scenes side by side (default: 3)")
    parser.add_argument("--rows", type=int, default=4, help="scenes above each other (default: 4)")
    kinds = ", ".join(KINDS)
    parser.add_argument("--kind", choices=KINDS, metavar="KIND", help=f"only of this: {kinds} (default: all in turn)")
    parser.add_argument("--seed", type=int, default=0, help="the world's seed: decides its nations (default: 0)")
    parser.add_argument("--task-seed", type=int, default=0, help="the tasks' seed: decides which (default: 0)")
    numbers = ", ".join(str(preset.spec.nations) for preset in PRESETS.values())
    parser.add_argument("--nations", type=int, help=f"how many nations (default: the preset's, {numbers})")
    parser.add_argument("--snapshot", type=int, default=0, help="how often capitals and rulers changed (default: 0)")
    args = parser.parse_args(argv)
    if args.task_seed < 0:
        raise TaskError(f"--task-seed {args.task_seed} is negative; give 0 or more")
    _png(args.out)
    spec = replace(PRESETS[args.preset].spec, seed=args.seed, snapshot=args.snapshot)
    world = make_world(spec if args.nations is None else replace(spec, nations=args.nations))
    page = sheet(world, args.split, args.columns, args.rows, args.kind, args.task_seed)
    file = save(page, args.out)
    print(f"wrote {file}: {page.width} x {page.height} pixels, {file.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    cli(main)
