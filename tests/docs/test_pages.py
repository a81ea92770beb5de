"""Every command of the pages is understood by its program, every example compiles, every link leads somewhere."""

from __future__ import annotations

import re
import runpy
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.docs.commands import PAGES, Block, Command, blocks, commands, problem_of, unresolved


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_understood(page: str) -> None:
    """By the very parser of its program: an option that was renamed is found here."""
    wrong = {str(command): problem for command in commands(page) if (problem := problem_of(command))}
    assert not wrong, "\n".join(f"{command}\n    {problem}" for command, problem in wrong.items())


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_compiles_and_imports_what_exists(page: str) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page}:{block.line}", "exec")
            assert not unresolved(block), f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_is_there(page: str) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        path = ((ROOT / page).parent / file) if file else ROOT / page
        assert path.exists(), f"{page} links to {target}"
        if anchor and path.suffix == ".md":
            heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
            assert anchor in anchors, f"{page} links to {target}"


def test_the_site_leads_to_every_page() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))

    def files(part: object) -> list[str]:
        if isinstance(part, str):
            return [part]
        inner = part.values() if isinstance(part, dict) else part
        return [file for one in inner for file in files(one)]  # type: ignore[attr-defined]

    named = files(config["nav"])
    pages = [page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")]
    cards = runpy.run_path(str(ROOT / "docs/cards/pages.py"))["CARDS"]
    assert sorted(named) == sorted([*pages, *(f"cards/{name}" for name in cards.values())]), "name them in mkdocs.yml"
    shipped = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/nano/**/*.safetensors")}
    assert set(cards) == shipped, "every card of weights is a page"
    assert config["theme"]["font"] is False  # readers' browsers ask nobody else


def test_every_table_can_be_made_again() -> None:
    """Each file of docs/results stands on the page that says which command made it: by its name, its folder or `*`."""
    text = (ROOT / "docs/reproducing.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./*-]+)`", text)
    kept = [path.relative_to(ROOT / "docs/results") for path in sorted((ROOT / "docs/results").rglob("*.*"))]
    missing = [
        name.as_posix()
        for name in kept
        if not any(fnmatch(name.as_posix(), f"{one}*" if one.endswith("/") else one) for one in named)
    ]
    assert kept and not missing


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path / "site")))
    for page in sorted((tmp_path / "site").glob("*.html")):
        loaded = re.findall(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"(https?:)", page.read_text(encoding="utf-8"))
        assert not loaded, page.name
    shown = (tmp_path / "site" / "cards" / "index.html").read_text(encoding="utf-8")
    assert "../../" not in shown and 'href="nano-encoder.html"' in shown
    assert "parameters" in (tmp_path / "site" / "cards" / "nano-encoder.html").read_text(encoding="utf-8")
    assert (tmp_path / "site" / "knowledge.html").is_file()


def of(text: str) -> Command:
    return Command("here.md", 1, tuple(text.split()), True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("python -m gog_env.build_index --sauce x", "unrecognized arguments: --sauce"),
        ("python -m agents.train_rl --curriculum none", "invalid choice"),
        ("python -m agents.nothing", "no module agents.nothing"),
        ("make coffee", "no target coffee"),
        ("pip install glance-or-gaze[gold]", "no extra gold"),
        ("accelerate launch --config_file agents/recipes/none.yaml -m agents.train_sft", "no file agents"),
        ("accelerate launch -m agents.train_sft --stepps 3", "--stepps"),
        ("frobnicate --all", "nothing is known of the program frobnicate"),
    ],
)
def test_a_command_that_is_wrong_is_found(text: str, said: str) -> None:
    assert said in problem_of(of(text))


def test_an_import_that_is_not_there_is_found() -> None:
    text = "import os, nowhere, moviepy\nfrom nothing import x\nfrom gog_env import actions, gone\n"
    text += "from gog_env.actions import Gaze, Stare\n"
    wrong = ["nowhere", "nothing", "gog_env.gone", "gog_env.actions.Stare"]
    assert unresolved(Block("here.md", 1, "python", text)) == wrong


def test_commands_are_found_in_sentences_blocks_and_behind_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "Run `python -m a.b --x 1\n  ...` or `python -m c one|two`.\n\n    $ python -m d\n\n"
        "- a list\n\n  ```sh\n  KEY=1 python -m e \\\n     --y   # why\n  python -m f &\n  ```\n"
        "\n```\n$ python -m g\nits output\n```\n"
    )
    (tmp_path / "page.md").write_text(text)
    monkeypatch.setattr("tests.docs.commands.ROOT", tmp_path)
    found = {command.words[2:]: command.fenced for command in commands("page.md")}
    assert found == {
        ("a.b", "--x", "1"): False, ("c", "one"): False, ("d",): False,
        ("e", "--y"): True, ("f",): True, ("g",): True,
    }  # fmt: skip


def test_programs_outside_of_packages_are_parsed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.commands.ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    program = "import argparse\ndef main(argv):\n    p = argparse.ArgumentParser()\n    p.add_argument('--n')\n"
    (tmp_path / "small.py").write_text(program + "    p.parse_args(argv)\n")
    assert problem_of(of("python small.py --n 3")) == ""
    assert "unrecognized arguments: --m" in problem_of(of("python small.py --m 3"))
    assert "no file large.py" in problem_of(of("python large.py"))
