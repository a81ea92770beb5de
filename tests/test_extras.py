"""Without the extras: what needs none of them works, and the rest says what is missing and which extra brings it."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from index.errors import GoGError
from index.extras import CORE, EXTRAS, missing, need
from tests.blocked import Finder
from tests.commands import ROOMS, ROOT, commands, imported_as
from tests.conftest import draw, write_source

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BLOCKED = ROOT / "tests" / "blocked.py"


def run(*cases: dict, at: Path) -> list[dict]:
    """The results of `tests/blocked.py`, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GOG_CACHE": str(at / "cache")}
    command = [sys.executable, str(BLOCKED), *map(json.dumps, cases)]
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~ ]", each, maxsplit=1)[0] for each in requirements}


def test_the_tables_are_those_of_the_installation() -> None:
    optional = PROJECT["optional-dependencies"]
    assert set(CORE.values()) == names(PROJECT["dependencies"])
    assert set(EXTRAS.values()) <= set(optional)
    for name, extra in EXTRAS.items():
        if name not in ("tokenizers", "pydantic", "openenv"):  # transformers and fastapi bring them; see pyproject.toml
            assert name.replace("_", "-") in names(optional[extra]), f"the extra {extra} does not bring {name}"
    for extra in ("train", "serve", "ray", "plots", "chinese"):
        for each in names(optional[extra]):
            assert each.replace("-", "_") in EXTRAS, f"{each} of the extra {extra} is not in index.extras"


