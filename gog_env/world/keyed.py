"""Numbers decided by a key: a permutation and a chance that need no memory and no order of calls.

A world of a million nations keeps no list of what it has given out: which block is held out, which id a nation has,
which name comes next are permutations that are computed number by number, in both directions.
"""

from __future__ import annotations

import hashlib
import math

_MASK = (1 << 64) - 1
_ROUNDS = 6


def mix(key: int, value: int) -> int:
    """A 64-bit hash of a value under a key (the finalizer of splitmix64, Steele et al. 2014)."""
    z = (key + value * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def key_of(*parts: int | str) -> int:
    """A 64-bit key made from numbers and words."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def chance(key: int, value: int) -> float:
    """A number in 0..1 that the key and the value decide."""
    return mix(key, value) / (1 << 64)


class Permutation:
    """A bijection of 0..size-1 onto itself, decided by a key: a Feistel network over two digits that cover the range.

    Args:
        size: at least 1.
        key: what decides it.

    >>> shuffled = Permutation(10, "names", 3)
    >>> sorted(shuffled(i) for i in range(10)) == list(range(10))
    True
    >>> [shuffled.inverse(shuffled(i)) for i in range(3)]
    [0, 1, 2]
    """

    def __init__(self, size: int, *key: int | str) -> None:
        self.size = size
        self._high = max(math.isqrt(max(size - 1, 0)), 0) + 1
        self._low = -(-size // self._high)
        first = key_of(*key)
        self._keys = tuple(mix(first, i) for i in range(_ROUNDS))

    def __call__(self, number: int) -> int:
        """Where a number goes.

        Raises:
            IndexError: it is outside of the range.
        """
        self._check(number)
        while True:  # the digits cover a little more than the range: walk on until inside
            high, low = divmod(number, self._low)
            for i in range(0, _ROUNDS, 2):
                high = (high + mix(self._keys[i], low)) % self._high
                low = (low + mix(self._keys[i + 1], high)) % self._low
            number = high * self._low + low
            if number < self.size:
                return number

    def inverse(self, number: int) -> int:
        """Where a number came from.

        Raises:
            IndexError: it is outside of the range.
        """
        self._check(number)
        while True:
            high, low = divmod(number, self._low)
            for i in range(_ROUNDS - 2, -1, -2):
                low = (low - mix(self._keys[i + 1], high)) % self._low
                high = (high - mix(self._keys[i], low)) % self._high
            number = high * self._low + low
            if number < self.size:
                return number

    def _check(self, number: int) -> None:
        if not 0 <= number < self.size:
            raise IndexError(f"{number} is not in 0..{self.size - 1}")
