"""Runs that a report or a plot is about: evaluations and trainings, told apart by the files in their folders.

Decisions: a folder with `log.jsonl` is a training, one with `metrics.json` an evaluation (read and checked by
`agents.compare_runs`); a folder with neither holds runs, such as `--out` of an evaluation or of the demo. A training
may have written more rollouts than fit in memory: only the beginning and the end of them are read (`_MOST` bytes each),
and each becomes an evaluation-like run of its own, the first and the last tenth of the steps, so that one can see what
training changed. A log may still be growing: a last line that is torn is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.compare_runs import METRICS, TRAJECTORIES, Contender, Run, problem_of, read_contenders, split_name
from agents.measures import Record
from index.errors import TaskError

LOG, ABOUT = "log.jsonl", "run.json"
_MOST = 12 << 20
"""Bytes that are read of the beginning and of the end of a training's rollouts."""
_LARGEST = 1e300
"""Numbers of a log that are larger cannot be drawn, as those that are not finite; those below 1e-300 are 0."""


@dataclass(frozen=True)
class Training:
    """A run of `agents.train_rl` or `agents.train_sft`.

    Attributes:
        name: its folder's, or as given.
        path: its folder.
        about: its run.json; empty where there is none yet.
        rows: its log, one mapping of finite numbers a step, in order.
        windows: rollouts of the first and of the last steps, as far as any were written down.
    """

    name: str
    path: Path
    about: Mapping[str, Any]
    rows: tuple[Mapping[str, float], ...]
    windows: tuple[Contender, ...] = ()

    def series(self, key: str) -> list[tuple[float, float]]:
        """Steps and values of a logged number; steps that did not log it are left out."""
        return [(row["step"], row[key]) for row in self.rows if key in row]


@dataclass(frozen=True)
class Runs:
    """What was found.

    Attributes:
        evaluations: policies that were evaluated; several seeds count as one.
        trainings: in the order in which they were given.
        problems: runs that were left out, and why (only where `patient`).
    """

    evaluations: tuple[Contender, ...]
    trainings: tuple[Training, ...]
    problems: tuple[str, ...] = ()


