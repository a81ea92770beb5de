"""The pages for newcomers are followed step by step, in a folder of their own: what they say works, and in this order.

A story is the shell and Python blocks of some pages, run one after the other in this process. What is left out is named
in `ELSEWHERE` (other programs) or here, with the reason.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.docs.commands import Block, blocks, commands

#: Commands of the stories that are parsed (test_pages.py) and not run in the quick tests.
NOT_RUN = {
    "--kind compare --out compare.mp4": "makes the embedded world first",
    "--encoder ViT-B-32:openai": "downloads weights",
    "pip install": "changes the environment",
    "benchmarks.": "takes minutes",
    "agents/nano/sft": "trains; see the slow test",
    "index.train_encoder": "trains; see the slow test",
    "--encoder my/encoder": "needs the trained encoder; see the slow test",
}


@pytest.fixture()
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOG_CACHE", str(tmp_path / "cache"))
    yield tmp_path


def run(words: tuple[str, ...]) -> None:
    """Runs `python -m MODULE ...` in this process; any exit status but 0 is a failure."""
    assert words[:2] == ("python", "-m"), words
    module = words[2]
    spec = (
        importlib.util.find_spec(f"{module}.__main__") if hasattr(importlib.import_module(module), "__path__") else None
    )
    try:
        status = importlib.import_module(f"{module}.__main__" if spec else module).main(list(words[3:]))
    except SystemExit as end:
        status = end.code
    assert not status, words


def follow(page: str, changes: Mapping[str, str] = {}, skip: Mapping[str, str] = NOT_RUN) -> int:  # noqa: B006
    """Runs the blocks of a page in their order; returns how many steps that were.

    Args:
        page: relative to the repository.
        changes: words of commands that are replaced, to make them small.
        skip: pieces of commands and blocks that are not run.
    """
    steps = 0
    listed = [command for command in commands(page) if command.fenced]
    for block in blocks(page):
        if block.language == "python":
            if not any(piece in block.text for piece in skip):
                exec(compile(block.text, f"{page}:{block.line}", "exec"), {"__name__": "page"})  # noqa: S102
                steps += 1
        for command in (one for one in listed if one.line == block.line):
            text = " ".join(command.words)
            if not any(piece in text for piece in skip):
                run(tuple(changes.get(word, word) for word in command.words))
                steps += 1
    return steps


def test_your_own_knowledge_tasks_and_films(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow("docs/knowledge.md") == 5
    said = capsys.readouterr().out
    assert "is sound" in said and "'belmo'" in said and "The capital of Arda is Ardaville." in said
    assert follow("docs/tasks.md") == 5
    said = capsys.readouterr().out
    assert "[1] Belmo" in said and "1.0 1.0 1" in said
    metrics = json.loads((here / "runs/first/oracle-crop/metrics.json").read_text())
    assert metrics["accuracy"]["mean"] == 1.0
    films = {} if _has("moviepy") else {"RecordVideo": "needs the extra video"}
    assert follow("docs/video.md", skip={**NOT_RUN, **films}) == 4 - len(films)
    made = {"page.png", "t1.gif", "oracle.gif", "runs/first.gif"}
    made |= set() if films else {"runs/films/rl-video-episode-0.mp4"}
    assert all((here / name).stat().st_size > 1000 for name in made)
    assert follow("docs/rewards.md") == 2


def test_building_again_embeds_what_is_new(here: Path) -> None:
    """The commands at the top of the page: from scratch, after a change, beside the old one."""
    follow("docs/knowledge.md", skip={**NOT_RUN, "index ": "the index is built below", "KnowledgeIndex": "searches it"})
    first, again, forced, beside = [one.words for one in commands("docs/building.md") if one.fenced][:4]
    assert first == again, "one command goes on after a kill"
    for words in (first, forced, beside):
        run(words)
    facts = json.loads((here / "other/report.json").read_text())["vectors"]
    assert facts["embedded"] == 0 and facts["reused"] == 2
    prints = {json.loads((here / name / "manifest.json").read_text())["fingerprint"] for name in ("my/index", "other")}
    assert len(prints) == 1


def test_a_recorded_log_becomes_knowledge_and_is_played_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log that the page shows, with addresses in place of its dots."""
    example = next(block.text for block in blocks("docs/importing.md") if block.language == "json")
    log = json.loads(example)
    for call in log["calls"]:
        for number, result in enumerate(call["results"]):
            result["url"] = f"https://example.org/{call['type']}/{number}"
            result["title"] = f"The {call['type']} of Cheshire"
    (here / "log.jsonl").write_text(json.dumps(log) + "\n")
    for name in (log["picture"], "thumbs/1.jpg"):
        (here / name).parent.mkdir()
        Image.effect_noise((120, 90), 60).convert("RGB").save(here / name)
    block = next(block for block in blocks("docs/importing.md") if "index.importers episodes" in block.text)
    story = [one.words for one in commands("docs/importing.md") if one.line == block.line]
    assert [words[2] for words in story] == [
        "index.importers",
        "gog_env.build_index",
        "gog_env.replayed",
        "agents.evaluate",
    ]
    for words in story[:3]:  # what follows is any evaluation; see the tasks
        run(words)
    assert (here / "runs/log/played.jsonl").read_text().count("\n") == 1


