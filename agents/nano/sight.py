"""Sight: what each token of a picture must be able to tell while a nano model learns.

A language model of this size learns from words alone where things are, and hardly what they look like: a word of a list
says little to the token that it is about. So linear heads, which are thrown away, ask every token directly:

- a merged token that lies on a banner: whose box it is, each edge to a hundredth, which one it is in reading order, and
  all that is borne, with number and colour and without; any other: that it lies on none;
- any token, those that are fed in deeper too: the mean colours of its 8-pixel cells.

The vision tower learns this first and alone (`learn`); lessons take what it hands on as it is (`remember`).
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from agents.nano.architecture import MERGE, PATCH
from agents.nano.mosaics import Mosaics
from agents.nano.scenes import Scenes
from agents.thoughts import rows_of

CELL = 8
"""Pixels of a cell's side."""
BINS = 101
"""Places of an edge: hundredths of the picture, both ends included."""
BLUR = 0.7
"""Standard deviation of an edge's target, in bins: a near miss is better than a far one."""
RATE = 0.003
MOST = 12
"""Banners in a scene, at most."""
UNRANKED = -100
"""Stands for the place of a banner that is one of too many."""
RARE = 20
"""What fewer banners bear is not asked for."""
_WEIGHTS = {"on": 0.5, "edges": 0.25, "order": 0.5, "borne": 0.4, "parts": 0.4, "colours": 0.3}
"""Weights of the parts of the loss."""


