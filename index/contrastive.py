"""Contrastive training of a CLIP: which pictures share a batch, the loss, the optimisers, one step.

- Clean pictures, loose crops of them (`index.augment`) and texts meet in one space by symmetric InfoNCE (Radford et al.
  2021, section 2.3).
- Easy negatives teach little: three quarters of a batch are groups of look-alikes, an eighth are recoloured or
  mirrored copies.
- Transformer matrices are trained by Muon (Jordan et al. 2024), everything else by AdamW.
- Step n draws from a generator seeded by (seed, n): no step depends on how much randomness another one used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from index import augment
from index.encoder import Preprocess
from index.errors import EncoderError

MUON_RATE, ADAM_RATE = 0.02, 3e-3
TEXT_WEIGHT, TEXT_ROWS = 0.2, 48  # the share of the text loss, and how many rows of a batch it looks at
NEAR = 12  # look-alikes kept for each picture
EQUAL = 0.002  # mean difference of two pictures in 0..1, at 32x32, below which nobody could tell them apart


def thumbnails(pictures: Tensor) -> Tensor:
    """Unit vectors (n, 192) of 8x8 RGB thumbnails about their mean; pictures are float (n, 3, s, s)."""
    small = F.interpolate(pictures, (8, 8), mode="area").flatten(1)
    return F.normalize(small - small.mean(1, keepdim=True), dim=1)


def look_alikes(vectors: Tensor, count: int) -> Tensor:
    """Rows (n, count) of the nearest other vectors by cosine."""
    count = min(count, len(vectors) - 1)
    found = []
    for start in range(0, len(vectors), 1024):
        scores = vectors[start : start + 1024] @ vectors.T
        scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))] = -2
        found.append(scores.topk(count, dim=1).indices)
    return torch.cat(found)


def draw_batch(near: Tensor, batch: int, generator: torch.Generator) -> tuple[Tensor, int]:
    """Chooses the rows of one batch.

    Args:
        near: look-alikes of every row (n, k).
        batch: how many rows; fewer where the source is smaller.
        generator: source of randomness.

    Returns:
        int64 rows, and how many of them at the end are copies of others (to be restyled): about an eighth. Before these
        come groups of a row with three of its look-alikes, mostly the closest (three quarters), and single rows.
    """
    n = len(near)
    copies = batch // 8
    groups = batch * 3 // 16
    seeds = torch.randperm(n, generator=generator)
    picks = torch.randint(near.shape[1], (min(groups, n), 3), generator=generator)
    closest = torch.rand((len(picks), 1), generator=generator) < 0.6
    picks = torch.where(closest, torch.arange(3).clamp(max=near.shape[1] - 1), picks)
    grouped = torch.cat((seeds[: len(picks), None], near[seeds[: len(picks)]].gather(1, picks)), dim=1).flatten()
    rows = torch.cat((grouped, seeds[len(picks) :]))
    first = torch.full((n,), len(rows)).scatter_reduce(0, rows, torch.arange(len(rows)), "amin")
    rows = rows[first[rows] == torch.arange(len(rows))][: batch - copies]  # each row once, in order
    copied = rows[torch.randint(len(rows), (copies,), generator=generator)]
    return torch.cat((rows, copied)), copies


def contrast(first: Tensor, second: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE of matched unit vectors (n, d); pairs in `same` (n, n) are left out."""
    logits = (scale * first @ second.T).masked_fill(same, float("-inf"))
    target = torch.arange(len(first))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside transformer blocks, AdamW for everything else."""
    matrices: list[torch.nn.Parameter] = []
    rest: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (matrices if parameter.ndim == 2 and "resblocks" in name else rest).append(parameter)
    found: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)]
    if matrices:
        found.append(torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.02))
    return found


def rate(step: int, steps: int) -> float:
    """The learning rate's share at a step: up within the first twentieth, then down to zero in a straight line."""
    warmup = max(1, steps // 20)
    return min((step + 1) / warmup, (steps - step) / max(1, steps - warmup), 1.0)


def _generator(seed: int, *path: int) -> torch.Generator:
    state = np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


class Trainer:
    """The state of one run: model, optimisers, pictures, look-alikes."""

    def __init__(
        self,
        model: Any,
        preprocess: Preprocess,
        tokenizer: Any,
        pictures: Tensor,
        captions: Sequence[str],
        steps: int,
        batch: int,
        seed: int,
        bfloat16: bool = False,
        peak: float = 1.0,
    ) -> None:
        """Keeps everything and finds the first look-alikes, by thumbnail.

        Args:
            model: an open_clip CLIP with square pictures.
            preprocess: its mean and standard deviation, and the size of its pictures.
            tokenizer: texts to ids.
            pictures: uint8 (n, 3, s, s), squashed; s should be 1.5 times the model's size.
            captions: one text per picture.
            steps: how many there will be, for the learning rates.
            batch: pairs in a step.
            seed: decides batches and views.
            bfloat16: run the forward pass in bfloat16.
            peak: the highest learning rates, as a share of `MUON_RATE` and `ADAM_RATE`.
        """
        self.peak = peak
        self.model, self.pictures, self.captions, self.tokenizer = model.train(), pictures, captions, tokenizer
        self.size = preprocess.size[0]
        self.mean, self.std = (torch.tensor(value)[:, None, None] for value in (preprocess.mean, preprocess.std))
        self.steps, self.batch, self.seed, self.bfloat16 = steps, batch, seed, bfloat16
        self.optimizers = optimizers(model)
        chunks = [thumbnails(part.float() / 255) for part in pictures.split(1024)]
        self.near = look_alikes(torch.cat(chunks), NEAR)

    def encode(self, pictures: Tensor) -> Tensor:
        """Unit vectors (n, d) of float pictures (n, 3, size, size) in 0..1."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            vectors = self.model.encode_image((pictures - self.mean) / self.std)
        return F.normalize(vectors.float(), dim=1)

    def refresh(self) -> None:
        """Finds look-alikes anew, by the model itself."""
        with torch.no_grad():
            vectors = [self.encode(augment.resize(part.float() / 255, self.size)) for part in self.pictures.split(256)]
            self.near = look_alikes(torch.cat(vectors), NEAR)

    def step(self, step: int) -> dict[str, float]:
        """One update; returns the losses and the share of crops that found their picture within the batch."""
        generator = _generator(self.seed, 1, step)
        with torch.no_grad():
            rows, copies = draw_batch(self.near, self.batch, generator)
            originals = self.pictures[rows].float() / 255
            kept = len(rows) - copies
            head, untouched = augment.restyle(originals[:kept], generator, 0.4)
            tail, _ = augment.restyle(originals[kept:], generator, 1.0)
            originals = torch.cat((head, tail))
            clean = augment.resize(originals, self.size)
            loose = augment.loose_views(originals, self.size, generator)
            small = F.interpolate(clean, (32, 32), mode="area").flatten(1)
            same = torch.cdist(small, small, p=1) / small.shape[1] < EQUAL
            same.fill_diagonal_(False)
        # For so few tokens plain matrix products beat the fused attention kernel on a CPU, above all backwards.
        with sdpa_kernel(SDPBackend.MATH):
            return self._update(step, rows, untouched, clean, loose, same)

    def _update(
        self, step: int, rows: Tensor, untouched: Tensor, clean: Tensor, loose: Tensor, same: Tensor
    ) -> dict[str, float]:
        clean_vectors, loose_vectors = self.encode(torch.cat((clean, loose))).chunk(2)
        scale = self.model.logit_scale.clamp(max=np.log(100)).exp()
        image_loss = contrast(loose_vectors, clean_vectors, scale, same)
        told = torch.nonzero(untouched)[:TEXT_ROWS, 0]
        text_loss = torch.zeros(())
        if len(told) > 1:
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                text = self.model.encode_text(self.tokenizer([self.captions[row] for row in rows[told].tolist()]))
            text = F.normalize(text.float(), dim=1)
            text_loss = contrast(text, clean_vectors[told], scale, same[told][:, told])
        loss = image_loss + TEXT_WEIGHT * text_loss
        if not torch.isfinite(loss):
            raise EncoderError(f"the loss is not finite at step {step}; use --precision float32 or another --seed")
        for optimizer, top in zip(self.optimizers, (ADAM_RATE, MUON_RATE), strict=False):
            optimizer.param_groups[0]["lr"] = top * self.peak * rate(step, self.steps)
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            best = (loose_vectors @ clean_vectors.T).masked_fill(same, -2).argmax(1)
            found = (best == torch.arange(len(rows))).float().mean()
        return {"loss": image_loss.item(), "text_loss": text_loss.item(), "found": found.item(), "scale": scale.item()}