def test_dialects_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = [one.words for one in commands("docs/dialects.md") if one.fenced and one.words[2] == "agents.dialects"]
    assert len(shown) == 2
    for words in shown:
        run(words)
    assert "image_zoom_in_tool" in capsys.readouterr().out


@pytest.mark.slow
def test_plans_of_full_size_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    plans = [one.words for one in commands("docs/full-size.md") if one.fenced and "--dry-run" in one.words]
    assert len(plans) == 2
    for words in plans:
        run(words)
    assert "8" in capsys.readouterr().out


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def notebook() -> dict:
    return json.loads((ROOT / "docs/first-steps.ipynb").read_text(encoding="utf-8"))


def test_the_notebook_runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells' code in one namespace, in order; by Jupyter itself in the slow tests."""
    monkeypatch.setenv("TMPDIR", str(here))
    shown: dict = {"__name__": "notebook"}
    for cell in notebook()["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "first-steps.ipynb", "exec"), shown)  # noqa: S102
    assert shown["reward"] == 1.0 and shown["rank"]["Gaze"] == 1
    assert shown["accuracy"]["direct"] < shown["accuracy"]["oracle-crop"] == 1.0


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    for cell in notebook()["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    assert len(json.dumps(notebook())) < 20_000


@pytest.mark.slow
def test_jupyter_runs_the_notebook(here: Path) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    read = nbformat.read(ROOT / "docs/first-steps.ipynb", as_version=4)
    nbformat.validate(read)
    nbclient.NotebookClient(read, timeout=900, resources={"metadata": {"path": str(ROOT)}}).execute()
    pictures = [
        output for cell in read.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2


@pytest.mark.slow
def test_an_encoder_of_ones_own(here: Path) -> None:
    follow("docs/knowledge.md")
    rest = {piece: why for piece, why in NOT_RUN.items() if "encoder" not in piece or "ViT" in piece}
    assert follow("docs/encoders.md", {"500": "2"}, rest) == 2
    assert (here / "my/own-index/manifest.json").is_file()


@pytest.mark.slow
def test_the_readme_trains_on_your_own_tasks(here: Path) -> None:
    """The commands of "Your own pictures and questions" but the page, which waits for a person; one step each."""
    follow("docs/knowledge.md")
    follow("docs/tasks.md")
    shutil.rmtree(here / "my/index")
    rows = here / "my/tasks/metadata.jsonl"
    [row] = map(json.loads, rows.read_text().splitlines())
    rows.write_text("".join(json.dumps({**row, "id": f"t{number}"}) + "\n" for number in range(12)))
    block = next(block for block in blocks("README.md") if "--index my/index --tasks my/tasks --steps" in block.text)
    listed = [one.words for one in commands("README.md") if one.line == block.line]
    four = [words for words in listed if "gog_env.play" not in words]
    assert len(listed) == 5 and len(four) == 4
    for words in four:
        run(tuple({"100": "1", "20": "1"}.get(word, word) for word in words))
    assert (here / "runs/sft/model/model.safetensors").is_file() and (here / "runs/rl/run.json").is_file()


def test_what_is_left_out_is_still_in_the_pages() -> None:
    """No reason outlives the command that it is about."""
    pages = ["docs/knowledge.md", "docs/tasks.md", "docs/video.md", "docs/rewards.md", "docs/encoders.md"]
    texts = [" ".join(command.words) for page in pages for command in commands(page)]
    assert not [piece for piece in NOT_RUN if not any(piece in text for text in texts)]


def test_blocks_are_found_where_they_are_indented() -> None:
    shown = [block for block in blocks("docs/serving.md") if not block.language]
    assert shown and all(isinstance(block, Block) and not block.text.startswith(" ") for block in shown)
