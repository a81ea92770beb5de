"""What travels between an index's server and its clients: bodies, and the limits they are held to.

- Pictures travel as plain RGB in a body of their own: `GOGW`, the length of a JSON header (4 bytes, little-endian),
  the header, then all pixels. Nothing is compressed or rounded, so that a crop is searched with its very pixels.
- Everything else is JSON. Scores are written as Python writes floats: shortest digits that give the same float back.
- Whatever does not fit is a `RequestError` with the HTTP status to answer with; nothing is decoded before its size is
  known to be allowed.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import json
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from index.errors import GoGError, SourceError
from index.images import FORMATS, open_picture

if TYPE_CHECKING:
    from index.knowledge import Hit

MAGIC = b"GOGW"
PIXELS = "application/x-gog-pixels"
#: Which index answered; its value is the fingerprint.
INDEX_HEADER = "X-GoG-Index"
_HEAD = struct.Struct("<4sI")


class RequestError(GoGError):
    """A request that is refused.

    Attributes:
        status: the HTTP status of the answer.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        body: bytes of a request.
        items: pictures, queries or ids.
        pixels: of one picture.
        query: characters of one query.
        k: hits of one picture or query.
        seconds: from the last byte of the request to the answer, and from its first byte to its last.
    """

    body: int = 64 * 2**20
    items: int = 256
    pixels: int = 25_000_000
    query: int = 10_000
    k: int = 1000
    seconds: float = 30.0


def pack(header: Mapping[str, Any], pictures: Sequence[Image.Image]) -> bytes:
    """RGB pictures, with a header to which `pictures`, their sizes, is added."""
    head = json.dumps({**header, "pictures": [picture.size for picture in pictures]}).encode()
    return b"".join([_HEAD.pack(MAGIC, len(head)), head, *(picture.tobytes() for picture in pictures)])


def unpack(body: bytes, limits: Limits | None = None) -> tuple[dict[str, Any], list[Image.Image]]:
    """The header and the pictures of what `pack` wrote.

    Args:
        body: all of it.
        limits: of how many pictures and how large; None trusts the sender.

    Raises:
        RequestError: it was not written by `pack`, or exceeds a limit.
    """
    magic, length = _HEAD.unpack_from(body) if len(body) >= _HEAD.size else (b"", 0)
    if magic != MAGIC or _HEAD.size + length > len(body):
        raise RequestError(
            f"the body is not of type {PIXELS}; send pictures through KnowledgeIndex.connect or /retrieve"
        )
    header = read_object(body[_HEAD.size : _HEAD.size + length])
    sizes = header.get("pictures")
    if not isinstance(sizes, list) or not all(
        isinstance(size, list) and len(size) == 2 and all(type(side) is int and 0 < side < 2**24 for side in size)
        for size in sizes
    ):
        raise RequestError("pictures must be a list of [width, height] in pixels, each from 1 on")
    if limits is not None:
        _few(sizes, limits.items, "pictures")
        for size in sizes:
            _small(size, limits)
    start, pictures = _HEAD.size + length, []
    if start + sum(3 * width * height for width, height in sizes) != len(body):
        raise RequestError("the body's length does not fit the sizes of its pictures; send 3 bytes for every pixel")
    for width, height in sizes:
        stop = start + 3 * width * height
        pictures.append(Image.frombytes("RGB", (width, height), body[start:stop]))
        start = stop
    return header, pictures


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RequestError: it is none.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({str(error)[:80]}); send an object such as {_EXAMPLE}") from None
    if not isinstance(content, dict):
        raise RequestError(f"the body is JSON but no object; send one such as {_EXAMPLE}")
    return content


_EXAMPLE = '{"queries": ["capital of Angola"], "topk": 3}'


def strings(content: Mapping[str, Any], name: str, limits: Limits, longest: int | None = None) -> list[str]:
    """A field that is a list of strings.

    Raises:
        RequestError: it is missing, something else, or exceeds a limit.
    """
    values = content.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise RequestError(f"{name} must be a list of strings, as in {_EXAMPLE}")
    _few(values, limits.items, name)
    if longest is not None and any(len(value) > longest for value in values):
        raise RequestError(f"one of {name} has more than {longest:,} characters; shorten it", 413)
    return values


def hits_wanted(content: Mapping[str, Any], name: str, limits: Limits, default: int | None = None) -> int:
    """The field that says how many hits are wanted.

    Raises:
        RequestError: it is no whole number from 1 to the limit.
    """
    value = content.get(name)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 1 <= value <= limits.k:
        raise RequestError(f"{name} must be a whole number from 1 to {limits.k}, not {str(value)[:40]!r}")
    return value


def decoded(files: Sequence[str], limits: Limits, size: tuple[int, int]) -> list[Image.Image]:
    """Pictures from base64 text of PNG, JPEG or other raster files.

    Args:
        files: as they came.
        limits: sizes are checked before anything is decoded.
        size: (width, height) that the encoder looks at. Each picture is resized to it at once, as the encoder would do
            it, so that no more than one large picture is in memory.

    Raises:
        RequestError: one is no such text, no picture, or too large.
    """
    Image.init()
    pictures = []
    for place, text in enumerate(files):
        name = f"images[{place}]"
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(f"{name} is not base64; send the bytes of a picture file in base64") from None
        try:
            with Image.open(io.BytesIO(data), formats=[one for one in FORMATS if one in Image.OPEN]) as picture:
                found = picture.size
        except Exception:  # as many ways as there are decoders; `open_picture` says which
            found = (0, 0)
        _small(found, limits)
        try:
            pictures.append(open_picture(data, name).resize(size, Image.Resampling.BICUBIC))
        except SourceError as error:
            raise RequestError(str(error)) from None
    return pictures


def hits_json(lists: Sequence[Sequence[Hit]]) -> list[list[dict[str, Any]]]:
    """Hits as JSON takes them; `hits_from` gives the same back."""
    return [[dataclasses.asdict(hit) for hit in hits] for hits in lists]


def hits_from(lists: Any) -> list[list[Hit]]:
    """Hits as they were before `hits_json`.

    Raises:
        TypeError: these are none.
    """
    from index.knowledge import Hit

    return [[Hit(**hit) for hit in hits] for hits in lists]


def _few(values: Sequence[Any], most: int, name: str) -> None:
    if len(values) > most:
        raise RequestError(f"{len(values)} {name} are more than {most} in one request; send several requests", 413)


def _small(size: Sequence[int], limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise RequestError(f"a picture of {size[0]}x{size[1]} has more than {limits.pixels:,} pixels; shrink it", 413)
