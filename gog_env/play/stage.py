"""What is played on: an index, tasks, rules, players and recorded runs; and how an episode begins and goes on.

Decisions: everything here is plain and synchronous; `app` calls it in threads. Every change of an episode is one
`step_batch` of that episode. Pictures are let go of after each, so that many people's photos do not pile up.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from PIL import Image

from gog_env import pictures
from gog_env.actions import Action, Glance
from gog_env.episode import Episode, EpisodeConfig, step_batch
from gog_env.task import MAX_QUESTION, Task, Tasks
from index.errors import GoGError, ServiceError, TaskError
from index.images import MAX_PIXELS, open_picture
from index.wire import RequestError

from .players import Player, Players, next_action, rules_of
from .runs import Run, episode_of
from .sessions import Session, Start

if TYPE_CHECKING:
    from index.knowledge import KnowledgeIndex

OWN = "your-picture"
_playing = threading.Lock()  # a model takes all cores by itself, and need not be safe to call from two threads


@dataclass(frozen=True)
class Stage:
    """What a page is about.

    Attributes:
        index: what is searched.
        tasks: what is asked; None: only people's own pictures.
        config: the rules.
        players: who may be watched.
        runs: recorded ones.
        name: what index and tasks are called on the page.
    """

    index: KnowledgeIndex
    tasks: Tasks | None = None
    config: EpisodeConfig = EpisodeConfig()
    players: Players = field(default_factory=Players)
    runs: tuple[Run, ...] = ()
    name: str = "embedded world"

    def kinds(self, run: str = "") -> dict[str, int]:
        """The kinds of tasks, or of a run's, each with how many there are."""
        found = Counter(one.kind for one in (self._run(run).entries if run else self.tasks or ()))
        return {kind: found[kind] for kind in sorted(found) if kind}

    def begin(self, start: Start) -> Session:
        """Starts an episode that a person or a player plays, or opens a recorded one.

        Raises:
            RequestError: there is no such task, run, player or place.
            TaskError: its picture cannot be read.
        """
        if start.run:
            return self._recorded(start)
        if self.tasks is None:
            raise RequestError("there are no tasks here; bring a picture of your own, or start with --tasks", 404)
        if start.task is not None:
            number = 1 + self._place(start.task)
            start, places = replace(start, kind=""), list(range(len(self.tasks)))
        else:
            places = [place for place, task in enumerate(self.tasks) if start.kind in ("", task.kind)]
            number = _number(start, len(places))
        task = self.tasks[places[number - 1]]
        session = self._session(task, start.player, self.tasks)
        session.start, session.of = replace(start, number=number, task=task.id), len(places)
        return session

    def own(self, data: bytes, question: str, player: str = "") -> Session:
        """Starts an episode about somebody's own picture.

        Raises:
            RequestError: the question is too long.
            SourceError: the picture cannot be read, or is too large.
        """
        question = " ".join(question.replace("\0", " ").split())
        if not question or len(question) > MAX_QUESTION:
            raise RequestError(f"ask a question of 1 to {MAX_QUESTION} characters")
        data = _bounded(data, open_picture(data, "your picture"))  # refuses what an index refuses, before it is kept
        task = Task(OWN, question, (), data)
        session = self._session(task, player, Tasks([task], source="your picture"))
        session.own, session.held = True, session.held + len(data)
        session.start = Start(player=player)
        return session

    def act(self, session: Session, action: Action) -> None:
        """Takes an action.

        Raises:
            ServiceError: the search failed; the episode is as it was.
        """
        if session.recorded is not None:
            raise RequestError("a recorded episode cannot be played on; it is only shown", 409)
        if session.episode.done:
            raise RequestError("the episode is over; start another one", 409)
        with _decoded(session) as episode:
            try:
                step_batch([episode], [action], self.index)
            except GoGError:
                raise
            except (OSError, RuntimeError, MemoryError) as error:
                raise ServiceError(
                    f"the search failed ({type(error).__name__}: {error}); nothing was counted: try again, and look "
                    "after the index if it fails again"
                ) from error

    def play(self, session: Session) -> None:
        """Lets the player take its next action.

        Raises:
            RequestError: nobody plays this episode but the person, or it is over.
            ModelError: the player failed; the episode is as it was.
        """
        if session.player is None:
            raise RequestError("no player plays this episode; start one with a player", 409)
        if session.episode.done:
            raise RequestError("the episode is over; start another one", 409)
        with _decoded(session) as episode, _playing:
            action = next_action(session.start.player, session.player, episode.view)
        self.act(session, action)

    def compare(self, session: Session) -> None:
        """Searches with the whole picture, beside the episode: no turn of it, and not recorded."""
        episode = session.episode
        if session.whole is None:
            with _decoded(session):
                [hits] = self.index.search_image([episode.picture], episode.config.hits)
            session.whole = tuple(hits)
        glanced = any(isinstance(turn.action, Glance) for turn in episode.turns)
        session.helped |= not (glanced or episode.done or session.start.player)

    def _session(self, task: Task, name: str, tasks: Sequence[Task]) -> Session:
        player: Player | None = None
        config = self.config
        if name:
            if name not in self.players.names:
                raise RequestError(f"there is no player {name!r}", 404)
            with _playing:
                player = self.players.make(name, tasks, self.index)
            config = rules_of(player, config)
        picture = pictures.task_picture(task)  # what is broken is said now
        return Session(Episode(task, config), player=player, held=3 * picture.width * picture.height if player else 0)

    def _recorded(self, start: Start) -> Session:
        run = self._run(start.run)
        wanted = [
            entry
            for entry in run.entries
            if start.kind in ("", entry.kind) and start.only in ("", "right" if entry.right else "wrong")
        ]
        number = _number(start, len(wanted))
        record = run.record(wanted[number - 1].place)
        episode, notes = episode_of(record, self.tasks, self.index)
        episode.release()
        found = replace(start, number=number, task=episode.task.id)
        return Session(episode, found, len(wanted), recorded=record, notes=tuple(notes))

    def _run(self, name: str) -> Run:
        for run in self.runs:
            if run.name == name:
                return run
        raise RequestError(f"there is no recorded run {name!r}", 404)

    def _place(self, task_id: str) -> int:
        assert self.tasks is not None
        try:
            wanted = self.tasks.by_id(task_id)
        except TaskError as error:
            raise RequestError(str(error), 404) from None
        return next(place for place, task in enumerate(self.tasks) if task is wanted)


@contextlib.contextmanager
def _decoded(session: Session) -> Iterator[Episode]:
    """An episode whose pictures are let go of afterwards, unless a player that is not done may look at them again."""
    try:
        yield session.episode
    finally:
        if session.player is None or session.episode.done:
            session.episode.release()


def _bounded(data: bytes, picture: Image.Image) -> bytes:
    """The file; of a JPEG that had to be halved what is left of it, for a task's picture may be larger than that."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as file:
            if file.width * file.height <= MAX_PIXELS:
                return data
    except OSError:  # another format, of which nothing larger is opened
        return data
    smaller = io.BytesIO()
    picture.save(smaller, "JPEG", quality=95)
    return smaller.getvalue()


def _number(start: Start, count: int) -> int:
    if not count:
        raise RequestError("nothing is left under these filters; choose others", 404)
    number = 1 + secrets.randbelow(count) if start.number is None else start.number
    if not 1 <= number <= count:
        raise RequestError(f"there is no number {number}; choose 1 to {count}", 404)
    return number
