"""Append-only files of checked blocks, for work that may be killed at any moment.

- A block is a header (kind, count, length, SHA-256 of what follows) and its bytes. Blocks are only ever appended.
- A file that is opened again is checked block by block; from the first one that is torn or damaged on it is cut off,
  so that what is read back is exactly what was once written whole.
- Bytes are synced to the disk every few seconds, not at every block: a killed process loses nothing that it wrote, and
  what a power cut tears is found by its checksum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import mmap
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

_MAGIC = b"gogblk1\n"
HEADER = struct.Struct("<8sIIQ32s")  # magic, kind, count, bytes that follow, their SHA-256
_SYNC_EVERY = 5.0


@dataclasses.dataclass(frozen=True)
class Block:
    """Where a block lies: `start` and `length` of its bytes, in bytes; `kind` and `count` are its writer's."""

    start: int
    length: int
    kind: int
    count: int


class Blocks:
    """An append-only file of blocks."""

    def __init__(self, file: Path) -> None:
        """Opens or makes a file, and cuts off what is not whole.

        Raises:
            OSError: the disk refuses.
        """
        self.file = file
        self.blocks: list[Block] = []
        self._handle = open(file, "a+b", buffering=0)  # a buffer would try again what failed
        size = os.fstat(self._handle.fileno()).st_size
        self._end = self._scan(size)
        self.torn = size - self._end
        """Bytes that were cut off at opening."""
        if self.torn:
            self._handle.truncate(self._end)
        self._synced = time.monotonic()

    def _scan(self, size: int) -> int:
        if not size:
            return 0
        at = 0
        with mmap.mmap(self._handle.fileno(), size, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
            while at + HEADER.size <= size:
                magic, kind, count, length, digest = HEADER.unpack_from(view, at)
                start = at + HEADER.size
                if magic != _MAGIC or start + length > size:
                    break
                with view[start : start + length] as payload:
                    if hashlib.sha256(payload).digest() != digest:
                        break
                self.blocks.append(Block(start, length, kind, count))
                at = start + length
        return at

    def append(self, kind: int, count: int, *parts: bytes | memoryview) -> Block:
        """Writes a block.

        Raises:
            OSError: the disk refuses; the file is as before.
        """
        digest, length = hashlib.sha256(), 0
        for part in parts:
            digest.update(part)
            length += len(part)
        try:
            for part in (HEADER.pack(_MAGIC, kind, count, length, digest.digest()), *parts):
                left = memoryview(part)
                while left:
                    left = left[self._handle.write(left) :]
            if time.monotonic() - self._synced >= _SYNC_EVERY:
                os.fsync(self._handle.fileno())
                self._synced = time.monotonic()
        except OSError:
            self._handle.truncate(self._end)
            raise
        block = Block(self._end + HEADER.size, length, kind, count)
        self.blocks.append(block)
        self._end = block.start + length
        return block

    def clear(self) -> None:
        """Forgets all blocks."""
        self._handle.truncate(0)
        self.blocks, self._end = [], 0

    def close(self) -> None:
        """Closes the file; blocks stay."""
        if not self._handle.closed:
            self._handle.close()


def starts(blocks: Sequence[Block]) -> list[int]:
    """How many entries lie before each block, and, last, how many there are."""
    found = [0]
    for block in blocks:
        found.append(found[-1] + block.count)
    return found
