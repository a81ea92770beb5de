"""Where each nation of a world belongs: its split, its block, its family, its id, all computed from its number.

Nations come in blocks of 12: five siblings, whose banners differ in one small detail, and seven by themselves. A
block is wholly for training or wholly held out. What is left over after the last whole block is for training, without
siblings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from gog_env.world.keyed import Permutation

BLOCK = 12
SIBLINGS = 5


class Slots:
    """The places of `nations` numbers.

    Args:
        seed: decides them.
        nations: how many.
        heldout: share of the nations that is held out; some block is if it is more than 0.
    """

    def __init__(self, seed: int, nations: int, heldout: float) -> None:
        self.nations = nations
        self.blocks = nations // BLOCK
        wanted = max(round(heldout * nations / BLOCK), 1) if heldout else 0
        self.held = min(wanted, self.blocks)
        self._seed = seed
        self._dealt = Permutation(max(self.blocks, 1), "blocks", seed)
        self._ids = Permutation(max(nations, 1), "ids", seed)

    def is_held(self, number: int) -> bool:
        """Whether a nation is held out from training."""
        block = number // BLOCK
        return block < self.blocks and self._dealt(block) < self.held

    def family(self, number: int) -> int | None:
        """The block of a nation that has siblings, else None."""
        block, slot = divmod(number, BLOCK)
        return block if block < self.blocks and slot < SIBLINGS else None

    def size(self, held: bool) -> int:
        """How many nations a split has."""
        return BLOCK * self.held if held else self.nations - BLOCK * self.held

    def families(self, held: bool) -> int:
        """How many families a split has."""
        return self.held if held else self.blocks - self.held

    def block(self, held: bool, i: int) -> int:
        """The block of a split's family `i`."""
        return self._dealt.inverse(i if held else self.held + i)

    def number(self, held: bool, member: int) -> int:
        """The number of a split's member 0..size-1."""
        i, slot = divmod(member, BLOCK)
        if i < self.families(held):
            return BLOCK * self.block(held, i) + slot
        return BLOCK * self.blocks + member - BLOCK * self.families(held)

    def member(self, number: int) -> int:
        """The place of a nation in its split."""
        block, slot = divmod(number, BLOCK)
        if block == self.blocks:
            return BLOCK * self.families(False) + slot
        order = self._dealt(block)
        return BLOCK * (order if order < self.held else order - self.held) + slot

    def id(self, number: int) -> str:
        """An id that tells nothing: `W0-004711` in the world of seed 0."""
        return f"W{self._seed}-{self._ids(number):06d}"

    def number_of(self, nation_id: str) -> int:
        """The number that has an id.

        Raises:
            KeyError: none has it.
        """
        digits = nation_id.removeprefix(f"W{self._seed}-")
        if not (digits.isascii() and digits.isdigit() and int(digits) < self.nations):
            raise KeyError(nation_id)
        number = self._ids.inverse(int(digits))
        if self.id(number) != nation_id:
            raise KeyError(nation_id)
        return number

    def in_order_of_id(self, place: int) -> int:
        """The number whose id is the `place`-th, from 0."""
        return self._ids.inverse(place)


class Members(Sequence[int]):
    """The numbers of a split's nations, computed when asked for."""

    def __init__(self, slots: Slots, held: bool) -> None:
        self._slots, self._held, self._size = slots, held, slots.size(held)

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, place: int) -> int: ...

    @overload
    def __getitem__(self, place: slice) -> list[int]: ...

    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(self._size))]
        if not -self._size <= place < self._size:
            raise IndexError(place)
        return self._slots.number(self._held, int(place) % self._size)

    def __contains__(self, number: object) -> bool:
        return (
            isinstance(number, int) and 0 <= number < self._slots.nations and self._slots.is_held(number) == self._held
        )
