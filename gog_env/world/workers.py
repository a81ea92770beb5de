"""Runs a function over ranges of numbers in several processes, and gives what it makes in order.

At most a few ranges are under way at once, so that memory does not grow with how many there are, and what comes out
does not depend on the number of processes. Workers end with the process that started them, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from index.errors import TaskError

T = TypeVar("T")


def check_jobs(jobs: int) -> None:
    """Refuses a number of processes that can do nothing.

    Raises:
        TaskError: `jobs` is less than 1.
    """
    if jobs < 1:
        raise TaskError(f"{jobs} processes can do nothing; give --jobs 1 or more")


def in_order(make: Callable[[int, int], list[T]], count: int, chunk: int, jobs: int = 1) -> Iterator[T]:
    """What `make(start, stop)` lists for all of 0..count-1, in order.

    Args:
        make: a function that another process can be sent (no lambda) if `jobs` is more than 1.
        count: how many numbers there are.
        chunk: numbers for each call.
        jobs: processes; 1 works in this one.

    Raises:
        TaskError: `jobs` is less than 1.
    """
    check_jobs(jobs)
    ranges = ((start, min(start + chunk, count)) for start in range(0, count, chunk))
    if jobs == 1 or count <= chunk:
        for start, stop in ranges:
            yield from make(start, stop)
        return
    waiting: deque[Future[list[T]]] = deque()
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        for start, stop in ranges:
            waiting.append(pool.submit(make, start, stop))
            if len(waiting) > 2 * jobs:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Lets a worker end when its parent does: one that was killed cannot say so."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
