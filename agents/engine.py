"""The engine: plays whole episodes of a multimodal model, all of a batch side by side, from its own key/value cache.

    rollouts = play_rollouts(model, processor, card, episodes, index)

It is what evaluation, pass rates and GRPO have in common. Prompts are rendered by the chat template; pictures go
through the processor and the vision tower once; every turn goes on from the cache of the turns before it; the crops of
all rollouts that have written a turn are searched in one call. The rules of turns are those of `gog_env.episode`.

Decisions: what the model sampled stays in its context token by token, as it is, and is never rendered again, so that
the log-probabilities are those of the very tokens that a trainer will see. A turn that its limit cut off is closed with
the token that ends turns. A malformed turn stays in the context too and is answered with its reason. A rollout that
runs out of tokens ends where it is: what it was writing is its last action. Each rollout draws from a generator of its
own, seeded by (seed, task, member of its group): see `agents.engine_writer` on what that fixes.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from agents.card import PolicyCard
from agents.dialects import dialect_of, read
from agents.engine_chat import ChatTokens, Picture, Prompt
from agents.rollout import step_clearly
from gog_env.episode import Episode, Turn

# isort: split
from agents.engine_rereading import RereadingWriter
from agents.engine_sampling import Sampling, Stream
from agents.engine_stops import Stops
from agents.engine_writer import CachedWriter, can_continue


@dataclass
class Rollout:
    """An episode that a model has played, with all that training on it needs.

    Attributes:
        episode: finished, or ended for want of tokens.
        member: which of its group it is: the how-manieth episode of its task among those given.
        prompt_ids: tokens of the prompt, pictures expanded.
        completion_ids: everything after it: what was sampled, and results (pictures expanded).
        sampled: for each of `completion_ids` 1 if the model wrote it, else 0.
        logprobs: for each of `completion_ids` the log-probability of a sampled token in the model's full
            distribution at the temperature (at 1 for greedy decoding); 0 for others. Picture tokens are never
            sampled; their share, as good as none, is not taken out of the distribution.
        entropies: for each of `completion_ids` the entropy of the distribution that a sampled token was drawn from (in
            nats); 0 for others, and unless pictures were to be kept, as both are for training.
        pictures: all pictures in order, as patches; empty unless they were to be kept.
        prompt_pictures: how many of them are the prompt's.
        shown: how many pictures the model was shown, kept or not.
        truncated: "tokens" or "turns" if it ran out of them without an answer, else None.
    """

    episode: Episode
    member: int
    prompt_ids: list[int]
    completion_ids: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    prompt_pictures: int = 0
    shown: int = 0
    truncated: str | None = None


@dataclass(eq=False)
class _Playing:
    """A rollout that is being played.

    Attributes:
        place: among the episodes given.
        rollout: so far.
        stream: its tokens as the model reads and writes them.
        numbers: its own.
        turn: tokens of the turn that it is writing, as far as that has got.
        drawn: the numbers of that turn, one a token; none for greedy decoding.
    """

    place: int
    rollout: Rollout
    stream: Stream
    numbers: np.random.Generator
    turn: list[int] = field(default_factory=list)
    drawn: np.ndarray | None = None


class Engine:
    """A model that plays episodes; one object serves many calls and keeps its buffers.

    Args:
        model: an image-text-to-text model, unwrapped; adapters may be inside.
        processor: its processor.
        card: how it is used.
    """

    def __init__(self, model: Any, processor: Any, card: PolicyCard) -> None:
        """Chooses how the model is made to write."""
        from agents.lmm import picture_tokens

        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.model, self.card = base, card
        self.chat = ChatTokens(base, processor, card)
        self.never = picture_tokens(base)
        self.writer = CachedWriter(base) if can_continue(base) else RereadingWriter(base)
        #: Seconds spent on reading and writing, and on searching, since the engine was made.
        self.seconds = {"generate": 0.0, "search": 0.0}

    def play(
        self,
        episodes: Iterable[Episode],
        index: Any,
        *,
        temperature: float = 0.0,
        seed: int | Sequence[int] = 0,
        max_completion: int | None = None,
        batch_size: int = 128,
        keep_pictures: bool = False,
    ) -> Iterator[tuple[int, Rollout]]:
        """Plays episodes and yields `(place, rollout)` as they end; see `play_rollouts`."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if max_completion is not None and max_completion < 1:
            raise ValueError(f"max_completion must be at least 1, not {max_completion}")
        pad = self.chat.tokenizer.pad_token_id or 0
        stops = Stops(dialect_of(self.card).STOPS, self.chat.tokenizer)
        sampling = Sampling(temperature, self.chat.ends, self.never, pad, spread=keep_pictures, stops=stops)
        waiting = enumerate(episodes)
        members: Counter[str] = Counter()
        playing: list[_Playing] = []
        training = self.model.training
        self.writer.reset()
        self.model.eval()
        try:
            while True:
                fresh = list(islice(waiting, batch_size - len(playing)))
                playing += self._begin(fresh, members, seed, keep_pictures)
                if not playing:
                    return
                ended = self._turn(playing, index, sampling, max_completion)
                self.writer.drop([one.stream for one in ended])
                playing = [one for one in playing if one not in ended]
                for one in ended:
                    yield one.place, one.rollout
        finally:
            self.writer.reset()
            self.model.train(training)

    def _begin(
        self, fresh: list[tuple[int, Episode]], members: Counter[str], seed: int | Sequence[int], keep: bool
    ) -> list[_Playing]:
        """Makes the prompts of fresh episodes, one for all episodes of the same task."""
        start = time.perf_counter()
        first: dict[int, Episode] = {}
        for _, episode in fresh:
            first.setdefault(id(episode.task), episode)
        made = self.chat.prompts([episode.view for episode in first.values()])
        prompts: dict[int, Prompt] = dict(zip(first, made, strict=True))
        root = [seed] if isinstance(seed, int) else list(seed)
        begun = []
        for place, episode in fresh:
            prompt = prompts[id(episode.task)]
            member = members[episode.task.id]
            members[episode.task.id] += 1
            name = zlib.crc32(episode.task.id.encode())
            rollout = Rollout(episode, member, prompt.ids, shown=len(prompt.pictures))
            if keep:
                rollout.pictures, rollout.prompt_pictures = list(prompt.pictures), len(prompt.pictures)
            stream = Stream(prompt, list(prompt.ids), list(prompt.pictures))
            begun.append(_Playing(place, rollout, stream, np.random.default_rng([*root, name, member])))
        self.seconds["generate"] += time.perf_counter() - start
        return begun

    def _turn(
        self, playing: list[_Playing], index: Any, sampling: Sampling, max_completion: int | None
    ) -> list[_Playing]:
        """Lets rollouts write, and those that have written a whole turn take it; returns those that have ended."""
        start = time.perf_counter()
        most = self.card.max_new_tokens
        for one in playing:
            if one.turn:
                continue
            one.stream.begun = len(one.stream.ids)
            if sampling.temperature > 0:
                one.drawn = one.numbers.random(most)
        limits = [most - len(one.turn) for one in playing]
        if max_completion is not None:
            limits = [
                min(limit, max_completion - len(one.rollout.completion_ids))
                for limit, one in zip(limits, playing, strict=True)
            ]
        written = self.writer.write([one.stream for one in playing], limits, _numbers(playing, most), sampling)
        whole = []
        for one, part in zip(playing, written, strict=True):
            rollout = one.rollout
            rollout.completion_ids += part.ids
            rollout.sampled += [1] * len(part.ids)
            rollout.logprobs += part.logprobs
            rollout.entropies += part.entropies
            one.turn += part.ids
            if part.ended:
                whole.append(one)
        actions = []
        for one in whole:
            episode = one.rollout.episode
            actions.append(read(self.chat.text(one.turn), self.card, episode.picture, episode.turns))
            one.turn = []
        searching = time.perf_counter()
        turns = step_clearly([one.rollout.episode for one in whole], actions, index)
        answering = time.perf_counter()
        ended = self._answer(whole, turns, max_completion)
        self.seconds["generate"] += searching - start + time.perf_counter() - answering
        self.seconds["search"] += answering - searching
        return ended

    def _answer(self, playing: list[_Playing], turns: Sequence[Turn], max_completion: int | None) -> list[_Playing]:
        """Appends the results to the rollouts that go on, as far as there is room; returns those that do not."""
        ended = [one for one in playing if one.rollout.episode.done]
        for one in ended:
            one.rollout.truncated = "turns" if one.rollout.episode.truncated else None
        going = [(one, turn) for one, turn in zip(playing, turns, strict=True) if not one.rollout.episode.done]
        results = self.chat.results([(turn, one.rollout.episode.task.question) for one, turn in going])
        for (one, _), (ids, pictures) in zip(going, results, strict=True):
            rollout = one.rollout
            if rollout.completion_ids[-1] not in self.chat.ends:  # cut off, or stopped behind a mark: it is closed here
                ids = [self.chat.tokenizer.eos_token_id, *ids]
            if max_completion is not None and len(rollout.completion_ids) + len(ids) >= max_completion:
                rollout.truncated = "tokens"
                ended.append(one)
                continue
            one.stream.ids += ids
            one.stream.pictures += pictures
            rollout.shown += len(pictures)
            rollout.completion_ids += ids
            rollout.sampled += [0] * len(ids)
            rollout.logprobs += [0.0] * len(ids)
            rollout.entropies += [0.0] * len(ids)
            if rollout.pictures:
                rollout.pictures += pictures
        return ended


