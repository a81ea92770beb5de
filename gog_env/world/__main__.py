"""Writes a world: `python -m gog_env.world --out DIR` makes DIR/kb, DIR/train and DIR/heldout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gog_env.world.nations import WorldSpec, make_world
from gog_env.world.write import write_world
from index.errors import TaskError, cli


def main(argv: Sequence[str] | None = None) -> None:
    """Parses arguments and writes the world."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.world",
        description="Make a world of made-up nations and write its knowledge (DIR/kb) and its tasks (DIR/train, "
        "DIR/heldout: nations that training never shows), in the layout of your own data.",
        epilog="example: python -m gog_env.world --out runs/world --seed 1 --nations 400 --train 2000 --heldout 200",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="decides everything (default: 0, the embedded world's)")
    parser.add_argument("--nations", type=int, default=240, help="how many nations (default: 240)")
    parser.add_argument("--train", type=int, default=600, help="training tasks (default: 600)")
    parser.add_argument("--heldout", type=int, default=300, help="tasks about held-out nations (default: 300)")
    parser.add_argument("--share", type=float, default=0.25, help="share of nations held out (default: 0.25)")
    args = parser.parse_args(argv)
    if args.seed < 0:
        raise TaskError(f"--seed {args.seed} is negative; give 0 or more")
    if not 0 <= args.share < 1:
        raise TaskError(f"--share {args.share} is no share of nations; give 0 or more and less than 1, such as 0.25")
    if min(args.train, args.heldout) < 0:
        raise TaskError(f"--train {args.train} --heldout {args.heldout}: a negative number of tasks; give 0 or more")
    world = make_world(WorldSpec(args.seed, args.nations, "custom", args.share))
    write_world(world, args.out, args.train, args.heldout, args.seed, progress=True)
    print(f"wrote {args.out}: kb ({args.nations} nations), train ({args.train} tasks), heldout ({args.heldout} tasks)")


if __name__ == "__main__":
    cli(main)
