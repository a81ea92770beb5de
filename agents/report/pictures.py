"""Where a report's pictures come from: the tasks that were played and the index that was searched.

Decisions: a trajectory holds no pixels, so tasks and index are opened again, as the runs say where they were: only
folders on this machine, never an address that a file names. What is not there, or is not what was played (a picture of
another hash, an index of another fingerprint), is left out and said in the report; what the user names is demanded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.compare_runs import Run, share_of, task_key
from agents.measures import Record
from gog_env.benchmarks import read_benchmark
from gog_env.noise import unreliable
from gog_env.task import Task
from gog_env.tasks import read_tasks
from index.errors import GoGError
from index.images import picture_hash

EMBEDDED = "embedded"


@dataclass
class Pictures:
    """Tasks and index, as far as they are there.

    Attributes:
        index: an opened index, or None.
        tasks: by id; several sets may have tasks of one id.
        notes: what is missing, and what brings it.
    """

    index: Any = None
    tasks: Mapping[str, Sequence[Task]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, record: Record) -> Any:
        """The picture of an episode (PIL, RGB), None where its task is not there or has another one by now."""
        wanted = str(record.get("picture") or "")
        for task in self.tasks.get(record["task_id"], ()):
            try:
                picture = task.picture()
            except GoGError:
                continue
            if picture_hash(picture) == wanted:
                return picture
        return None

    def hit(self, picture_id: str) -> Any:
        """The thumbnail of a hit (PIL, RGB), None where the index is not there or has none."""
        if self.index is None:
            return None
        try:
            return self.index.thumbnail(picture_id)
        except (KeyError, AttributeError):  # none of this id, or an index of nothing
            return None
        except (GoGError, OSError) as error:  # a server that is lost would be waited for at every hit
            self.index = None
            self.notes.append(f"pictures of hits are missing from here on: {error}")
            return None


def by_id(tasks: Iterable[Task]) -> dict[str, list[Task]]:
    """Tasks by their id, and by what records of evaluations call them (`agents.compare_runs.task_key`)."""
    found: dict[str, list[Task]] = {}
    for task in tasks:
        for key in {task.id, task_key(task.benchmark, task.id)}:  # rollouts of a training name the id alone
            found.setdefault(key, []).append(task)
    return found


def named(
    index: str | None, tasks: Sequence[str], benchmark: str | None, data: str | None, part: str | None
) -> Pictures:
    """What the user names.

    Raises:
        IntegrityError, EncoderError, TaskError: it cannot be opened or read.
    """
    from gog_env import embedded
    from index import KnowledgeIndex

    listed: list[Task] = []
    if index == EMBEDDED:
        listed += [*embedded.tasks("heldout"), *embedded.tasks("train")]
    for path in tasks:
        listed += read_tasks(path)
    if benchmark:
        listed += read_benchmark(benchmark, data or "", part)
    opened = None if index is None else embedded.index() if index == EMBEDDED else KnowledgeIndex.open(index)
    return Pictures(opened, by_id(listed))


def remembered(runs: Sequence[Run]) -> Pictures:
    """What the runs say that they were made with, as far as it lies on this machine and is still the same."""
    found = Pictures()
    listed: list[Task] = []
    seen: set[tuple[str, str]] = set()
    for run in runs:
        for what, said in (("tasks", tasks_of(run)), ("index", index_of(run))):
            if said is None or (what, said) in seen:
                continue
            seen.add((what, said))
            try:
                if what == "index":
                    _open(found, said, run)
                else:
                    listed += _tasks(said)
            except (GoGError, OSError) as error:
                found.notes.append(f"not shown: {error}")
    found.tasks = by_id(listed)
    return found


def tasks_of(run: Run) -> str | None:
    """What a run's file says its tasks are: "embedded world, heldout", a path, or None where it says nothing."""
    if isinstance(said := run.about.get("tasks"), str):
        return said
    options = run.about.get("options")
    if not isinstance(options, dict):
        return None
    if options.get("benchmark"):
        return f"{options['benchmark']} {options.get('part') or ''}, {options.get('data')}"
    return str(options["tasks"]) if options.get("tasks") else "embedded world, train"


def index_of(run: Run) -> str | None:
    """Where a run's file says its index is, `EMBEDDED` for the embedded world's; None where it is silent."""
    said, options = run.about.get("index"), run.about.get("options")
    if isinstance(said, dict):
        return str(said.get("path"))
    return str(options.get("index") or EMBEDDED) if isinstance(options, dict) else None


def _tasks(said: str) -> list[Task]:
    if said.startswith("embedded world, "):
        from gog_env import embedded

        return list(embedded.tasks(said.removeprefix("embedded world, ")))
    if Path(said).exists():
        return list(read_tasks(said))
    name, _, data = said.partition(", ")
    benchmark, _, part = name.partition(" ")
    if not data or not Path(data).exists():
        raise GoGError(f"tasks {said}: no longer there; name them with --tasks (or --benchmark and --data)")
    return list(read_benchmark(benchmark, data, part or None))


def _open(found: Pictures, path: str, run: Run) -> None:
    """Opens an index for its thumbnails if it is the run's own."""
    from gog_env import embedded
    from index import KnowledgeIndex

    if path != EMBEDDED and not Path(path).is_dir():
        if path != "none":
            raise GoGError(f"index {path} is not on this machine; name it with --index")
        return
    opened = embedded.index() if path == EMBEDDED else KnowledgeIndex.open(path)
    if found.index is not None:
        if opened.fingerprint != found.index.fingerprint:
            raise GoGError(f"index {path} is a second one; hits' pictures come from {found.index.path} alone")
        return
    if not fits(opened, [run]):
        raise GoGError(f"index {path} is another one by now ({opened.fingerprint[:12]}); name the run's with --index")
    found.index = opened


def fits(index: Any, runs: Sequence[Run]) -> bool:
    """Whether an index is the one that some of the runs searched, noise and poison aside."""
    for run in runs:
        said = run.about.get("seed")
        seed = said if isinstance(said, int) else 0
        searched = unreliable(index, share_of(run, "noise"), share_of(run, "poison"), seed)
        if any(record["index"] == searched.fingerprint for record in run.records):
            return True
    return False
