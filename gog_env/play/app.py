"""The application behind the page: a file or a JSON object for every path.

| path | takes | gives |
|---|---|---|
| `GET /`, `/page/...` | nothing, no token either | the page |
| `POST /api/enter` | `{"token": ...}` | a cookie |
| `GET /api/facts` | nothing | index, tasks, players, runs |
| `POST /api/episodes` | fields of `sessions.Start` | a new episode's state |
| `POST /api/own?question=...&player=...` | a picture's bytes | the same, about that picture |
| `GET /api/episodes/ID` | nothing | its state (`views.state`) |
| `POST /api/episodes/ID/act` | `{"turn": turns so far, "action": {...}}` | its state after that action |
| `POST /api/episodes/ID/play` | `{"turn": turns so far}` | its state after the player's next action |
| `POST /api/episodes/ID/compare` | nothing | its state, with what the whole picture finds |
| `GET /api/episodes/ID/picture`, `.../looks/N`, `.../trajectory` | nothing | pixels; the episode as a JSON line |
| `GET /api/thumbnail?id=...` | nothing | a picture of the index |

- Whoever steps says how many turns he knows of, so that a click that is sent twice counts once (409).
- Refusals are `{"error": ...}`: 4xx for the page's mistakes, 503 where a search failed and may be tried again.
- What takes long runs in few threads; bodies and answers are bounded; pictures go through the guarded loader.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gog_env import pictures, trajectory
from gog_env.actions import from_dict
from index.errors import GoGError, IntegrityError, ServiceError
from index.wire import RequestError, read_object

from . import views
from .guard import Door, Guard, read_body
from .sessions import Session, Sessions, Start
from .stage import Stage

log = logging.getLogger("gog_env.play")
PAGE = Path(__file__).parent / "page"
FONTS = Path(__file__).parent.parent / "fonts"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
WORKING, UPLOADING = 2, 4  # requests at once
SMALL = 2**16  # bytes of a body that is no picture
Answer = Callable[[Request], Awaitable[Response]]


class _Json(JSONResponse):
    """JSON of texts from anywhere: halves of surrogates, which UTF-8 cannot write, become question marks."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )


class Page:
    """A stage with the sessions that are played on it."""

    def __init__(self, stage: Stage, sessions: Sessions | None = None) -> None:
        self.stage, self.sessions = stage, Sessions() if sessions is None else sessions
        self._working, self._uploading = asyncio.Semaphore(WORKING), asyncio.Semaphore(UPLOADING)

    async def work(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Calls something that takes long, in a thread, when there is room."""
        async with self._working:
            return await asyncio.to_thread(call, *arguments)

    async def facts(self, request: Request) -> Response:
        """What is here."""
        return _Json(await self.work(views.facts, self.stage))

    async def begin(self, request: Request) -> Response:
        """A new episode."""
        start = _start(await _object(request))
        return await self._kept(await self.work(self.stage.begin, start))

    async def own(self, request: Request) -> Response:
        """A new episode about somebody's own picture."""
        query = request.query_params
        async with self._uploading:
            data = await read_body(request, views.UPLOAD)
            session = await self.work(self.stage.own, data, query.get("question", ""), query.get("player", ""))
        return await self._kept(session)

    async def _kept(self, session: Session) -> Response:
        answer = await self._state(session)
        self.sessions.add(session)
        return answer

    async def show(self, request: Request) -> Response:
        """An episode as it stands."""
        return await self._state(self._session(request))

    async def act(self, request: Request) -> Response:
        """One action of a person."""
        fields = await _object(request)
        if "action" not in fields:
            raise RequestError("send the field action: an object with a type")
        return await self._step(request, fields, lambda one: self.stage.act(one, from_dict(fields["action"])))

    async def play(self, request: Request) -> Response:
        """One action of a player."""
        return await self._step(request, await _object(request), self.stage.play)

    async def _step(self, request: Request, fields: dict[str, Any], step: Callable[[Session], None]) -> Response:
        session = self._session(request)
        async with session.lock:
            if fields.get("turn") != len(session.episode.turns):
                raise RequestError("the episode has gone on meanwhile; look at it again", 409)
            await self.work(step, session)
            return await self._state(session)

    async def compare(self, request: Request) -> Response:
        """What the whole picture finds, beside the episode."""
        session = self._session(request)
        async with session.lock:
            await self.work(self.stage.compare, session)
            return await self._state(session)

    async def picture(self, request: Request) -> Response:
        """The picture of an episode."""
        task = self._session(request).episode.task
        return _pixels(*await self.work(lambda: views.picture_bytes(pictures.task_picture(task))))

    async def look(self, request: Request) -> Response:
        """The pixels that a turn searched with."""
        episode = self._session(request).episode
        return _pixels(*await self.work(views.looked_at, episode, int(request.path_params["number"])))

    async def thumbnail(self, request: Request) -> Response:
        """A picture of the index."""
        try:
            picture = await self.work(self.stage.index.thumbnail, request.query_params.get("id", ""))
        except KeyError as error:
            raise RequestError(str(error.args[0]), 404) from None
        data, kind = await self.work(views.picture_bytes, picture)
        return _pixels(data, kind, "private, max-age=3600")

    async def record(self, request: Request) -> Response:
        """An episode that is over, as a line of `trajectories.jsonl`."""
        session = self._session(request)
        if not session.episode.done:
            raise RequestError("the episode is not over yet", 409)
        line = await self.work(self._line, session)
        headers = {"Content-Disposition": 'attachment; filename="episode.jsonl"'}
        return Response((line + "\n").encode("utf-8", "replace"), media_type="application/x-ndjson", headers=headers)

    def _line(self, session: Session) -> str:
        if session.recorded is not None:
            return trajectory.to_line(session.recorded)
        episode = session.episode
        try:
            return trajectory.to_line(trajectory.record(episode, self.stage.index.fingerprint))
        finally:
            episode.release()

    def _session(self, request: Request) -> Session:
        return self.sessions.get(request.path_params["id"])

    async def _state(self, session: Session) -> Response:
        return _Json(await self.work(views.state, session, self.stage))


def application(stage: Stage, token: str | None = None, sessions: Sessions | None = None) -> Starlette:
    """The ASGI application; its `state.page` is the `Page`.

    Args:
        stage: what is played on.
        token: asked of everybody; None asks for nothing and answers only to names of this machine.
        sessions: where episodes are kept.
    """
    page, door = Page(stage, sessions), Door(token)

    async def enter(request: Request) -> Response:
        given = (await _object(request)).get("token")
        return await door.enter(given, request.url.scheme == "https")

    def route(path: str, answer: Answer, method: str = "POST") -> Route:
        return Route(path, _clearly(answer), methods=[method])

    routes = [
        *(Route(path, _file(file), methods=["GET"]) for path, file in files().items()),
        route("/api/enter", enter),
        route("/api/facts", page.facts, "GET"),
        route("/api/episodes", page.begin),
        route("/api/own", page.own),
        route("/api/thumbnail", page.thumbnail, "GET"),
        route("/api/episodes/{id}", page.show, "GET"),
        route("/api/episodes/{id}/act", page.act),
        route("/api/episodes/{id}/play", page.play),
        route("/api/episodes/{id}/compare", page.compare),
        route("/api/episodes/{id}/picture", page.picture, "GET"),
        route("/api/episodes/{id}/looks/{number:int}", page.look, "GET"),
        route("/api/episodes/{id}/trajectory", page.record, "GET"),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, door=door)])
    app.state.page = page
    return app


