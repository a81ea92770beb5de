"""An index that another process serves, used like one that is open here.

- Same methods, same results, to the bit: pixels travel as they are. Where client and server resize alike (same method,
  same Pillow), a crop is resized here to what the encoder looks at, and only that travels.
- What fails is tried again only where trying again can help: the connection, 502, 503, 504; with pauses that grow and
  differ from caller to caller. All requests only read, so that a repeated one does no harm.
- What remains is a `ServiceError`: infrastructure. `Env.step`, `agents.rollout.play` and the training loops let it
  through; it scores nothing and leaves episodes as they were, so that the same step can be taken again.
- Every answer must come from the index that was connected to. When the server has exchanged it, that is an error too:
  one run never mixes two indexes.
- Threads and forked workers may share one `RemoteIndex`: each has a connection of its own, kept open.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from index import wire
from index.connection import Connection, said
from index.errors import ServiceError
from index.images import open_picture
from index.seal import Manifest

if TYPE_CHECKING:
    from index.knowledge import Hit
    from index.records import Document

_ENCODED_AT_ONCE = 64  # `Encoder.encode_images`: requests are cut where its batches are, so that floats stay the same
_FEW = 1_000_000  # documents whose ids are fetched for `in`


class RemoteIndex:
    """`KnowledgeIndex` at the other end of a connection; `KnowledgeIndex.connect` makes it.

    Attributes:
        path: the address, as it was given.
        manifest: of the index that is served, without its files.
    """

    def __init__(
        self, url: str, token: str | None, timeout: float, retries: int, facts: dict[str, Any] | None = None
    ) -> None:
        """Use `KnowledgeIndex.connect`; `facts` are what a copy of this object knows already."""
        self._connection = Connection(url, token, timeout, retries)
        self.path, self._args = url, (token, timeout, retries)
        self._seen = functools.lru_cache(maxsize=1024)(self._thumbnail)
        self._described = functools.lru_cache(maxsize=1024)(self._document)
        self._ids: tuple[str, ...] | None = None
        self._known: frozenset[str] | None = None
        self._facts: dict[str, Any] = {}
        self._facts = facts or self._json("GET", "/v1/index")
        try:
            self.manifest = Manifest(**self._facts["manifest"])
            self._limits = wire.Limits(**self._facts["limits"])
            self._size = self._resized()
        except (KeyError, TypeError) as error:
            raise ServiceError(
                f"{url} does not describe its index ({error}); use the same version there and here"
            ) from None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what the index is: source, encoder, options, format."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        return int(self.manifest.counts["documents"])

    def __contains__(self, document_id: object) -> bool:
        if not isinstance(document_id, str):
            return False
        if len(self) <= _FEW:
            if self._known is None:
                self._known = frozenset(self.ids())
            return document_id in self._known
        try:
            self._described(document_id)
        except KeyError:
            return False
        return True

    def __repr__(self) -> str:
        return f"RemoteIndex({self.path!r}, {len(self)} documents, {self.fingerprint[:12]})"

    def __deepcopy__(self, memo: dict) -> RemoteIndex:
        return self  # gymnasium copies the arguments of every `gym.make`

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteIndex, (self.path, *self._args, self._facts)

    def ids(self) -> tuple[str, ...]:
        """Ids of all documents, sorted; fetched at first use."""
        if self._ids is None:
            found: list[str] = []
            while len(found) < len(self):
                page = self._json("POST", "/v1/ids", {"start": len(found)})["ids"]
                if not page:
                    raise ServiceError(f"{self.path} names {len(found)} of {len(self)} ids; restart the server")
                found += page
            self._ids = tuple(found)
        return self._ids

    def picture_ids(self, document_id: str) -> tuple[str, ...]:
        """Ids of a document's pictures, in the order of the source."""
        return tuple(self._described(document_id)["pictures"])

    def document(self, document_id: str) -> Document:
        """A document; its pictures open as thumbnails.

        Raises:
            KeyError: no such document.
            ServiceError: the server is lost.
        """
        from index.records import Document, PictureRef

        facts = self._described(document_id)
        pictures = tuple(
            PictureRef(id, f"thumbnail {id}", functools.partial(self._png, id)) for id in facts["pictures"]
        )
        return Document(facts["id"], facts["title"], facts["text"], pictures)

    def thumbnail(self, picture_id: str) -> Image.Image:
        """A picture as RGB, its longest side at most 96 pixels.

        Raises:
            KeyError: no such picture.
            ServiceError: the server is lost.
        """
        return self._seen(picture_id).copy()

    def search_image(self, pictures: Sequence[Image.Image], k: int = 5) -> list[list[Hit]]:
        """Finds documents whose pictures look like the given ones; see `KnowledgeIndex.search_image`.

        Raises:
            ServiceError: the server is lost, refuses, or has exchanged its index.
        """
        ready = [open_picture(picture) for picture in pictures]
        if self._size is not None:
            ready = [picture.resize(self._size, Image.Resampling.BICUBIC) for picture in ready]
        return self._search("/v1/search_image", ready, k, lambda some, k: (wire.pack({"k": k}, some), wire.PIXELS))

    def search_text(self, queries: Sequence[str], k: int = 5) -> list[list[Hit]]:
        """Finds documents by words; see `KnowledgeIndex.search_text`.

        Raises:
            ServiceError: the server is lost, refuses, or has exchanged its index.
        """
        if isinstance(queries, str):
            raise TypeError("search_text takes a sequence of queries, not one string")
        return self._search("/v1/search_text", list(queries), k, lambda some, k: _body({"queries": some, "k": k}))

    def _search(
        self, path: str, items: Sequence[Any], k: int, pack: Callable[[Any, int], tuple[bytes, str]]
    ) -> list[list[Hit]]:
        if k < 1:
            raise ValueError(f"k is {k}; ask for at least 1 hit")
        k = int(k) if k <= self._limits.k else max(1, min(int(k), len(self)))  # there are no more to come back
        hits: list[list[Hit]] = []
        for some in _cut(items, self._limits.items):
            data, kind = pack(some, k)
            try:
                found = wire.hits_from(_read_json(self._call("POST", path, data, kind), self.path)["hits"])
            except (KeyError, TypeError) as error:
                raise ServiceError(
                    f"{self.path} did not answer with hits ({error!r}); use the same version there"
                ) from None
            if len(found) != len(some):
                raise ServiceError(f"{self.path} answered {len(found)} of {len(some)} searches; restart the server")
            hits += found
        return hits

    def _document(self, document_id: str) -> dict[str, Any]:
        self._checked(document_id, "document")
        return self._json("POST", "/v1/documents", {"ids": [document_id]})["documents"][0]

    def _thumbnail(self, picture_id: str) -> Image.Image:
        self._checked(picture_id, "picture")
        data, kind = _body({"ids": [picture_id]})
        try:
            return wire.unpack(self._call("POST", "/v1/thumbnails", data, kind))[1][0]
        except (wire.RequestError, IndexError) as error:
            raise ServiceError(f"{self.path} did not answer with a thumbnail ({error})") from None

    def _png(self, picture_id: str) -> bytes:
        data = io.BytesIO()
        self.thumbnail(picture_id).save(data, "PNG")
        return data.getvalue()

    def _checked(self, id: object, what: str) -> None:
        if not isinstance(id, str):
            raise KeyError(f"index {self.path} has no {what} {id!r}")

    def _resized(self) -> tuple[int, int] | None:
        """The size to send pictures in; None where the server resizes in another way than this process would."""
        import PIL

        from index.inputs import RESIZE

        resize = self._facts["resize"]
        alike = resize["how"] == RESIZE and resize["pillow"] == PIL.__version__
        return (int(resize["size"][0]), int(resize["size"][1])) if alike else None

    def _json(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        data, kind = (None, "") if content is None else _body(content)
        return _read_json(self._call(method, path, data, kind), self.path)

    def _call(self, method: str, path: str, data: bytes | None, kind: str) -> bytes:
        if self._facts and data is not None and len(data) > self._limits.body:
            raise ServiceError(
                f"{self.path} takes {self._limits.body:,} bytes at once, not {len(data):,}: see --max-mb there"
            )
        status, headers, body = self._connection.call(method, path, data, kind)
        if status in (401, 403):
            raise ServiceError(
                f"{self.path} refuses ({status}: {said(body)}); give its token as token= or in GOG_TOKEN"
            )
        served = headers.get(wire.INDEX_HEADER)
        if status == 404 and "json" in headers.get("Content-Type", ""):
            raise KeyError(said(body))
        if status != 200:
            raise ServiceError(f"{self.path} refuses ({status}: {said(body)})")
        if not served:
            raise ServiceError(f"{self.path} is not served by python -m index.serve; give that server's address")
        expected = self._facts["manifest"]["fingerprint"] if self._facts else served
        if served != expected:
            raise ServiceError(
                f"{self.path} serves another index now ({served[:12]}) than was connected to ({expected[:12]}); "
                "connect again, and start the run anew: its episodes belong to the old one"
            )
        return body


def _cut(items: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    size = most - most % _ENCODED_AT_ONCE or most
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _body(content: Any) -> tuple[bytes, str]:
    return json.dumps(content).encode(), "application/json"


def _read_json(body: bytes, path: str) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"{path} did not answer in JSON ({error}); is it python -m index.serve?") from None
    return content if isinstance(content, dict) else {}
