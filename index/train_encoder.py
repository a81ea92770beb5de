"""Fits a CLIP to knowledge sources, so that a careless crop of a photo finds the picture that it shows.

    python -m index.train_encoder --source runs/banners --out runs/encoder --steps 1500 --seed 0

- Three views of a document meet in one space: its clean picture (what an index holds), a loose crop of it in a rendered
  scene (what a policy sends, `index.augment`) and its title and text. The loss is CLIP's symmetric InfoNCE (Radford et
  al. 2021, section 2.3) between crop and picture, plus a lighter one between text and picture.
- Easy negatives teach little, so half of a batch are look-alikes (nearest pictures: first by thumbnail, later by the
  model itself), and some entries are recoloured or mirrored copies of others. Equal pictures are no negatives.
- Matrices are trained by Muon (Jordan et al. 2024), all else by AdamW; rates warm up, then fall linearly to zero.
- One seed, one thread count and one machine give the same weights to the bit: step n draws from a generator of its own.
- The model is a plain open_clip one: `--model` names its configuration, by default that of the shipped nano encoder.
  The result is an encoder folder (`index.encoder`) with float16 weights and `training.json`, renamed into place.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from index.contrastive import Trainer
from index.deterministic import deterministic
from index.encoder import (
    CONFIG_NAME,
    NANO,
    WEIGHTS_NAME,
    Preprocess,
    build_model,
    load_encoder,
    save_encoder,
    tokenizer_for,
)
from index.errors import EncoderError, SourceError, cli
from index.images import picture_hash

REPORT_NAME = "training.json"
REFRESH = (0.25, 0.5)  # shares of the run after which look-alikes are found anew, by the model itself
LOG_EVERY = 25


def load_pictures(sources: Sequence[str | Path], side: int) -> tuple[Tensor, list[str], list[str]]:
    """Decodes the pictures of knowledge sources into memory, squashed to a square.

    A picture that cannot be read is skipped with a line on stderr.

    Args:
        sources: what `index.records.read_source` reads.
        side: pixels of the square.

    Returns:
        uint8 (n, 3, side, side); for each picture its document's title and text; the sources' fingerprints.

    Raises:
        SourceError: a source cannot be read, or there are fewer than two pictures in all.
    """
    from PIL import Image

    from index.records import document_hash, read_source, source_fingerprint

    pictures, captions, fingerprints = [], [], []
    for path in sources:
        hashes = []
        for document in tqdm(read_source(path), desc=f"reading {path}", unit="document", disable=None):
            seen = []
            for reference in document.pictures:
                try:
                    picture = reference.open()
                except SourceError as error:
                    tqdm.write(f"skipped: {error}", file=sys.stderr)
                    continue
                seen.append(picture_hash(picture))
                small = picture.resize((side, side), Image.Resampling.BICUBIC)
                pictures.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
                captions.append(f"{document.title}. {document.text}" if document.text else document.title)
            hashes.append((document.id, document_hash(document, seen)))
        fingerprints.append(source_fingerprint(hashes))
    if len(pictures) < 2:
        names = ", ".join(str(path) for path in sources)
        raise SourceError(f"{names}: {len(pictures)} usable pictures; contrastive training needs at least 2, name more")
    return torch.stack(pictures), captions, fingerprints


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        with deterministic(strict=True):
            yield
    finally:
        torch.set_num_threads(before)


def _check_target(out: Path, force: bool) -> None:
    """Refuses, before hours are spent, a folder that is taken or cannot be written."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise EncoderError(f"{out} exists and is not a folder; choose another --out")
    inside = sorted(entry.name for entry in out.iterdir()) if out.exists() else []
    if inside:
        strange = [name for name in inside if name not in (CONFIG_NAME, WEIGHTS_NAME, REPORT_NAME, ".DS_Store")]
        if strange or CONFIG_NAME not in inside:
            holds = f"holds {strange[0]}" if strange else f"has no {CONFIG_NAME}"
            raise EncoderError(f"{out} exists and is not an encoder of ours ({holds}); choose another --out")
        if not force:
            raise EncoderError(f"{out} exists; choose another --out, or --force to replace the encoder there")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        os.rmdir(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise EncoderError(f"cannot write {out}: {reason}; choose another --out") from error


def _publish(out: Path, model: Any, model_cfg: dict[str, Any], preprocess: Preprocess, report: dict[str, Any]) -> None:
    """Writes the folder beside its final name and renames it into place."""
    from safetensors.torch import save_file

    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        save_encoder(beside, model, model_cfg, preprocess, {"text_search": False})
        halves = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
        save_file(halves, beside / WEIGHTS_NAME)
        (beside / REPORT_NAME).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        beside.rename(out)
    except OSError as error:
        raise EncoderError(
            f"cannot write {out}: {error.strerror or error}; free the disk or choose another --out"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def train(
    sources: Sequence[str | Path],
    out: str | Path,
    steps: int,
    seed: int = 0,
    batch: int = 128,
    init: str | Path | None = None,
    model: str | Path | None = None,
    threads: int | None = None,
    precision: str = "float32",
    force: bool = False,
    command: str = "",
    peak: float = 1.0,
) -> Path:
    """Fits a CLIP to knowledge sources and publishes an encoder folder.

    Args:
        sources: knowledge sources (see `index.records`).
        out: the folder to make.
        steps: updates.
        seed: decides the weights' start, the batches and the views.
        batch: pairs of a clean picture and a loose crop in an update.
        init: an encoder (`index.encoder.load_encoder`) to go on from instead of fresh weights.
        model: an `open_clip_config.json` to build instead of the shipped nano encoder's; not with `init`.
        threads: of torch; None leaves them as they are. They are part of what decides the bits.
        precision: of the forward pass: `float32`, or `bfloat16` (twice as fast where the processor has it).
        force: replace an encoder that is there already.
        command: noted in the report.
        peak: the highest learning rates, as a share of the usual ones; less than 1 keeps more of `init`.

    Returns:
        `out`.

    Raises:
        EncoderError: unusable options or model; `out` is taken or cannot be written. SourceError: see `load_pictures`.
    """
    out = Path(out).expanduser()
    _check_target(out, force)
    if steps < 1 or batch < 8:
        raise EncoderError(f"{steps} steps of {batch} pairs cannot train; --steps 1 and --batch 8 are the least")
    if not 0 < peak <= 4:
        raise EncoderError(f"--peak {peak:g} is no usable share of the learning rates; give more than 0, up to 4")
    if init and model:
        raise EncoderError("--init brings its own configuration; leave out --model")
    started = time.time()
    with _threads(threads), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = load_encoder(init) if init else None
        if start:
            network, model_cfg, preprocess = start.model.requires_grad_(True), start.model_cfg, start.preprocess
            tokenizer = start.tokenizer  # a folder may bring its own
        else:
            network, model_cfg, preprocess = _fresh(Path(model) if model else NANO / CONFIG_NAME)
            tokenizer = tokenizer_for(model_cfg)
            if not hasattr(tokenizer, "context_length"):
                tokenizer = tokenizer()
        if preprocess.size[0] != preprocess.size[1]:
            raise EncoderError(f"{init or model} takes pictures of {preprocess.size}; only square ones can be trained")
        pictures, captions, fingerprints = load_pictures(sources, preprocess.size[0] * 3 // 2)
        bfloat16 = precision == "bfloat16"
        trainer = Trainer(network, preprocess, tokenizer, pictures, captions, steps, batch, seed, bfloat16, peak)
        curve, recent = [], []
        bar = tqdm(range(steps), desc="training", unit="step", disable=None)
        for step in bar:
            if step in {round(share * steps) for share in REFRESH} and step:
                trainer.refresh()
            recent.append(trainer.step(step))
            if (step + 1) % LOG_EVERY == 0 or step + 1 == steps:
                entry = {key: round(float(np.mean([row[key] for row in recent])), 4) for key in recent[0]}
                curve.append({"step": step + 1, **entry})
                bar.set_postfix(entry)
                if bar.disable:
                    print(f"step {step + 1}/{steps} {time.time() - started:.0f} s {entry}", flush=True)
                recent = []
        report = {
            "command": command,
            "seed": seed, "steps": steps, "batch": batch, "threads": torch.get_num_threads(), "precision": precision,
            "peak": peak, "init": start.fingerprint if start else None,
            "sources": [
                {"name": Path(path).name, "fingerprint": mark} for path, mark in zip(sources, fingerprints, strict=True)
            ],
            "pictures": len(pictures), "parameters": sum(p.numel() for p in network.parameters()),
            "seconds": round(time.time() - started, 1),
            "versions": {"python": sys.version.split()[0], "torch": torch.__version__, "numpy": np.__version__},
            "curve": curve,
        }  # fmt: skip
        _publish(out, network, model_cfg, preprocess, report)
    return out


def _fresh(path: Path) -> tuple[Any, dict[str, Any], Preprocess]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        stats = config["preprocess_cfg"]
        height, width = stats["size"]
        preprocess = Preprocess((width, height), tuple(stats["mean"]), tuple(stats["std"]))
        return build_model(config["model_cfg"]), config["model_cfg"], preprocess
    except FileNotFoundError:
        raise EncoderError(f"{path} does not exist; name an open_clip_config.json") from None
    except Exception as error:  # a configuration can be wrong in as many ways as open_clip has parts
        reason = f"{type(error).__name__}: {error}"
        raise EncoderError(f"{path} is not a usable open_clip configuration ({reason}); correct --model") from None


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m index.train_encoder",
        description="Fit a small CLIP to knowledge sources, so that careless crops find their pictures.",
        epilog="example: python -m index.train_encoder --source my_logos --init nano --out runs/logos --steps 500",
    )
    add = parser.add_argument
    add("--source", action="append", required=True, help="a knowledge source (folder, JSONL, Parquet); may be repeated")
    add("--out", required=True, help="encoder folder to make")
    add("--steps", type=int, default=1500, help="updates (default 1500)")
    add("--seed", type=int, default=0, help="decides everything that is random (default 0)")
    add("--batch", type=int, default=128, help="pairs in an update (default 128)")
    add("--init", help="encoder to go on from (nano, or a folder) instead of fresh weights")
    add("--model", help="an open_clip_config.json instead of the shipped nano encoder's")
    add("--peak", type=float, default=1.0, help="learning rates as a share of the usual ones (default 1)")
    add("--threads", type=int, help="threads of torch")
    add("--precision", choices=("float32", "bfloat16"), default="float32", help="of the forward pass (default float32)")
    add("--force", action="store_true", help="replace the encoder at --out")
    args = parser.parse_args(argv)
    given = list(sys.argv[1:] if argv is None else argv)
    out = train(
        args.source, args.out, args.steps, args.seed, args.batch, args.init, args.model, args.threads, args.precision,
        args.force, shlex.join(["python", "-m", "index.train_encoder", *given]), args.peak,
    )  # fmt: skip
    print(f"wrote {out} (use it with --encoder {out})")


if __name__ == "__main__":
    cli(main)
