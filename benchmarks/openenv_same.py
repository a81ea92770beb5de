"""Many episodes at once over OpenEnv, and the same ones by a local environment: are they the same, and how fast?

    python -m benchmarks.openenv_same --sessions 64 --out docs/results/plugs/openenv_same.json

Every session is a client with a WebSocket of its own; all play at once, each its own seeds. What they do is drawn from
the seed: good looks, searches and answers, and malformed actions of every sort. Then a local `GlanceOrGazeEnv`, whose
index remembers no embedding, plays the same, one episode after the other. Compared to the bit: observations (pictures
and thumbnails too), rewards, ends, and records with every hit and its score.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.settings import check_file, write_json
from benchmarks.machine import bench_facts
from gog_env.actions import Action, Answer, Gaze, Glance, Malformed, Search
from gog_env.env import GlanceOrGazeEnv
from gog_env.plugs.openenv_server import check_installed
from index.errors import GoGError, cli
from index.options import positive


def actions_of(seed: int, turns: int) -> list[Action]:
    """What a session does: good actions, malformed ones, and mostly an answer in the end."""
    random = np.random.default_rng(seed)
    done: list[Action] = []
    for _ in range(turns - 1):
        x0, y0, x1, y1 = (round(float(edge), 3) for edge in random.random(4))
        choices = [
            Gaze((min(x0, x1), min(y0, y1), max(x0, x1) + 1e-3, max(y0, y1) + 1e-3)), Gaze((x0, y0, x1, y1)), Glance(),
            Search(f"capital ally river {random.integers(9)} Où 首都?"), Search("   "), Malformed("what?"),
        ]  # fmt: skip
        done.append(choices[int(random.choice(6, p=[0.4, 0.15, 0.15, 0.2, 0.05, 0.05]))])
    return [*done, Answer("unknown", thought="a guess") if seed % 5 else Glance()]


@contextlib.contextmanager
def serving(env: GlanceOrGazeEnv, **options: Any) -> Iterator[tuple[str, Any]]:
    """Serves twins of an environment from a thread of this process; gives the address and the application."""
    from gog_env.plugs.openenv_server import application, server

    app = application(env, **options)
    running = server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=running.run, name="openenv", daemon=True)
    thread.start()
    while not running.started:
        if not thread.is_alive():
            raise GoGError("the server ended before it began; see its log")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}", app
    finally:
        running.should_exit = True
        thread.join()


async def remote_episode(client: Any, env: GlanceOrGazeEnv, seed: int) -> list[Any]:
    """One episode over the wire, as `local_episode` writes it."""
    from gog_env.plugs.openenv_client import gym_observation, picture_of

    sizes = (env.picture_size, env.config.thumbnails, env.thumbnail_size)
    first = (await client.reset(seed=seed)).observation
    seen: list[Any] = [(gym_observation(first, first, *sizes), np.asarray(picture_of(first)), first.task_id)]
    for action in actions_of(seed, env.config.max_turns):
        result = await client.step(action)
        now = result.observation
        outcome = None
        if now.outcome is not None:
            outcome = now.outcome.model_dump() | {"trajectory": json.loads(now.outcome.trajectory)}
        seen.append((gym_observation(first, now, *sizes), result.reward, result.done, outcome))
        if result.done:
            break
    return seen


def local_episode(env: GlanceOrGazeEnv, seed: int) -> list[Any]:
    """One episode here: each observation, reward, end, and what the last `info` says."""
    observation, info = env.reset(seed=seed)
    seen: list[Any] = [(observation, np.asarray(info["picture"]), info["task_id"])]
    for action in actions_of(seed, env.config.max_turns):
        observation, reward, terminated, truncated, info = env.step(action)
        outcome = None
        if terminated or truncated:
            names = ("kind", "accuracy", "format", "calls", "cost")
            outcome = {name: info[name] for name in names} | {"answers": list(info["answers"]), "answered": terminated}
            outcome["trajectory"] = json.loads(info["trajectory"])
        seen.append((observation, reward, terminated or truncated, outcome))
        if terminated or truncated:
            break
    return seen


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal to the bit, arrays included."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other) and np.asarray(one).dtype == np.asarray(other).dtype
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
        )
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def compare(env: GlanceOrGazeEnv, local: GlanceOrGazeEnv, sessions: int, rounds: int = 1) -> dict[str, Any]:
    """Plays `sessions` x `rounds` episodes over the wire and here.

    Args:
        env: is served.
        local: plays here; of the same rules, with an index of its own, so that nothing is shared but the files.
        sessions: open at once.
        rounds: episodes of each.

    Returns:
        `episodes`, `steps`, `different` (seeds), `largest batch` and `mean batch` of steps that the server searched
        for in one call, and seconds of each way.
    """
    from gog_env.plugs.openenv_client import GlanceOrGazeClient

    async def play(address: str) -> dict[int, list[Any]]:
        clients = [GlanceOrGazeClient(address, message_timeout_s=600, connect_timeout_s=120) for _ in range(sessions)]
        played: dict[int, list[Any]] = {}

        async def one(number: int) -> None:
            for turn in range(rounds):
                seed = number + sessions * turn
                played[seed] = await remote_episode(clients[number], env, seed)

        try:
            await asyncio.gather(*(client.connect() for client in clients))
            await asyncio.gather(*(client.state() for client in clients))  # a session begins with its first message
            await asyncio.gather(*(one(number) for number in range(sessions)))
        finally:
            await asyncio.gather(*(client.close() for client in clients))
        return played

    with serving(env, sessions=sessions) as (address, app):
        start = time.perf_counter()
        played = asyncio.run(play(address))
        remote = time.perf_counter() - start
        batches = list(app.app.state.together.batches)
    start = time.perf_counter()
    here = {seed: local_episode(local, seed) for seed in sorted(played)}
    return {
        "sessions": sessions,
        "episodes": len(played),
        "steps": sum(len(seen) - 1 for seen in played.values()),
        "different": [seed for seed in sorted(played) if not same(played[seed], here[seed])],
        "largest batch": max(batches),
        "mean batch": round(sum(batches) / len(batches), 2),
        "seconds over OpenEnv": round(remote, 2),
        "seconds here": round(time.perf_counter() - start, 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.openenv_same",
        description="Episodes over OpenEnv beside the same ones here, on the embedded world.",
        epilog="example: python -m benchmarks.openenv_same --sessions 64 --rounds 2",
    )
    parser.add_argument("--sessions", type=positive, default=64, metavar="N", help="at once (default: 64)")
    parser.add_argument("--rounds", type=positive, default=1, metavar="N", help="episodes of each (default: 1)")
    parser.add_argument("--out", default="runs/openenv_same.json", metavar="FILE", help="default: %(default)s")
    options = parser.parse_args(argv)
    check_file(options.out)
    check_installed()
    facts = bench_facts("benchmarks.openenv_same", argv, options)  # before anything loads the machine
    found = compare(GlanceOrGazeEnv(), GlanceOrGazeEnv(cache_bytes=0), options.sessions, options.rounds)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, {**facts, **found})
    print(json.dumps(found, indent=2))
    print(f"figures written to {options.out}")
    return 1 if found["different"] else 0


if __name__ == "__main__":
    cli(main)
