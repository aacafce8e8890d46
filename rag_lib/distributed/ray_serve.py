"""The service of chapter 14 as several replicas behind one address, by Ray Serve, which replaces those that die.

A replica answers like the one service, but keeps nothing for its visitors: the next request may meet another replica.
So it neither chats nor takes a change of the documents or a judgement, and says so. A request whose replica dies is
answered with the status 500; it can be asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from rag_lib.distributed.ray_cluster import RayUnavailable, connect
from rag_lib.service.app import create_app
from rag_lib.service.assistant import Assistant
from rag_lib.service.guards import problem
from rag_lib.service.server import CONNECTIONS, listening
from rag_lib.service.settings import Settings

NAME = "rag"  # of the application in Serve
ATTEMPTS = 3  # at starting a replica
ANSWERED = frozenset(("/ask", "/search", "/summarize", "/recommend"))  # what is posted and leaves nothing behind


def must_be_kept(scope: Scope) -> bool:
    """Whether a replica would have to keep what a request brings, or would tell of itself alone."""
    if scope["method"] == "GET":
        return scope["path"] == "/metrics"
    return scope["path"] not in ANSWERED


class KeepsNothing:
    """Refuses what only a service that is alone can do."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        app = self.app
        if scope["type"] == "http" and must_be_kept(scope):
            app = problem(403, "replica", "this is one of several replicas, and none of them keeps anything")
        await app(scope, receive, send)


class Replica:
    """What Serve asks whether the models are loaded and work."""

    app: FastAPI  # which Serve sets

    async def check_health(self) -> None:
        """Waits until the models are loaded: before, a replica is asked nothing.

        Raises:
            Exception: they cannot be loaded, or hang: Serve replaces the replica.
        """
        service = self.app.state.service
        while service.loaded is None and service.failure is None:
            await asyncio.sleep(0.05)
        if service.failure is not None:
            raise service.failure
        if service.queue.is_stuck():
            raise RuntimeError("the models hang")


def serve_replicas(
    settings: Settings, open_assistant: Callable[[Path], Assistant], replicas: int = 2, cpus: float = 1
) -> None:
    """Serves at the host and port of the settings until `stop_replicas`; returns when all replicas answer.

    Args:
        open_assistant: loads the models, and opens the collection in an empty folder of the replica's own, as one
            process at a time has a collection open; called in every replica.
        cpus: CPUs for each replica.

    Raises:
        ValueError: replicas is below 1.
        OSError: the address is taken, or none of this machine's.
        RayUnavailable: there is no cluster with that many CPUs, or the replicas do not start.
    """
    if replicas < 1:
        raise ValueError(f"there must be at least one replica, not {replicas}")
    listening(settings.host, settings.port).close()
    ray = connect(cpus=replicas * cpus)
    try:
        from ray import serve
    except ImportError:
        raise RayUnavailable("Ray Serve is not installed: pip install 'rag-from-scratch[distributed]'") from None

    def build() -> FastAPI:
        own = TemporaryDirectory(prefix="replica-")
        app = create_app(settings, lambda: open_assistant(Path(own.name)))
        app.add_middleware(KeepsNothing)
        return app

    deployment = serve.deployment(
        serve.ingress(build)(Replica),
        num_replicas=replicas,
        ray_actor_options={"num_cpus": cpus},
        max_ongoing_requests=CONNECTIONS,  # each replica's own queue refuses what is too much, sooner
        max_constructor_retry_count=ATTEMPTS,
    )
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": settings.host, "port": settings.port})
        serve.run(deployment.bind(), name=NAME)
    except (RuntimeError, ray.exceptions.RayError) as error:
        stop_replicas()
        raise RayUnavailable(f"the replicas do not start: {' '.join(str(error).split())[:300]}") from error


def stop_replicas() -> None:
    """Stops the replicas and what stands before them."""
    from ray import serve

    serve.shutdown()
