"""Scenes to learn looking from: task after task of a world's training split, with all that can be said of its picture.

    pack(WorldSpec(seed=1, nations=4000), 6000, folder, jobs=2)     # folder/scenes.jsonl, folder/patches.npy

Decisions:
  * Drawing a scene costs more than learning from it, so each is drawn once and asked about many times: every banner's
    box, all words that point at it alone, and questions that eyes alone answer.
  * Scene i is the picture of training task i (`gog_env.world.write`), so that demonstrations of the same tasks need no
    second drawing.
  * Pictures are kept as the processor cuts them: patches of one byte a value, `uint8[count, patches, values]`, from
    which a step takes what it needs without decoding anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gog_env.world.answers import halves_of, number, plural
from gog_env.world.features import features, mistakable
from gog_env.world.nations import SPLITS, WorldSpec, make_world
from gog_env.world.questions import Asked, ask
from gog_env.world.refer import references
from gog_env.world.wordings import WORDS, say, sentence
from gog_env.world.workers import in_order

ROWS, PATCHES = "scenes.jsonl", "patches.npy"
VISUAL = 12
"""Questions about what can be seen that are kept of a scene, at most."""
_world = lru_cache(maxsize=2)(make_world)


@dataclass(frozen=True)
class Scenes:
    """Packed scenes, opened.

    Attributes:
        rows: one dictionary a scene: the task's `id`, `question`, `kind`, `answers`; `boxes` (one a banner, 0..1),
            `words` (for each banner pairs of sort and phrase), `bears` (for each banner what one sees on it, the
            largest first), `visual` (pairs of question and answer).
        patches: `uint8[count, patches, values]`, memory-mapped.
        grid: rows and columns of patches.
    """

    rows: list[dict[str, Any]]
    patches: np.ndarray
    grid: tuple[int, int]


def pack(spec: WorldSpec, count: int, folder: Path, jobs: int = 1, seed: int = 0) -> None:
    """Draws scenes and writes them. What is complete already stays as it is.

    Args:
        spec: the world.
        count: how many scenes.
        folder: where to; made if need be.
        jobs: processes; the bytes are the same for any number.
        seed: of the tasks.
    """
    from tqdm import tqdm

    if (folder / ROWS).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    patches: Any = None
    partial_rows = folder / f".{ROWS}.partial"
    with partial_rows.open("w", encoding="utf-8", newline="\n") as lines:
        made = in_order(partial(_made, spec, seed), count, 32, jobs)
        for number_, (row, cut) in enumerate(tqdm(made, "scenes", count, unit="scene", disable=None)):
            if patches is None:
                shape = (count, *cut.shape)
                patches = np.lib.format.open_memmap(folder / PATCHES, mode="w+", dtype=np.uint8, shape=shape)
            patches[number_] = cut
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
    if patches is not None:
        patches.flush()
    partial_rows.replace(folder / ROWS)


def read(folder: Path) -> Scenes:
    """Opens what `pack` wrote."""
    rows = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
    return Scenes(rows, np.load(folder / PATCHES, mmap_mode="r"), tuple(rows[0]["grid"]))


def cut(picture: Image.Image) -> tuple[np.ndarray, tuple[int, int]]:
    """A picture as the nano processor cuts it: `uint8[patches, values]`, and the rows and columns of patches."""
    batch = _processor()(images=[picture], return_tensors="np")
    values = np.asarray(batch["pixel_values"])
    _, rows, columns = (int(value) for value in np.asarray(batch["image_grid_thw"])[0])
    return np.clip(np.rint((values * 0.5 + 0.5) * 255), 0, 255).astype(np.uint8), (rows, columns)


@lru_cache(maxsize=1)
def _processor() -> Any:
    from agents.nano.architecture import make_image_processor

    return make_image_processor()


def _made(spec: WorldSpec, seed: int, start: int, stop: int) -> list[tuple[dict[str, Any], np.ndarray]]:
    import torch

    torch.set_num_threads(1)
    world, made = _world(spec), []
    for i in range(start, stop):
        rng = np.random.default_rng([13, spec.seed, SPLITS.index("train"), seed, i])  # as `gog_env.world.write`
        asked = ask(world, "train", rng)
        cut_, grid = cut(asked.scene.picture)
        made.append(({"id": f"train-{i:05d}", "world": spec.seed, "grid": grid, **_told(asked, i)}, cut_))
    return made


def _told(asked: Asked, i: int) -> dict[str, Any]:
    """All that can be said of a scene without knowing whose banners it shows."""
    banners = [nation.banner for nation in asked.plan.shown]
    found = references(asked.scene, banners)
    kept = ("question", "kind", "answers", "calls", "evidence", "regions")
    return {
        **{name: asked.fields[name] for name in kept},
        "topic": asked.plan.topic,
        "path": asked.plan.path,
        "targets": asked.plan.targets,
        "setting": asked.scene.setting,
        "boxes": [placed.box for placed in asked.scene.placed],
        "words": [[(one.by, one.phrase) for one in words] for words in found],
        "bears": [[one.phrase for one in features(banner)] for banner in banners],
        "visual": _visual(asked, found, np.random.default_rng([31, i])),
    }


def _visual(asked: Asked, found: list[list[Any]], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Questions that eyes alone answer, in the training split's wordings, and their first answers."""
    scene, word = asked.scene, str(rng.choice(WORDS))
    told: list[tuple[str, str]] = []

    def put(key: str, answer: str, **slots: str) -> None:
        told.append((sentence(say(key, "train", rng, b=word, **slots)), answer))

    if scene.setting != "gallery":
        put("count", number(len(scene.placed))[0])
    for i, nation in enumerate(asked.plan.shown):
        words = found[i]
        pointing = [one.phrase for one in words if one.by in ("place", "size", "order")]
        if not pointing and len(scene.placed) == 1:
            pointing = [say("alone", "train", rng, b="{b}")]
        if pointing:
            ref = str(rng.choice(pointing)).format(b=word)
            for one in features(nation.banner):
                if mistakable(nation.banner, one):
                    continue
                on = "of" if " along " in one.part else "on"
                slots = {"part": one.part, "parts": plural(one), "on": on, "ref": ref}
                put("colors" if one.count > 1 else "color", one.color, **slots)
                if one.count > 1:
                    put("number", number(one.count)[0], **slots)
        by_sight = [one.phrase for one in words if one.by in ("feature", "size")]
        if by_sight:
            seen = str(rng.choice(by_sight)).format(b=word)
            for topic, answers in halves_of(scene.placed[i]):
                put(topic, answers[0], ref=seen)
    places = [i for i, words in enumerate(found) if any(one.by == "place" for one in words)]
    for i, j in _pairs(scene, places):
        first, second = (scene.placed[int(k)].place for k in rng.permutation([i, j]))
        put("larger", scene.placed[i].place, one=first, two=second)
    order = rng.permutation(len(told))[:VISUAL]
    return [told[int(k)] for k in order]


def _pairs(scene: Any, places: list[int]) -> Iterator[tuple[int, int]]:
    areas = [placed.area for placed in scene.placed]
    yield from ((i, j) for i in places for j in places if areas[i] >= 1.5 * areas[j])
