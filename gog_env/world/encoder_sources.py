"""Writes a knowledge source of many small banners with captions: what the shipped nano encoder learns from.

    python -m gog_env.world.encoder_sources --out runs/banners --count 36000 --seed 0

- One row in five is flag-like: a random banner and three variants of it (a colour, the order of colours or a charge
  changed). Three in five are rich banners in families that differ in one small detail; the last fifth are rich banners
  of their own. Neighbours that differ in one detail are the negatives worth learning from.
- The source is a folder with one Parquet file in the layout of any user's source (`id`, `title`, `text`, `image`), so
  that `index.train_encoder` knows nothing of banners. Pictures are small (120x80), about a kilobyte each.
- Banner i depends on (seed, i) alone: a larger count begins with the smaller one's rows.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from gog_env.world.banners import Banner, caption, draw, random_banner, variant
from gog_env.world.heraldry import family, rich_banner
from index.errors import SourceError, cli

BLOCK = 20
"""Rows after which the mixture begins anew."""
FAMILY = 4
"""Rows of a family: a banner and its variants, or siblings."""
_PLAIN, _SIBLINGS = 4, 12  # rows of a block; the rest are rich banners of their own
_STREAMS = {
    "plain": 41,
    "variant": 42,
    "family": 43,
    "rich": 44,
}  # keep these draws apart from every other use of a seed


def banner_at(seed: int, number: int) -> Banner:
    """The design of row `number`; a block holds a family of variants, three of siblings, and four rich banners."""
    block, row = divmod(number, BLOCK)
    group, member = divmod(row, FAMILY)
    if row < _PLAIN:
        return _variants(seed, block, group, member)
    if row < _PLAIN + _SIBLINGS:
        return family(np.random.default_rng([_STREAMS["family"], seed, block, group]), FAMILY).banners[member]
    return rich_banner(np.random.default_rng([_STREAMS["rich"], seed, number]))


def _variants(seed: int, block: int, group: int, member: int) -> Banner:
    """A random banner, or a variant of it (the last one of a variant)."""
    banner = random_banner(np.random.default_rng([_STREAMS["plain"], seed, block, group]))
    if member:
        rng = np.random.default_rng([_STREAMS["variant"], seed, block, group, member])
        for _ in range(2 if member == FAMILY - 1 else 1):
            banner = variant(banner, rng)
    return banner


def write_banners(
    out: str | Path, count: int, seed: int = 0, size: tuple[int, int] = (120, 80), progress: bool = True
) -> Path:
    """Writes the source and renames it into place.

    Args:
        out: folder to make.
        count: rows.
        seed: decides every design.
        size: (width, height) of the pictures in pixels.
        progress: show a bar.

    Returns:
        `out`.

    Raises:
        SourceError: `out` exists, or `count` is below 1.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = Path(out)
    if out.exists():
        raise SourceError(f"{out} exists; choose another --out or remove it")
    if count < 1:
        raise SourceError(f"--count {count} writes nothing; ask for at least 1")
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string()), ("image", picture)])
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    beside.mkdir(parents=True)
    try:
        with (
            pq.ParquetWriter(beside / "banners.parquet", schema) as writer,
            tqdm(total=count, desc="drawing banners", unit="banner", disable=None if progress else True) as bar,
        ):
            for start in range(0, count, 1000):
                rows = [_row(seed, number, size) for number in range(start, min(start + 1000, count))]
                writer.write_table(pa.Table.from_pylist(rows, schema))
                bar.update(len(rows))
        beside.rename(out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return out


def _row(seed: int, number: int, size: tuple[int, int]) -> dict[str, object]:
    banner = banner_at(seed, number)
    file = io.BytesIO()
    draw(banner, *size).save(file, "PNG")
    name = f"B{number:06d}"
    return {
        "id": name,
        "title": "Banner",
        "text": caption(banner),
        "image": {"bytes": file.getvalue(), "path": f"{name}.png"},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.world.encoder_sources",
        description="Write many small banners with captions as a knowledge source for index.train_encoder.",
        epilog="example: python -m gog_env.world.encoder_sources --out runs/banners --count 36000 --seed 0",
    )
    parser.add_argument("--out", required=True, help="folder to make")
    parser.add_argument("--count", type=int, default=36000, help="banners (default 36000)")
    parser.add_argument("--seed", type=int, default=0, help="decides every design (default 0)")
    args = parser.parse_args(argv)
    print(f"wrote {write_banners(args.out, args.count, args.seed)}")


if __name__ == "__main__":
    cli(main)
