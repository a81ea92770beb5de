"""School: what a step reads and learns from, that it learns at all, and that it goes on where it was broken off."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.nano import exam, school, sight
from agents.nano.architecture import Size, make_model
from agents.nano.make import tokenizer_of
from agents.nano.scenes import Scenes, pack, read
from agents.thoughts import rows_of
from gog_env.world.nations import WorldSpec, make_world

SPEC = WorldSpec(seed=8, nations=48, name="school")
SIZE = Size(hidden=32, text_layers=2, vision_layers=2, heads=1, vision_heads=2)
PLAN = school.Plan(steps=4, looking=2, reading=2, names=1, spelling=1, exams=0, keep=2)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> school.Desk:
    folder = tmp_path_factory.mktemp("scenes")
    pack(SPEC, 60, folder)
    world, table = make_world(SPEC), read(folder)
    return school.Desk(tokenizer_of([world], [table]), [table], [world])


def weights(model: Any) -> np.ndarray:
    return np.concatenate([weight.detach().numpy().ravel() for weight in model.parameters()])


def test_only_replies_are_learned_and_articles_count_a_little(desk: school.Desk) -> None:
    tokenizer = desk.tokenizer
    for batch in desk.step(PLAN, 1, seed=0):
        for ids, counts in zip(batch.ids, batch.weights, strict=True):
            learned = tokenizer.decode(ids[counts >= 1])
            little = tokenizer.decode(ids[(counts > 0) & (counts < 1)])
            assert "<|im_start|>" not in learned and "<|image_pad|>" not in learned and learned.endswith("<|im_end|>")
            assert ("<tool_response>" in little) == ("<tool_response>" in tokenizer.decode(ids))
    later = school.Plan(steps=4, looking=2, reading=2, articles=0.1)
    assert all(set(np.unique(batch.weights)) <= {0.0, 1.0, school.REPLIES} for batch in desk.step(later, 3, seed=0))


def test_a_scene_takes_as_many_places_as_the_model_makes_of_it(desk: school.Desk) -> None:
    [looks, *_] = desk.step(PLAN, 1, seed=0)
    pad = desk.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    pixels, grid = desk.pixels(looks)
    assert (looks.ids == pad).sum(1).tolist() == [88, 88] and pixels.shape == (2 * 352, 768)
    assert grid.tolist() == [[1, 16, 22]] * 2 and float(pixels.min()) >= -1 and float(pixels.max()) <= 1


def test_it_learns(desk: school.Desk, tmp_path: Path) -> None:
    model = make_model(desk.tokenizer, SIZE, seed=1)
    plan = school.Plan(steps=50, looking=2, reading=1, names=1, spelling=50, exams=0, keep=0, steady=0.9)
    school.study(model, desk, plan, tmp_path)
    first, last = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert (first["step"], last["step"]) == (25, 50) and last["loss"] < first["loss"] - 1


def test_a_broken_off_run_goes_on_to_the_same_weights(desk: school.Desk, tmp_path: Path) -> None:
    whole, broken, resumed = (make_model(desk.tokenizer, SIZE, seed=1) for _ in range(3))
    school.study(whole, desk, PLAN, _made(tmp_path / "whole"), seed=3)
    school.study(broken, desk, PLAN, _made(tmp_path / "broken"), seed=3, until=0.0)  # stops after its first step
    assert not np.array_equal(weights(whole), weights(broken))
    school.study(resumed, desk, PLAN, tmp_path / "broken", seed=3)
    assert np.array_equal(weights(whole), weights(resumed))
    assert [json.loads(line)["step"] for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()] == [1, 4]


def test_an_exam_marks_boxes_and_replies(desk: school.Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam, "EXAM", 16)
    marks = exam.examine(make_model(desk.tokenizer, SIZE, seed=1), desk)
    assert {"iou50", "iou85", "answering", "pointing"} <= set(marks) and all(0 <= mark <= 1 for mark in marks.values())
    right: dict[str, list[float]] = {}
    gold, near = (desk.tokenizer(text)["input_ids"] for text in ("[100, 200, 400, 600]", "[100, 200, 410, 600]"))
    exam._mark(right, desk.tokenizer, "looking", gold, near)
    exam._mark(right, desk.tokenizer, "looking", gold, desk.tokenizer("[900, 900, 910, 910]")["input_ids"])
    assert right["iou50"] == [1.0, 0.0] and right["iou85"] == [1.0, 0.0] and right["pointing"] == [1.0, 1.0]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_tokens_of_a_picture_are_asked_for_the_colours_that_they_cover(desk: school.Desk) -> None:
    import torch
    from PIL import Image

    from agents.nano import scenes
    from agents.nano.sight import cells

    colours = np.zeros((256, 352, 3), dtype=np.uint8)
    colours[40:48, 64:72] = 200, 100, 50  # a cell of the merged token in row 1, column 2
    patches, _ = scenes.cut(Image.fromarray(colours))
    told = cells(torch.from_numpy(patches).float())
    assert told.shape == (88, 48)
    lit = told.nonzero()
    assert set(lit[:, 0].tolist()) == {1 * 11 + 2} and sorted(told[13][told[13] > 0].tolist()) == [50, 100, 200]


def test_tokens_are_asked_for_the_banner_that_they_lie_on(desk: school.Desk) -> None:
    eyes = sight.Sight(make_model(desk.tokenizer, SIZE, seed=1), labels := sight.labels_of(desk.scenes, 1), (8, 11))
    row = next(row for row in desk.scenes[0].rows if len(row["boxes"]) > 2 and all(row["bears"]))
    on, *told = eyes.targets([row])
    reading = [i for line in rows_of(row["boxes"]) for i in line]
    for token, box, rank, marks in zip(on.nonzero()[:, 0].tolist(), *(one.numpy() for one in told), strict=True):
        x, y = (token % 11 + 0.5) / 11, (token // 11 + 0.5) / 8
        place = next(i for i, one in enumerate(row["boxes"]) if np.allclose(one, box))
        assert box[0] <= x < box[2] and box[1] <= y < box[3] and reading[rank] == place
        assert {labels[i] for i in marks.nonzero()[0]} == set(sight.labels_in(row["bears"][place]))
    boxes = np.unique(told[0].numpy().round(4), axis=0)
    assert np.allclose(boxes, np.unique(np.array(row["boxes"]), axis=0), atol=1e-3), "none is left out"


def _unseen(model: Any, eyes: sight.Sight, scenes: Scenes) -> dict[str, float]:
    """The losses of all heads on scenes that learning leaves out."""
    places = range(len(scenes.rows) * 49 // 50, len(scenes.rows))
    pixels = torch.from_numpy(np.concatenate([scenes.patches[place] for place in places])).float() / 127.5 - 1
    with torch.no_grad():
        model.model.visual(pixels, torch.tensor([[1, *scenes.grid]] * len(places)))
        return {
            head: float(loss) for head, loss in eyes.losses([scenes.rows[place] for place in places], pixels).items()
        }


@pytest.mark.parametrize("mosaics", [0, 1])
def test_it_learns_to_see_and_goes_on_where_it_stopped(
    desk: school.Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mosaics: int
) -> None:
    labels = sight.labels_of(desk.scenes, 1)
    blind: list[dict[str, float]] = []

    def seeing(out: Path, stop: int = 0) -> np.ndarray:
        model = make_model(desk.tokenizer, SIZE, seed=1)
        eyes = sight.Sight(model, labels, (8, 11))
        blind.append(_unseen(model, eyes, desk.scenes[0]))
        with monkeypatch.context() as patch:
            if stop:
                steps = iter(range(stop))
                patch.setattr(eyes.optimizer, "step", lambda plain=eyes.optimizer.step: (next(steps), plain()))
            sight.learn(model, eyes, desk.scenes, 20, out, batch=6, keep=4, mosaics=3 * mosaics)
        seen = _unseen(model, eyes, desk.scenes[0])
        assert (
            all(loss < blind[-1][head] for head, loss in seen.items()) and seen["colours"] < 0.95 * blind[-1]["colours"]
        )
        return weights(model)

    whole = seeing(_made(tmp_path / "whole"))
    with pytest.raises(StopIteration):
        seeing(_made(tmp_path / "broken"), stop=6)
    assert np.array_equal(whole, seeing(tmp_path / "broken"))
    [row] = [json.loads(line) for line in (tmp_path / "whole" / "sight.jsonl").read_text().splitlines()]
    assert row["step"] == 20 and row["on"] < 0.8


def test_lessons_with_remembered_pictures_are_those_with_pictures(desk: school.Desk, tmp_path: Path) -> None:
    import torch

    model = make_model(desk.tokenizer, SIZE, seed=1).eval()
    [looks, *_] = desk.step(PLAN, 1, seed=0)
    again = school.Desk(desk.tokenizer, desk.scenes, desk.worlds, sight.remember(model, desk.scenes, tmp_path))
    with torch.no_grad():
        seen, remembered = (school.forward(model, one, looks)[0] for one in (desk, again))
    assert torch.allclose(seen, remembered, atol=0.05) and float((seen - remembered).abs().mean()) < 0.01
    assert [path.name for path in tmp_path.iterdir()] == ["seen-0.npy"]


def test_what_was_begun_with_other_options_is_refused(tmp_path: Path) -> None:
    from argparse import Namespace

    from agents.nano import make
    from index.errors import ModelError

    options = Namespace(
        nations=60, scenes=8, sight=1, lessons=2, demonstrations=4, sft=1, batch=8, lr=0.01, seed=0,
        tasks=4, rl=1, rl_lr=0.1,
    )  # fmt: skip
    for _ in range(2):
        for stage in make.STAGES:
            make.begin(tmp_path, stage, options)
    options.lessons, options.sft = 3, 2
    make.begin(tmp_path, "scenes", options)
    with pytest.raises(ModelError, match="holds base that were made with --lessons 2, not 3"):
        make.begin(tmp_path, "base", options)
    with make.timed(tmp_path, "base"):
        pass
    assert set(json.loads((tmp_path / "seconds.json").read_text())) == {"base"}
