"""How large is the wheel, and how long does importing what it brings take?

    python -m benchmarks.install                                      # builds a wheel, needs no network
    python -m benchmarks.install --out docs/results/install.json

- The wheel is built from a copy of the checkout, so that nothing old is in it, with the setuptools that is installed.
- Imports are timed in fresh processes, one after the other, of the unpacked wheel and not of the checkout: by the
  clock, and by CPU time, which other work on the machine lengthens little. What Python itself takes to start is taken
  off. The first round is not counted: it compiles what it imports.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agents.options import positive
from agents.settings import check_file, write_json
from agents.tables import text_table
from benchmarks.machine import bench_facts
from index.errors import GoGError, cli

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("index", "gog_env", "agents", "benchmarks", "docs", "examples", "tests")
BESIDE = (
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "conftest.py",
    "mkdocs.yml", "pyproject.toml", "requirements.lock",
)  # fmt: skip
MODULES = ("gymnasium", "gog_env", "gog_env.env", "index", "agents.__main__", "agents.evaluate")
"""What is imported; the first, which the environment needs anyway, to compare with."""


def copy_checkout(to: Path) -> Path:
    """Copies what a distribution is made of; returns the copy.

    Raises:
        GoGError: this is an installation and no checkout.
    """
    if not (ROOT / "pyproject.toml").is_file():
        raise GoGError(f"{ROOT} is no checkout of the project (it has no pyproject.toml); run this in one")
    left = shutil.ignore_patterns("__pycache__", "*.py[cod]", "*.egg-info", ".*_cache", ".DS_Store")
    for name in SOURCES:
        shutil.copytree(ROOT / name, to / name, ignore=left)
    for name in BESIDE:
        shutil.copy2(ROOT / name, to / name)
    return to


def build_wheel(source: Path, out: Path) -> Path:
    """Builds a wheel of a copy of the checkout, without the network; returns its file.

    Raises:
        GoGError: pip or setuptools does not manage; with the end of what it said.
    """
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    _run([sys.executable, "-m", "pip", "wheel", ".", *options], source)
    return next(out.glob("*.whl"))


def build_sdist(source: Path, out: Path) -> Path:
    """Builds a source distribution of a copy of the checkout; returns its file.

    Raises:
        GoGError: setuptools does not manage.
    """
    out.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"], source)
    return next(out.glob("*.tar.gz"))


def _run(command: list[str], at: Path) -> None:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise GoGError(f"{' '.join(command[1:4])} … failed: {' '.join((done.stdout + done.stderr).split())[-600:]}")


def wheel_facts(wheel: Path) -> dict[str, Any]:
    """Size of a wheel, and of what is in it by kind, unpacked and packed, in bytes."""
    groups: dict[str, dict[str, int]] = {}
    with zipfile.ZipFile(wheel) as file:
        for entry in file.infolist():
            suffix = Path(entry.filename).suffix
            kind = {".py": "code", ".safetensors": "weights", ".ttf": "fonts"}.get(suffix, "other")
            group = groups.setdefault(kind, {"files": 0, "bytes": 0, "packed": 0})
            group["files"] += 1
            group["bytes"] += entry.file_size
            group["packed"] += entry.compress_size
    return {"name": wheel.name, "bytes": wheel.stat().st_size, "inside": dict(sorted(groups.items()))}


def import_times(packages: Path, modules: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds that imports take in fresh processes, medians, less what Python takes to start.

    Args:
        packages: folder that they are imported from.
        modules: names.
        rounds: processes of each; one more is not counted.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ("", *modules)}
    for number in range(rounds + 1):
        for name, times in taken.items():
            measured = _process(f"import {name}" if name else "pass", packages)
            if number:
                times.append(measured)
    found = {}
    start = [statistics.median(column) for column in zip(*taken[""], strict=True)]
    for name in modules:
        clock, cpu = (statistics.median(column) for column in zip(*taken[name], strict=True))
        found[name] = {"ms": round(1e3 * (clock - start[0]), 1), "cpu_ms": round(1e3 * (cpu - start[1]), 1)}
    found["(python itself)"] = {"ms": round(1e3 * start[0], 1), "cpu_ms": round(1e3 * start[1], 1)}
    return found


def _process(code: str, packages: Path) -> tuple[float, float]:
    """Seconds that a process takes, by the clock and of CPU."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=packages, env=environment, check=True)
    seconds, after = time.perf_counter() - clock, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.install",
        description="Measure the wheel and how long imports take.",
        epilog="example: python -m benchmarks.install --rounds 5",
    )
    made.add_argument("--rounds", type=positive, default=15, metavar="N", help="processes a module (default: 15)")
    made.add_argument("--out", default="runs/install.json", metavar="FILE", help="default: %(default)s")
    options = made.parse_args(argv)
    check_file(options.out)
    facts = bench_facts("benchmarks.install", argv, options)
    with tempfile.TemporaryDirectory(prefix="gog-install-") as folder:
        place = Path(folder)
        wheel = build_wheel(copy_checkout(place / "copy"), place / "dist")
        facts["wheel"] = wheel_facts(wheel)
        with zipfile.ZipFile(wheel) as file:
            file.extractall(place / "packages")
        facts["imports"] = import_times(place / "packages", MODULES, options.rounds)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, facts)
    size = facts["wheel"]
    print(f"{size['name']}: {size['bytes'] / 1e6:.1f} MB")
    rows = [[kind, f"{one['files']}", f"{one['bytes'] / 1e6:.2f}"] for kind, one in size["inside"].items()]
    print(text_table(["inside", "files", "MB unpacked"], rows))
    times = [[name, f"{one['ms']:.0f}", f"{one['cpu_ms']:.0f}"] for name, one in facts["imports"].items()]
    print(text_table(["import", "ms", "ms of CPU"], times))
    print(f"figures written to {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
