"""Tasks, trajectories and chats as Hugging Face data sets: Parquet with typed columns, pictures as `Image`.

    python -m agents.export tasks --split heldout --out exports/tasks
    python -m agents.export trajectories runs/evaluation --tasks my/tasks --out exports/trajectories
    python -m agents.export chats runs/demonstrations.parquet --out exports/chats

- What is written loads with `datasets.load_dataset(DIR)`, here and after an upload: shards named as the hub names them,
  and a card (README.md) that says what there is and how it was made.
- Nothing is lost on the way: `gog_env.tasks.read_tasks(DIR)` reads the same tasks, `records` the same trajectories, to
  the bit, and the messages of chats are those that `agents.train_sft` learns from.
- Pictures keep the bytes of their files. A folder appears when it is complete; only an earlier export is replaced.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from agents.chats import FORM_KEY, encoded, stored_picture
from agents.judge import runs_in
from agents.options import positive
from agents.settings import command_line
from agents.task_options import add_task_options, check_task_options, given_tasks
from gog_env import trajectory
from gog_env.actions import as_dict
from gog_env.task import Task, Tasks
from index.errors import TaskError, cli
from index.images import picture_hash

CARD = "README.md"
_MADE = "<!-- written by agents.export -->"
_RECORD = (
    *("version", "task_id", "kind", "question", "answers", "rule", "span", "choices", "benchmark", "split"),
    *("evidence", "regions", "picture", "index", "seed", "config", "turns", "answer", "outcome", "reward"),
)


def task_features() -> Any:
    """Columns of tasks: the fields of `gog_env.task.Task`; `calls` as JSON, null where the tasks do not say."""
    from datasets import Features, Image, List, Value

    text, texts, number = Value("string"), List(Value("string")), Value("float64")
    return Features(
        {
            "id": text, "image": Image(), "question": text, "answers": texts, "kind": text, "evidence": texts,
            "regions": List(List(number)), "calls": text, "rule": text, "span": List(number), "choices": texts,
            "benchmark": text, "split": text,
        }
    )  # fmt: skip


def task_row(task: Task) -> dict[str, Any]:
    """A task as a row of `task_features`."""
    calls = None if task.calls is None else json.dumps([as_dict(call) for call in task.calls], ensure_ascii=False)
    return {
        "id": task.id, "image": encoded(stored_picture(task) or task.picture()), "question": task.question,
        "answers": list(task.answers), "kind": task.kind,
        "evidence": None if task.evidence is None else list(task.evidence),
        "regions": [list(region) for region in task.regions], "calls": calls, "rule": task.rule,
        "span": None if task.span is None else list(task.span), "choices": list(task.choices),
        "benchmark": task.benchmark, "split": task.split,
    }  # fmt: skip


def trajectory_features(pictures: bool) -> Any:
    """Columns of trajectories: the keys of `gog_env.trajectory.record`; `config` and what else a record holds as JSON.

    `run` is the folder that a record was found in: in those of an evaluation, the policy.

    Args:
        pictures: with the task's picture as `image`.
    """
    from datasets import Features, Image, List, Value

    text, texts, number, whole = Value("string"), List(Value("string")), Value("float64"), Value("int64")
    action = {name: text for name in ("type", "query", "text", "reason", "thought")} | {"box": List(number)}
    hit = {"document_id": text, "title": text, "score": number, "picture_id": text}
    turn = {"action": action, "hits": List(hit), "text": text, "error": text, "reward": number}
    parts = {"accuracy": number, "format": number, "calls": whole, "cost": number, "total": number}
    columns = {
        "run": text, "version": whole, "task_id": text, "kind": text, "question": text, "answers": texts, "rule": text,
        "span": List(number), "choices": texts, "benchmark": text, "split": text, "evidence": texts,
        "regions": List(List(number)), "picture": text, "index": text, "seed": whole, "config": text,
        "turns": List(turn), "answer": text, "outcome": text, "reward": parts, "more": text,
    }  # fmt: skip
    return Features({**({"image": Image()} if pictures else {}), **columns})


def trajectory_row(record: dict[str, Any], tasks: Tasks | None = None, run: str = "") -> dict[str, Any]:
    """A record as a row of `trajectory_features`.

    Args:
        record: as `gog_env.trajectory.read` yields it.
        tasks: where the pictures are; None: without.
        run: the name of its folder.

    Raises:
        TaskError: the task is not there, or its picture is another one.
    """
    row = {"run": run, **{name: record.get(name) for name in _RECORD}}
    row["config"] = json.dumps(record["config"], ensure_ascii=False)
    more = {name: value for name, value in record.items() if name not in _RECORD}
    row["more"] = json.dumps(more, ensure_ascii=False) if more else None
    fields = ("type", "box", "query", "text", "reason", "thought")
    row["turns"] = [{**turn, "action": {name: turn["action"].get(name) for name in fields}} for turn in record["turns"]]
    if tasks is not None:
        task = tasks.by_id(record["task_id"])
        if picture_hash(task.picture()) != record["picture"]:
            raise TaskError(f"task {task.id!r}: its picture is not that of the trajectory; name the tasks of that run")
        row["image"] = encoded(stored_picture(task) or task.picture())
    return row


def records(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The records behind rows of exported trajectories, ready for `gog_env.trajectory.replay`."""
    for row in rows:
        record = {name: row[name] for name in _RECORD if name in row}
        record["config"] = json.loads(row["config"])
        turns = [
            {**turn, "action": {name: value for name, value in turn["action"].items() if value is not None}}
            for turn in row["turns"]
        ]
        yield record | {"turns": turns} | (json.loads(row["more"]) if row["more"] else {})