class Sight:
    """The heads, their optimizer, and hooks that hold what the mergers hand on in a forward pass.

    Args:
        model: a nano model, in training.
        labels: what banners may bear (`labels_of`).
        grid: rows and columns of merged tokens.
    """

    def __init__(self, model: Any, labels: Sequence[str], grid: tuple[int, int]) -> None:
        vision = model.model.visual
        self._labels = {label: place for place, label in enumerate(labels)}
        self._held: dict[str, Any] = {}
        vision.merger.register_forward_hook(self._hold("merged"))
        vision.deepstack_merger_list[0].register_forward_hook(self._hold("deep"))
        width, rows, columns = model.config.text_config.hidden_size, *grid
        colours = 3 * (PATCH * MERGE // CELL) ** 2
        sizes = {"on": 1, "edges": 4 * BINS, "order": MOST, "borne": len(labels)}
        sizes |= {"colours": colours, "merged colours": colours}
        found = sorted({part_of(label) for label in labels})
        self._parts = torch.zeros(len(labels), len(found))
        for place, label in enumerate(labels):
            self._parts[place, found.index(part_of(label))] = 1
        sizes["parts"] = len(found)
        generator = torch.Generator().manual_seed(0)
        self.heads = nn.ModuleDict({name: nn.Linear(width, max(1, size)) for name, size in sizes.items()})
        with torch.no_grad():
            for weight in self.heads.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.02)
        self.optimizer = torch.optim.AdamW(self.heads.parameters(), RATE, weight_decay=0.0)
        across, down = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
        self._middles = np.stack([across.ravel(), down.ravel()], axis=1)

    def _hold(self, name: str) -> Any:
        def hook(module: Any, given: Any, handed_on: Any) -> None:
            self._held[name] = handed_on

        return hook

    def targets(self, rows: Sequence[dict[str, Any]]) -> tuple[Any, Any, Any, Any]:
        """What is to be told of scenes.

        Args:
            rows: as `scenes.pack` wrote them.

        Returns:
            Which tokens lie on a banner `bool[tokens]`, and of those the edges `float[n, 4]` in 0..1, the place in
            reading order `int[n]` (or `UNRANKED`), and what is borne `float[n, labels]` (0 or 1).
        """
        on, edges, order, borne = [], [], [], []
        for row in rows:
            boxes = np.asarray(row["boxes"])
            ranks = {place: rank for rank, place in enumerate(i for line in rows_of(row["boxes"]) for i in line)}
            x, y = self._middles[:, :1], self._middles[:, 1:]
            inside = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
            on.append(inside.any(1))
            for place in inside[inside.any(1)].argmax(1):
                edges.append(boxes[place])
                order.append(min(ranks[int(place)], MOST - 1) if row.get("ranked", True) else UNRANKED)
                marks = np.zeros(len(self._labels), dtype=np.float32)
                marks[[self._labels[one] for one in labels_in(row["bears"][place]) if one in self._labels]] = 1
                borne.append(marks)
        found = (np.concatenate(on), np.asarray(edges, dtype=np.float32), np.asarray(order), np.asarray(borne))
        return tuple(torch.from_numpy(one) for one in found)  # type: ignore[return-value]

    def losses(self, rows: Sequence[dict[str, Any]], pixels: Any) -> dict[str, Any]:
        """How badly the last forward pass's tokens tell it.

        Args:
            rows: of its scenes, in order.
            pixels: `float[patches, values]`, what it was given.

        Returns:
            `on`, `order`, `borne`, `parts` (cross-entropies), `edges` (the same, above the least that can be),
            `colours` (squared error, 1 for one who knows the mean alone), and `seen`, their weighted sum.
        """
        on, edges, order, borne = self.targets(rows)
        merged, deep = self._held["merged"].float(), self._held["deep"].float()
        wanted = cells(pixels)
        told = (self.heads["colours"](deep), self.heads["merged colours"](merged))
        colours = sum((one - wanted).square().mean(0) for one in told) / (2 * wanted.var(0).clamp_min(1e-3))
        lit = merged[on]
        places = torch.arange(BINS) / (BINS - 1)
        blurred = torch.softmax(-((edges[..., None] - places) * (BINS - 1)).square() / (2 * BLUR**2), dim=-1)
        logs = self.heads["edges"](lit).view(-1, 4, BINS).log_softmax(-1)
        least = -(blurred * blurred.clamp_min(1e-9).log()).sum(-1)
        parts = {
            "on": F.binary_cross_entropy_with_logits(self.heads["on"](merged)[:, 0], on.float()),
            "edges": (-(blurred * logs).sum(-1) - least).mean(),
            "order": F.cross_entropy(self.heads["order"](lit), order, ignore_index=UNRANKED),
            "borne": self._told("borne", lit, borne),
            "parts": self._told("parts", lit, (borne @ self._parts).clamp_max(1)),
            "colours": colours.mean(),
        }
        return {**parts, "seen": sum(_WEIGHTS[name] * part for name, part in parts.items())}

    def _told(self, head: str, lit: Any, wanted: Any) -> Any:
        """Cross-entropy of one of several that are true, `[n, width]` against `[n, labels]` (0 or 1)."""
        return -(self.heads[head](lit).log_softmax(-1) * wanted).sum() / wanted.sum().clamp_min(1)

    def step(self) -> None:
        """Improves the heads by the gradients that a backward pass left."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Heads and optimizer."""
        return {"heads": self.heads.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from `state_dict`."""
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])


def labels_in(bears: Sequence[str]) -> list[str]:
    """What is asked for of a banner that bears this: each part's colour, and how many there are.

    >>> labels_in(["three white crescents", "a red border"])
    ['white crescents', 'three crescents', 'red border', 'a border']
    """
    told = []
    for phrase in bears:
        number, colour, *rest = phrase.split()
        if colour in ("dark", "light"):
            colour, rest = f"{colour} {rest[0]}", rest[1:]
        told += [" ".join([colour, *rest]), " ".join([number, *rest])]
    return told


def part_of(label: str) -> str:
    """A label without its number or colour.

    >>> part_of("dark blue arrow"), part_of("three crescents"), part_of("a band along the top")
    ('arrow', 'crescents', 'band along the top')
    """
    first, *rest = label.split()
    return " ".join(rest[1:] if first in ("dark", "light") else rest)


def labels_of(tables: Sequence[Scenes], least: int = RARE) -> list[str]:
    """What at least so many banners of the scenes bear, in order."""
    found = Counter(label for table in tables for row in table.rows for one in row["bears"] for label in labels_in(one))
    return sorted(label for label, count in found.items() if count >= least)


def cells(pixels: Any) -> Any:
    """Mean colours of the cells of each merged token.

    Args:
        pixels: `float[patches, 3 x PATCH x PATCH]`; the patches of a merged token follow each other.

    Returns:
        `float[patches / MERGE**2, 3 x cells of a merged token]`.
    """
    side = PATCH // CELL
    patches = pixels.view(-1, 3, side, CELL, side, CELL).mean((3, 5))
    return patches.reshape(len(pixels) // MERGE**2, -1)


def learn(
    model: Any, sight: Sight, tables: Sequence[Scenes], steps: int, out: Path, seed: int = 0, batch: int = 24,
    lr: float = 0.015, decay: float = 0.05, keep: int = 250, mosaics: int = 12,
) -> None:  # fmt: skip
    """Teaches the vision tower to see, in place; writes `sight.jsonl` and `sight.pt` into `out` and goes on from them.

    Args:
        model: a nano model.
        sight: its heads.
        tables: scenes; the last fiftieth of each is left for exams.
        steps: optimizer steps; the rate falls along a line.
        out: folder of log and result.
        seed: of the order.
        batch: pictures a step.
        lr: Muon's learning rate.
        decay: its weight decay.
        keep: steps between two that are kept.
        mosaics: how many of a step's pictures are laid of banners of all scenes (`agents.nano.mosaics`): most of a
            scene is no banner, and what is borne is learned last, long after places.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    from agents.logs import cut_log
    from agents.optim import MuonWithAdamW

    attention = model.model.visual.config._attn_implementation
    ALL_ATTENTION_FUNCTIONS.register("short", short_attention)
    model.model.visual.config._attn_implementation = "short"
    optimizer = MuonWithAdamW(model.model.visual.named_parameters(), lr, lr * 0.15, weight_decay=decay)
    full = [group["lr"] for group in optimizer.param_groups]
    (rows, columns), kept, start = tables[0].grid, out / "sight.pt", 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.model.visual.load_state_dict(state["vision"])
        optimizer.load_state_dict(state["optimizer"])
        sight.load_state_dict(state["sight"])
        start = state["step"]
    cut_log(out / "sight.jsonl", start)
    layer = Mosaics(tables) if mosaics else None
    begun = time.perf_counter()
    sums: Counter[str] = Counter()
    for step in range(start, steps):
        share = min((step + 1) / 32, (steps - step) / steps)
        for group, rate in zip(optimizer.param_groups, full, strict=True):
            group["lr"] = rate * share
        rng = np.random.default_rng([43, seed, step])
        drawn = [tables[int(which)] for which in rng.integers(len(tables), size=batch - mosaics)]
        places = [int(rng.integers(len(table.rows) * 49 // 50)) for table in drawn]
        cuts = [table.patches[place] for table, place in zip(drawn, places, strict=True)]
        told = [table.rows[place] for table, place in zip(drawn, places, strict=True)]
        if layer is not None:
            laid = [layer.draw(rng) for _ in range(mosaics)]
            cuts, told = [*cuts, *(one for one, _ in laid)], [*told, *(row for _, row in laid)]
        pixels = torch.from_numpy(np.concatenate(cuts)).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            model.model.visual(pixels, torch.tensor([[1, rows, columns]] * batch))
        parts = sight.losses(told, pixels)
        parts["seen"].backward()
        torch.nn.utils.clip_grad_norm_(model.model.visual.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        sight.step()
        for name, part in parts.items():
            sums[name] += float(part.detach())  # type: ignore[assignment]
        if (step + 1) % 50 == 0 or step + 1 == steps:
            row = {name: round(value / (step % 50 + 1), 4) for name, value in sums.items()}
            row["seconds"] = round(time.perf_counter() - begun, 1)
            sums.clear()
            with (out / "sight.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step + 1, **row}) + "\n")
        if (step + 1) % keep == 0 or step + 1 == steps:
            state = {"vision": model.model.visual.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save({**state, "sight": sight.state_dict()}, kept.with_suffix(".tmp"))
            kept.with_suffix(".tmp").replace(kept)
    model.model.visual.config._attn_implementation = attention


def short_attention(module: Any, query: Any, key: Any, value: Any, scaling: float, **given: Any) -> Any:
    """Attention in the type of what it is given, which a CPU does faster than anything fused for a few hundred tokens.

    Args:
        module: not used.
        query, key, value: `[batch, heads, tokens, width]`.
        scaling: of the logits.
        **given: not used, no mask either: all tokens of a picture see each other.

    Returns:
        `[batch, tokens, heads, width]`, and None for the weights.
    """
    logits = (query * scaling) @ key.transpose(-1, -2)
    return (logits.softmax(-1) @ value).transpose(1, 2).contiguous(), None


def remember(model: Any, tables: Sequence[Scenes], out: Path, batch: int = 32) -> list[np.ndarray]:
    """What the vision tower hands on of every scene, so that lessons need not look again.

    Args:
        model: a nano model; it is not changed.
        tables: scenes.
        out: folder where they are kept; what is there is opened.
        batch: scenes a forward pass.

    Returns:
        For each table `float16[scenes, 2, tokens, width]`, memory-mapped: merged tokens, and those fed in deeper.
    """
    found = []
    for number, table in enumerate(tables):
        path, (rows, columns) = out / f"seen-{number}.npy", table.grid
        if not path.exists():
            parts = []
            for start in range(0, len(table.rows), batch):
                cuts = np.concatenate(list(table.patches[start : start + batch]))
                grid = torch.tensor([[1, rows, columns]] * (len(cuts) // (rows * columns)))
                with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                    looked = model.model.visual(torch.from_numpy(cuts).float() / 127.5 - 1, grid)
                both = torch.stack([looked.pooler_output, looked.deepstack_features[0]]).half()
                parts.append(both.view(2, len(grid), -1, both.shape[-1]).transpose(0, 1).numpy())
            np.save(path.with_name(f".{path.name}"), np.concatenate(parts))
            path.with_name(f".{path.name}").replace(path)
        found.append(np.load(path, mmap_mode="r"))
    return found