def test_every_library_that_is_imported_is_in_the_tables() -> None:
    known = {
        *CORE,
        *EXTRAS,
        *ROOMS,
        *sys.stdlib_module_names,
        "huggingface_hub",
        "markupsafe",
    }  # with datasets and jinja2
    strange: dict[str, set[str]] = {}
    for room in ROOMS[:3]:
        for file in sorted((ROOT / room).rglob("*.py")):
            tree = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            for node in tree:
                found = [each.name for each in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    found = [node.module or ""]
                for name in {each.partition(".")[0] for each in found} - known:
                    strange.setdefault(name, set()).add(str(file.relative_to(ROOT)))
    assert not strange, "add it to pyproject.toml and index/extras.py"


def test_all_commands_load_without_any_extra(tmp_path: Path) -> None:
    everything = ["gog_env", *map(imported_as, commands())]
    cases = [{"without": sorted(EXTRAS), "module": module, "argv": None} for module in everything]
    for module, done in zip(everything, run(*cases, at=tmp_path), strict=True):
        assert done["status"] is None and not done["loaded"], f"{module}: {done['err']}"


TRAIN = "pip install 'glance-or-gaze[train]'"
SERVE = "pip install 'glance-or-gaze[serve]'"
RAY = "pip install 'glance-or-gaze[ray]'"
OPENENV = "pip install 'glance-or-gaze[openenv]'"
MISSING = [
    ("transformers", "agents.train_rl", [], TRAIN),
    ("trl", "agents.train_rl", [], TRAIN),
    ("accelerate", "agents.train_rl", [], TRAIN),
    ("peft", "agents.train_rl", ["--lora-rank", "4"], TRAIN),
    ("tensorboard", "agents.train_rl", ["--report-to", "tensorboard"], TRAIN),
    ("trl", "agents.train_sft", [], TRAIN),
    ("peft", "agents.train_sft", ["--preset", "paper"], TRAIN),
    ("tensorboard", "agents.train_sft", ["--report-to", "tensorboard"], TRAIN),
    ("transformers", "agents.evaluate", [], TRAIN),
    ("transformers", "agents.curriculum", [], TRAIN),
    ("transformers", "agents.demonstrations", ["--model", "some/model"], TRAIN),
    ("trl", "agents.demo", [], TRAIN),
    ("trl", "agents.nano.make", [], TRAIN),
    ("starlette", "index.serve", ["--index", "INDEX", "--port", "0"], SERVE),
    ("uvicorn", "index.serve", ["--index", "INDEX", "--port", "0"], SERVE),
    ("prometheus_client", "index.serve", ["--index", "INDEX", "--port", "0"], SERVE),
    ("ray", "index.serve", ["--index", "INDEX", "--port", "0", "--ray"], RAY),
    ("starlette", "index.serve", ["--index", "INDEX", "--port", "0", "--ray"], RAY),
    ("starlette", "gog_env.play", ["--index", "INDEX", "--port", "0", "--no-browser"], SERVE),
    ("uvicorn", "gog_env.play", ["--index", "INDEX", "--port", "0", "--no-browser"], SERVE),
    ("fastapi", "gog_env.plugs.openenv_server", ["--port", "0"], OPENENV),
    ("openenv", "gog_env.plugs.openenv_server", ["--port", "0"], OPENENV),
    ("matplotlib", "agents.plots", ["some/run", "--out", "plots"], "pip install 'glance-or-gaze[plots]'"),
    ("openenv", "benchmarks.openenv_same", [], OPENENV),
    ("trl", "benchmarks.rollout_speed", ["--out", "f.json"], TRAIN),
    ("psutil", "benchmarks.serve_load", ["--out", "f.json"], "pip install 'glance-or-gaze[test]'"),
    ("playwright", "benchmarks.play_pictures", [], "pip install 'glance-or-gaze[browser]'"),
    ("ray", "gog_env.build_index", ["--engine", "ray", "--source", "SOURCE", "--out", "new"], RAY),
]


def test_what_is_missing_is_named_with_the_extra_that_brings_it(
    tiny_index: Path, tiny_source: Path, tmp_path: Path
) -> None:
    places = {"INDEX": str(tiny_index), "SOURCE": str(tiny_source)}
    cases = [
        {"without": [name], "module": imported_as(module), "argv": [places.get(each, each) for each in argv]}
        for name, module, argv, _ in MISSING
    ]
    for (name, module, argv, remedy), done in zip(MISSING, run(*cases, at=tmp_path), strict=True):
        shown = f"{module} {argv} without {name}: {done}"
        last = done["err"].strip().splitlines()[-1]
        assert done["status"] == 2 and "Traceback" not in done["err"], shown
        assert "error: " in last and "; pip install" in last, shown
        assert name in last and remedy.removesuffix("'") in last, shown
    assert not (tmp_path / "cache").exists(), "no world was made before somebody looked"
    assert [path.name for path in tmp_path.iterdir()] == [], "nothing was written"


def test_what_needs_no_model_works_without_any_extra(tiny_index: Path, tmp_path: Path) -> None:
    rows = [
        {"file_name": "0.png", "id": "t", "question": "Which?", "answers": ["Arda"], "evidence": ["D00"], "calls": "[]"}
    ]
    tasks = write_source(tmp_path / "tasks", rows, {"0.png": draw(0)})
    given = ["--policy", "glance", "--index", str(tiny_index), "--tasks", str(tasks), "--out", str(tmp_path / "run")]
    (done,) = run({"without": sorted(EXTRAS), "module": "agents.evaluate", "argv": given}, at=tmp_path)
    assert done["status"] == 0 and not done["loaded"], done["err"]
    assert json.loads((tmp_path / "run" / "glance" / "metrics.json").read_text())["n"] == 1


def test_a_library_of_a_library_is_worded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.meta_path", [Finder])
    monkeypatch.setattr(Finder, "without", frozenset({"trackio", "no_such"}))
    with pytest.raises(GoGError, match="^trackio and no_such are not installed; pip install trackio no_such$"):
        need("trackio", "no_such", "gymnasium")
    assert missing(ModuleNotFoundError(name="no_such")) is None, "what nobody knows keeps its traceback"
    assert missing(ModuleNotFoundError(name="numpy.no_such")) is None, "numpy itself is here"
    assert missing(ImportError(name="trl")) is None, "it is here, and broken"
    monkeypatch.setattr("index.extras.is_here", lambda name: False)
    said = "trl is not installed; pip install 'glance-or-gaze[train]'"
    assert missing(ModuleNotFoundError(name="trl.trainer")) == said
