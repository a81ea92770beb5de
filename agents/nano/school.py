"""School: trains the nano model on lessons (`agents.nano.lessons`), before it has seen a single demonstration.

Decisions: lessons are drawn and worded anew at every step, from (seed, step, place in the batch) alone, so nothing is
stored but scenes, and a broken-off run continues to the same numbers. A step reads three small batches (looking, long
and short reading), each padded to its own length; the loss is averaged over all tokens that are to be learned. Early on
the articles themselves count a little, too: names that come again in a text are the densest lesson in copying. Muon and
AdamW as in `agents.optim`; the rate stays for the first part of the run and falls to a tenth of a percent along a line.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from agents.nano import reading
from agents.nano.lessons import Lesson, Said
from agents.nano.looking import looking
from agents.nano.scenes import Scenes
from gog_env.world.nations import World
from index.deterministic import deterministic

ARTICLES = 0.1
"""Weight of a token that is only read, as long as articles count."""
REPLIES = 2.0
"""Weight of a token of a reply to a text, where one to a picture has 1: they are short and copy to the letter."""


@dataclass(frozen=True)
class Plan:
    """How long and on what.

    Attributes:
        steps: optimizer steps.
        looking, reading, names: lessons of each sort in a step.
        lr: Muon's learning rate; AdamW takes 0.15 of it.
        decay: Muon's weight decay. Without it weights grow until late steps change nothing.
        steady: share of the steps with the full rate.
        articles: share of the steps in which articles count.
        spelling: steps at the start with many names and no articles: a short way to learn to copy. After as many
            more there are no names any longer, and more to look at.
        exams: steps between two exams; 0: none.
        keep: steps between two checkpoints; 0: none.
    """

    steps: int
    looking: int = 10
    reading: int = 14
    names: int = 3
    lr: float = 0.02
    decay: float = 0.15
    steady: float = 0.45
    articles: float = 0.5
    spelling: int = 220
    exams: int = 250
    keep: int = 100


@dataclass(frozen=True)
class Batch:
    """Padded lessons: `ids[n, length]`, `weights[n, length]` (of each token as a target), `scenes` of the rows."""

    ids: np.ndarray
    weights: np.ndarray
    scenes: tuple[tuple[int, int], ...]


class Desk:
    """Turns lessons into tokens.

    Args:
        tokenizer: the nano tokenizer.
        scenes: packed scenes, one table a world.
        worlds: the worlds of the tables.
        seen: what the vision tower hands on of each table's scenes (`sight.remember`); none: it looks every time, and
            learns too.
        calls: see `agents.nano.looking`.
    """

    def __init__(
        self,
        tokenizer: Any,
        scenes: Sequence[Scenes],
        worlds: Sequence[World],
        seen: Sequence[np.ndarray] = (),
        calls: float = 0.0,
    ) -> None:
        """Keeps what every lesson needs."""
        self.tokenizer, self.scenes, self.worlds, self.seen, self.calls = tokenizer, scenes, worlds, seen, calls
        self._picture = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        rows, columns = scenes[0].grid
        self._places = rows * columns // 4

    def encode(self, lesson: Lesson, read: float) -> tuple[list[int], list[float]]:
        """Ids and weights of a lesson's tokens; what is only read weighs `read` in results and nothing elsewhere."""
        texts = [said.text for said in lesson.stretches]
        ids: list[int] = []
        weights: list[float] = []
        for said, part in zip(lesson.stretches, self.tokenizer(texts)["input_ids"], strict=True):
            if lesson.scene is not None and self._picture in part:
                at = part.index(self._picture)
                part = [*part[:at], *[self._picture] * self._places, *part[at + 1 :]]
            ids += part
            weights += [_weight(said, read, lesson.scene is not None)] * len(part)
        return ids, weights

    def batch(self, made: Sequence[tuple[Lesson, int]], read: float) -> Batch:
        """Pads lessons (each with the number of its world) on the right."""
        encoded = [self.encode(lesson, read) for lesson, _ in made]
        length = max(len(ids) for ids, _ in encoded)
        ids = np.full((len(made), length), self.tokenizer.pad_token_id, dtype=np.int64)
        weights = np.zeros((len(made), length), dtype=np.float32)
        for row, (tokens, counts) in enumerate(encoded):
            ids[row, : len(tokens)], weights[row, : len(tokens)] = tokens, counts
        return Batch(ids, weights, tuple((world, one.scene) for one, world in made if one.scene is not None))

    def look(self, rng: np.random.Generator, first: int, last: int) -> tuple[Lesson, int]:
        """A lesson about one of the scenes `first` to `last` (shares of each table, in thousandths)."""
        world = int(rng.integers(len(self.worlds)))
        count = len(self.scenes[world].rows)
        scene = int(rng.integers(count * first // 1000, count * last // 1000))
        row = self.scenes[world].rows[scene]
        return looking(row, scene, self.worlds[world], rng, self.calls), world

    def step(self, plan: Plan, step: int, seed: int) -> list[Batch]:
        """The batches of a step: looking, then reading, the long apart from the short."""
        read = ARTICLES if step < plan.articles * plan.steps else 0.0
        looks, texts = [], []
        scenes, articles, names = plan.looking, plan.reading, plan.names
        if step < plan.spelling:
            scenes, articles, names = plan.looking // 2, 0, 8 * plan.names
        elif step >= 2 * plan.spelling:
            scenes, names = plan.looking + 2, 0
        for place in range(scenes):
            looks.append(self.look(np.random.default_rng([41, seed, step, place]), 0, 980))
        for place in range(articles + names):
            rng = np.random.default_rng([42, seed, step, place])
            world = int(rng.integers(len(self.worlds)))
            make = reading.reading if place < articles else reading.names
            texts.append((make(self.worlds[world], rng), world))
        texts.sort(key=lambda made: sum(len(said.text) for said in made[0].stretches))
        half = len(texts) // 2
        return [self.batch(group, read) for group in (looks, texts[:half], texts[half:]) if group]

    def pixels(self, batch: Batch) -> tuple[Any, Any]:
        """The pictures of a batch as the model takes them: `float[patches, values]` in -1..1, and the grids."""
        import torch

        cuts = np.concatenate([self.scenes[world].patches[scene] for world, scene in batch.scenes])
        rows, columns = self.scenes[0].grid
        return torch.from_numpy(cuts).float() / 127.5 - 1, torch.tensor([[1, rows, columns]] * len(batch.scenes))

    def remembered(self, batch: Batch) -> dict[str, Any]:
        """What the vision tower once handed on of a batch's pictures, as the model takes it, and their grids."""
        import torch

        rows, columns = self.scenes[0].grid
        looked = [torch.from_numpy(np.array(self.seen[world][scene])).float() for world, scene in batch.scenes]
        given = SimpleNamespace(
            pooler_output=[one[0] for one in looked], deepstack_features=[[one[1] for one in looked]]
        )
        grids = torch.tensor([[1, rows, columns]] * len(looked))
        return {"mm_encoder_outputs": {"image": given}, "image_grid_thw": grids}


def _weight(said: Said, read: float, seen: bool) -> float:
    if said.learned:
        return 1.0 if seen else REPLIES
    return read if "<tool_response>" in said.text else 0.0


def rate(plan: Plan, step: int) -> float:
    """The learning rate of a step as a share of the full one.

    >>> plan = Plan(steps=100, steady=0.5)
    >>> [round(rate(plan, step), 2) for step in (0, 30, 49, 75, 99)]
    [0.03, 0.97, 1.0, 0.5, 0.02]
    """
    warm = min(1.0, (step + 1) / 32)
    left = (plan.steps - step) / (plan.steps * (1 - plan.steady))
    return warm * min(1.0, max(0.001, left))


def forward(model: Any, desk: Desk, batch: Batch) -> tuple[Any, Any]:
    """Logits at the places whose next token weighs something, and those tokens with their weights `[n, 2]`."""
    import torch

    ids = torch.from_numpy(batch.ids)
    weights = torch.from_numpy(batch.weights)[:, 1:]
    given: dict[str, Any] = {}
    if batch.scenes:
        given["mm_token_type_ids"] = (ids == model.config.image_token_id).long()
        if desk.seen:
            given |= desk.remembered(batch)
        else:
            given["pixel_values"], given["image_grid_thw"] = desk.pixels(batch)
    with torch.autocast("cpu", torch.bfloat16):  # no mask: what is padded on the right is seen by nobody
        hidden = model.model(input_ids=ids, attention_mask=None, **given).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden[weights > 0])
    return logits.float(), torch.stack([ids[:, 1:][weights > 0].float(), weights[weights > 0]], dim=1)


@deterministic()
def study(
    model: Any, desk: Desk, plan: Plan, out: Path, seed: int = 0, exam: Desk | None = None, until: float = math.inf
) -> None:
    """Trains a model in place; writes `log.jsonl` and, as it goes, `checkpoint.pt` into `out`, and goes on from there.

    Args:
        model: a nano model.
        desk: what it learns from.
        plan: how long and on what.
        out: folder of the log and the checkpoint.
        seed: of the lessons.
        exam: what it is tested on (other worlds); None: no exams.
        until: seconds after which to stop with a checkpoint, to be continued by another call.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from agents.logs import cut_log
    from agents.optim import MuonWithAdamW

    optimizer = MuonWithAdamW(
        model.named_parameters(), plan.lr, plan.lr * 0.15, weight_decay=plan.decay, embedding_lr=plan.lr * 2.5
    )
    full = [group["lr"] for group in optimizer.param_groups]
    start, begun = 0, time.perf_counter()
    kept = out / "checkpoint.pt"
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    cut_log(out / "log.jsonl", start)
    model.train()
    losses: list[float] = []
    for step in range(start, plan.steps):
        for group, lr in zip(optimizer.param_groups, full, strict=True):
            group["lr"] = lr * rate(plan, step)
        batches = desk.step(plan, step, seed)
        total = sum(float(batch.weights[:, 1:].sum()) for batch in batches)
        parts = []
        for batch in batches:
            logits, targets = forward(model, desk, batch)
            loss = (cross_entropy(logits, targets[:, 0].long(), reduction="none") * targets[:, 1]).sum() / total
            loss.backward()
            learned = targets[:, 1] >= 1
            share = cross_entropy(logits.detach()[learned], targets[learned, 0].long())
            parts.append(float(share))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(sum(parts) / len(parts))
        last = step + 1 == plan.steps or time.perf_counter() - begun > until
        if (plan.keep and (step + 1) % plan.keep == 0) or last:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, kept.with_suffix(".tmp"))
            kept.with_suffix(".tmp").replace(kept)
        if (step + 1) % 25 == 0 or last:
            row: dict[str, Any] = {"step": step + 1, "loss": sum(losses) / len(losses), "looking": parts[0]}
            row |= {"reading": parts[-1], "seconds": round(time.perf_counter() - begun, 1)}
            losses.clear()
            if exam is not None and plan.exams and ((step + 1) % plan.exams == 0 or step + 1 == plan.steps):
                from agents.nano.exam import examine

                row |= examine(model, exam)
            with (out / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps({name: _short(value) for name, value in row.items()}) + "\n")
            print(json.dumps({name: _short(value) for name, value in row.items()}), flush=True)
        if last:
            return


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
