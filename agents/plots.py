"""Plots of runs for papers and READMEs, from what the runs saved: learning curves and accuracies with intervals.

    python -m agents.plots runs/rl runs/evaluate --out plots               # PNG, PDF and SVG of each
    python -m agents.plots before=runs/rl-0 after=runs/rl-1 --out plots --format pdf --width 3.3

Decisions: figures and intervals are those of the report and of `agents.compare`, and so are colours, which can be told
apart by the colour-blind and in grey by their marks. matplotlib draws, in the extra `plots`, without a screen. Fonts
stay text in PDF and SVG; no dates are written, so that the same runs give the same files. All files of a call are
written, or none: they are drawn first.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.measures import CALLS
from agents.options import above_zero
from agents.report.curves import smoothed, window
from agents.report.figures import figures
from agents.report.runs import Runs, Training, read_runs
from index.errors import ModelError, TaskError, cli

FORMATS = ("png", "pdf", "svg")
COLOURS = ("#0072b2", "#d55e00", "#008a65", "#b5588f", "#b07a00", "#56b4e9", "#6b5bb5", "#5c6370")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_CURVES = (
    ("reward", "reward", True),
    ("episode/accuracy", "accuracy", True),
    ("episode/evidence_hit", "evidence found", True),
    ("loss", "loss", False),
    ("mean_token_accuracy", "token accuracy", True),
)
_CALLS = (("glance", "#e69f00", ""), ("gaze", "#0072b2", "//"), ("search", "#8a8f98", ".."))
_STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e1da",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "text.parse_math": False,  # names of runs and kinds may hold a $
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "glance-or-gaze",
    "savefig.dpi": 200,
}


def library() -> Any:
    """`matplotlib.figure`, which draws without a screen and leaves the caller's `pyplot` alone.

    Raises:
        ModelError: matplotlib is not installed; names the extra.
    """
    try:
        from matplotlib import figure
    except ImportError:
        raise ModelError("plots need matplotlib; pip install 'glance-or-gaze[plots]'") from None
    return figure


def drawn(runs: Runs, width: float = 6.8) -> dict[str, Any]:
    """The plots that the runs have something for.

    Args:
        runs: what `agents.report.runs.read_runs` found.
        width: of a plot, in inches; 3.3 is a column of a two-column paper, 6.8 its page.

    Returns:
        matplotlib figures by name: `learning_curves`, `calls_curves`, `accuracy`, `accuracy_by_kind`, `calls`.
    """
    figure = library()
    import matplotlib

    made: dict[str, Any] = {}
    with matplotlib.rc_context(_STYLE):
        curves = [(key, said, share) for key, said, share in _CURVES if any(one.series(key) for one in runs.trainings)]
        if curves:
            made["learning_curves"] = _curves(figure, runs.trainings, curves, width)
        calls = [(f"calls/{name}", f"{name} calls", False) for name in CALLS]
        if any(one.series(key) for one in runs.trainings for key, *_ in calls):
            made["calls_curves"] = _curves(figure, runs.trainings, calls, width)
        if runs.evaluations:
            found = figures(runs.evaluations, {})
            made["accuracy"] = _accuracy(figure, found["policies"], width)
            made["accuracy_by_kind"] = _by_kind(figure, found, width)
            made["calls"] = _calls(figure, found["policies"], width)
    return made


def _grid(figure: Any, count: int, width: float, height: float) -> tuple[Any, list[Any]]:
    """A figure with so many fields, as many beside one another as have 2 inches each."""
    columns = max(1, min(count, int(width // 2)))
    rows = -(-count // columns)
    made = figure.Figure(figsize=(width, height * rows), layout="constrained")
    fields = list(made.subplots(rows, columns, squeeze=False).flat)
    for empty in fields[count:]:
        empty.set_axis_off()
    return made, fields[:count]


def _curves(figure: Any, trainings: Sequence[Training], curves: Sequence[tuple[str, str, bool]], width: float) -> Any:
    """Logged numbers over the steps: faint as logged, strong smoothed as in the report."""
    made, fields = _grid(figure, len(curves), width, 1.9)
    for field, (key, said, share) in zip(fields, curves, strict=True):
        for number, one in enumerate(trainings):
            points = one.series(key)
            if not points:
                continue
            colour = COLOURS[number % len(COLOURS)]
            smooth = window(len(points)) > 1
            field.plot(*zip(*points, strict=True), color=colour, linewidth=0.7, alpha=0.35 if smooth else 1)
            if smooth:
                field.plot(*zip(*smoothed(points), strict=True), color=colour, linewidth=1.6)
            last = smoothed(points)[-1]
            field.plot(*last, color=colour, marker=_MARKS[number % len(_MARKS)], markersize=4, label=one.name)
        field.set_title(said, loc="left")
        field.set_xlabel("step")
        if share and all(0 <= value <= 1 for one in trainings for _, value in one.series(key)):
            field.set_ylim(0, 1)
        elif key.startswith("calls/"):
            field.set_ylim(0, 1.05 * max((value for one in trainings for _, value in one.series(key)), default=0) or 1)
    if len(trainings) > 1:
        handles, labels = _legend(fields)
        made.legend(handles, labels, loc="outside upper left", ncols=min(4, len(labels)))
    return made


def _legend(fields: Sequence[Any]) -> tuple[list[Any], list[str]]:
    """Each label once, whichever field has it."""
    found: dict[str, Any] = {}
    for field in fields:
        for handle, label in zip(*field.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return list(found.values()), list(found)


def _accuracy(figure: Any, policies: Sequence[Mapping[str, Any]], width: float) -> Any:
    """Bars of accuracy with 95 % intervals, the first policy on top."""
    made = figure.Figure(figsize=(width, 0.6 + 0.28 * len(policies)), layout="constrained")
    field = made.subplots()
    stats = [one["accuracy"] for one in policies]
    places = list(range(len(policies)))
    field.barh(places, [stat["mean"] for stat in stats], height=0.62, color=COLOURS[0])
    _whiskers(field, [stat["mean"] for stat in stats], places, stats)
    for place, stat in zip(places, stats, strict=True):
        field.text(min(1.0, stat["high"]) + 0.015, place, f"{100 * stat['mean']:.1f}", va="center", fontsize=7.5)
    field.set_yticks(places, [one["name"] for one in policies])
    field.invert_yaxis()
    field.set_xlim(0, 1.1)
    field.set_xticks([0, 0.25, 0.5, 0.75, 1])
    field.grid(axis="y", visible=False)
    few, many = (pick(stat["n"] for stat in stats) for pick in (min, max))
    tasks = f"{few} to {many}" if few != many else str(many)
    field.set_xlabel(f"accuracy (95 % interval over {tasks} task{'s' * (many != 1)})")
    return made


def _whiskers(field: Any, means: Sequence[float], places: Sequence[float], stats: Sequence[Mapping[str, Any]]) -> None:
    below = [max(0.0, mean - stat["low"]) for mean, stat in zip(means, stats, strict=True)]
    above = [max(0.0, stat["high"] - mean) for mean, stat in zip(means, stats, strict=True)]
    field.errorbar(means, places, xerr=[below, above], fmt="none", ecolor="#22242a", elinewidth=0.9, capsize=2)


def _by_kind(figure: Any, found: Mapping[str, Any], width: float) -> Any:
    """A field for each kind: points with intervals, a row for each policy."""
    kinds, names = found["kinds"], [one["name"] for one in found["policies"]]
    made, fields = _grid(figure, len(kinds), width, 0.75 + 0.17 * len(names))
    for number, (field, kind) in enumerate(zip(fields, kinds, strict=True)):
        for row in kind["rows"]:
            stat, place = row["accuracy"], names.index(row["name"])
            colour = COLOURS[place % len(COLOURS)]
            field.plot([stat["low"], stat["high"]], [place, place], color=colour, linewidth=1.4, alpha=0.6)
            field.plot(stat["mean"], place, marker=_MARKS[place % len(_MARKS)], markersize=4, color=colour)
        field.set_title(f"{kind['name']} ({kind['span']})", loc="left")
        first = number % max(1, min(len(kinds), int(width // 2))) == 0
        field.set_yticks(range(len(names)), names if first else [""] * len(names))
        field.set_ylim(len(names) - 0.5, -0.5)
        field.set_xlim(-0.04, 1.04)
        field.set_xticks([0, 0.5, 1])
    return made


def _calls(figure: Any, policies: Sequence[Mapping[str, Any]], width: float) -> Any:
    """Stacked bars of the mean number of glances, gazes and searches in an episode."""
    made = figure.Figure(figsize=(width, 0.9 + 0.28 * len(policies)), layout="constrained")
    field = made.subplots()
    places, left = list(range(len(policies))), [0.0] * len(policies)
    for name, colour, hatch in _CALLS:
        values = [one["calls"][name] or 0.0 for one in policies]
        field.barh(places, values, 0.62, left, label=name, color=colour, hatch=hatch, edgecolor="#ffffff", linewidth=0)
        left = [start + value for start, value in zip(left, values, strict=True)]
    field.set_yticks(places, [one["name"] for one in policies])
    field.invert_yaxis()
    field.grid(axis="y", visible=False)
    field.set_xlabel("calls an episode")
    made.legend(loc="outside upper left", ncols=3)
    return made


def save(plots: Mapping[str, Any], out: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes plots as `OUT/NAME.FORMAT`, after all of them have been drawn.

    Args:
        plots: matplotlib figures by name, as `drawn` makes them.
        out: the folder; it is made if it is not there.
        formats: of `FORMATS`.

    Returns:
        The files, in the order of the plots.

    Raises:
        ModelError: the disk refuses, or matplotlib cannot draw a plot (of hundreds of policies, say).
    """
    import matplotlib

    drawn: dict[Path, bytes] = {}
    undated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with matplotlib.rc_context(_STYLE):
        for name, plot in plots.items():
            for form in formats:
                file = io.BytesIO()
                try:
                    plot.savefig(file, format=form, metadata=undated[form])
                except ValueError as error:
                    raise ModelError(f"{name}.{form} cannot be drawn ({error}); plot fewer runs at once") from None
                drawn[Path(out) / f"{name}.{form}"] = file.getvalue()
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        for path, data in drawn.items():
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            try:
                beside.write_bytes(data)
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"cannot write {out}: {error.strerror or error}; name another --out") from None
    return list(drawn)


