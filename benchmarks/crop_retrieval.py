"""How well does a crop find its picture, the more carelessly it is cut?

    python -m benchmarks.crop_retrieval --data ../shared/data/atlas --encoder nano

- For every scene whose question points at a region, the first region is cropped with its gold box, with the box grown
  about its centre, and with every edge moved by a random share of the box's side; the crop is searched among all
  pictures of the source. hit@k: the evidence is among the k nearest. Moved edges are drawn `--draws` times, all count.
- The whole picture is searched too, over scenes that show several pictures of the source: what a glance can do there.
- Beside the encoder stands the simplest thing that could work: a 16x12 RGB thumbnail less its mean, by cosine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from agents.options import natural, positive
from index.errors import SourceError, cli
from index.images import Box, crop, grow, jitter
from index.records import read_rows, read_source

Embed = Callable[[Sequence[Image.Image]], np.ndarray]
Vary = Callable[[Box, np.random.Generator], Box]

# name → (how a gold box is changed, whether that is random)
CONDITIONS: dict[str, tuple[Vary, bool]] = {
    "gold box": (lambda box, rng: box, False),
    "grown 1.3x": (lambda box, rng: grow(box, 1.3), False),
    "grown 1.6x": (lambda box, rng: grow(box, 1.6), False),
    "edges ±15 %": (lambda box, rng: jitter(box, 0.15, rng), True),
    "edges ±30 %": (lambda box, rng: jitter(box, 0.30, rng), True),
}
WHOLE = "whole picture"


def thumbnail_vectors(pictures: Sequence[Image.Image]) -> np.ndarray:
    """The baseline: 16x12 RGB thumbnails less their mean; float32 (pictures, 576), rows of unit length."""
    rows = [np.asarray(picture.resize((16, 12), Image.Resampling.BOX), np.float32).ravel() for picture in pictures]
    vectors = np.stack(rows)
    vectors -= vectors.mean(axis=1, keepdims=True)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


def hits(embed: Embed, queries: Sequence[Image.Image], gold: Sequence[int], keys: np.ndarray) -> dict[str, float]:
    """hit@1 and hit@5 of queries among key vectors; `gold` holds the right row of each query."""
    scores = embed(queries) @ keys.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    found = order == np.asarray(gold)[:, None]
    return {"hit@1": float(found[:, 0].mean()), "hit@5": float(found.any(axis=1).mean()), "n": len(gold)}


def measure(
    data: str | Path, embedders: dict[str, Embed], seed: int = 0, draws: int = 5, split: str = "dev"
) -> dict[str, Any]:
    """Measures embedders on scenes of `data/split` against the pictures of `data/kb`.

    Args:
        data: folder with a knowledge source `kb` and tasks with `evidence` and `regions`.
        embedders: name → pictures to unit vectors.
        seed: decides the moved edges.
        draws: how often these are drawn per scene.
        split: folder of the tasks.

    Returns:
        condition → embedder → {"hit@1", "hit@5", "n"}.

    Raises:
        SourceError: the data is missing, or has no task with a region.
    """
    names, pictures = [], []
    for document in read_source(Path(data) / "kb"):
        for reference in document.pictures:
            names.append(document.id)
            pictures.append(reference.open())
    place = {name: row for row, name in reversed(list(enumerate(names)))}
    rows = read_rows(Path(data) / split)
    scenes = [(row, values) for row in range(len(rows)) if (values := rows[row]).get("regions")]
    if not scenes:
        raise SourceError(f"{data}/{split} has no task with a region; name data with `regions` and `evidence`")
    photos = [rows.pictures(row, values, ("image", "file_name"), str(row))[0].open() for row, values in scenes]
    boxes = [values["regions"][0] for _, values in scenes]
    gold = [place[values["evidence"][0]] for _, values in scenes]
    several = [i for i, (_, values) in enumerate(scenes) if values.get("kind") != "glance"]

    table: dict[str, Any] = {}
    keys = {name: embed(pictures) for name, embed in embedders.items()}
    for number, condition in enumerate(tqdm([*CONDITIONS, WHOLE], desc="conditions", disable=None)):
        if condition == WHOLE:
            queries, wanted = [photos[i] for i in several], [gold[i] for i in several]
        else:
            vary, random = CONDITIONS[condition]
            queries, wanted = [], []
            for draw in range(draws if random else 1):
                for i, (photo, box) in enumerate(zip(photos, boxes, strict=True)):
                    queries.append(crop(photo, vary(box, np.random.default_rng([seed, number, draw, i]))))
                wanted += gold
        table[condition] = {name: hits(embed, queries, wanted, keys[name]) for name, embed in embedders.items()}
    return table


def show(table: dict[str, Any]) -> str:
    """The table as text."""
    embedders = list(next(iter(table.values())))
    lines = [f"{'crop':<14}{'n':>6}" + "".join(f"{name + ' hit@1':>22}{'hit@5':>8}" for name in embedders)]
    for condition, row in table.items():
        n = row[embedders[0]]["n"]
        cells = "".join(f"{row[name]['hit@1']:>22.3f}{row[name]['hit@5']:>8.3f}" for name in embedders)
        lines.append(f"{condition:<14}{n:>6}{cells}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crop_retrieval",
        description="hit@k of careless crops among the pictures of a knowledge source, beside a thumbnail baseline.",
        epilog="example: python -m benchmarks.crop_retrieval --data ../shared/data/atlas --out runs/crops.json",
    )
    parser.add_argument("--data", required=True, help="folder with kb/ and the tasks")
    parser.add_argument("--split", default="dev", help="folder of the tasks in --data (default dev)")
    parser.add_argument("--encoder", default="nano", help="nano, a folder, or an open_clip model (default nano)")
    parser.add_argument("--seed", type=natural, default=0, help="decides the moved edges (default 0)")
    parser.add_argument("--draws", type=positive, default=5, help="draws of moved edges per scene (default 5)")
    parser.add_argument("--out", help="JSON file for the figures")
    args = parser.parse_args(argv)
    from index.encoder import load_encoder

    encoder = load_encoder(args.encoder)
    embedders: dict[str, Embed] = {args.encoder: encoder.encode_images, "thumbnail": thumbnail_vectors}
    table = measure(args.data, embedders, args.seed, args.draws, args.split)
    print(show(table))
    if args.out:
        out = Path(args.out)
        out.parent.mkdir(parents=True, exist_ok=True)
        head = {"data": Path(args.data).name, "split": args.split, "encoder": args.encoder, "seed": args.seed}
        report = {**head, "draws": args.draws, "fingerprint": encoder.fingerprint, "table": table}
        out.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {out}")


if __name__ == "__main__":
    cli(main)
