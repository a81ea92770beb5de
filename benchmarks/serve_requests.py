"""What `benchmarks.serve_load` asks a server: good requests with the local index's answers, malformed ones, garbage.

Good ones are drawn with a seed from the index itself: its thumbnails on clutter, words of its texts, documents,
thumbnails. Malformed ones each name the status that they must be refused with.
"""

from __future__ import annotations

import base64
import io
import json
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from index import KnowledgeIndex, wire


@dataclass(frozen=True)
class Asked:
    """A good request: `ask` puts it to a local or a remote index; `expected` is what the local one said."""

    name: str
    kind: str
    ask: Callable[[Any], Any]
    expected: Any


@dataclass(frozen=True)
class Malformed:
    """A bad request, and the status that refuses it."""

    name: str
    method: str
    path: str
    body: bytes
    status: int


def requests_of(index: KnowledgeIndex, count: int, seed: int) -> list[Asked]:
    """Good requests: half of them pictures, a third words, the rest documents and thumbnails."""
    rng = np.random.default_rng([seed, 7])
    ids = index.ids()
    found: list[Asked] = []
    for number in range(count):
        id = ids[int(rng.integers(len(ids)))]
        k = int(rng.integers(1, 8))
        kind = ("image", "text", "image", "text", "image", "look")[number % 6]
        if kind == "image":
            pictures = [_scene(index, ids, rng) for _ in range(int(rng.integers(1, 5)))]
            ask = _image(pictures, k)
        elif kind == "text":
            words = f"{index.document(id).title} {index.document(id).text}".split()
            ask = _text([" ".join(rng.choice(words, min(5, len(words)), replace=False)), f"zebra {number}"], k)
        else:
            ask = _look(id)
        found.append(Asked(f"{kind} {number}", kind, ask, ask(index)))
    return found


def _scene(index: KnowledgeIndex, ids: tuple[str, ...], rng: np.random.Generator) -> Image.Image:
    width, height = (int(side) for side in rng.integers(40, 320, 2))
    scene = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    pictures = index.picture_ids(ids[int(rng.integers(len(ids)))])
    if pictures:
        thumbnail = index.thumbnail(pictures[0])
        scene.paste(thumbnail, (int(rng.integers(-20, width)), int(rng.integers(-20, height))))
    return scene


def _image(pictures: list[Image.Image], k: int) -> Callable[[Any], Any]:
    return lambda index: index.search_image(pictures, k)


def _text(queries: list[str], k: int) -> Callable[[Any], Any]:
    return lambda index: index.search_text(queries, k)


def _look(id: str) -> Callable[[Any], Any]:
    def ask(index: Any) -> Any:
        document = index.document(id)
        return document.text, [index.thumbnail(one).tobytes() for one in index.picture_ids(id)[:2]]

    return ask


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _bomb() -> bytes:
    """A picture file of 64 million pixels in 62 kB."""
    file = io.BytesIO()
    Image.new("L", (8000, 8000)).save(file, "PNG")
    return _json({"images": [base64.b64encode(file.getvalue()).decode()]})


MALFORMED = (
    Malformed("nothing", "POST", "/retrieve", b"", 400),
    Malformed("no JSON", "POST", "/retrieve", b'{"queries": [', 400),
    Malformed("deep JSON", "POST", "/retrieve", b"[" * 200_000, 400),
    Malformed("no UTF-8", "POST", "/v1/search_text", b'{"queries": ["\xff\xfe"], "k": 1}', 400),
    Malformed("a number for queries", "POST", "/retrieve", _json({"queries": 3}), 400),
    Malformed("topk of minus one", "POST", "/retrieve", _json({"queries": ["a"], "topk": -1}), 400),
    Malformed("topk of a million", "POST", "/retrieve", _json({"queries": ["a"], "topk": 10**6}), 400),
    Malformed("too many queries", "POST", "/retrieve", _json({"queries": ["a"] * 10_000}), 413),
    Malformed("a long query", "POST", "/retrieve", _json({"queries": ["a" * 10**6]}), 413),
    Malformed("no base64", "POST", "/retrieve", _json({"images": ["%%%"]}), 400),
    Malformed("no picture", "POST", "/retrieve", _json({"images": ["R0lGODlh"]}), 400),
    Malformed("a decompression bomb", "POST", "/retrieve", _bomb(), 413),
    Malformed(
        "pixels that lack", "POST", "/v1/search_image", wire.pack({"k": 3}, [Image.new("RGB", (9, 9))])[:-5], 400
    ),
    Malformed("a header that lies", "POST", "/v1/search_image", b"GOGW\xff\xff\xff\x7f" + b"{}" * 40, 400),
    Malformed("an unknown document", "POST", "/v1/documents", _json({"ids": ["\u0000"]}), 404),
    Malformed("an unknown path", "GET", "/../../etc/passwd", b"", 404),
    Malformed("another method", "DELETE", "/retrieve", b"", 405),
)


def garbage(url: str, draw: random.Random) -> None:
    """Sends what is no HTTP, or hangs up in the middle of a request.

    Raises:
        OSError: the server has hung up, as it may.
    """
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=10) as line:
        if draw.random() < 0.5:
            line.sendall(draw.randbytes(draw.randrange(1, 3000)) + b"\r\n\r\n")
        else:
            line.sendall(
                b"POST /retrieve HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"{" * draw.randrange(4000)
            )
