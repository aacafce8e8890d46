"""The server in front of the application: uvicorn, on a socket of our own, less patient than it is by itself."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from rag_lib.service.app import create_app
from rag_lib.service.assistant import Assistant
from rag_lib.service.settings import Settings
from rag_lib.service.watching import log_as_json

HEAD_SECONDS = 10.0  # for the head of a request; uvicorn alone would wait for ever
CONNECTIONS = 1000


class Impatient(H11Protocol):
    """Closes a connection that has begun a request, or none at all, and does not get on with it."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client is there."""
        super().connection_made(transport)
        self.look(None)

    def look(self, before: object) -> None:
        """Looks twice within HEAD_SECONDS whether the head of the same request is still awaited."""
        if self.transport.is_closing():
            return
        awaited = (self.conn.their_state is h11.IDLE, self.cycle)
        if awaited[0] and awaited == before:
            self.transport.close()
            return
        self.loop.call_later(HEAD_SECONDS / 2, self.look, awaited)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        OSError: the port is taken, or the host is none of this machine's; the message says which.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How the server runs the application."""
    return uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(settings.seconds) + 5,
    )


def run(settings: Settings, open_assistant: Callable[[], Assistant]) -> None:
    """Serves until it is told to stop (SIGTERM or SIGINT), finishes what is being worked on, and returns.

    Raises:
        OSError: it cannot listen.
        Whatever `open_assistant` raises.
    """
    listener = listening(settings.host, settings.port)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"serving on http://{host}:{settings.port}/ (Ctrl-C stops it)", file=sys.stderr, flush=True)
    log_as_json()
    app = create_app(settings, open_assistant)
    server, service = uvicorn.Server(config_of(app, settings)), app.state.service

    def stop() -> None:
        server.should_exit = True

    service.on_failure = stop
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # uvicorn raises it again at its end, where all is done
    try:
        server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)
        listener.close()
    if service.failure is not None:
        raise service.failure
