"""Compares evaluation runs in one table that can be believed: with intervals, and with all that makes it unfair.

    python -m agents.compare runs/evaluate                                         # a folder of several policies' runs
    python -m agents.compare runs/a/glance new=runs/b/model --against glance --strict
    python -m agents.compare small=runs/seed-0/model small=runs/seed-1/model runs/a/glance --json table.json
    python -m agents.compare runs/evaluate --index my/index --tasks my/tasks       # gaze gain without glances too

Decisions: everything is computed from the trajectories (`agents.compare_figures`, `agents.official`,
`agents.gaze_gain`), by the task, so that neither the order of files nor of records matters. What differs between the
runs besides the policy is said in the foot (`agents.compare_fair`), and refused with `--strict`. Published figures
stand in a table of their own (`agents.published`). `--json` holds every figure, `--csv` the same as long rows.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents import compare_fair, compare_figures, gaze_gain, official
from agents.compare_runs import Contender, read_contenders, task_key
from agents.compare_tables import long_rows, render
from agents.options import natural, positive
from agents.published import published
from agents.settings import check_file, command_line
from gog_env.benchmarks import read_benchmark
from gog_env.task import Task
from gog_env.tasks import read_tasks
from index.errors import ModelError, TaskError, cli

FORMAT_VERSION = 1
EMBEDDED = "embedded"
_COLUMNS = ("policy", "section", "by", "part", "measure", "n", "value", "low", "high", "se")


def compare(
    contenders: Sequence[Contender],
    against: str | None = None,
    found: dict[str, gaze_gain.Found] | None = None,
    depth: int | None = None,
    beside: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """All figures of a comparison.

    Args:
        contenders: the policies, at least one.
        against: the baseline's name; None for the first.
        found: what whole pictures (and crops) return, by index, for the gaze gain.
        depth: of the gaze gain; None for what the policies read.
        beside: with the published figures of the same benchmarks.
        seed: of the bootstrap.

    Returns:
        Plain values for JSON: `about`, `against`, `common` (how many tasks all have), `notes`, `policies` (each with
        `accuracy`, `difference`, `judged`, `official`, `retrieval`, `gaze_gain`, `behaviour`, `costs`), `published`.

    Raises:
        TaskError: there is no policy of the baseline's name.
    """
    base = _baseline(contenders, against)
    several = compare_figures.several_benchmarks(contenders)
    common = compare_fair.common_tasks(contenders)
    entries = []
    for one in contenders:
        looks = gaze_gain.looks(one.records, found or {}, depth)
        entries.append(
            {
                "name": one.name,
                "runs": [str(run.path) for run in one.runs],
                "records": len(one.records),
                "accuracy": compare_figures.accuracies_of(one, several, seed),
                "difference": compare_figures.difference(one, base, several, seed) if one is not base else None,
                "judged": compare_figures.judged(one, seed),
                "official": [asdict(figure) for figure in official.official(one, seed)],
                "retrieval": compare_figures.retrieval(one, seed),
                "gaze_gain": gaze_gain.gain(looks, seed),
                "behaviour": compare_figures.behaviour(one, seed),
                "costs": compare_figures.costs(one, seed),
            }
        )
    benchmarks = {record.get("benchmark") or "" for one in contenders for record in one.records}
    return {
        "version": FORMAT_VERSION,
        "about": _about(contenders, common),
        "against": base.name,
        "common": len(common),
        "depth": depth,
        "seed": seed,
        "notes": [asdict(note) for note in compare_fair.notes(contenders)],
        "policies": entries,
        "published": [asdict(one) for one in published(benchmarks)] if beside else [],
    }


def _baseline(contenders: Sequence[Contender], against: str | None) -> Contender:
    names = [one.name for one in contenders]
    if against is not None and against not in names:
        raise TaskError(f"--against {against}: there is no such policy; choose among {', '.join(names)}")
    return contenders[names.index(against) if against is not None else 0]


def _about(contenders: Sequence[Contender], common: Sequence[str]) -> str:
    """The head of the table: how many policies and tasks, and the rules where they are the same for all."""
    records = [record for one in contenders for record in one.records]

    def same(values: Iterable[Any]) -> str:
        seen = sorted({str(value) for value in values})
        return seen[0] if len(seen) == 1 else f"{' or '.join(seen[:3])}{' ...' * (len(seen) > 3)}"

    tasks = {record["task_id"] for record in records}
    sets = sorted({record.get("benchmark") or "" for record in records} - {""})
    return (
        f"{len(contenders)} {'policies' if len(contenders) > 1 else 'policy'}, "
        f"{len(tasks)} task{'s' * (len(tasks) != 1)}"
        + (f" of {', '.join(sets)}" if sets else "")
        + (f" ({len(common)} common to all)" if len(common) < len(tasks) else "")
        + f"; index {same(record['index'][:12] for record in records)}; "
        f"{same(record['config'].get('max_turns', '?') for record in records)} turns, "
        f"{same(record['config']['hits'] for record in records)} hits; "
        f"scored by {same(record.get('rule') or 'exact' for record in records)}"
    )


def refuse_unfair(report: dict[str, Any]) -> None:
    """Raises:
    TaskError: something besides the policies differs between the runs; says all of it.
    """
    if unfair := [note["text"] for note in report["notes"] if note["unfair"]]:
        raise TaskError(
            f"--strict: not a fair table: {'; '.join(f'[{i}] {text}' for i, text in enumerate(unfair, start=1))}; "
            "evaluate all policies alike, or leave --strict out"
        )


def search_whole(
    contenders: Sequence[Contender], index: str | None, tasks: Sequence[str], benchmark: str | None, data: str | None,
    part: str | None, depth: int | None,
) -> tuple[dict[str, gaze_gain.Found], list[str]]:  # fmt: skip
    """What whole pictures return, from the runs' caches and, with an index, by searching; kept beside the runs.

    Returns:
        What was found by index, and folders in which it could not be kept.

    Raises:
        IntegrityError, TaskError: see `agents.gaze_gain.search`.
    """
    found: dict[str, gaze_gain.Found] = {}
    runs = [run for one in contenders for run in one.runs]
    for run in runs:
        gaze_gain.read_cache(run, found)
    wanted = gaze_gain.missing((record for one in contenders for record in one.records), found, depth)
    if index is None or not wanted:
        return found, []
    if index == EMBEDDED:
        from gog_env import embedded

        opened, listed = embedded.index(), [*embedded.tasks("heldout"), *embedded.tasks("train")]
    else:
        from index import KnowledgeIndex

        opened, listed = KnowledgeIndex.open(index), []
    for path in tasks:
        listed += read_tasks(path)
    if benchmark:
        listed += read_benchmark(benchmark, data or "", part)
    gaze_gain.search(contenders, found, opened, _only_needed(listed, wanted), depth)
    return found, [str(run.path) for run in runs if not gaze_gain.write_cache(run, found)]


def _only_needed(tasks: Iterable[Task], wanted: dict[str, Any]) -> list[Task]:
    needed = {one["record"]["task_id"] for one in wanted.values()}
    return [task for task in tasks if needed & {task.id, task_key(task.benchmark, task.id)}]


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="python -m agents.compare",
        usage="%(prog)s RUN [RUN ...] [options]",
        description="Compares evaluation runs: accuracy with paired differences, official figures, retrieval, gaze "
        "gain, behaviour and costs, and what makes the table unfair.",
        epilog="example: python -m agents.compare runs/evaluate --against glance",
    )
    made.add_argument(
        "runs", metavar="RUN", nargs="+", help="folder of a run or of several; NAME=PATH renames, one NAME = seeds"
    )
    made.add_argument("--against", metavar="NAME", help="baseline of the differences (default: the first run)")
    made.add_argument("--strict", action="store_true", help="refuse runs that differ in more than the policy")
    made.add_argument("--published", action="store_true", help="with papers' figures of the same benchmarks, apart")
    made.add_argument("--markdown", action="store_true", help="print in Markdown")
    made.add_argument("--json", metavar="FILE", help="write all figures")
    made.add_argument("--csv", metavar="FILE", help="write all figures as rows: policy, part, measure, value, ...")
    made.add_argument("--width", metavar="N", type=positive, default=100, help="of the screen (default: %(default)s)")
    made.add_argument("--seed", metavar="S", type=natural, default=0, help="of the bootstrap (default: %(default)s)")
    gaze = made.add_argument_group("gaze gain", "to search the whole picture where an episode has no glance")
    gaze.add_argument("--index", metavar="PATH", help=f"the runs' own index, or {EMBEDDED!r}")
    gaze.add_argument("--tasks", metavar="PATH", action="append", default=[], help="the runs' tasks; may be repeated")
    gaze.add_argument("--benchmark", metavar="NAME", help="the runs' tasks: a published set, in --data")
    gaze.add_argument("--data", metavar="DIR", help="its files")
    gaze.add_argument("--part", metavar="PART", help="of the benchmark")
    gaze.add_argument("--depth", metavar="K", type=positive, help="ranks among K documents, crops searched again")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    made = parser()
    options = made.parse_args(argv)
    if bool(options.benchmark) != bool(options.data) or (options.part and not options.benchmark):
        made.error("--benchmark NAME goes with --data DIR (and --part)")
    given = bool(options.tasks or options.benchmark)
    if given != bool(options.index) and options.index != EMBEDDED:
        made.error("--index goes with --tasks or --benchmark: pictures are the tasks'")
    for file in filter(None, (options.json, options.csv)):
        check_file(file)
    contenders = read_contenders(options.runs)
    _baseline(contenders, options.against)
    found, unkept = search_whole(
        contenders, options.index, options.tasks, options.benchmark, options.data, options.part, options.depth
    )
    report = compare(contenders, options.against, found, options.depth, options.published, options.seed)
    report["command"] = command_line("agents.compare", argv)
    if options.strict:
        refuse_unfair(report)
    print(render(report, options.markdown, options.width))
    if options.published and not report["published"]:
        print("\nNo published figures: the tasks belong to no benchmark that papers report.")
    if unkept:
        print(f"\nWhat was searched for could not be kept in {', '.join(unkept)}: it will be searched for again.")
    if options.json:
        _write(options.json, json.dumps(report, indent=2, ensure_ascii=False, sort_keys=True) + "\n")
    if options.csv:
        lines = io.StringIO()
        writer = csv.DictWriter(lines, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(long_rows(report))
        _write(options.csv, lines.getvalue())


def _write(file: str, text: str) -> None:
    """Writes a file whole, or leaves what is there."""
    path = Path(file)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ModelError(f"cannot write {file}: {error.strerror or error}; name another file") from None
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    cli(main)
