"""An episode as a film: every turn before and after its search, each long enough to be read.

    python -m gog_env.video --out episode.gif                                              # a task's shortest way
    python -m gog_env.video --trajectories runs/evaluate/nano-SFT/trajectories.jsonl --task heldout-00001 --out nano.mp4

- What is shown was really searched: a recorded episode is taken again and must find what it found then
  (`trajectory.replayed`); without a record the task's own shortest calls are played.
- A GIF needs nothing but Pillow. All its pages share one palette, so that what did not change costs nothing. An MP4
  needs ffmpeg, which `pip install 'glance-or-gaze[video]'` brings.
- `gymnasium.wrappers.RecordVideo` works too (the same extra): the environment's frames stand four seconds each there.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from index.errors import GoGError, TaskError, cli

from . import render, trajectory
from .actions import Answer
from .episode import Episode, EpisodeConfig, step_batch
from .lettering import BAD, CARD, COLOURS, GOOD, GREY, INK, PAPER
from .stand import open_index, open_tasks
from .task import Task

if TYPE_CHECKING:
    from index.knowledge import KnowledgeIndex

#: Frames a second of an MP4; a page is repeated for as long as it stands.
FPS = 10
_OWN = (*COLOURS, GOOD, BAD, INK, GREY, PAPER, CARD)
_LETTERS_A_SECOND = 30.0
_LONGEST = 9.0

Film = list[tuple[np.ndarray, float]]


def film(episode: Episode, index: KnowledgeIndex, pace: float = 1.0) -> Film:
    """Draws an episode from its question to its end.

    Args:
        episode: over or under way; it is not changed.
        index: has the hits' thumbnails.
        pace: 2 shows everything twice as long.

    Returns:
        Pages, `(640, 960, 3)` uint8, each with the seconds that it stands.
    """
    shown = Episode(episode.task, episode.config, episode.seed, episode.picture)
    pages = [(render.rgb_array(shown), _reading(2.5, shown.task.question))]
    for number, turn in enumerate(episode.turns, start=1):
        shown.turns = episode.turns[:number]
        hits = turn.hits[: render.CARDS]
        small = [None if hit.picture_id is None else index.thumbnail(hit.picture_id) for hit in hits]
        pages.append((render.rgb_array(shown, found=False), _reading(1.5, turn.action.thought)))
        pages.append((render.rgb_array(shown, small), _reading(2.0, turn.text[:200])))
    pages[-1] = (pages[-1][0], max(5.0, pages[-1][1]))
    return [(page, round(seconds * pace, 2)) for page, seconds in pages]


def solved(task: Task, index: KnowledgeIndex, **rules: Any) -> Episode:
    """The shortest way to a task's answer, played.

    Args:
        task: one that says which calls it takes.
        index: what is searched.
        rules: of the episode (`EpisodeConfig`); it gets as many turns as it needs.

    Raises:
        TaskError: the task does not say.
    """
    if task.calls is None:
        raise TaskError(
            f"task {task.id!r} has no calls that could be shown; give --trajectories of a policy that played it"
        )
    turns = max(EpisodeConfig().max_turns, len(task.calls) + 1)
    episode = Episode(task, EpisodeConfig(**{"max_turns": turns, **rules}))
    for action in (*task.calls, Answer(task.answers[0])):
        step_batch([episode], [action], index)
    return episode


def save(pages: Film, out: str | Path, width: int = render.WIDTH) -> Path:
    """Writes a film as GIF or MP4, by its name's ending; whole, or not at all.

    Args:
        pages: at least one, all of one size.
        out: ends in .gif or .mp4.
        width: of the film, in pixels; even.

    Raises:
        TaskError: another ending, or the file cannot be written.
        GoGError: an MP4, and ffmpeg is not there.
    """
    out = check(out)
    height = round(width * pages[0][0].shape[0] / pages[0][0].shape[1] / 2) * 2
    frames = [Image.fromarray(page) for page, _ in pages]
    if frames[0].size != (width, height):
        frames = [frame.resize((width, height), Image.Resampling.LANCZOS) for frame in frames]
    beside = out.with_name(f".{out.stem}.{os.getpid()}{out.suffix}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write = _gif if out.suffix.lower() == ".gif" else _mp4
        write(frames, [seconds for _, seconds in pages], beside)
        beside.replace(out)
    except OSError as error:
        raise TaskError(
            f"{out} cannot be written ({error.strerror or error}); give another --out, in a folder you may write to"
        ) from error
    finally:
        beside.unlink(missing_ok=True)
    return out


def check(out: str | Path) -> Path:
    """Refuses a name that no film can have, and an MP4 where ffmpeg is missing.

    Raises:
        TaskError: it ends neither in .gif nor in .mp4.
        GoGError: it ends in .mp4, and imageio-ffmpeg is not installed.
    """
    out = Path(out).expanduser()
    if out.suffix.lower() not in (".gif", ".mp4"):
        raise TaskError(f"--out {out} ends neither in .gif nor in .mp4; a film is written as one of these")
    if out.suffix.lower() == ".mp4":
        _ffmpeg()
    return out


def _reading(least: float, text: str) -> float:
    return min(_LONGEST, least + len(text) / _LETTERS_A_SECOND)


def _gif(frames: Sequence[Image.Image], seconds: Iterable[float], path: Path) -> None:
    swatch = frames[0].height // 8  # our own colours, for a rare one would be lost among those of the picture
    every = Image.new("RGB", (frames[0].width, frames[0].height * len(frames) + swatch))
    for row, frame in enumerate(frames):
        every.paste(frame, (0, row * frame.height))
    width = every.width // len(_OWN)
    for column, own in enumerate(_OWN):
        every.paste(own, (column * width, every.height - swatch, (column + 1) * width, every.height))
    palette = every.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    lasting = [round(one * 1000) for one in seconds]
    first.save(path, format="GIF", save_all=True, append_images=others, duration=lasting, loop=0, optimize=True)


def _mp4(frames: Sequence[Image.Image], seconds: Iterable[float], path: Path) -> None:
    writer = _ffmpeg().write_frames(
        str(path), frames[0].size, fps=FPS, codec="libx264", macro_block_size=2,
        output_params=["-crf", "20", "-preset", "medium", "-tune", "stillimage", "-movflags", "+faststart"],
    )  # fmt: skip
    writer.send(None)
    try:
        for frame, lasting in zip(frames, seconds, strict=True):
            pixels = frame.tobytes()
            for _ in range(max(1, round(lasting * FPS))):
                writer.send(pixels)
    finally:
        writer.close()


def _ffmpeg() -> Any:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise GoGError(
            "an MP4 needs ffmpeg; pip install 'glance-or-gaze[video]' brings it, or give --out a name that ends in .gif"
        ) from None
    return imageio_ffmpeg


def recorded(path: str | Path, task: str | None) -> dict[str, Any]:
    """The record of a task, or the first one, of a `trajectories.jsonl`.

    Raises:
        TaskError: no such file, or no such record.
    """
    for record in trajectory.read(path):
        if task is None or record.get("task_id") == task:
            return record
    raise TaskError(
        f"{path}: no trajectory{f' of task {task!r}' if task else ''}; see its task_id fields for what there is"
    )


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m gog_env.video",
        description="Write an episode as GIF or MP4: a recorded one, or a task's own shortest way to the answer.",
        epilog="example: python -m gog_env.video --kind compare --out runs/compare.gif",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="file to write, ending in .gif or .mp4 (extra: video)"
    )
    parser.add_argument("--trajectories", metavar="FILE", help="trajectories.jsonl that agents.evaluate wrote")
    parser.add_argument(
        "--index", metavar="INDEX", help="sealed index, or address of a server (default: embedded world)"
    )
    parser.add_argument("--tasks", metavar="PATH", help="tasks (default: the embedded world's)")
    parser.add_argument("--split", choices=("train", "heldout"), default="heldout", help="default: %(default)s")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--task", metavar="ID", help="which task (default: the first)")
    which.add_argument("--kind", help="the first task of this kind")
    parser.add_argument("--pace", type=float, default=1.0, help="2 shows everything twice as long (default: 1)")
    parser.add_argument("--width", type=int, default=render.WIDTH, help="in pixels (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Writes a film and says where it is."""
    options = parser().parse_args(argv)
    if not 0.1 <= options.pace <= 20:
        raise TaskError(f"--pace {options.pace} is out of range; give 0.1 to 20")
    if not 240 <= options.width <= 3840 or options.width % 2:
        raise TaskError(f"--width {options.width} will not do; give an even number from 240 to 3840")
    if options.trajectories and options.kind:
        raise TaskError("--kind chooses among tasks; with --trajectories name one by --task")
    if options.index and not options.tasks:
        raise TaskError("--index goes with --tasks: the embedded world's tasks fit only its own index")
    check(options.out)
    record = recorded(options.trajectories, options.task) if options.trajectories else None
    index, tasks = open_index(options.index), open_tasks(options.tasks, options.split)
    if record is not None:
        episode = trajectory.replayed(record, tasks, index)
    else:
        tasks.check_against(index)
        episode = solved(_chosen(tasks, options.task, options.kind), index)
    pages = film(episode, index, options.pace)
    file = save(pages, options.out, options.width)
    lasting, size = sum(seconds for _, seconds in pages), file.stat().st_size / 1024
    print(f"wrote {file}: task {episode.task.id}, {len(pages)} pages, {lasting:.0f} s, {size:.0f} KiB")


def _chosen(tasks: Any, id: str | None, kind: str | None) -> Task:
    if id is not None:
        return tasks.by_id(id)
    for task in tasks:
        if kind is None or task.kind == kind:
            return task
    kinds = ", ".join(sorted({str(task.kind) for task in tasks}))
    raise TaskError(f"no task of kind {kind!r} in {tasks.source}; there are {kinds}")


if __name__ == "__main__":
    cli(main)