def formats(text: str) -> list[str]:
    """File formats, such as "png,pdf"."""
    listed = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not listed or not set(listed) <= set(FORMATS):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of formats; choose among {', '.join(FORMATS)}")
    return listed


def inches(text: str) -> float:
    """How wide a plot may be."""
    value = above_zero(text)
    if not 1 <= value <= 40:
        raise argparse.ArgumentTypeError(f"{text} inches are no width of a plot; give 1 to 40")
    return value


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m agents.plots",
        usage="%(prog)s RUN [RUN ...] --out DIR [options]",
        description="Plots learning curves, accuracies and calls of runs, for papers and READMEs (extra: plots).",
        epilog="example: python -m agents.plots runs/rl runs/evaluate --out plots --format pdf",
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help="as of python -m agents.report; NAME=PATH renames")
    made.add_argument("--out", metavar="DIR", required=True, help="where the plots are written")
    made.add_argument(
        "--format", metavar="LIST", type=formats, default=list(FORMATS), help="of png, pdf and svg (default: all)"
    )
    made.add_argument(
        "--width", metavar="INCHES", type=inches, default=6.8, help="1 to 40 (default: %(default)s, a page)"
    )
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    options = parser().parse_args(argv)
    library()  # before anything is read
    if Path(options.out).exists() and not Path(options.out).is_dir():
        raise ModelError(f"{options.out} is a file; name a folder as --out")
    plots = drawn(read_runs(options.runs), options.width)
    if not plots:
        raise TaskError("the runs have nothing to plot: no logged numbers and no episodes")
    for path in save(plots, options.out, options.format):
        print(path)


if __name__ == "__main__":
    cli(main)
