"""What every request passes before anything is done for it, and every answer on its way out.

`Watch` counts and logs, adds the headers that keep a browser safe, and turns what was not foreseen into one line.
`Gate` lets in who may come in, reads bodies that are neither too large nor too slow, and ends the work for those who
have left. Both are plain ASGI (https://asgi.readthedocs.io).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from urllib.parse import urlsplit

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag_lib.service.readers import Readers
from rag_lib.service.settings import LOCAL_NAMES, Settings
from rag_lib.service.watching import LOG, Metrics

OPEN_PATHS = frozenset(("/", "/page.css", "/page.js", "/icon.svg", "/health", "/ready"))  # they hold nothing of anybody
LEFT = 499  # as nginx logs a client that did not wait for its answer
SAFE_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def problem(status: int, reason: str, message: str, **headers: str) -> JSONResponse:
    """A refusal in one line."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"reason": reason, "message": message}, status, named)


class Watch:
    """Counts and logs requests, and makes their answers safe to show."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, started, status = secrets.token_hex(8), time.perf_counter(), LEFT
        facts = scope.setdefault("state", {})["facts"] = {}

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception:
            LOG.exception("failed", extra={"facts": {"request": request}})
            if status == LEFT:
                answer = problem(500, "failed", f"something went wrong; the log has it under {request}")
                await answer(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if route != "other" else "other"
            self.metrics.requests.labels(method, route, status).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            told = {"request": request, "method": method, "route": route, "status": status}
            LOG.info("request", extra={"facts": told | {"seconds": round(seconds, 4)} | facts})


class TooLarge(Exception):
    """A body has more bytes than it may."""


class Left(Exception):
    """The client is gone."""


class Gate:
    """Lets in who may come in, with a whole body of a decent size, and works for nobody who has left."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self.readers = Readers(settings.token, settings.readers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, seconds = self.settings.most_bytes, self.settings.body_seconds
        if (refusal := self.refusal(scope)) is not None:
            await refusal(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(whole_body(scope, receive, limit), seconds)
        except TooLarge:
            said = f"a request may have {limit:,} bytes"
            await problem(413, "too large", said, connection="close")(scope, receive, send)
        except TimeoutError:
            said = f"a request has to arrive within {seconds:g} seconds"
            await problem(408, "too slow", said, connection="close")(scope, receive, send)
        except Left:
            return
        else:
            await until_left(self.app, scope, body, receive, send)

    def refusal(self, scope: Scope) -> JSONResponse | None:
        """Why a request is not let in, if it is not; else its state tells who asks.

        Without a token only pages of this service itself may ask: a page elsewhere could make a visitor's browser ask
        (its Origin tells), also under a name of its own that leads to this machine (its Host tells).
        """
        headers = Headers(scope=scope)
        host, origin, token = headers.get("host", ""), headers.get("origin"), self.settings.token
        if not token and host.rsplit(":", 1)[0] not in LOCAL_NAMES and host not in LOCAL_NAMES:
            return problem(421, "wrong host", "this service is for this machine only")
        if origin is not None and urlsplit(origin).netloc != host:
            return problem(403, "wrong origin", "pages from elsewhere may not ask here")
        if scope["path"] not in OPEN_PATHS:
            scheme, _, shown = headers.get("authorization", "").partition(" ")
            reader = self.readers.of(shown.strip() if scheme.lower() == "bearer" else "")
            if reader is None:
                said = "a token is needed: Authorization: Bearer TOKEN"
                return problem(401, "no token", said, www_authenticate="Bearer")
            scope["state"]["reader"] = reader
        return None


async def whole_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """A request's body.

    Raises:
        TooLarge: it has more than `most` bytes, or says so.
        Left: the client has gone before its end.
    """
    declared = Headers(scope=scope).get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise TooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Left
        body += message.get("body", b"")
        if len(body) > most:
            raise TooLarge
        if not message.get("more_body"):
            return bytes(body)


async def until_left(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """Runs an application with a body that has been read, and cancels it when the client leaves before the end."""
    gone, complete, read = asyncio.Event(), False, False

    async def replay() -> Message:
        nonlocal read
        if not read:
            read = True
            return {"type": "http.request", "body": body, "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def watched(message: Message) -> None:
        nonlocal complete
        await send(message)
        complete = complete or (message["type"] == "http.response.body" and not message.get("more_body"))

    async def leaving() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    work, watch = asyncio.ensure_future(app(scope, replay, watched)), asyncio.ensure_future(leaving())
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not complete:
            work.cancel()
        gone.set()
        await asyncio.wait({work})
        if not work.cancelled():
            work.result()
    finally:
        work.cancel()
        watch.cancel()
