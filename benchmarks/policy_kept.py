"""What a folder of `benchmarks.policy_table` was begun with, kept in its `plan.json`: nothing else may be mixed in.

Models, demonstrations, indexes and results are used again where they are there. They belong to the plan's numbers, to
the base model, to the encoder and to the real flags; all are kept, the last three as digests of what is in the files,
so that another file of the same name is noticed and no path of a machine is written down. Seeds are not kept: more of
them may be added. The atlas may be named later, by the first command that needs it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents import nano
from agents.card import load_card
from agents.settings import command_line
from benchmarks.policy_plan import Plan
from benchmarks.policy_stages import write_whole
from index.errors import ModelError, TaskError

SHIPPED = Path(str(nano.__file__)).with_name("base")
LATER = "atlas"
WEIGHTS = (".safetensors", ".bin", ".pt")


def shipped_base() -> Path:
    """Where the base model lies that training begins with by default: it can look and read, and saw no demonstration.

    Raises:
        ModelError: the installation has none. What was fine-tuned on demonstrations is no substitute: a policy that is
            to show what is learned without gaze must not know it beforehand.
    """
    if not all((SHIPPED / name).is_file() for name in ("config.json", "model.safetensors")):
        raise ModelError(
            "the shipped base model agents/nano/base is missing; make it with python -m agents.nano.make and name its "
            "folder (OUT/base) with --base"
        )
    return SHIPPED


def begun_with(plan: Plan, base: Path, encoder: str, atlas: Path | None) -> dict[str, Any]:
    """What a folder is begun with, ready for JSON.

    Args:
        plan: its numbers are kept.
        base: model folder; its weights and its card are.
        encoder: of the indexes, as `index.encoder.load_encoder` takes it.
        atlas: folder of the real flags, None where it is not named.

    Raises:
        ModelError: the base folder holds no model.
    """
    weights = sorted(path for path in base.glob("*") if path.suffix in WEIGHTS)
    if not weights or not (base / "config.json").is_file():
        raise ModelError(f"{base} holds no model to begin with; name its folder with --base")
    card = json.dumps(asdict(load_card(base.absolute())), sort_keys=True)
    return {
        **plan.numbers(),
        "base_weights": _of_files(base, weights),
        "base_card": hashlib.sha256(card.encode()).hexdigest()[:16],
        "encoder": encoder_name(encoder),
        LATER: None if atlas is None else atlas_print(atlas),
    }


def encoder_name(spec: str) -> str:
    """An encoder's spec without paths: those of weights are replaced by a digest of what they hold.

    >>> encoder_name("nano"), encoder_name("ViT-B-32:openai")
    ('nano', 'ViT-B-32:openai')
    """
    folder = Path(spec).expanduser()
    if spec != "nano" and folder.is_dir():
        files = [path for path in folder.iterdir() if path.suffix in (*WEIGHTS, ".json")]
        return f"folder:{_of_files(folder, sorted(files))}"
    name, _, weights = spec.partition(":")
    path = Path(weights).expanduser()
    return f"{name}:{_of_files(path.parent, [path])}" if weights and path.is_file() else spec


def atlas_print(folder: Path) -> str:
    """A digest of the atlas that reads little: names and sizes of all files, and the contents of the metadata."""
    files = sorted(path for part in ("kb", "train", "dev") for path in (folder / part).rglob("*") if path.is_file())
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}" for path in files)
    told = _of_files(folder, [path for path in files if path.name == "metadata.jsonl"])
    return hashlib.sha256(f"{listing}\n{told}".encode()).hexdigest()[:16]


def _of_files(folder: Path, files: Iterable[Path]) -> str:
    """A digest of files: their names in a folder and what is in them."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        with path.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]


def keep(folders: Sequence[Path], facts: Mapping[str, Any]) -> None:
    """Keeps what folders are begun with in their `plan.json`, and refuses what differs before anything is written.

    Raises:
        TaskError: names the first field that differs.
    """
    whole = {folder / "plan.json": _agreed(folder / "plan.json", facts) for folder in folders}
    for path, value in whole.items():
        if not path.is_file() or json.loads(path.read_text(encoding="utf-8")) != value:
            write_whole(path, value)


def _agreed(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a file holds, or `facts` where there is none; completed by an atlas that was not named before."""
    if not path.is_file():
        return dict(facts)
    begun = json.loads(path.read_text(encoding="utf-8"))
    for name in sorted({*begun, *facts}):
        was, now = begun.get(name), facts.get(name)
        if was != now and not (name == LATER and None in (was, now)):
            raise TaskError(
                f"{path.parent} was begun with {name} = {was!r}, now it is {now!r}; "
                "name another folder, or go on with what it was begun with"
            )
    return {**begun, LATER: facts[LATER]} if facts.get(LATER) is not None else begun


def typed(module: str, argv: Sequence[str] | None) -> str:
    """A command as it was typed, but for the folders before the last name of an absolute path.

    >>> typed("benchmarks.policy_table", ["--base", "/home/me/base", "--encoder=/a/b", "--atlas", "../atlas"])
    'python -m benchmarks.policy_table --base base --encoder=b --atlas ../atlas'
    """
    return re.sub(r"(?<=[\s=:'])(?:/[^\s/=:']+)*/(?=[^\s/=:']+)", "", command_line(module, argv))
