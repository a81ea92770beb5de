"""Demonstrations: episodes that earn full reward, with reasons, written as chats for supervised training.

    python -m agents.demonstrations --tasks PATH --index PATH --out demos.parquet --seed 0

Decisions: an oracle acts through the environment (`agents.reflective`), so that every result in a demonstration is what
the index really returned; its mistakes on purpose are in the chat but marked, and no loss falls on them. Kept is what
  * earns full reward, and again when the actions as written down are played once more,
  * answers from a text that was shown, and says "unknown" only where the similarities let one see it,
  * is no near-duplicate of one that is kept: another question in the same words about the same documents and with the
    same answer or, where it needs no document, about the same picture.
Shares by kind of task are an option; those of the paper had 43.5 % that need no search.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agents.card import NANO, PolicyCard
from agents.cases import Case, by_kind, cases_of, shown_in
from agents.chats import row_of_chat, stored_picture, write_chats
from agents.dialects import dialect, messages, says_all
from agents.options import add_dialect, check_dialect, less_than_half, natural, positive, share, shares
from agents.proof import problem_of, replays
from agents.reflective import Manner, ReflectiveOracle
from agents.settings import check_file, episode_config, open_world
from agents.task_options import add_task_options, check_task_options, given_tasks
from gog_env.actions import Malformed
from gog_env.episode import Episode, EpisodeConfig
from gog_env.rewards import normalize_answer
from gog_env.task import Task, Tasks
from index.errors import TaskError, cli
from index.images import picture_hash

_TOGETHER = 256
"""Tasks that are played side by side."""


@dataclass(frozen=True)
class Demonstration:
    """A finished episode and the numbers of its turns (0, 1, …) that nobody should learn."""

    episode: Episode
    mistakes: frozenset[int] = frozenset()


@dataclass
class Tally:
    """What became of the tasks: `kept` by kind, `dropped` by reason, `mistaken` demonstrations that show a mistake."""

    tasks: int = 0
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    mistaken: int = 0

    def __str__(self) -> str:
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items())) or "none"
        counted = ", ".join(f"{count} {kind or 'of no kind'}" for kind, count in sorted(self.kept.items()))
        return (
            f"kept {self.kept.total()} of {self.tasks} tasks ({counted or 'none'}; {self.mistaken} with a mistake); "
            f"dropped: {dropped}"
        )


def demonstrate(
    tasks: Iterable[Task | Case],
    index: Any,
    config: EpisodeConfig,
    seed: int = 0,
    progress: bool = True,
    manner: Manner | None = None,
    tally: Tally | None = None,
    card: PolicyCard | None = None,
) -> Iterator[Demonstration]:
    """Yields the oracle's episodes that are worth learning from, in the order of the tasks.

    Args:
        tasks: tasks, or what is known of them (`agents.cases`), perhaps made as they are drawn; those that do not say
            what their evidence is are left out.
        index: what is searched.
        config: the rules.
        seed: of the boxes and the mistakes.
        progress: shows bars.
        manner: how the oracle looks.
        tally: counts what becomes of the tasks.
        card: of the model that is to learn: episodes that its dialect has no words for are left out. None: no matter.
    """
    from agents.rollout import run_episodes

    tally = tally if tally is not None else Tally()
    cases = iter(task if isinstance(task, Case) else cases_of([task])[0] for task in tasks)
    known: set[tuple[object, ...]] = set()
    while part := list(itertools.islice(cases, _TOGETHER)):
        tally.tasks += len(part)
        fresh, patterns = [], {}
        for case in part:
            if case.task.evidence is None:
                tally.dropped["without evidence"] += 1
            elif (pattern := pattern_of(case.task)) in known:
                tally.dropped["near-duplicate"] += 1
            else:
                patterns[case.task.id] = pattern
                fresh.append(case)
        oracle = ReflectiveOracle(fresh, index, config, manner, seed)
        played = run_episodes(oracle, [case.task for case in fresh], index, config, seed=seed, progress=progress)
        good = []
        for episode in played:
            if problem := problem_of(episode):
                tally.dropped[problem] += 1
            else:
                good.append(episode)
        for episode, same in zip(good, replays(good, index), strict=True):
            if not same:
                tally.dropped["not the same again"] += 1
                continue
            if card is not None and not says_all(episode.view, card):
                tally.dropped["beyond the dialect"] += 1
                continue
            if (pattern := patterns[episode.task.id]) in known:  # only what is kept makes others near-duplicates
                tally.dropped["near-duplicate"] += 1
                continue
            known.add(pattern)
            mistakes = oracle.mistakes(episode.view)
            tally.kept[episode.task.kind] += 1
            tally.mistaken += bool(mistakes)
            yield Demonstration(episode, mistakes)


def pattern_of(task: Task) -> tuple[object, ...]:
    """What near-duplicates share: a question in the same words, its answer, and its documents or else the picture."""
    about = task.evidence or picture_hash(task.picture())
    words = task.question.lower().replace("banner", "flag")
    return words, normalize_answer(task.answers[0]), about


def chat_rows(demonstrations: Iterable[Demonstration], card: PolicyCard) -> Iterator[dict[str, Any]]:
    """Demonstrations as rows of a table of chats, in the words of the card's dialect; mistakes are not trained."""
    for one in demonstrations:
        view = one.episode.view
        chat = messages(view, card)
        said = (message for message in chat if message["role"] == "assistant")
        acted = (number for number, turn in enumerate(view.turns) if not isinstance(turn.action, Malformed))
        for number, message in zip(acted, said, strict=True):
            if number in one.mistakes:
                message["train"] = False
        row = row_of_chat(chat, task=view.task_id, kind=one.episode.task.kind)
        row["images"][0] = stored_picture(one.episode.task) or row["images"][0]
        yield row
        one.episode.release()