def read_runs(given: Sequence[str], patient: bool = False) -> Runs:
    """Reads all runs.

    Args:
        given: `PATH` or `NAME=PATH`; a path may hold several runs.
        patient: a run in a folder of several that cannot be read is left out and named instead of an error.

    Raises:
        TaskError: there is no run, a file is missing or damaged, or a name comes twice by accident.
    """
    wanted: list[str] = []
    trainings: list[Training] = []
    problems: list[str] = []
    for text in given:
        name, path = split_name(text)
        if not path.is_dir():
            raise TaskError(f"{path} is no folder; name a run that agents.evaluate or agents.train_rl wrote")
        inside = [path] if _is_run(path) else _runs_in(path)
        if not inside:
            raise TaskError(
                f"{path} holds no run ({METRICS} or {LOG}); name a folder that agents.evaluate or agents.train_rl wrote"
            )
        if name and len(inside) > 1:
            raise TaskError(
                f"{path} holds {len(inside)} runs ({inside[0].name}, {inside[1].name}, ...): NAME= is one's"
            )
        for folder in inside:
            called = f"{name}={folder}" if name else str(folder)
            if not (folder / LOG).exists():
                wanted.append(called)
                continue
            try:
                trainings.append(read_training(folder, name))
            except TaskError as error:
                if not patient or len(inside) == 1:
                    raise
                problems.append(f"left out: {error}")
    names = [one.name for one in trainings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TaskError(f"two trainings are called {twice[0]!r}; give one of them another name: OTHER=PATH")
    evaluations, damaged = _evaluations(wanted, patient)
    if not evaluations and not trainings:
        raise TaskError(f"no run can be read: {'; '.join(problems + damaged)}")
    return Runs(tuple(evaluations), tuple(trainings), (*problems, *damaged))


def _evaluations(wanted: Sequence[str], patient: bool) -> tuple[list[Contender], list[str]]:
    """The evaluations, and what was left out."""
    try:
        return (read_contenders(wanted) if wanted else []), []
    except TaskError:
        if not patient:
            raise
    good, damaged = [], []
    for one in wanted:
        try:
            read_contenders([one])
            good.append(one)
        except TaskError as error:
            damaged.append(f"left out: {error}")
    return (read_contenders(good) if good else []), damaged


def _is_run(folder: Path) -> bool:
    return (folder / LOG).exists() or (folder / METRICS).exists()


def _runs_in(folder: Path) -> list[Path]:
    """The runs in a folder; unfinished ones, whose names begin with a dot, have to be named themselves."""
    return [one for one in sorted(folder.iterdir()) if one.name[0] != "." and one.is_dir() and _is_run(one)]


def read_training(folder: Path, name: str = "") -> Training:
    """Reads a training's log, what is known of how it was started, and rollouts of its first and last steps.

    Raises:
        TaskError: a file is damaged; names it and the line.
    """
    name = name or folder.resolve().name
    about = _about(folder)
    rows = _rows(folder / LOG)
    path = folder / TRAJECTORIES
    if not path.is_file():
        return Training(name, folder, about, rows)
    begun, ended = _records(path)
    return Training(name, folder, about, rows, tuple(_windows(name, folder, about, begun, ended)))


def _about(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} cannot be read ({error}); train again, or remove it") from None
    return value if isinstance(value, dict) else {}


def _rows(path: Path) -> tuple[Mapping[str, float], ...]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise TaskError(f"{path} cannot be read ({error}); train again") from None
    rows: dict[float, dict[str, float]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            step = _number(row["step"])
            if step is None:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            if number == len(lines):  # torn off: it is being written, or its writer was killed
                continue
            raise TaskError(f"{path}, line {number}: no log of a step; remove the damaged line") from None
        found = {key: known for key, value in row.items() if (known := _number(value)) is not None}
        rows.setdefault(step, {}).update(found)
    return tuple(rows[step] for step in sorted(rows))


def _number(value: Any) -> float | None:
    """A number that can be drawn; None for anything else, NaN and infinity among it."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not -_LARGEST <= value <= _LARGEST:
        return None
    return float(value) if value == 0 or abs(value) > 1 / _LARGEST else 0.0


def _records(path: Path) -> tuple[list[Record], list[Record]]:
    """Records from the beginning and from the end of a file; the same ones where all of it was read."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= 2 * _MOST:
            every = _parsed(path, file.read().split(b"\n"))
            return every, every
        begun = file.read(_MOST).split(b"\n")[:-1]
        file.seek(size - _MOST)
        ended = file.read().split(b"\n")[1:]
    return _parsed(path, begun), _parsed(path, ended)


def _parsed(path: Path, lines: Iterable[bytes]) -> list[Record]:
    listed = [line for line in lines if line.strip()]
    found = []
    for line in listed:
        try:
            record = json.loads(line)
            problem = problem_of(record) if isinstance(record, dict) else "no object"
        except (ValueError, KeyError):
            if line is listed[-1]:
                continue
            problem = "not JSON"
        if problem:
            raise TaskError(f"{path}: a rollout is damaged ({problem}); remove its line, or train again")
        found.append(record)
    return found


def _windows(
    name: str, folder: Path, about: Mapping[str, Any], begun: Sequence[Record], ended: Sequence[Record]
) -> Iterable[Contender]:
    """The first and the last tenth of the steps whose rollouts are there; one window where they are too few for two."""
    steps = sorted({_step(record) for record in (*begun, *ended)})
    if not steps:
        return
    tenth = max(1, math.ceil(len(steps) / 10))
    parts = [(begun, steps[:tenth]), (ended, steps[-tenth:])] if len(steps) > 1 else [(ended, steps)]
    for records, wanted in parts:
        inside = [record for record in records if wanted[0] <= _step(record) <= wanted[-1]]
        if inside:
            first, last = wanted[0] + 1, wanted[-1] + 1
            span = f"step {first}" if first == last else f"steps {first}-{last}"
            known = {key: value for key, value in about.items() if key != "seconds"}  # those are the whole training's
            run = Run(folder, known, tuple(sorted(inside, key=lambda record: record["task_id"])))
            yield Contender(f"{name}, {span}", (run,))


def _step(record: Record) -> int:
    """How many steps had been taken when it was played; the log tells of it one step later, and so do the names."""
    step = record.get("step")
    return step if isinstance(step, int) else 0
