"""The same sums in the same order, run after run: what trainings on a CPU need to be repeatable to the bit.

Of PyTorch's CPU operators a few add from several threads at once, in whatever order these come to it. Measured (torch
2.13, two threads): the gradient of `keys[rows]` with rows that repeat, unlike that of `keys.index_select(0, rows)`,
differs between any two runs. A difference in the last bit of one step is another training twenty steps later.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def deterministic(strict: bool = False) -> Iterator[None]:
    """Has PyTorch take the repeatable variant of each operator while this is open.

    Machines with a GPU are left as they are unless `strict`: there it costs time, and needs CUBLAS_WORKSPACE_CONFIG
    from the start of the process.

    Args:
        strict: raise RuntimeError at an operator that has no such variant, instead of a warning that names it.
    """
    import torch

    if torch.cuda.is_available() and not strict:
        yield
        return
    memory: Any = torch.utils.deterministic  # its one setting is unknown to type checkers
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        memory.fill_uninitialized_memory,
    )
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    memory.fill_uninitialized_memory = False  # nothing here reads such memory, and filling it costs
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = before[2]
