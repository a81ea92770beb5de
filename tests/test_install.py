"""A wheel and a source distribution work outside the checkout: environment, index, training, weights, console name."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

import pytest

from benchmarks.install import BESIDE, build_sdist, build_wheel, copy_checkout, wheel_facts
from tests.commands import ROOT
from tests.conftest import draw, write_source

pytestmark = pytest.mark.slow
WEIGHTS = (
    "index/nano/open_clip_model.safetensors",
    *(f"agents/nano/{each}/model.safetensors" for each in ("base", "sft", "rl")),
)


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel, beside the libraries of this one, and a folder to work in, both outside."""

    wheel: Path
    home: Path
    folder: Path

    def run(self, *command: str, status: int = 0) -> str:
        """What a command of the installation prints; nothing of the checkout is on its path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**kept, "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + (done.stderr if status else "")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("copy") / "glance-or-gaze")


@pytest.fixture(scope="module")
def installation(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("installed")
    wheel = build_wheel(copy, folder / "dist")
    home = folder / "env"
    venv.create(home, with_pip=False)
    (packages,) = (home / "lib").glob("python*/site-packages")
    # By a .pth file the other environment's own .pth files, and with them an editable checkout, stay out.
    (packages / "libraries.pth").write_text("".join(f"{place}\n" for place in sys.path if place.endswith("-packages")))
    options = ("--no-deps", "--no-index", "--disable-pip-version-check", "--quiet")
    install = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", *options, str(wheel)]
    subprocess.run(install, check=True, cwd=folder, timeout=300)
    (folder / "work").mkdir()
    pictures = {f"{number}.png": draw(number) for number in range(4)}
    rows = [
        {
            "file_name": f"{number}.png",
            "id": f"D{number}",
            "title": f"Land {number}",
            "text": f"Its capital is C{number}.",
        }
        for number in range(4)
    ]
    write_source(folder / "work" / "kb", rows, pictures)
    same = {"question": "What is its capital?"}
    asked = [
        same | {"file_name": f"{one}.png", "id": f"t{one}", "answers": [f"C{one}"], "evidence": [f"D{one}"]}
        for one in range(2)
    ]
    write_source(folder / "work" / "tasks", asked, {f"{number}.png": draw(number) for number in range(2)})
    made = Installation(wheel, home, folder / "work")
    made.run("python", "-m", "gog_env.build_index", "--source", "kb", "--out", "idx", "--quiet")
    return made


def test_a_wheel_holds_the_rooms_and_their_weights(installation: Installation) -> None:
    with zipfile.ZipFile(installation.wheel) as file:
        names = set(file.namelist())
        inside = {name: hashlib.sha256(file.read(name)).hexdigest() for name in WEIGHTS}
        (about,) = (name for name in names if name.endswith("/METADATA"))
        metadata = HeaderParser().parsestr(file.read(about).decode())
    assert inside == {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in WEIGHTS}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"agents", "gog_env", "index"}
    rooms = (file for room in ("agents", "gog_env", "index") for file in (ROOT / room).rglob("*"))
    tracked = {
        file.relative_to(ROOT).as_posix() for file in rooms if file.is_file() and "__pycache__" not in file.parts
    }
    assert tracked == {name for name in names if ".dist-info/" not in name}
    assert {"train", "serve", "ray", "plots"} <= set(metadata.get_all("Provides-Extra") or ())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert sum(one["files"] for one in wheel_facts(installation.wheel)["inside"].values()) == len(names)


def test_the_copy_is_the_whole_checkout(copy: Path) -> None:
    """Of what git keeps, where this is a checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout of git's")
    kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    left = [name for name in kept if name and not name.startswith(".") and not (copy / name).exists()]
    assert not [name for name in left if (ROOT / name).exists()], "name it in benchmarks/install.py and MANIFEST.in"


def test_a_source_distribution_is_the_checkout_and_gives_the_same_wheel(
    copy: Path, installation: Installation, tmp_path: Path
) -> None:
    file = build_sdist(copy, tmp_path / "dist")
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    (unpacked,) = (tmp_path / "out").iterdir()
    missing = [name for name in BESIDE if not (unpacked / name).is_file()]
    for room in ("benchmarks", "docs", "examples", "tests"):
        given = {path.relative_to(copy) for path in (copy / room).rglob("*") if path.is_file()}
        missing += [str(path) for path in sorted(given) if not (unpacked / path).is_file()]
    assert not missing
    again = build_wheel(unpacked, tmp_path / "again")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(installation.wheel) as other:
        sums = [{entry.filename: entry.CRC for entry in each.infolist()} for each in (one, other)]
    assert sums[0] == sums[1]


def test_the_environment_is_there(installation: Installation) -> None:
    code = (
        "import gymnasium, json, sys, index, agents\n"
        "env = gymnasium.make('gog_env:GoG-VQA-v0', index='idx', tasks='tasks')\n"
        "import gog_env\n"
        "env.reset(seed=0)\n"
        "observation, *_ = env.step((0, 0))\n"
        "print(json.dumps([[each.__file__ for each in (gog_env, index, agents)], observation['results']]))\n"
    )
    places, results = json.loads(installation.run("python", "-c", code))
    assert all(place.startswith(str(installation.home)) for place in places), "not the checkout's"
    assert "Land" in results


def test_the_embedded_world_is_the_checkout_s(installation: Installation) -> None:
    """Its cache is named after every file that draws it: the same name, so every file is there, unchanged."""
    from gog_env.embedded import _world_key

    code = "from gog_env.embedded import _world_key; from agents.settings import default_model\n"
    code += "print(_world_key(), *(default_model(stage).is_dir() for stage in ('base', 'sft', 'rl')))"
    assert installation.run("python", "-c", code).split() == [_world_key(), "True", "True", "True"]


def test_a_policy_is_trained_and_played(installation: Installation) -> None:
    run = installation.run
    assert "example: python -m agents.train_rl" in run("python", "-m", "agents.train_rl", "--help")
    small = ("--steps", "1", "--groups", "1", "--group-size", "2", "--max-completion", "200", "--out", "rl")
    told = run("python", "-m", "agents.train_rl", "--index", "idx", "--tasks", "tasks", *small)
    assert "1 steps, mean reward" in told
    assert (installation.folder / "rl" / "model" / "model.safetensors").is_file()
    given = ("--index", "idx", "--tasks", "tasks", "--policy", "glance", "--model", "rl/model", "--out", "played")
    assert "accuracy" in run("gog", "evaluate", *given)
    assert {path.name for path in (installation.folder / "played").iterdir()} == {"glance", "rl"}


def test_the_console_command_is_there_by_both_names(installation: Installation) -> None:
    assert installation.run("gog") == installation.run("glance-or-gaze", "--help")
    assert installation.run("gog", "--version") == "glance-or-gaze 0.1.0\n"
    assert "is sound" in installation.run("gog", "index", "verify", "idx")
    said = installation.run("gog", "index", "verify", "no-index", status=2)
    assert said.startswith("error: index no-index does not exist") and "Traceback" not in said
