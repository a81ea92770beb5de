"""Episodes of people who play at the same time: apart from each other, and bounded.

- Whoever starts an episode gets a name for it that nobody can guess, and only who knows the name sees or steps it.
- There are at most `most` at once, and what they keep takes at most `held` bytes: the one that was not used for
  longest goes first. Decoded pictures are kept only where a player that is not done may look at them again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from gog_env.actions import Gaze
from gog_env.episode import Episode
from index.knowledge import Hit
from index.wire import RequestError

from .players import Player

MOST = 256
HELD = 256 * 2**20


@dataclass(frozen=True)
class Start:
    """What is asked for when an episode begins.

    Attributes:
        run: a recorded run, or "" for the tasks.
        player: who plays, or "" for the person at the page.
        kind: only tasks of this kind; "" for all.
        only: of a run, only episodes that were answered `right` or `wrong`; "" for all.
        number: the place among those, from 1; None: a random one.
        task: the id of a task, instead of a number.
    """

    run: str = ""
    player: str = ""
    kind: str = ""
    only: str = ""
    number: int | None = None
    task: str | None = None


@dataclass
class Session:
    """An episode that somebody plays or watches.

    Attributes:
        episode: as it stands.
        start: how it was asked for; `start.number` is the place that it has.
        of: among so many; 0 for an own picture.
        player: who plays it, None for a person or a recorded run.
        recorded: the record of an episode that is only shown.
        notes: what should be known about it.
        own: about a picture that somebody brought: no gold answer, no score.
        held: bytes that it keeps from its beginning, of an own picture and of what its player looks at.
        whole: what the whole picture finds, once somebody has asked for the comparison.
        helped: whether that was shown to a player who had not glanced.
        id: its name.
        lock: held while it changes.
    """

    episode: Episode
    start: Start = Start()
    of: int = 0
    player: Player | None = None
    recorded: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    own: bool = False
    held: int = 0
    whole: tuple[Hit, ...] | None = None
    helped: bool = False
    id: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def weight(self) -> int:
        """Bytes that it keeps by now: `held`, and the crops that its player may look at again."""
        crops = [turn.picture for turn in self.episode.turns if isinstance(turn.action, Gaze)]
        return self.held + sum(3 * crop.width * crop.height for crop in crops if crop is not None)

    @property
    def scored(self) -> bool:
        """Whether there is a gold answer."""
        return not self.own


class Sessions:
    """The sessions of one page, by name."""

    def __init__(self, most: int = MOST, held: int = HELD) -> None:
        self.most, self.held = most, held
        self._all: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._all)

    def add(self, session: Session) -> Session:
        """Keeps a session, and lets go of those that nobody has used for longest where there are too many."""
        self._all[session.id] = session
        self._make_room()
        return session

    def get(self, name: str) -> Session:
        """The session of this name.

        Raises:
            RequestError: there is none, or none any more.
        """
        if name not in self._all:
            raise RequestError("this episode is not kept any more; start another one", 404)
        self._all.move_to_end(name)
        self._make_room()  # it may have grown since
        return self._all[name]

    def _make_room(self) -> None:
        while len(self._all) > 1 and (len(self._all) > self.most or self._weight() > self.held):
            self._all.popitem(last=False)

    def _weight(self) -> int:
        return sum(session.weight for session in self._all.values())
