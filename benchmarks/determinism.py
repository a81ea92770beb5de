"""Is a result the same every time? Builds an index four ways and trains by RL twice, and compares what came out.

    python -m benchmarks.determinism --data ../shared/data/atlas --out runs/determinism.json

Index builds of DATA/kb, each by `python -m gog_env.build_index` in a process of its own: with one thread, with one
thread again, with two threads, and with one thread from a copy whose rows and files have another order and other
names. Compared with the first build: the fingerprint, every file's bytes (report.json aside: it holds times), and the
hit lists of all gold crops, whole pictures and questions of DATA/dev. Bytes must be equal for equal threads; with other
threads vectors may differ in their last bits, so there they are reported only.
RL: `python -m agents.train_rl --steps 3` twice on DATA/train, with two threads, the second time beside processes that
keep all cores busy, so that threads come in another order; compared: everything that is logged of each step but times,
and the weights, to the bit.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.options import natural
from agents.settings import check_file, versions, write_json
from agents.tables import text_table
from gog_env.tasks import read_tasks
from index.errors import GoGError, cli
from index.images import crop

LOGGED = ("loss", "reward", "grad_norm", "entropy", "calls/gaze")
#: Pieces of names of what is a time, or of a machine.
TIMES = ("second", "time", "runtime", "memory")


@contextlib.contextmanager
def company(busy: bool) -> Iterator[None]:
    """Keeps all cores busy while this is open, if asked."""
    idle = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) * busy)]
    try:
        yield
    finally:
        for one in idle:
            one.kill()
            one.wait()


def run(*command: str, **variables: str) -> None:
    """Runs one of the project's commands, with these variables of the shell.

    Raises:
        GoGError: it failed; with the end of what it said.
    """
    given = {**os.environ, **variables}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=given)
    if done.returncode:
        raise GoGError(f"python -m {' '.join(command)} failed: {done.stderr.strip()[-500:]}")


def shuffled(source: Path, out: Path, seed: int) -> Path:
    """A copy of an imagefolder with its rows in another order and its pictures under other names."""
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    out.mkdir(parents=True)
    (out / "pictures").mkdir()
    order = np.random.default_rng(seed).permutation(len(rows))
    for number, row in enumerate(order):
        old = source / rows[row]["file_name"]
        rows[row]["file_name"] = f"pictures/{number:05d}{old.suffix}"
        shutil.copyfile(old, out / rows[row]["file_name"])
    lines = [json.dumps(rows[row], ensure_ascii=False) + "\n" for row in order]
    (out / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    return out


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an index but its report."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "report.json")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def hit_lists(path: Path, tasks: Path) -> list[list[str]]:
    """Ids of the ten best documents of every gold crop and every whole picture, and of every question's words."""
    from index import KnowledgeIndex

    index = KnowledgeIndex.open(path)
    pictures, questions = [], []
    for task in read_tasks(tasks):
        whole = task.picture()
        pictures += [whole, *(crop(whole, region) for region in task.regions)]
        questions.append(task.question)
    found = [*index.search_image(pictures, 10), *index.search_text(questions, 10)]
    return [[hit.document_id for hit in hits] for hits in found]


def holds(build: dict[str, Any]) -> bool:
    """True if a build is as it must be beside the first one, which has one thread."""
    bytes_count = build["same bytes"] or build["threads"] != "1"
    return bool(build["same fingerprint"] and build["same hits"] and bytes_count)


def compare_indexes(data: Path, work: Path, encoder: str) -> list[dict[str, Any]]:
    """Builds the four indexes and compares them with the first."""
    other = shuffled(data / "kb", work / "kb-shuffled", seed=1)
    builds = {
        "first": (data / "kb", "1"),
        "again": (data / "kb", "1"),
        "more threads": (data / "kb", "2"),
        "other order and names": (other, "1"),
    }
    rows: list[dict[str, Any]] = []
    first: dict[str, Any] = {}
    for number, (name, (source, threads)) in enumerate(builds.items()):
        path = work / f"index-{number}"
        place = ("--source", str(source), "--out", str(path), "--encoder", encoder)
        run("gog_env.build_index", *place, "--threads", threads, "--quiet")
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        seen = {"fingerprint": manifest["fingerprint"], "bytes": digests(path), "hits": hit_lists(path, data / "dev")}
        first = first or seen
        rows.append({"build": name, "threads": threads, **{f"same {key}": seen[key] == first[key] for key in seen}})
    return rows


def compare_training(data: Path, work: Path, steps: int, seed: int) -> dict[str, Any]:
    """Trains twice with one seed, alone and in company, and compares all that is logged but times, and the weights."""
    logs: list[list[dict[str, Any]]] = []
    weights = []
    for name in ("a", "b"):
        given = ("--index", str(work / "index-0"), "--tasks", str(data / "train"), "--out", str(work / name))
        with company(busy=name == "b"):
            run("agents.train_rl", *given, "--steps", str(steps), "--seed", str(seed), OMP_NUM_THREADS="2")
        lines = [json.loads(line) for line in (work / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        logs.append([_untimed(line) for line in lines if "reward" in line])
        weights.append(hashlib.sha256((work / name / "model" / "model.safetensors").read_bytes()).hexdigest())
    shown = [[line.get(key) for key in LOGGED] for line in logs[0]]
    return {"steps": steps, "same logs": logs[0] == logs[1], "same weights": weights[0] == weights[1], "logs": shown}


def _untimed(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if not any(piece in key for piece in TIMES)}


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.determinism",
        description="Build an index four ways and train by RL twice; compare fingerprints, bytes, hits and weights.",
        epilog="example: python -m benchmarks.determinism --data ../shared/data/atlas",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with kb/, train/ and dev/")
    parser.add_argument("--encoder", default="nano", help="default: %(default)s")
    parser.add_argument("--steps", type=natural, default=3, help="GRPO steps of each run; 0 leaves RL out (default: 3)")
    parser.add_argument("--seed", type=natural, default=0, help="of the RL runs (default: 0)")
    parser.add_argument("--out", type=Path, help="JSON file for the findings")
    options = parser.parse_args(argv)
    if options.out:
        check_file(options.out)
    with tempfile.TemporaryDirectory(prefix="determinism-") as folder:
        work = Path(folder)
        indexes = compare_indexes(options.data, work, options.encoder)
        training = compare_training(options.data, work, options.steps, options.seed) if options.steps else None
    header = list(indexes[0])
    print(
        text_table(
            header, [["yes" if v is True else "NO" if v is False else v for v in row.values()] for row in indexes]
        )
    )
    same = all(map(holds, indexes))
    if training:
        same = same and training["same logs"] and training["same weights"]
        said = ["yes" if training[key] else "NO" for key in ("same logs", "same weights")]
        print(f"\ntwo RL runs of {training['steps']} steps: same losses and rewards {said[0]}, same weights {said[1]}")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.out, {"indexes": indexes, "training": training, "versions": versions()})
        print(f"wrote {options.out}")
    return 0 if same else 1


if __name__ == "__main__":
    cli(main)
