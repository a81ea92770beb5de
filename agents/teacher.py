"""Demonstrations from a teacher: a large model behind an OpenAI-compatible endpoint plays tasks in the environment.

    python -m agents.demonstrations --teacher http://127.0.0.1:8000/v1 --teacher-model NAME --max-tokens 2000000

Decisions:
- The teacher acts through the same environment as any policy; kept is only what that scores as right, in form, read
  from a text that was shown, and with few enough calls (`--budget`); of near-duplicates the first, after which no other
  is asked. It is never told the answer.
- Everything goes into a journal of JSON lines as it happens: what each reply took, and how each episode ended. Whoever
  starts again goes on where it stopped, and what was spent before counts. Demonstrations are written from the journal,
  by playing its actions again.
- Where no reply comes, the episode is given up and tried again the next time: that is never the teacher's mistake.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.card import PolicyCard
from agents.chats import write_chats
from agents.demonstrations import Demonstration, Tally, chat_rows, pattern_of
from agents.dialects import says_all, tool_call
from agents.endpoint import Account, AskError, Endpoint, LimitError, Reply
from agents.endpoint_options import fields, price
from agents.journal import Journal
from agents.openai_chat import STYLES, action_of, chat
from agents.options import above_zero, natural, not_negative, positive
from agents.proof import problem_of
from agents.settings import episode_config
from gog_env.actions import CALLS, Action, as_dict, from_dict
from gog_env.episode import Episode, EpisodeConfig, EpisodeView, step_batch
from gog_env.task import Task, fingerprint_of
from index.errors import GoGError, TaskError

_PATIENCE = 8
"""Chats without a reply one after the other, after which something else must be wrong."""


@dataclass(frozen=True)
class Lesson:
    """How a teacher is asked.

    Attributes:
        endpoint: where.
        style: of calls, see `chat`.
        workers: chats that are asked for at once.
        budget: calls beyond a task's shortest way that a demonstration may take; None: any number.
        result_side: longest side of pictures that come back.
    """

    endpoint: Endpoint
    style: str = "tools"
    workers: int = 8
    budget: int | None = 2
    result_side: int = 448


def teach(
    tasks: Sequence[Task], index: Any, config: EpisodeConfig, lesson: Lesson, account: Account, journal: Journal
) -> Counter[str]:
    """Plays the tasks that have not ended yet.

    Args:
        tasks: what to play.
        index: what is searched.
        config: the rules.
        lesson: how to ask.
        account: what may be spent; what the journal tells was spent is in it.
        journal: gets the tokens of each reply, as it comes, and the end of each episode.

    Returns:
        How many episodes of all that the journal knows ended how, how many got no reply (`no reply`), and how many
        tasks were not asked, being as good as the same as one that is kept (`near-duplicate`).

    Raises:
        GoGError: the endpoint refuses altogether, or gives no reply to many chats in a row.
        TaskError: the journal is that of other tasks.
    """
    journal.check(tasks)
    card = PolicyCard(result_side=lesson.result_side)
    failed: Counter[str] = Counter()
    ends = {task.id: journal.ended[task.id]["outcome"] for task in tasks if task.id in journal.ended}
    known = {pattern_of(task) for task in tasks if ends.get(task.id) == "kept"}
    waiting = (task for task in tasks if task.id not in ends)
    active: list[Episode] = []
    silent = 0
    with ThreadPoolExecutor(lesson.workers) as pool:
        while True:
            while len(active) < lesson.workers and (task := next(waiting, None)) is not None:
                if pattern_of(task) in known:
                    failed["near-duplicate"] += 1
                else:
                    active.append(Episode(task, config))
            if not active:
                break
            replies = list(pool.map(lambda episode: _ask(episode.view, card, lesson, account, journal), active))
            answered: list[tuple[Episode, Action]] = []
            for episode, reply in zip(active, replies, strict=True):
                silent = 0 if isinstance(reply, Reply) else silent + 1
                if isinstance(reply, Reply):
                    answered.append((episode, action_of(reply, card)))
                elif isinstance(reply, AskError):
                    failed["no reply"] += 1
                    journal.write(task=episode.task.id, failed=str(reply))
                else:
                    raise reply
                if silent >= _PATIENCE:
                    raise GoGError(f"{reply}: {silent} chats in a row; mend that and run the same command again")
            step_batch([episode for episode, _ in answered], [action for _, action in answered], index)
            active = [episode for episode, _ in answered if not episode.done]
            for episode in (episode for episode, _ in answered if episode.done):
                actions = [as_dict(turn.action) for turn in episode.turns]
                about = {"task": episode.task.id, "fingerprint": fingerprint_of([episode.task])}
                end = outcome(episode, lesson.budget)
                if end == "kept":
                    known.add(pattern_of(episode.task))
                journal.write(**about, outcome=end, actions=actions)
    return failed + Counter(journal.ended[task.id]["outcome"] for task in tasks if task.id in journal.ended)


def _ask(view: EpisodeView, card: PolicyCard, lesson: Lesson, account: Account, journal: Journal) -> Reply | GoGError:
    def spent(prompt: int, completion: int) -> None:
        journal.write(task=view.task_id, tokens=[prompt, completion])

    fields = {"tools": tool_call.tools(replace(card, system=True))} if lesson.style == "tools" else {}
    try:
        return lesson.endpoint.ask(chat(view, card, lesson.style), account, spent, **fields)
    except GoGError as error:
        return error


def outcome(episode: Episode, budget: int | None) -> str:
    """How a finished episode ended: `kept`, or why it is no demonstration."""
    calls, shortest = sum(isinstance(turn.action, CALLS) for turn in episode.turns), episode.task.calls
    if problem := problem_of(episode):
        return problem
    too_many = budget is not None and shortest is not None and calls > len(shortest) + budget
    return "too many calls" if too_many else "kept"


def played_again(tasks: Sequence[Task], index: Any, config: EpisodeConfig, journal: Journal) -> Iterator[Episode]:
    """The episodes that the journal says are kept, played once more; those that do not end well again are left out."""
    for task in tasks:
        entry = journal.ended.get(task.id, {})
        if entry.get("outcome") != "kept":
            continue
        episode = Episode(task, config)
        for action in map(from_dict, entry["actions"]):
            if not episode.done:
                step_batch([episode], [action], index)
        if episode.done and not problem_of(episode):
            yield episode


def write_lessons(
    tasks: Sequence[Task], index: Any, card: PolicyCard, out: str | Path, options: argparse.Namespace, tally: Tally
) -> str:
    """Has a teacher play tasks, and writes what is kept of all that the journal knows as chats.

    Args:
        tasks: what to play.
        index: what is searched.
        card: of the policy that is to learn: its rules, and how its chats are written.
        out: the Parquet file.
        options: of the command line, as `add_options` made them.
        tally: counts what became of the tasks.

    Returns:
        What was spent and, where that is so, why it stopped early.

    Raises:
        GoGError: the endpoint refuses, or is silent.
        TaskError: nothing was kept, or the journal is another run's.
    """
    endpoint = Endpoint(
        options.teacher, options.teacher_model, options.key_variable, options.teacher_body, options.timeout,
        options.retries,
    )  # fmt: skip
    lesson = Lesson(endpoint, options.style, options.workers, options.budget)
    config = episode_config(card)
    about = {
        "model": endpoint.model, "style": lesson.style, "body": dict(endpoint.body), "budget": lesson.budget,
        "index": index.fingerprint, "rules": asdict(config),
    }  # fmt: skip
    journal = Journal(options.journal or f"{out}.journal.jsonl", about)
    account = Account(journal.prompt, journal.completion, options.price, options.max_tokens, options.max_cost)
    stopped = ""
    try:
        ends = teach(tasks, index, config, lesson, account, journal)
    except LimitError as error:
        stopped = f"; stopped: {error}"
        ends = Counter(journal.ended[task.id]["outcome"] for task in tasks if task.id in journal.ended)
    finally:
        journal.close()
    tally.tasks += len(tasks)
    tally.dropped.update({reason: count for reason, count in ends.items() if reason != "kept"})
    tally.dropped["not played"] += len(tasks) - ends.total()

    known: set[tuple[object, ...]] = set()
    same = 0

    def kept() -> Iterator[Demonstration]:
        nonlocal same
        for episode in played_again(tasks, index, config, journal):
            same += 1
            if not says_all(episode.view, card):
                tally.dropped["beyond the dialect"] += 1
                continue
            if (pattern := pattern_of(episode.task)) in known:
                tally.dropped["near-duplicate"] += 1
                continue
            known.add(pattern)
            tally.kept[episode.task.kind] += 1
            yield Demonstration(episode)

    count = write_chats(chat_rows(kept(), card), out, card=card)
    tally.dropped["not the same again"] += ends["kept"] - same
    tally.dropped = +tally.dropped
    spent = f"{account.prompt:,} + {account.completion:,} tokens, {account.cost:.2f} spent{stopped}"
    if not count:
        raise TaskError(
            f"nothing that the teacher did is a demonstration ({tally}; {spent}); why stands in "
            f"{options.journal or f'{out}.journal.jsonl'}"
        )
    return spent


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what a teacher takes to a command line."""
    group = parser.add_argument_group("a teacher, instead of the oracle")
    group.add_argument("--teacher", metavar="URL", help="OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1")
    group.add_argument("--teacher-model", metavar="NAME", help="the model's name there")
    group.add_argument(
        "--key-variable", metavar="NAME", default="OPENAI_API_KEY",
        help="environment variable that holds the key, if there is one (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--style", choices=STYLES, default="tools", help="calls of the endpoint, or as text (default: %(default)s)"
    )
    group.add_argument(
        "--teacher-body", type=fields, default={}, metavar="JSON",
        help="further fields of every request, such as '{\"temperature\": 0.7, \"max_tokens\": 400}'",
    )  # fmt: skip
    group.add_argument("--journal", metavar="FILE", help="what has happened, to go on from (default: beside --out)")
    group.add_argument(
        "--budget", type=natural, metavar="N", default=2, help="calls beyond the shortest way (default: %(default)s)"
    )
    group.add_argument("--workers", type=positive, metavar="N", default=8, help="chats at once (default: %(default)s)")
    group.add_argument("--retries", type=natural, metavar="N", default=5, help="of a request (default: %(default)s)")
    group.add_argument(
        "--timeout", type=above_zero, metavar="X", default=120.0, help="seconds of a reply (default: %(default)s)"
    )
    group.add_argument("--max-tokens", type=positive, metavar="N", help="stop once it has taken so many in all")
    group.add_argument("--max-cost", type=not_negative, metavar="X", help="stop once so much was spent, by --price")
    group.add_argument(
        "--price", type=price, default=(0.0, 0.0), metavar="IN,OUT", help="of a million tokens read and written"
    )


def defaults() -> dict[str, Any]:
    """What the options of `add_options` are where nothing is typed."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    return vars(parser.parse_args([]))
