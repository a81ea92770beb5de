"""What the server of an index answers, one function a path (`index.service` lists them).

- Each takes the index once, at its beginning: an answer is of one whole index, whatever is exchanged meanwhile.
- Whatever may take long (decoding, searching, reading the tables) runs in threads; the event loop only talks.
- `/retrieve` follows `search_r1/search/retrieval_server.py` of PeterGriffinJin/Search-R1; `contents` is the title, a
  new line and the text, as its client takes them apart. A query that nothing is found for has an empty list there.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from index import wire
from index.batching import Kind
from index.errors import GoGError
from index.wire import RequestError

if TYPE_CHECKING:
    from index.knowledge import Hit, KnowledgeIndex
    from index.service import Service

DEFAULT_TOPK = 3  # Search-R1's
Endpoint = Callable[["Service", Request, bytes], Awaitable[Response]]


def answer_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer in JSON."""
    data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(data, status, headers, "application/json")


def _of(fingerprint: str) -> dict[str, str]:
    return {wire.INDEX_HEADER: fingerprint}


async def health(service: Service, request: Request, body: bytes) -> Response:
    """That it lives, and which index it serves."""
    return answer_json(
        {"status": "ok", "fingerprint": service.index.fingerprint}, headers=_of(service.index.fingerprint)
    )


async def metrics(service: Service, request: Request, body: bytes) -> Response:
    """What was counted, for Prometheus."""
    return Response(service.metrics.text(), media_type=service.metrics.media_type)


async def reload(service: Service, request: Request, body: bytes) -> Response:
    """Exchanges the index; 409 where what lies in the folder cannot be served."""
    if not service.alone:
        raise RequestError("this would exchange one replica of several; send SIGHUP to python -m index.serve", 409)
    try:
        await service.reload()
    except GoGError as error:
        raise RequestError(f"the old index is still served: {error}", 409) from None
    return await health(service, request, body)


async def index_facts(service: Service, request: Request, body: bytes) -> Response:
    """What a client has to know: manifest, limits, how pictures are resized."""
    import PIL

    from index.inputs import RESIZE

    index, limits = service.index, service.settings.limits
    manifest = dataclasses.asdict(dataclasses.replace(index.manifest, files={}))
    resize = {"size": index.encoder.image_size, "how": RESIZE, "pillow": PIL.__version__}
    facts = {"manifest": manifest, "resize": resize, "limits": dataclasses.asdict(limits)}
    return answer_json(facts, headers=_of(index.fingerprint))


async def ids(service: Service, request: Request, body: bytes) -> Response:
    """A page of document ids."""
    content, index = wire.read_object(body), service.index
    start = content.get("start")
    if type(start) is not int or start < 0:
        raise RequestError("start must be a whole number from 0 on")
    ids = await asyncio.to_thread(index.ids, start, start + 100_000)
    return answer_json({"ids": ids}, headers=_of(index.fingerprint))


async def _search(service: Service, index: KnowledgeIndex, kind: Kind, items: list[Any], k: int) -> list[list[Hit]]:
    return await service.batcher.search(index, kind, items, k, service.settings.limits.seconds) if items else []


async def search_image(service: Service, request: Request, body: bytes) -> Response:
    """Hits of pictures that travel as pixels."""
    index, limits = service.index, service.settings.limits
    header, pictures = await asyncio.to_thread(wire.unpack, body, limits)
    hits = await _search(service, index, "image", pictures, wire.hits_wanted(header, "k", limits))
    return answer_json({"hits": wire.hits_json(hits)}, headers=_of(index.fingerprint))


async def search_text(service: Service, request: Request, body: bytes) -> Response:
    """Hits of queries."""
    index, limits, content = service.index, service.settings.limits, wire.read_object(body)
    queries = wire.strings(content, "queries", limits, limits.query)
    hits = await _search(service, index, "text", queries, wire.hits_wanted(content, "k", limits))
    return answer_json({"hits": wire.hits_json(hits)}, headers=_of(index.fingerprint))


async def retrieve(service: Service, request: Request, body: bytes) -> Response:
    """Hits of queries or picture files, in Search-R1's shape."""
    index, limits = service.index, service.settings.limits
    content = await asyncio.to_thread(wire.read_object, body)
    k = wire.hits_wanted(content, "topk", limits, DEFAULT_TOPK)
    scored = content.get("return_scores", False)
    if not isinstance(scored, bool):
        raise RequestError("return_scores must be true or false")
    if ("queries" in content) == ("images" in content):
        raise RequestError("send either queries, a list of strings, or images, a list of picture files in base64")
    if "queries" in content:
        hits = await _search(service, index, "text", wire.strings(content, "queries", limits, limits.query), k)
    else:
        files, size = wire.strings(content, "images", limits), index.encoder.image_size
        async with service.decoding:
            pictures = await asyncio.to_thread(wire.decoded, files, limits, size)
        hits = await _search(service, index, "image", pictures, k)
    result = [
        [{"document": _document(hit), "score": hit.score} if scored else _document(hit) for hit in one] for one in hits
    ]
    return answer_json({"result": result}, headers=_of(index.fingerprint))


def _document(hit: Hit) -> dict[str, Any]:
    return {"id": hit.document_id, "contents": f"{hit.title}\n{hit.snippet}", "title": hit.title, "text": hit.snippet}


async def documents(service: Service, request: Request, body: bytes) -> Response:
    """Documents and the ids of their pictures."""
    index, ids = service.index, wire.strings(wire.read_object(body), "ids", service.settings.limits)

    def read() -> list[dict[str, Any]]:
        return [
            {"id": one.id, "title": one.title, "text": one.text, "pictures": index.picture_ids(one.id)}
            for one in map(index.document, ids)
        ]

    return answer_json({"documents": await _looked_up(read)}, headers=_of(index.fingerprint))


async def thumbnails(service: Service, request: Request, body: bytes) -> Response:
    """Thumbnails as pixels."""
    index, ids = service.index, wire.strings(wire.read_object(body), "ids", service.settings.limits)
    packed = await _looked_up(lambda: wire.pack({}, [index.thumbnail(id) for id in ids]))
    return Response(packed, headers=_of(index.fingerprint), media_type=wire.PIXELS)


async def _looked_up(read: Callable[[], Any]) -> Any:
    try:
        return await asyncio.to_thread(read)
    except KeyError as error:
        raise RequestError(str(error.args[0]), 404) from None