def chat_features() -> Any:
    """Columns of chats: `messages`, their `images` in order, the `task`'s id and `kind` (see `agents.chats`)."""
    from datasets import Features, Image, List, Value

    text = Value("string")
    call = {"type": text, "function": {"name": text, "arguments": text}}
    message = {
        "role": text, "content": List({"type": text, "text": text}), "name": text, "tool_calls": List(call),
        "train": Value("bool"),
    }  # fmt: skip
    return Features({"messages": List(message), "images": List(Image()), "task": text, "kind": text})


def chat_rows(tables: Sequence[str | Path]) -> Iterator[dict[str, Any]]:
    """Rows of `chat_features` out of tables that `agents.chats.write_chats` wrote.

    Raises:
        TaskError: one is missing, or is no such table.
    """
    import pyarrow.parquet as pq

    from agents.chats import read_chats

    for table in tables:
        read_chats(table)  # says what is wrong with it
        with pq.ParquetFile(table) as file:
            for batch in file.iter_batches(64):
                for row in batch.to_pylist():
                    yield {name: row.get(name) for name in ("messages", "images", "task", "kind")}


def write_dataset(
    rows: Iterable[dict[str, Any]],
    features: Any,
    out: str | Path,
    *,
    split: str = "train",
    shard_bytes: int = 500 << 20,
    about: str = "",
    metadata: dict[str, str] | None = None,
    force: bool = False,
) -> int:
    """Writes rows as a data set that `datasets.load_dataset` reads.

    Args:
        rows: one a row, by the features.
        features: `datasets.Features`.
        out: the folder.
        split: what the rows are: train, test or validation.
        shard_bytes: of pictures in a file, about.
        about: for the card.
        metadata: kept in every file besides.
        force: an earlier export may be replaced.

    Returns:
        How many rows there were.

    Raises:
        TaskError: there was none, or something else is in the way; then nothing has changed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    final = _place(out, force)
    schema = features.arrow_schema
    schema = schema.with_metadata({**schema.metadata, **(metadata or {})})
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    count, shards = 0, 0
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        waiting = _grouped(_readable(rows), shard_bytes)
        group = next(waiting, None)
        while group is not None:
            with pq.ParquetWriter(partial / f"{shards:05d}", schema) as writer:
                written = 0
                while group is not None and (written == 0 or written < shard_bytes):
                    writer.write_table(pa.Table.from_pylist(group, schema=schema))
                    count, written = count + len(group), written + sum(map(_size, group))
                    group = next(waiting, None)
            shards += 1
        if not count:
            raise TaskError("there is nothing to export: no row")
        for number in range(shards):
            (partial / f"{number:05d}").rename(partial / f"{split}-{number:05d}-of-{shards:05d}.parquet")
        (partial / CARD).write_text(_card(split, count, features, about), encoding="utf-8")
        _place(out, force)  # again: it may have taken long
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except OSError as error:
        raise TaskError(f"cannot write {out}: {error.strerror or error}; name another --out") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _place(out: str | Path, force: bool) -> Path:
    """Where an export goes; refuses what is not an earlier one."""
    final = Path(os.path.abspath(Path(out).expanduser()))
    if final.is_symlink() or (final.exists() and not final.is_dir()):
        raise TaskError(f"{out} exists and is not a folder; name another --out")
    if final.exists() and any(final.iterdir()):
        card = final / CARD
        strange = [path.name for path in sorted(final.iterdir()) if path.name != CARD and path.suffix != ".parquet"]
        if strange or not card.is_file() or _MADE not in card.read_text(encoding="utf-8"):
            raise TaskError(f"{out} holds something else than an export and stays as it is; name another --out")
        if not force:
            raise TaskError(f"{out} exists already; name another --out or pass --force to replace it")
    return final


def _readable(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows; a file of theirs that cannot be read is no trouble of the folder that is written."""
    try:
        yield from rows
    except OSError as error:
        raise TaskError(
            f"what is exported cannot be read: {error}; restore it, or export what does not name it"
        ) from None


def _size(row: dict[str, Any]) -> int:
    pictures = [row.get("image"), *(row.get("images") or [])]
    return 1000 + sum(len(one["bytes"]) for one in pictures if one)


