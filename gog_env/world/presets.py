"""Named worlds, and the fingerprints by which everybody can know that he has the same.

A fingerprint is a SHA-256 of ids, texts and pixels (`gog_env.world.write`); `presets.json` holds the published ones. A
change of the world changes `VERSION`, and is recorded by

    python -m gog_env.world --preset world-s --out runs/world-s      # for each preset
    python -m gog_env.world.presets runs/world-s runs/world-m runs/world-l
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gog_env.world.nations import WorldSpec
from index.errors import TaskError, cli

VERSION = 1
"""Which world the code makes: with another one, the same spec gives other nations, pictures or questions."""
PUBLISHED = Path(__file__).with_name("presets.json")
SUMMARY = "world.json"
"""The file beside a written world's folders that says what it is."""


@dataclass(frozen=True)
class Preset:
    """A world with a name, and how many tasks of each split are written of it."""

    spec: WorldSpec
    train: int
    heldout: int


PRESETS: Mapping[str, Preset] = {
    "world-s": Preset(WorldSpec(nations=400, name="world-s"), 600, 300),
    "world-m": Preset(WorldSpec(nations=4000, name="world-m"), 4000, 2000),
    "world-l": Preset(WorldSpec(nations=50_000, name="world-l"), 4000, 2000),
}


def published(name: str) -> dict[str, str]:
    """The published fingerprints of a preset, of `kb`, `train` and `heldout`; empty if this version has none."""
    content = json.loads(PUBLISHED.read_text("utf-8")) if PUBLISHED.is_file() else {}
    return dict(content.get(name, {})) if content.get("version") == VERSION else {}


def record(folders: Sequence[Path], into: Path = PUBLISHED) -> None:
    """Takes the fingerprints of freshly written presets over into the published ones.

    Raises:
        TaskError: a folder is no world, or no preset as it should be.
    """
    content: dict[str, Any] = json.loads(into.read_text("utf-8")) if into.is_file() else {}
    if content.get("version") != VERSION:
        content = {"version": VERSION}
    for folder in folders:
        try:
            summary = json.loads((folder / SUMMARY).read_text("utf-8"))
            name, found = summary["spec"]["name"], summary["fingerprints"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TaskError(f"{folder} is no world: {SUMMARY} cannot be read ({error}); write one there") from None
        preset = PRESETS.get(name)
        tasks = {"train": preset.train, "heldout": preset.heldout, "seed": 0, "kind": None} if preset else {}
        if preset is None or summary["spec"] != asdict(preset.spec) or summary["tasks"] != tasks:
            raise TaskError(
                f"{folder} is no preset as it should be; write it with no other options than --preset and --out"
            )
        if summary["version"] != VERSION:
            raise TaskError(f"{folder} is of version {summary['version']}, the code makes {VERSION}; write it again")
        content[name], content["made_with"] = found, summary["made_with"]
    into.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Records the fingerprints of the worlds in the folders that it is given."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.world.presets",
        description=f"Record the fingerprints of freshly written presets in {PUBLISHED.name}, as the published ones.",
        epilog="example: python -m gog_env.world.presets runs/world-s runs/world-m",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="written with --preset and --out alone")
    record(parser.parse_args(argv).folders)


if __name__ == "__main__":
    cli(main)