def write_demonstrations(
    tasks: Iterable[Task | Case],
    index: Any,
    card: PolicyCard,
    path: str | Path,
    seed: int = 0,
    manner: Manner | None = None,
    tally: Tally | None = None,
) -> Counter[str]:
    """Writes a table of demonstrations of tasks; for arguments see `demonstrate`.

    Returns:
        How many were kept, by kind of task.

    Raises:
        TaskError: none was; then nothing is written.
    """
    tally = tally if tally is not None else Tally()
    manner = replace(manner or Manner(), survey=card.survey)
    shown = demonstrate(tasks, index, episode_config(card), seed, manner=manner, tally=tally, card=card)
    if not write_chats(chat_rows(shown, card), path, card=card):
        raise TaskError(
            "no demonstration earned full reward; do the tasks have evidence and regions that this index holds? Tasks "
            "of published sets mostly have none: let a model show them (python -m agents.demonstrations --teacher URL)"
        )
    return tally.kept


def known_cases(
    tasks: Sequence[Task], named: str | Tasks | None, wanted: Mapping[str, float] | None = None, seed: int = 0
) -> list[Case]:
    """What is known of tasks, in shares by kind.

    Args:
        tasks: those that are wanted.
        named: where they are from: their folder, a benchmark's tasks, or None for the embedded world's training tasks.
        wanted: shares by kind; None takes the tasks as they come.
        seed: of the choice.
    """
    cases = cases_of(tasks, None if isinstance(named, Tasks) else shown_in(named))
    return by_kind(cases, wanted, seed) if wanted else cases


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    usual = Manner()
    parser = argparse.ArgumentParser(
        prog="python -m agents.demonstrations",
        usage="%(prog)s [options]",
        description="Write episodes that earn full reward, with reasons, as chats for supervised training.",
        epilog="example: python -m agents.demonstrations --out runs/demos.parquet --limit 200",
    )
    add_task_options(parser, "tasks to demonstrate (default: the embedded world's training tasks)")
    parser.add_argument("--index", metavar="PATH", help="sealed index to search (default: the embedded world's)")
    parser.add_argument(
        "--model", metavar="PATH", help="folder or hub id that the chats are written for (default: the nano policy)"
    )
    parser.add_argument(
        "--out", default="runs/demonstrations.parquet", metavar="FILE", help="Parquet file (default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="use the first N tasks only")
    parser.add_argument(
        "--shares", type=shares, metavar="SHARES",
        help="shares of the tasks by kind, such as visual=0.435,gaze=0.3,hop_1=0.265 (the paper had 43.5 %% without "
        "search), in proportion; as many tasks are used as allow it, after --limit (default: the tasks as they come)",
    )  # fmt: skip
    parser.add_argument(
        "--reflection", type=share, metavar="X", default=usual.reflection,
        help="share of first looks that are wrong on purpose and noticed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--rephrase", type=share, metavar="X", default=usual.rephrase,
        help="share of first text queries that are wrong on purpose and noticed (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--looseness", type=less_than_half, metavar="X", default=usual.looseness,
        help="how far edges of boxes are off, as a share of the side (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--closer", type=natural, metavar="N", default=usual.closer,
        help="further looks where the right box brings the wrong document (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=natural, metavar="N", default=0, help="seed of boxes, mistakes and choice (default: 0)"
    )
    from agents import teacher
    from agents.dry_run import know

    teacher.add_options(parser)
    add_dialect(parser)
    options = parser.parse_args(argv)
    check_dialect(parser, options)
    if options.teacher and not options.teacher_model:
        parser.error("--teacher goes with --teacher-model")
    for name in ("reflection", "rephrase", "looseness", "closer"):
        if options.teacher and getattr(options, name) != getattr(usual, name):
            parser.error(f"--{name} is about the oracle; leave it out with --teacher")
    if options.max_cost is not None and not any(options.price):
        parser.error("--max-cost goes with --price")
    if not options.teacher:
        for name, value in teacher.defaults().items():
            if getattr(options, name) != value:
                parser.error(f"--{name.replace('_', '-')} is about a teacher; name its endpoint with --teacher URL")

    check_task_options(options)
    check_file(options.out)
    card = know(options.model, options.dialect).card if options.model else NANO
    if options.dialect and not options.model and options.dialect != NANO.dialect:
        card = dialect(options.dialect).CARD
    named = given_tasks(options)
    index, tasks = open_world(options.index, named, split="train", limit=options.limit)
    cases = known_cases(tasks, named, options.shares, options.seed)
    tally = Tally()
    if options.teacher:
        asked = [case.task for case in cases]
        spent = teacher.write_lessons(asked, index, card, options.out, options, tally)
        print(f"{tally}; {spent}; written to {options.out}")
        return 0
    manner = Manner(options.reflection, options.rephrase, options.looseness, options.closer)
    write_demonstrations(cases, index, card, options.out, options.seed, manner, tally)
    print(f"{tally}; written to {options.out}")
    return 0


if __name__ == "__main__":
    cli(main)