def _grouped(rows: Iterable[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Rows in groups of at most 256 and about 16 MB, or less where shards are small."""
    group: list[dict[str, Any]] = []
    held = 0
    for row in rows:
        group.append(row)
        held += _size(row)
        if len(group) == 256 or held >= min(most, 16 << 20):
            yield group
            group, held = [], 0
    if group:
        yield group


def _card(split: str, count: int, features: Any, about: str) -> str:
    columns = "\n".join(f"- `{name}`: `{feature}`" for name, feature in features.items())
    files = f'configs:\n- config_name: default\n  data_files:\n  - split: {split}\n    path: "{split}-*.parquet"'
    return f"---\n{files}\n---\n{_MADE}\n{about}\n\n{count} rows in the split `{split}`. Columns:\n\n{columns}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.export",
        description="Write tasks, trajectories or chats as a Hugging Face data set (Parquet, pictures as Image).",
        epilog="example: python -m agents.export tasks --split heldout --out exports/tasks",
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="tasks|trajectories|chats")
    tasks = what.add_parser("tasks", help="questions with pictures, answers, evidence and regions")
    trajectories = what.add_parser("trajectories", help="what an evaluation or a training recorded")
    trajectories.add_argument("runs", nargs="+", metavar="RUN", help="folders of runs, or trajectories.jsonl files")
    chats = what.add_parser("chats", help="demonstrations in the messages layout")
    chats.add_argument("tables", nargs="+", metavar="TABLE", help="what python -m agents.demonstrations wrote")
    for one in (tasks, trajectories):
        with_pictures = "; their pictures go into the column image" if one is trajectories else ""
        add_task_options(one, f"tasks (default: {'none' if with_pictures else 'embedded world'}){with_pictures}")
    tasks.add_argument("--split", choices=("train", "heldout"), default="train", help="of the embedded world")
    for one in (tasks, trajectories, chats):
        one.add_argument("--out", required=True, help="folder to write")
        one.add_argument("--name", choices=("train", "test", "validation"), help="split of the data set")
        one.add_argument("--limit", type=positive, help="the first LIMIT rows only")
        one.add_argument("--shard-mb", type=positive, default=500, help="MB of a file, about (default: 500)")
        one.add_argument("--force", action="store_true", help="replace --out if it is an earlier export")
        one.epilog = f"example: python -m agents.export {one.prog.split()[-1]} {_EXAMPLES[one.prog.split()[-1]]}"
    options = parser.parse_args(argv)
    _place(options.out, options.force)
    rows, features, metadata = _SOURCES[options.what](options)
    limited = (row for _, row in zip(range(options.limit), rows, strict=False)) if options.limit else rows
    name = options.name or ("test" if getattr(options, "split", "") == "heldout" else "train")
    about = f"# Glance-or-Gaze: {options.what}\n\nWritten by `{command_line('agents.export', argv)}`."
    count = write_dataset(
        limited, features, options.out, split=name, shard_bytes=options.shard_mb << 20, about=about,
        metadata=metadata, force=options.force,
    )  # fmt: skip
    print(f"{count} {options.what} in {options.out}; datasets.load_dataset({str(options.out)!r}) reads them")
    return 0


_EXAMPLES = {
    "tasks": "--split heldout --out exports/tasks",
    "trajectories": "runs/evaluation --out exports/trajectories",
    "chats": "runs/demonstrations.parquet --out exports/chats",
}
Source = tuple[Iterable[dict[str, Any]], Any, dict[str, str]]


def _tasks(options: argparse.Namespace) -> Source:
    from gog_env import embedded
    from gog_env.tasks import read_tasks

    check_task_options(options)
    named = given_tasks(options)
    tasks = read_tasks(named) if named else embedded.tasks(options.split)
    return (task_row(task) for task in tasks), task_features(), {}


def _trajectories(options: argparse.Namespace) -> Source:
    from gog_env.tasks import read_tasks

    check_task_options(options)
    named = given_tasks(options)
    tasks = read_tasks(named) if named else None
    files = [file for run in options.runs for file in _files(Path(run))]
    found = (trajectory_row(record, tasks, file.parent.name) for file in files for record in trajectory.read(file))
    return found, trajectory_features(tasks is not None), {}


def _files(run: Path) -> list[Path]:
    """The trajectories of a run, or of every run in a folder: an evaluation writes one for each policy."""
    return [one / "trajectories.jsonl" for one in runs_in([run])] if run.is_dir() else [run]


def _chats(options: argparse.Namespace) -> Source:
    import pyarrow.parquet as pq

    rows, forms = chat_rows(options.tables), set()
    for table in options.tables:
        if Path(table).is_file():
            try:
                forms.add((pq.read_schema(table).metadata or {}).get(FORM_KEY.encode(), b"").decode())
            except Exception:  # no Parquet at all: `chat_rows` says so
                continue
    if len(forms) > 1:
        raise TaskError("the tables were written for models that write differently; export them one by one")
    form = next(iter(forms), "")
    return rows, chat_features(), {FORM_KEY: form} if form else {}


_SOURCES: dict[str, Callable[[argparse.Namespace], Source]] = {
    "tasks": _tasks, "trajectories": _trajectories, "chats": _chats,
}  # fmt: skip


if __name__ == "__main__":
    cli(main)
