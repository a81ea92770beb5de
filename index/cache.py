"""What was worked out once is remembered, bounded in bytes: embeddings of crops by their pixels, and whatever else.

- `ByteCache` is a plain LRU: what was used longest ago goes first, and everything counts with its bytes, keys and
  bookkeeping included, so that memory has a ceiling however small the values are.
- `EmbeddingCache` is content-addressed: a crop is known by SHA-256 of its RGB pixels and its size, together with the
  encoder's fingerprint. Where a crop came from does not count, so that one cache serves any number of episodes.
- A crop's vector is the same to the bit whatever else was in its batch (`index.invariant`), so that results with the
  cache are those without it. Equal crops in one call are embedded once.
- Several threads may share a cache. Two that miss the same crop at once both embed it; the first vector stays.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

#: Default bound of a `KnowledgeIndex`'s cache: some 70,000 crops of the nano encoder, 27,000 of a ViT-B-32.
CACHE_BYTES = 64 * 1024**2
#: What an entry costs beside its value: key, links, array header (measured with tracemalloc, rounded up).
ENTRY_BYTES = 450

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Encodes(Protocol):
    """What `EmbeddingCache.encode` needs of an `index.encoder.Encoder`."""

    @property
    def fingerprint(self) -> str:
        """Names the encoder's vectors."""
        ...

    def encode_images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """float32 (pictures, dimension)."""
        ...


@dataclass(frozen=True)
class CacheFacts:
    """How a cache stands.

    Attributes:
        hits: look-ups that found something, since the cache was made.
        misses: look-ups that did not.
        entries: how many values it holds.
        bytes: what they count as.
        limit: most that they may count as; 0: the cache is off.
    """

    hits: int
    misses: int
    entries: int
    bytes: int
    limit: int


class ByteCache(Generic[Key, Value]):
    """A least-recently-used cache bounded in bytes.

    Args:
        limit: most bytes to keep; 0 keeps nothing.

    Raises:
        ValueError: the limit is no whole number of at least 0.

    >>> cache = ByteCache(2 * (ENTRY_BYTES + 100))
    >>> for name in "abc":
    ...     _ = cache.put(name, name.upper(), 100)
    >>> cache.get("a"), cache.get("c"), cache.facts.entries
    (None, 'C', 2)
    """

    def __init__(self, limit: int) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"cache_bytes must be a whole number of at least 0 (0: no cache), not {limit!r}")
        self._limit = limit
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._bytes = self._hits = self._misses = 0
        self._lock = threading.RLock()  # a weak reference may drop its entry while this thread holds the lock

    def get(self, key: Key) -> Value | None:
        """The value, which is now the one used last; None where there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self._misses += 1
                return None
            self._hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Key, value: Value, size: int) -> Value:
        """Keeps a value of `size` bytes, unless there is one already or it is larger than the cache.

        Returns:
            The value that counts: the one that was there, else the one given.
        """
        size += ENTRY_BYTES
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                return entry[0]
            if size > self._limit:
                return value
            self._entries[key] = (value, size)
            self._bytes += size
            while self._bytes > self._limit:
                _, (_, freed) = self._entries.popitem(last=False)
                self._bytes -= freed
            return value

    def drop(self, key: Key) -> None:
        """Forgets a value, if it is there."""
        with self._lock:
            entry = self._entries.pop(key, None)
            self._bytes -= entry[1] if entry else 0

    def clear(self) -> None:
        """Forgets all values; the counts of hits and misses go on."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    @property
    def facts(self) -> CacheFacts:
        """How it stands."""
        with self._lock:
            return CacheFacts(self._hits, self._misses, len(self._entries), self._bytes, self._limit)


class EmbeddingCache:
    """Embeddings of pictures by what they show.

    Args:
        limit: most bytes to keep (vectors and bookkeeping); 0 switches the cache off.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._cache: ByteCache[bytes, np.ndarray] = ByteCache(limit)

    @property
    def facts(self) -> CacheFacts:
        """How it stands. Equal pictures of one call count as one look-up each."""
        return self._cache.facts

    def clear(self) -> None:
        """Forgets all embeddings."""
        self._cache.clear()

    def encode(self, encoder: Encodes, pictures: Sequence[Image.Image]) -> np.ndarray:
        """What `encoder.encode_images(pictures)` gives, embedding only what is not known yet.

        Returns:
            float32 (pictures, dimension), rows of unit length; the caller's own.
        """
        if not self.facts.limit or not len(pictures):
            return encoder.encode_images(pictures)
        keys = [content_key(picture, encoder.fingerprint) for picture in pictures]
        rows = {key: found for key, found in ((key, self._cache.get(key)) for key in keys) if found is not None}
        missing = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in rows}
        if missing:
            vectors = encoder.encode_images(list(missing.values()))
            for key, vector in zip(missing, vectors, strict=True):
                # a row of its own: a view would keep its whole batch in memory
                rows[key] = self._cache.put(key, vector.copy(), vector.nbytes)
        return np.stack([rows[key] for key in keys])


def content_key(picture: Any, encoder: str) -> bytes:
    """What a picture is known by: SHA-256 of the encoder's fingerprint, the size and the RGB pixels."""
    from index.images import open_picture

    shown = open_picture(picture)  # as the encoder sees it: transparency on white, palettes resolved
    digest = hashlib.sha256(f"{encoder} {shown.width}x{shown.height}\n".encode())
    digest.update(shown.tobytes())
    return digest.digest()
