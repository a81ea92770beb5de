"""The embedded world: made once, kept, found again, safe when two processes start together."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gog_env import embedded
from index.errors import GoGError, IntegrityError, TaskError

SMALL = embedded.EmbeddedSpec(seed=3, nations=24, train=3, heldout=2)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def loaded(tiny_encoder):
    from index.encoder import load_encoder

    return load_encoder(tiny_encoder)


@pytest.fixture
def small(monkeypatch, cache, loaded):
    """A small embedded world in a cache of its own, with an encoder of random weights."""
    monkeypatch.setenv("GOG_CACHE", str(cache))
    monkeypatch.setattr(embedded, "SPEC", SMALL)
    monkeypatch.setattr(embedded, "_nano", lambda: loaded)
    return cache


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_it_is_made_once_and_fits_together(small, capsys):
    index = embedded.index()
    assert len(index) == 24 + 3  # nations and notes
    for split, count in (("train", 3), ("heldout", 2)):
        tasks = embedded.tasks(split)
        assert len(tasks) == count
        tasks.check_against(index)
    assert "once" in capsys.readouterr().err
    assert embedded.index() is index and embedded.tasks("train") is embedded.tasks("train")
    assert embedded.knowledge().is_dir() and embedded.index_path().is_dir()
    assert capsys.readouterr().err == ""
    assert [name.split("-")[0] for name in visible(small)] == ["heldout", "index", "kb", "train"]


def test_another_spec_has_other_folders(small, monkeypatch):
    before = embedded.knowledge()
    monkeypatch.setattr(embedded, "SPEC", embedded.EmbeddedSpec(seed=4, nations=24, train=3, heldout=2))
    assert embedded.knowledge() != before


def test_what_lies_under_world_counts_data_too(small, monkeypatch):
    """Wordings and published fingerprints are data; a change of them makes another world, a compiled file does not."""
    before = embedded._world_key()
    read = type(small).read_bytes
    for name, changed in (("wordings.json", True), ("street.py", True), ("nations.cpython-311.pyc", False)):
        with monkeypatch.context() as patch:
            patch.setattr(type(small), "read_bytes", lambda path, name=name: read(path) + b" " * (path.name == name))
            assert (embedded._world_key() != before) == changed, name
    assert embedded._world_key() == before


def test_it_is_the_small_preset():
    from gog_env.world.presets import PRESETS

    preset = PRESETS["world-s"]
    spec = embedded.EmbeddedSpec()
    assert embedded._world().spec == preset.spec
    assert (spec.train, spec.heldout) == (preset.train, preset.heldout)


def test_another_format_or_other_options_have_another_index(small, monkeypatch):
    from index import build, seal, text

    made = []
    monkeypatch.setattr(embedded, "_made", lambda name, what, make: made.append(name))
    for module, name in ((seal, "VERSION"), (build, "THUMBNAIL_SIDE")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, getattr(module, name) + 1)
            embedded.index_path()
    with monkeypatch.context() as patch:
        patch.setitem(text.OPTIONS, "k1", 1.2)
        embedded.index_path()
    embedded.index_path()
    assert len(set(made)) == len(made) == 4


def test_a_full_disk_is_told_in_words_of_the_cache(small, monkeypatch):
    def fail(out):
        raise GoGError(f"cannot write {out}: No space left; choose another --out") from OSError(28, "No space left")

    with pytest.raises(GoGError, match=r"cannot write .*full: No space left; .* GOG_CACHE") as caught:
        embedded._made("full", "nothing", fail)
    assert "--out" not in str(caught.value)


def test_an_unknown_split_says_which_there_are(small):
    with pytest.raises(TaskError, match="train or heldout"):
        embedded.tasks("test")


def test_a_damaged_cache_says_what_to_remove(small):
    path = embedded.index_path()
    manifest = path / "manifest.json"
    content = manifest.read_bytes()
    embedded._opened.cache_clear()
    try:
        manifest.write_bytes(content[:-20])
        with pytest.raises(IntegrityError, match="remove"):
            embedded.index()
    finally:
        manifest.write_bytes(content)


def test_a_cache_that_cannot_be_written(small, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GOG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(GoGError, match="GOG_CACHE"):
        embedded.knowledge()


def test_a_failure_leaves_nothing_under_the_name(small):
    def fail(out):
        out.mkdir()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        embedded._made("failing", "nothing", fail)
    assert "failing" not in visible(small)
    assert not [path for path in small.iterdir() if path.name.startswith(".failing") and path.is_dir()]


def test_two_processes_make_it_once(tmp_path, monkeypatch):
    code = (
        "from gog_env import embedded; "
        "embedded.SPEC = embedded.EmbeddedSpec(seed=3, nations=24, train=1, heldout=1); print(embedded.knowledge())"
    )
    monkeypatch.setenv("GOG_CACHE", str(tmp_path))
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert len(visible(tmp_path)) == 1
    assert sum("once" in errors for _, errors in said) == 1


def test_importing_it_is_light():
    code = "import sys, gog_env.embedded; assert not {'torch', 'faiss', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
