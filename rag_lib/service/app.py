"""The application: what is loaded at the start, how errors are told, and in which order a request passes what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from rag_lib import __version__
from rag_lib.applications.dialogue import UnreadableTurn
from rag_lib.applications.extraction import NotAbout
from rag_lib.applications.recommendation import NothingFits
from rag_lib.retrieval.base import EmptyQuestion, QuestionTooLong
from rag_lib.service import page, routes
from rag_lib.service.assistant import Assistant, Unknown
from rag_lib.service.guards import Gate, Watch, problem
from rag_lib.service.settings import Settings
from rag_lib.service.state import Service
from rag_lib.service.watching import LOG, Metrics
from rag_lib.service.work import Refused, WorkQueue


def create_app(settings: Settings, open_assistant: Callable[[], Assistant]) -> FastAPI:
    """The application, whose `state.service` holds what requests share.

    Args:
        open_assistant: loads the models and opens the collection; called once, when the application starts.
    """
    metrics = Metrics()
    service = Service(settings, metrics, WorkQueue(settings.waiting, settings.seconds))
    metrics.waiting.set_function(lambda: len(service.queue))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.load(open_assistant))
        yield
        loading.cancel()
        await asyncio.to_thread(service.close)
        LOG.info("stopped")

    app = FastAPI(
        title="RAG from scratch",
        version=__version__,
        description="Answers from documents, with the passages that say so.",
        lifespan=lifespan,
        docs_url=None,  # both load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    app.include_router(routes.router)
    app.include_router(page.router)
    tell_errors(app)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(Watch, metrics=metrics)  # the last one is passed first
    return app


def tell_errors(app: FastAPI) -> None:
    """Has every foreseen error answered by its status and one line."""

    async def refused(request: Request, error: Refused) -> JSONResponse:
        request.app.state.service.metrics.refusals.labels(error.reason).inc()
        return problem(error.status, error.reason, str(error), retry_after=str(error.retry_after))

    async def unknown(request: Request, error: Unknown) -> JSONResponse:
        return problem(404, "unknown", str(error))

    async def not_yours(request: Request, error: routes.NotYours) -> JSONResponse:
        return problem(403, "not yours", str(error))

    async def taken(request: Request, error: routes.Taken) -> JSONResponse:
        return problem(409, "taken", str(error))

    async def impossible(request: Request, error: ValueError) -> JSONResponse:
        return problem(422, "impossible", str(error))

    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return problem(422, "invalid", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    async def other(request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"reason": "http", "message": str(error.detail)}, error.status_code, error.headers)

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(Unknown, unknown)
    app.add_exception_handler(routes.NotYours, not_yours)
    app.add_exception_handler(routes.Taken, taken)
    for kind in (EmptyQuestion, QuestionTooLong, UnreadableTurn, NotAbout, NothingFits, routes.Impossible):
        app.add_exception_handler(kind, impossible)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)
