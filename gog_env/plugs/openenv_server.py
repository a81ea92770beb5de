"""Serves the environment over OpenEnv's protocol.

    python -m gog_env.plugs.openenv_server                    # the embedded world, this machine only, port 8001
    python -m gog_env.plugs.openenv_server --index my/index --tasks my/tasks --sessions 128
    python -m gog_env.plugs.openenv_server --host 0.0.0.0 --token SECRET

`gog_env.plugs.openenv_client` is its client; OpenEnv's own (`GenericEnvClient`) will do as well. Needs the extra
`openenv` and the package itself (docs/plugs.md says how).

- Loopback unless told otherwise; any other address only with a token (`--token` or `GOG_TOKEN`). Without a token,
  requests that a browser sends for a page (they carry `Origin`, or name another host than this machine) are refused.
- A session is a WebSocket. There are `--sessions` at most; one that says nothing for `--idle` seconds is ended, and its
  client told (OpenEnv's own timeout would only forget to count it). What comes in is bounded (`--max-kb` a message: far
  more than a model writes in a turn, whose mistakes are turns and no errors), what goes out too (`--max-pixels`).
- OpenEnv's stateless `/reset` and `/step` answer, but every request there is a session of its own: play over `/ws`.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from index import extras
from index.errors import GoGError, cli
from index.options import Parser, port, positive
from index.serve import bound, check_address, is_loopback

from ..env import GlanceOrGazeEnv

EXTRA = "openenv"
MOST_BYTES = 1 << 20
"""Of a request, unless told otherwise."""


class Guard:
    """Refuses, before anything else sees them, callers without the token, browsers' pages, and large bodies.

    Args:
        app: the application behind it.
        token: asked of every caller; None asks for nothing.
        most: bytes of a request's body.
        idle: seconds of silence after which a WebSocket is closed; None: never.
    """

    def __init__(self, app: Any, token: str | None = None, most: int = MOST_BYTES, idle: float | None = None) -> None:
        self.app, self.token, self.most, self.idle = app, token, most, idle

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers as ASGI asks."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["type"] == "http":
            told = headers.get(b"content-length", b"0")
            size, body = int(told) if told.isdigit() else 0, b""
            while size <= self.most:  # read here, so that no handler starts before the body is known to be small
                message = await receive()
                if message["type"] != "http.request":
                    return
                body += message.get("body", b"")
                size = max(size, len(body))
                if not message.get("more_body"):
                    break
            if size > self.most:
                refusal = (413, f"the body has more than {self.most:,} bytes; an action is far smaller")
            receive = _replay(body, receive)
        if refusal is None:
            waiting = _ending(receive, send, self.idle) if scope["type"] == "websocket" and self.idle else receive
            await self.app(scope, waiting, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            text = json.dumps({"error": refusal[1]}).encode()
            kind = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": refusal[0], "headers": kind})
            await send({"type": "http.response.body", "body": text})

    def _refusal(self, scope: Any, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if scope["path"] == "/health":
            return None
        if self.token is None:
            from ..play.guard import name_of  # needs what this server needs, but not the command's --help

            host = name_of(headers.get(b"host", b"").decode("latin-1"))
            if b"origin" in headers or not is_loopback(host):
                return 403, "pages of a browser and names of other hosts are not answered without --token"
            return None
        if not hmac.compare_digest(headers.get(b"authorization", b""), f"Bearer {self.token}".encode()):
            return 401, "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
        return None


def _replay(body: bytes, receive: Any) -> Any:
    """A `receive` that hands out a body that was read already, and then what still comes."""
    rest = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return rest.pop() if rest else await receive()

    return again


def _ending(receive: Any, send: Any, idle: float) -> Any:
    """A `receive` that closes a WebSocket whose client says nothing for so long."""

    async def patient() -> Any:
        try:
            async with asyncio.timeout(idle):
                return await receive()
        except TimeoutError:
            reason = f"nothing was said for {idle:g} seconds; connect again"
            await send({"type": "websocket.close", "code": 1001, "reason": reason})
            return {"type": "websocket.disconnect", "code": 1001, "reason": reason}

    return patient


def check_installed() -> None:
    """Refuses to begin without OpenEnv and what it needs.

    Raises:
        GoGError: says what to install.
    """
    extras.need("fastapi", "fastmcp", "uvicorn", "websockets", "openenv", extra=EXTRA)
    try:
        from openenv.core.env_server.http_server import create_fastapi_app  # noqa: F401
    except ImportError as error:
        raise GoGError(f"OpenEnv cannot be imported ({error}); {extras.remedy('openenv')}") from None


def application(
    env: GlanceOrGazeEnv,
    *,
    sessions: int = 64,
    idle: float = 600.0,
    token: str | None = None,
    split: str = "tasks",
    most_pixels: int | None = None,
    most_bytes: int = MOST_BYTES,
) -> Any:
    """The ASGI application that serves twins of an environment.

    Args:
        env: gives its index, tasks and rules; it is not played itself.
        sessions: how many there may be at once.
        idle: seconds without a message after which a session is ended.
        token: asked of every caller; None asks for nothing.
        split: what its tasks are called.
        most_pixels: of a picture that is sent; None: `openenv_models.MOST_PIXELS`.
        most_bytes: of a request.

    Raises:
        GoGError: OpenEnv is not installed.
    """
    check_installed()
    import gymnasium
    from fastapi import Request
    from fastapi.responses import JSONResponse
    from openenv.core.env_server.http_server import create_fastapi_app
    from openenv.core.env_server.types import ConcurrencyConfig

    from .openenv_models import MOST_PIXELS, GlanceOrGazeAction, GlanceOrGazeObservation, GlanceOrGazeState
    from .openenv_sessions import GlanceOrGazeSession, Together

    together = Together()

    def session() -> GlanceOrGazeSession:
        return GlanceOrGazeSession(env.twin(), together, split, most_pixels or MOST_PIXELS)

    app = create_fastapi_app(
        session, GlanceOrGazeAction, GlanceOrGazeObservation, env_name="GoG-VQA-v0", state_cls=GlanceOrGazeState,
        concurrency_config=ConcurrencyConfig(max_concurrent_envs=sessions, session_timeout=idle), mode="simulation",
    )  # fmt: skip

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 409 if isinstance(error, gymnasium.error.ResetNeeded) else 400)

    for kind in (gymnasium.error.ResetNeeded, GoGError):
        app.add_exception_handler(kind, refuse)
    app.state.together = together
    return Guard(app, token, most_bytes, idle)


def server(app: Any, host: str, port: int, most_bytes: int = MOST_BYTES) -> Any:
    """A `uvicorn` server of the application, not yet running."""
    import uvicorn

    config = uvicorn.Config(
        app, host, port, log_level="warning", access_log=False, server_header=False, ws_max_size=most_bytes,
        timeout_graceful_shutdown=10,
    )  # fmt: skip
    return uvicorn.Server(config)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Parser(
        prog="python -m gog_env.plugs.openenv_server",
        description="Serves the environment over OpenEnv's protocol (default: the embedded world, this machine only).",
        epilog="example: python -m gog_env.plugs.openenv_server --index my/index --tasks my/tasks --port 8001",
    )
    options.add_argument("--index", metavar="PATH", help="sealed index or the address of one (default: embedded world)")
    options.add_argument("--tasks", metavar="PATH", help="its tasks (default: the embedded world's)")
    options.add_argument("--split", choices=("train", "heldout"), default="train", help="of the embedded world")
    options.add_argument("--max-turns", type=positive, default=6, metavar="N", help="actions an episode (default: 6)")
    options.add_argument("--hits", type=positive, default=3, metavar="N", help="documents a search (default: 3)")
    options.add_argument("--reward", default="gog", metavar="NAME", help="of gog_env.reward_presets (default: gog)")
    options.add_argument("--sessions", type=positive, default=64, metavar="N", help="at once (default: 64)")
    options.add_argument("--idle", type=positive, default=600, metavar="N", help="seconds of silence (default: 600)")
    options.add_argument("--max-kb", type=positive, default=1024, metavar="N", help="KiB of a request (default: 1024)")
    options.add_argument("--max-pixels", type=positive, metavar="N", help="of a picture that is sent (default: 2^22)")
    options.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="default: 127.0.0.1")
    options.add_argument("--port", type=port, default=8001, metavar="N", help="default: 8001; 0: any free one")
    options.add_argument("--token", metavar="SECRET", help="asked of every caller (default: $GOG_TOKEN)")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is told to end."""
    options = parser().parse_args(argv)
    token = options.token or os.environ.get("GOG_TOKEN") or None
    check_address(options.host, token)
    if options.index and not options.tasks:
        raise GoGError("--index goes with --tasks: the embedded world's tasks fit only its own index")
    check_installed()
    with bound(options.host, options.port) as line:
        print(f"opening {options.index or 'the embedded world'}", file=sys.stderr, flush=True)
        try:
            env = GlanceOrGazeEnv(
                options.index, options.tasks, split=options.split, max_turns=options.max_turns, hits=options.hits,
                reward=options.reward,
            )  # fmt: skip
        except ValueError as error:
            raise GoGError(str(error)) from None
        most = options.max_kb << 10
        split = Path(options.tasks).resolve().name or "tasks" if options.tasks else options.split
        app = application(
            env, sessions=options.sessions, idle=options.idle, token=token, split=split,
            most_pixels=options.max_pixels, most_bytes=most,
        )  # fmt: skip
        running = server(app, options.host, options.port, most)
        host, number = line.getsockname()[:2]
        line.listen()
        shown = f"[{host}]" if ":" in host else host
        print(f"serving {len(env.tasks)} tasks on http://{shown}:{number}", flush=True)
        asyncio.run(running.serve(sockets=[line]))
    return 0


if __name__ == "__main__":
    cli(main)