def files() -> dict[str, Path]:
    """The page's files by path: these and no others are served."""
    listed = [*sorted(PAGE.iterdir()), *sorted(FONTS.glob("*.ttf"))]
    found = {f"/page/{file.name}": file for file in listed if file.suffix in TYPES}
    return {"/": PAGE / "index.html", **found}


def _file(file: Path) -> Answer:
    data, kind = file.read_bytes(), TYPES[file.suffix]

    async def answer(request: Request) -> Response:
        return Response(data, media_type=kind, headers={"Cache-Control": "no-cache"})

    return answer


def _pixels(data: bytes, kind: str, cache: str = "private, max-age=300") -> Response:
    return Response(data, media_type=kind, headers={"Cache-Control": cache})


async def _object(request: Request) -> dict[str, Any]:
    return read_object(await read_body(request, SMALL))


def _start(fields: dict[str, Any]) -> Start:
    texts = {name: fields.get(name, "") for name in ("run", "player", "kind", "only")}
    number, task = fields.get("number"), fields.get("task")
    if unknown := sorted(set(fields) - {*texts, "number", "task"}):
        raise RequestError(f"a start has no field {unknown[0][:50]!r}")
    if wrong := [name for name, value in texts.items() if not isinstance(value, str)]:
        raise RequestError(f"{wrong[0]} must be text")
    if not (number is None or type(number) is int) or not (task is None or isinstance(task, str)):
        raise RequestError("number must be a whole number, and task the id of a task")
    if texts["only"] not in ("", "right", "wrong"):
        raise RequestError("only must be right, wrong or empty")
    return Start(**texts, number=number, task=task)


def _clearly(answer: Answer) -> Answer:
    """What goes wrong as an object with an `error`, of one line."""

    async def clear(request: Request) -> Response:
        try:
            return await answer(request)
        except RequestError as error:
            return _refusal(error, error.status)
        except (ServiceError, IntegrityError) as error:
            return _refusal(error, 503)
        except GoGError as error:
            return _refusal(error, 422)
        except ClientDisconnect:
            return _refusal("the caller has gone", 400)
        except Exception as error:  # the page lives on; what happened is in the log, not in the answer
            log.exception("%s failed", request.url.path)
            return _refusal(f"the server failed ({type(error).__name__}); see its log", 500)

    return clear


def _refusal(error: object, status: int) -> Response:
    text = " ".join(str(error).split()).encode("utf-8", "replace").decode()
    return Response(json.dumps({"error": text}), status, media_type="application/json")
