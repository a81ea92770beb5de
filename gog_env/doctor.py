"""Says whether a published benchmark can be played from a folder: what was found, what is missing, what is broken.

    python -m gog_env.doctor --benchmark fvqa --data data/FVQA --part test
    python -m gog_env.doctor --benchmark fvqa --data data/FVQA --quick               # decodes no picture
    python -m gog_env.doctor --benchmark fvqa --data data/FVQA --json fvqa.json      # the report, for --without

Decisions: it reads with the reader that evaluation uses, so that what it counts is what is played; every picture is
decoded, since one that cannot be would stop an evaluation after hours; rows that are left out are grouped by reason,
with examples; every gold answer is scored by its own rule. Exit status: 0 if all tasks that were read can be played, 1
if there are none or a picture is broken. `--without fvqa.json` of the commands of `agents` leaves those tasks out.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from gog_env.actions import MAX_TEXT
from gog_env.benchmarks import NAMES, read_benchmark, reader
from gog_env.benchmarks.folder import contents
from gog_env.scoring import score
from gog_env.task import Skipped, Task, Tasks
from index.errors import TaskError, cli
from index.progress import watched

_EXAMPLES = 3
#: What readers say of rows that lack a picture (`lacks_picture`); all else that they say is about words.
_PICTURELESS = re.compile(
    r"\bpicture\b|\bno file\b|nothing in column|holds nothing|is empty$|address|leaves the folder|not a picture|base64"
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")  # ids and contents, which may hold any of these words
_CHANGING = re.compile(r"\S*[\d/]\S*|\S+\.(?:png|jpe?g|webp|gif|bmp|tiff?)\b", re.IGNORECASE)


def examine(name: str, data: str | Path, part: str | None = None, quick: bool = False) -> dict[str, Any]:
    """Looks at a benchmark's folder.

    Args:
        name: one of `gog_env.benchmarks.NAMES`.
        data: the folder, or the one file that is meant.
        part: which part; None for the first.
        quick: decode no picture.

    Returns:
        The report, as JSON has it: `benchmark`, `part`, `parts`, `data`, `files` (see `gog_env.benchmarks.folder`),
        `problem` (why nothing can be read, or None), `playable`, and where it could be read `rows`, `tasks`,
        `unusable` (reason, count, examples), `pictures`, `answers`, `counts` (rules, splits, kinds), `gold`.

    Raises:
        TaskError: there is no such benchmark.
    """
    module = reader(name)
    part = part or module.PARTS[0]
    report: dict[str, Any] = {"benchmark": name, "part": part, "parts": list(module.PARTS), "data": str(data)}
    report["files"] = contents(Path(data), module) if Path(data).exists() else []
    report |= {"problem": None, "playable": False}
    try:
        tasks = read_benchmark(name, data, part)
    except TaskError as error:
        return report | {"problem": " ".join(str(error).split())}
    report |= {"rows": len(tasks) + len(tasks.skipped), "tasks": len(tasks), "unusable": _unusable(tasks.skipped)}
    report["pictures"] = pictures = _pictures(tasks, quick)
    report |= {"answers": _answers(tasks), "counts": _counts(tasks), "gold": _gold(tasks)}
    return report | {"playable": bool(len(tasks)) and not pictures["broken"]}


def without(report: str | Path, tasks: Tasks) -> Tasks:
    """Leaves out the tasks whose pictures a doctor's report calls broken.

    Args:
        report: the file that `--json` wrote.
        tasks: of the same benchmark.

    Raises:
        TaskError: it is no such report, of another benchmark or part, one of `--quick`, or no task is left.
    """
    try:
        found = json.loads(Path(report).read_text(encoding="utf-8"))
        name, checked, broken = found["benchmark"], found["pictures"]["checked"], found["pictures"]["broken"]
        reasons = {one["id"]: one["reason"] for one in broken}
    except (OSError, ValueError, KeyError, TypeError):
        raise TaskError(f"{report} is no report of python -m gog_env.doctor --json; name one of these tasks") from None
    if not checked:
        raise TaskError(f"{report} is of --quick, which decodes no picture; run the doctor again without it")
    if strange := [task_id for task_id in reasons if task_id not in {task.id for task in tasks}]:
        raise TaskError(f"{report} ({name}) is about other tasks, such as {strange[0]!r}; name the report of these")
    kept = [task for task in tasks if task.id not in reasons]
    if not kept:
        raise TaskError(f"{tasks.source}: {report} leaves no task; get the pictures again")
    gone = [Skipped(row, task.id, reasons[task.id]) for row, task in enumerate(tasks) if task.id in reasons]
    return Tasks(kept, [*tasks.skipped, *gone], tasks.source)


def lacks_picture(reason: str) -> bool:
    """Whether a row was left out for want of a picture, by what its reader says.

    >>> lacks_picture("no file a.jpg of the address https://x/a.jpg"), lacks_picture("task 'a' has no `answers`")
    (True, False)
    """
    return bool(_PICTURELESS.search(_QUOTED.sub("", reason)))


def _unusable(skipped: Sequence[Skipped]) -> list[dict[str, Any]]:
    groups: dict[str, list[Skipped]] = {}
    for one in skipped:
        said = _CHANGING.sub("…", one.reason.replace(repr(one.id), "…").replace(one.id, "…"))
        groups.setdefault(re.sub(r"…(?: …)+", "…", said).replace(" of task …", ""), []).append(one)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [
        {"reason": rows[0].reason if len(rows) == 1 else reason, "count": len(rows)}
        | {"picture": lacks_picture(rows[0].reason), "ids": [row.id for row in rows[:_EXAMPLES]]}
        for reason, rows in largest
    ]


def _pictures(tasks: Tasks, quick: bool) -> dict[str, Any]:
    lacking = sum(lacks_picture(one.reason) for one in tasks.skipped)
    found: dict[str, Any] = {"rows with one": len(tasks) + len(tasks.skipped) - lacking, "checked": not quick}
    sizes, broken = [], []
    for task in watched([] if quick else tasks, "pictures", len(tasks), "picture"):
        try:
            sizes.append(task.picture().size)
        except TaskError as error:
            broken.append({"id": task.id, "reason": str(error).removeprefix(f"task {task.id!r}: ")})
    found |= {"decoded": None if quick else len(sizes), "broken": broken}
    if sizes:
        sizes.sort(key=lambda size: size[0] * size[1])
        found["sizes"] = {"smallest": sizes[0], "median": sizes[len(sizes) // 2], "largest": sizes[-1]}
    return found


def _answers(tasks: Iterable[Task]) -> dict[str, Any]:
    aliases = [len(task.answers) for task in tasks]
    return {
        "fewest": min(aliases),
        "median": median(aliases),
        "most": max(aliases),
        "longest gold": max(len(task.answers[0]) for task in tasks),
        "longest question": max(len(task.question) for task in tasks),
        "with range": sum(task.span is not None for task in tasks),
        "with choices": sum(bool(task.choices) for task in tasks),
        "with evidence": sum(bool(task.evidence) for task in tasks),
        "with regions": sum(bool(task.regions) for task in tasks),
    }


def _counts(tasks: Sequence[Task]) -> dict[str, dict[str, int]]:
    named = {name: Counter(getattr(task, name) for task in tasks) for name in ("rule", "split", "kind")}
    return {name: dict(sorted(found.items(), key=lambda one: (-one[1], one[0]))) for name, found in named.items()}


def _gold(tasks: Iterable[Task]) -> dict[str, Any]:
    """Tasks that nobody earns whole by what they call right: to no such answer their own rule gives its full score."""
    failing = [
        task.id
        for task in tasks
        if not any(len(answer) <= MAX_TEXT and score(answer, task.gold) == 1.0 for answer in task.answers)
    ]
    return {"failing": len(failing), "ids": failing[:_EXAMPLES]}


def lines(report: dict[str, Any]) -> Iterator[str]:
    """A report for a person to read, line by line."""
    others = ", ".join(name for name in report["parts"] if name != report["part"])
    yield f"{report['benchmark']}, part {report['part']}{f' (others: {others})' if others else ''}: {report['data']}"
    for file in report["files"]:
        size = "" if file.get("rest") else _size(file["bytes"])
        yield f"  {size:>9}  {file['name']}{file['what'] and '  ' + file['what']}"
    if report["problem"]:
        yield f"not playable: {report['problem']}"
        return
    left_out = report["rows"] - report["tasks"]
    yield f"rows      {report['rows']:,}: {report['tasks']:,} tasks, {left_out:,} unusable"
    for group in report["unusable"]:
        more = ", ..." if group["count"] > len(group["ids"]) else ""
        yield f"  {group['count']:>7,}  {group['reason']}  ({', '.join(group['ids'])}{more})"
    yield from _picture_lines(report["pictures"], report["tasks"])
    answers = report["answers"]
    yield (
        f"answers   {answers['fewest']} to {answers['most']} a task, median {answers['median']:g}; longest gold answer "
        f"{answers['longest gold']:,} characters, longest question {answers['longest question']:,}"
    )
    also = [f"{count:,} {name}" for name, count in answers.items() if name.startswith("with ") and count]
    if also:
        yield f"          {', '.join(also)}"
    for name, found in report["counts"].items():
        shown = [f"{value or 'none said'} {count:,}" for value, count in found.items()]
        rest = f", and {len(shown) - 8} more" if len(shown) > 8 else ""
        yield f"{ {'rule': 'scored by', 'split': 'splits', 'kind': 'kinds'}[name]:<10}{', '.join(shown[:8])}{rest}"
    if report["gold"]["failing"]:
        count, ids = report["gold"]["failing"], ", ".join(report["gold"]["ids"])
        why = "none of their own answers counts in full, or all are too long"
        yield f"gold      {count:,} tasks cannot be earned whole: {why} ({ids})"
    if report["playable"]:
        yield "playable" + (
            "" if report["pictures"]["checked"] else " as far as it was looked at: no picture was decoded"
        )
    else:
        yield "not playable as it is: a broken picture stops a run; get it again, or write --json FILE, for --without"


def _picture_lines(pictures: dict[str, Any], tasks: int) -> Iterator[str]:
    text = f"pictures  {pictures['rows with one']:,} rows carry one"
    if pictures["checked"]:
        text += f"; {pictures['decoded']:,} of {tasks:,} tasks' decode"
    if "sizes" in pictures:
        smallest, middle, largest = ("{}x{}".format(*size) for size in pictures["sizes"].values())
        text += f"; {smallest} to {largest}, median {middle}"
    yield text
    for one in pictures["broken"][:10]:
        yield f"  broken   {one['id']}: {one['reason']}"
    if len(pictures["broken"]) > 10:
        yield f"  broken   and {len(pictures['broken']) - 10:,} more"


def _size(count: float | None) -> str:
    if count is None:
        return "missing"
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.doctor",
        description="Say whether a published benchmark can be played from a folder; exit status 0 if so, 1 if not.",
        epilog="example: python -m gog_env.doctor --benchmark fvqa --data data/FVQA --part test",
    )
    parser.add_argument(
        "--benchmark", required=True, choices=NAMES, metavar="NAME", help=f"which set: {', '.join(NAMES)}"
    )
    parser.add_argument("--data", metavar="DIR", required=True, help="folder of its published files, or the one file")
    parser.add_argument("--part", help="which part of it (default: the first that the report names)")
    parser.add_argument("--quick", action="store_true", help="decode no picture")
    parser.add_argument("--json", metavar="FILE", help="write the report there too")
    options = parser.parse_args(argv)
    if options.json and (Path(options.json).is_dir() or not Path(options.json).absolute().parent.is_dir()):
        raise TaskError(f"--json {options.json} cannot be written: name a file in a folder that is there")
    logging.getLogger("gog_env.benchmarks").setLevel(logging.ERROR)  # what it would say of rows is in the report
    report = examine(options.benchmark, options.data, options.part, options.quick)
    print("\n".join(lines(report)))
    if options.json:
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        try:
            Path(options.json).write_text(text, encoding="utf-8")
        except OSError as error:
            raise TaskError(f"--json {options.json} cannot be written: {error.strerror or error}") from None
    return 0 if report["playable"] else 1


if __name__ == "__main__":
    cli(main)
