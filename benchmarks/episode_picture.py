"""Draws an episode that a policy really played: what its first look finds, and below it how it ends.

    python -m benchmarks.episode_picture --out docs/episode.png

Plays the embedded world's held-out tasks of one kind with the shipped nano policy (or --model, or a baseline by
--policy), takes one that was answered right, and writes what `GoG-VQA-v0` renders after its first search and in
the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from agents.options import natural
from agents.policies import BASELINES, Policy
from agents.rollout import play
from agents.settings import default_model, episode_config, open_world
from benchmarks.pictures import save
from gog_env.episode import Episode, EpisodeConfig
from gog_env.render import rgb_array
from index import KnowledgeIndex
from index.errors import TaskError, cli


def frames(episode: Episode, index: KnowledgeIndex) -> Image.Image:
    """The episode after its first search, and below it after its answer."""
    begun = Episode(episode.task, episode.config, episode.seed)
    begun.turns = episode.turns[:1]
    hits = begun.turns[0].hits[: episode.config.thumbnails] if begun.turns else ()
    pictures = [index.thumbnail(hit.picture_id) if hit.picture_id else None for hit in hits]
    return Image.fromarray(np.concatenate([rgb_array(begun, pictures), rgb_array(episode)], axis=0))


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.episode_picture",
        description="Draw a rightly answered held-out episode of a policy.",
        epilog="example: python -m benchmarks.episode_picture --kind hop_1 --out episode.png",
    )
    parser.add_argument("--model", help="model folder (default: the shipped nano policy)")
    names = ", ".join(sorted(BASELINES))
    parser.add_argument("--policy", choices=sorted(BASELINES), metavar="NAME", help=f"instead of a model: {names}")
    parser.add_argument("--kind", default="hop_1", help="kind of task (default: %(default)s)")
    parser.add_argument("--skip", type=natural, default=0, help="pass over so many right ones (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("docs/episode.png"), help="default: %(default)s")
    options = parser.parse_args(argv)
    index, tasks = open_world(None, None, "heldout")
    chosen = [task for task in tasks if task.kind == options.kind]
    config = EpisodeConfig()
    policy: Policy
    if options.policy:
        policy = BASELINES[options.policy](chosen, index, 0)
    else:
        from agents.lmm import LmmPolicy

        policy = LmmPolicy(options.model or default_model())
        config = replace(episode_config(policy.card), thumbnails=config.thumbnails)
    played = sorted(play(policy, chosen, index, config, progress=True), key=lambda pair: pair[0])
    right = [episode for _, episode in played if episode.reward_parts.total == 1.0]
    if len(right) <= options.skip:
        raise TaskError(f"{policy.name} answered {len(right)} {options.kind} tasks right; ask for another --kind")
    save(frames(right[options.skip], index), options.out)
    print(f"drew {right[options.skip].task.id} of {len(right)} right ones")
    return 0


if __name__ == "__main__":
    cli(main)
