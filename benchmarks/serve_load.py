"""A server of an index under load: many clients, good and malformed requests mixed, every answer checked.

    python -m benchmarks.serve_load                        # 10 minutes, 32 clients, the embedded world
    python -m benchmarks.serve_load --seconds 30 --clients 4
    python -m benchmarks.serve_load --ray --replicas 2     # on Ray Serve; a third of the way in, a replica is killed

Decisions: the server is a process of its own, so that its memory is measured alone. What clients ask is drawn from a
fixed pool whose answers the local index has given before; each answer must be the same, to the bit. Clients are
`KnowledgeIndex.connect`, with retries as trainers have them; malformed requests go over bare sockets and must be
refused with the status that fits. The reference is the local index on the same searches, alone, before the load begins.
Memory is flat if its median in the last tenth of the time is within 5 % of that in the second tenth, after the warm-up.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.options import positive
from agents.settings import check_file, write_json
from agents.tables import text_table
from benchmarks.machine import bench_facts
from benchmarks.serve_requests import MALFORMED, Asked, garbage, requests_of
from index import KnowledgeIndex, extras
from index.errors import GoGError, cli

if TYPE_CHECKING:
    import psutil

LOST = "lost"  # what a request that got no answer counts as
FLAT = 0.05


class Watch:
    """Memory of a process and its children, once a second, with the time since the start."""

    def __init__(self, process: psutil.Process, only: str) -> None:
        """Counts the process, or, if `only` is given, those that it has started whose command line begins with that."""
        self._process, self._only = process, only
        self.samples: list[tuple[float, float]] = []

    def members(self) -> list[psutil.Process]:
        """The processes that serve; never those of another Ray on this machine."""
        import psutil

        if not self._only:
            return [self._process]
        found = []
        with contextlib.suppress(psutil.Error):
            for child in self._process.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if "".join(child.cmdline()[:1]).startswith(self._only):
                        found.append(child)
        return found

    def sample(self, at: float) -> None:
        """Adds up what they hold now, in MiB."""
        import psutil

        held = 0.0
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                held += one.memory_info().rss / 2**20
        self.samples.append((at, held))

    def facts(self, seconds: float) -> dict[str, Any]:
        """Memory after the warm-up and at the end, and the growth between."""

        def median(low: float, high: float) -> float:
            return statistics.median([held for at, held in self.samples if low <= at / seconds <= high] or [0.0])

        early, late = median(0.1, 0.2), median(0.9, 1.1)
        growth = late / early - 1 if early else None
        most = max(held for _, held in self.samples)
        return {"mib_after_warm_up": early, "mib_at_end": late, "mib_most": most, "growth": growth}


@contextlib.contextmanager
def server(options: argparse.Namespace, index: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Starts `python -m index.serve` and gives its address; ends it, and complains if it had ended by itself."""
    port = options.port or _free_port()
    command = [sys.executable, "-m", "index.serve", "--index", str(index), "--port", str(port), "--threads", "1"]
    command += ["--ray", "--replicas", str(options.replicas)] if options.ray else []
    command += ["--together"] if options.together else []
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, text=True)
        try:
            url = f"http://127.0.0.1:{port}"
            while process.poll() is None and not _healthy(url):
                time.sleep(0.2)
            if process.poll() is None:
                yield url, process
            if process.poll() is not None:
                log.seek(0)
                raise GoGError(f"the server ended by itself ({process.returncode}): {log.read()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _healthy(url: str) -> bool:
    try:
        return _raw(url, "GET", "/health", b"")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def _raw(url: str, method: str, path: str, body: bytes) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def client(
    url: str, pool: Sequence[Asked], seed: int, over: Callable[[], bool], replicas: bool = False
) -> dict[str, Any]:
    """One client's work until it is over: what it counted, and how long its good requests took.

    With `replicas`, a 500 that is not in the server's JSON is Ray's word for a replica that died with the request, as
    `index.connection` takes it: a malformed request is then sent again, as `KnowledgeIndex.connect` sends good ones.
    """
    draw, index = random.Random(seed), KnowledgeIndex.connect(url, timeout=60, retries=8)
    counts: Counter[str] = Counter()
    seconds: list[float] = []
    wrong: list[str] = []
    while not over():
        choice = draw.random()
        if choice < 0.75:
            asked = draw.choice(pool)
            started = time.perf_counter()
            try:
                answer = asked.ask(index)
            except GoGError as error:
                counts[LOST] += 1
                wrong.append(f"{asked.name}: {error}")
                continue
            seconds.append(time.perf_counter() - started)
            counts[asked.kind] += 1
            if answer != asked.expected:
                wrong.append(f"{asked.name}: another answer than the local index gives")
        elif choice < 0.95:
            bad = draw.choice(MALFORMED)
            counts["malformed"] += 1
            try:
                status, said = _raw(url, bad.method, bad.path, bad.body)
                for _ in range(8 if replicas else 0):
                    if status != 500 or said.startswith(b'{"error"'):
                        break
                    counts["malformed, died with a replica"] += 1
                    time.sleep(1)
                    status, said = _raw(url, bad.method, bad.path, bad.body)
            except (OSError, http.client.HTTPException) as error:  # refused before it was sent to its end
                counts[f"hung up ({type(error).__name__})"] += 1
                continue
            counts[f"malformed: {status}"] += 1
            if status not in (bad.status, 503):
                wrong.append(f"{bad.name}: status {status}, not {bad.status}")
        else:
            counts["garbage"] += 1
            with contextlib.suppress(OSError):
                garbage(url, draw)
    return {"counts": counts, "seconds": seconds, "wrong": wrong}


def load(options: argparse.Namespace, index: Path, pool: Sequence[Asked]) -> dict[str, Any]:
    """Runs the load and gives its figures."""
    import psutil

    with server(options, index) as (url, process):
        watch = Watch(psutil.Process(process.pid), "ray::ServeReplica" if options.ray else "")
        start = time.monotonic()

        def over() -> bool:
            return time.monotonic() - start > options.seconds or process.poll() is not None

        killed: dict[str, Any] = {}
        with ThreadPoolExecutor(options.clients) as threads:
            work = [
                threads.submit(client, url, pool, options.seed * 1000 + number, over, options.ray)
                for number in range(options.clients)
            ]
            pause = threading.Event()
            while not over():
                now = time.monotonic() - start
                watch.sample(now)
                if options.ray and not killed and now > options.seconds / 3:
                    killed = _kill_one(watch, now)
                elif killed and "seconds_to_recover" not in killed and now > killed["at"]:
                    if len(_ready(url, watch)) >= options.replicas:
                        killed["seconds_to_recover"] = now - killed["at"]
                pause.wait(1.0)
            done = [one.result() for one in work]
        seconds = time.monotonic() - start
        status = _healthy(url)
        metrics = {} if options.ray else _served(_raw(url, "GET", "/metrics", b"")[1].decode())
    counts: Counter[str] = Counter()
    for one in done:
        counts.update(one["counts"])
    took = sorted(second for one in done for second in one["seconds"])
    wrong = [line for one in done for line in one["wrong"]]
    good = len(took)
    return {
        "seconds": seconds, "good": good, "good_per_second": good / seconds, "counts": dict(sorted(counts.items())),
        "wrong": len(wrong), "wrong_examples": sorted(set(wrong))[:20], "alive_at_end": status,
        "memory": watch.facts(options.seconds), "killed": killed, "served": metrics,
        "latency_ms": {f"p{p}": 1000 * took[min(good - 1, good * p // 100)] for p in (50, 95, 99)} if good else {},
    }  # fmt: skip


def _kill_one(watch: Watch, now: float) -> dict[str, Any]:
    victim = watch.members()[0]
    os.kill(victim.pid, signal.SIGKILL)
    return {"at": now, "pid": victim.pid, "of": len(watch.members()) + 1}


def _ready(url: str, watch: Watch) -> list[int]:
    """Replicas that have opened their index: memory tells them from those that are still importing."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return [one.pid for one in watch.members() if one.memory_info().rss > 300 * 2**20]
    return []


def _served(text: str) -> dict[str, float]:
    """Batches and their mean size, from the server's own metrics."""
    found = {}
    for kind in ("image", "text"):
        total, count = (
            re.search(rf'^gog_batch_items_{what}{{kind="{kind}"}} (\S+)', text, re.M) for what in ("sum", "count")
        )
        if total and count and float(count[1]):
            found[f"{kind}_batches"], found[f"{kind}_mean_batch"] = float(count[1]), float(total[1]) / float(count[1])
    return found


def reference(index: KnowledgeIndex, pool: Sequence[Asked]) -> float:
    """Requests of the pool a second, asked of the local index one after the other."""
    started = time.perf_counter()
    for asked in pool:
        asked.ask(index)
    return len(pool) / (time.perf_counter() - started)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.serve_load",
        description=__doc__.splitlines()[0],
        epilog="example: python -m benchmarks.serve_load --seconds 30 --clients 4",
    )
    options.add_argument("--index", metavar="DIR", help="a sealed index (default: the embedded world's)")
    options.add_argument("--seconds", type=positive, default=600, help="how long (default: 600)")
    options.add_argument("--clients", type=positive, default=32, help="at once (default: 32)")
    options.add_argument("--pool", type=positive, default=200, help="different good requests (default: 200)")
    options.add_argument("--port", type=int, default=0, help="of the server (default: a free one)")
    options.add_argument("--together", action="store_true", help="as of index.serve; answers may then differ by 1e-5")
    options.add_argument("--ray", action="store_true", help="on Ray Serve, and kill a replica")
    options.add_argument("--replicas", type=positive, default=2, help="with --ray (default: 2)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", default="docs/results/index/serve_load.json", metavar="FILE")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Raises:
        GoGError: the server crashed, gave a wrong answer, lost a request, or its memory grew.
    """
    options = parser().parse_args(argv)
    check_file(options.out)
    extras.need("psutil", *extras.SERVING, *(["ray"] if options.ray else []))
    import torch

    from gog_env import embedded

    torch.set_num_threads(1)  # as the server: a batch's last bits depend on it
    path = Path(options.index) if options.index else embedded.index_path()
    index = KnowledgeIndex.open(path)
    pool = requests_of(index, options.pool, options.seed)
    alone = reference(index, pool)
    found = load(options, path, pool)
    facts = bench_facts("benchmarks.serve_load", argv, options)
    result = {**facts, "cpus": os.cpu_count(), "documents": len(index), "local_per_second": alone, **found}
    result["ratio"] = found["good_per_second"] / alone
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, result)
    memory, latency = found["memory"], found["latency_ms"]
    rows = [
        ["good requests", found["good"]], ["a second", found["good_per_second"]],
        ["of the local index", result["ratio"]],
        ["p50 ms", latency.get("p50")], ["p99 ms", latency.get("p99")], ["wrong answers", found["wrong"]],
        ["refused as malformed", found["counts"].get("malformed", 0)],
        ["MiB after warm-up", memory["mib_after_warm_up"]],
        ["MiB at the end", memory["mib_at_end"]], ["growth", memory["growth"]],
        ["s to recover a replica", found["killed"].get("seconds_to_recover")],
    ]  # fmt: skip
    print(text_table(["load", f"{options.clients} clients, {options.seconds} s"], rows))
    _judge(found, options)
    return 0


def _judge(found: dict[str, Any], options: argparse.Namespace) -> None:
    if found["wrong"] or not found["alive_at_end"] or not found["good"]:
        first = (found["wrong_examples"] or ["the server was gone at the end"])[0]
        raise GoGError(f"{found['wrong']} requests went wrong, the first: {first}; see {options.out}")
    growth = found["memory"]["growth"]
    if growth is not None and growth > FLAT and options.seconds >= 300 and not options.ray:
        raise GoGError(f"the server's memory grew by {growth:.1%}; see {options.out}")
    if options.ray and "seconds_to_recover" not in found["killed"]:
        raise GoGError("the killed replica did not come back; give it more --seconds")


if __name__ == "__main__":
    cli(main)