def _numbers(playing: Sequence[_Playing], most: int) -> np.ndarray | None:
    """(rollouts, `most`): the numbers left for each turn, from the first column on; None for greedy decoding."""
    if playing[0].drawn is None:
        return None
    left = np.zeros((len(playing), most))
    for row, one in zip(left, playing, strict=True):
        assert one.drawn is not None
        row[: most - len(one.turn)] = one.drawn[len(one.turn) :]
    return left


def play_rollouts(
    model: Any,
    processor: Any,
    card: PolicyCard,
    episodes: Sequence[Episode],
    index: Any,
    *,
    temperature: float = 0.0,
    seed: int | Sequence[int] = 0,
    max_completion: int | None = None,
    batch_size: int = 128,
    keep_pictures: bool = False,
) -> list[Rollout]:
    """Plays fresh episodes to their ends.

    Args:
        model: an image-text-to-text model; see `Engine`.
        processor: its processor.
        card: how it is used; `max_new_tokens` is the limit of a turn.
        episodes: none of them begun. Several of one task are the members of a group and share the prompt's reading.
        index: what is searched.
        temperature: 0 decodes greedily; otherwise tokens are sampled from the whole distribution (top_p 1).
        seed: of the sampling, one number or several (such as a run's seed and its step).
        max_completion: tokens of a rollout after its prompt, results included; None for no limit.
        batch_size: episodes played side by side; fresh ones join at the next turn.
        keep_pictures: rollouts keep their pictures' patches, which training needs and which take memory, and entropies.

    Returns:
        The rollouts in the order of the episodes.

    Raises:
        GoGError: a search failed; nothing was scored.
        ModelError: the model's chat template does not append results to a chat.
    """
    engine = Engine(model, processor, card)
    done = dict(
        engine.play(
            episodes, index, temperature=temperature, seed=seed, max_completion=max_completion,
            batch_size=batch_size, keep_pictures=keep_pictures,
        )
    )  # fmt: skip
    return [done[place] for place in range(len(done))]
