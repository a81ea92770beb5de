"""The rooms keep their direction (`index` <- `gog_env` <- `agents`), import little, and their files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("index", "gog_env", "agents", "benchmarks")
FORBIDDEN = {
    "index": {"gog_env", "agents", "benchmarks", "tests"},
    "gog_env": {"agents", "benchmarks", "tests"},
    "agents": {"benchmarks", "tests"},
}
HEAVY = (
    "torch",
    "torchvision",
    "open_clip",
    "faiss",
    "transformers",
    "trl",
    "datasets",
    "pyarrow",
    "bm25s",
    "matplotlib",
)


def files(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere: in functions, for types, by `import_module("…")`.

    Relative imports stay within their own room: Python itself refuses to climb out of a top-level package.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module or "")
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
            "import_module",
            "__import__",
        }:
            names |= {str(argument.value) for argument in node.args if isinstance(argument, ast.Constant)}
    return {name.partition(".")[0] for name in names} - {""}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_imports_go_one_way(room: str) -> None:
    assert files(room), f"{room}/ has no Python files"
    wrong = {str(path.relative_to(ROOT)): sorted(imported(path) & FORBIDDEN[room]) for path in files(room)}
    assert not {path: names for path, names in wrong.items() if names}


def test_imports_are_found_wherever_they_hide(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text(
        "import numpy as np\nfrom . import z\ndef f():\n    from agents.lmm import x\n    import importlib\n"
        "    importlib.import_module('gog_env.env')\n"
    )
    assert imported(file) == {"numpy", "agents", "importlib", "gog_env"}


@pytest.mark.parametrize("module", ["gog_env", "gog_env.env", "gog_env.tasks", "index", "agents.evaluate"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}\nprint(*sorted(name for name in {HEAVY!r} if name in sys.modules))\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [], f"import {module} loads {done.stdout.strip()}; import it where it is used"


@pytest.mark.parametrize("room", ROOMS)
def test_files_can_be_read_in_one_sitting(room: str) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files(room)}
    assert not {path: lines for path, lines in lengths.items() if lines > 400}


@pytest.mark.parametrize("room", ROOMS)
def test_every_file_says_what_it_is(room: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in files(room)
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_data_files_are_packaged() -> None:
    """A file that code reads beside itself must be in the wheel too, or it works in a checkout only."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    inside = [path for room in ROOMS[:3] for path in sorted((ROOT / room).rglob("*")) if path.is_file()]
    data = [path for path in inside if path.suffix != ".py" and "__pycache__" not in path.parts]
    assert data, "no data files found"
    left_out = [path.relative_to(ROOT) for path in data if not any(path.match(pattern) for pattern in patterns)]
    assert not left_out
