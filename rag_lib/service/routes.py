"""The requests that the service answers: what each takes, and what is done for it.

The models' work goes through the queue; what is known already is answered at once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from rag_lib.applications.wishes import Wish, parse_wish
from rag_lib.indexing.documents import Document
from rag_lib.indexing.live.access import groups_of
from rag_lib.indexing.reading.cleaning import clean
from rag_lib.pipeline.rag import Found
from rag_lib.service import feedback
from rag_lib.service.assistant import Change, Told, rule_for
from rag_lib.service.events import Events, event
from rag_lib.service.readers import Reader
from rag_lib.service.schemas import (
    DOCUMENT_ID,
    Answer,
    Asked,
    Changed,
    DocumentListed,
    Documents,
    Given,
    GivenWithId,
    Judged,
    PassageRead,
    Problem,
    Product,
    Recommended,
    Replied,
    Said,
    Searched,
    State,
    Summary,
    Thanks,
    ToSummarize,
    Wished,
    passages_of,
)
from rag_lib.service.state import Service
from rag_lib.service.work import Refused
from rag_lib.text import shown

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body cannot be read."},
    401: {"model": Problem, "description": "The token is missing or wrong."},
    403: {"model": Problem, "description": "A page from elsewhere asks, or a reader what only the owner may."},
    404: {"model": Problem, "description": "What the request names is not there."},
    408: {"model": Problem, "description": "The request did not arrive in time."},
    413: {"model": Problem, "description": "The request is too large."},
    422: {"model": Problem, "description": "The request makes no sense; the message says why."},
    429: {"model": Problem, "description": "Too many requests wait; `Retry-After` says for how many seconds."},
    503: {"model": Problem, "description": "Loading, late or closing; `Retry-After` says for how many seconds."},
}
router = APIRouter(responses=REFUSALS)


class Impossible(ValueError):
    """A request that makes no sense; the message says why."""


def service_of(request: Request) -> Service:
    """What all requests share."""
    return request.app.state.service


def reader_of(request: Request) -> Reader:
    """Who asks, as the gate has found by the token."""
    return request.state.reader


Shared = Annotated[Service, Depends(service_of)]
Who = Annotated[Reader, Depends(reader_of)]


class NotYours(Exception):
    """A reader asks for what only the owner may do."""


def only_owner(reader: Who) -> None:
    """Lets the owner pass.

    Raises:
        NotYours: it is somebody else.
    """
    if not reader.is_owner:
        raise NotYours("only the owner may do this")


ONLY_OWNER = [Depends(only_owner)]
AnyId = Annotated[str, Path(min_length=1, max_length=200)]


def note(request: Request, service: Service, told: Told) -> None:
    """Counts an answer, and has the log tell of it."""
    answer, metrics = told.trace.answer, service.metrics
    metrics.answers.labels(told.cache).inc()
    metrics.sure.observe(answer.score)
    if not answer.text:
        metrics.silent.inc()
    facts = {"cache": told.cache, "sure": round(answer.score, 3), "answered": bool(answer.text)}
    facts |= {"passages": len(told.trace.passages), "version": told.version}
    if service.settings.log_texts:
        facts |= {"question": told.trace.question, "answer": answer.guess}
    request.state.facts |= facts


EVENT = {
    "description": "One event; its data is JSON: passages, a piece of text, an Answer, or a Problem.",
    "type": "object",
    "properties": {"event": {"enum": ["passages", "piece", "answer", "error"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
STREAM = {"content": {"text/event-stream": {"schema": EVENT}}}


@router.post("/ask", response_model=Answer, responses={200: STREAM})
async def ask(asked: Asked, request: Request, service: Shared, reader: Who) -> Any:
    """Answers a question from the documents.

    With `stream` the answer comes as server-sent events: `passages` (what was found), `piece` (text, as it is written),
    then `answer` (all of it, as without `stream`) or `error`.
    """
    assistant = service.assistant
    told = assistant.kept(reader, asked.question)
    if told is None and not asked.stream:
        async with aclosing(service.queue.stream(lambda: assistant.ask(reader, asked.question))) as steps:
            async for step in steps:
                told = step
    if told is not None:
        note(request, service, told)
        if asked.stream:
            return Events(known(told))
        return Answer.of(told)
    steps = service.queue.stream(lambda: assistant.ask(reader, asked.question))
    first = await anext(steps)  # until work begins, a refusal still has a status of its own
    return Events(streamed(first, steps, request, service))


async def known(told: Told) -> AsyncIterator[str]:
    """The events of an answer that is there already."""
    yield event("passages", [p.model_dump() for p in passages_of(told.trace)])
    yield event("piece", told.trace.answer.guess)
    yield event("answer", Answer.of(told).model_dump())


async def streamed(first: Found, steps: AsyncIterator, request: Request, service: Service) -> AsyncIterator[str]:
    """The events of an answer while it is made."""
    async with aclosing(steps):
        try:
            yield event("passages", [p.model_dump() for p in passages_of(first)])
            async for step in steps:
                if isinstance(step, Told):
                    note(request, service, step)
                    yield event("answer", Answer.of(step).model_dump())
                else:
                    yield event("piece", step)
        except Refused as error:
            service.metrics.refusals.labels(error.reason).inc()
            yield event("error", {"reason": error.reason, "message": str(error)})
        except ValueError as error:  # the question is too long for a passage beside it
            yield event("error", {"reason": "impossible", "message": str(error)})


@router.post("/chat")
async def chat(said: Said, request: Request, service: Shared, reader: Who) -> Replied:
    """Goes on with a conversation, or begins one: the guide knows what was said before."""
    assistant = service.assistant
    spoken = await service.queue.do(lambda: assistant.say(reader, said.conversation, said.message))
    request.state.facts |= {"turn": spoken.turn, "answered": not spoken.reply.silent, "version": spoken.version}
    if service.settings.log_texts:
        request.state.facts |= {"question": spoken.reply.question, "answer": spoken.reply.text}
    return Replied.of(spoken)


@router.post("/search")
async def search(searched: Searched, service: Shared, reader: Who) -> list[PassageRead]:
    """The passages that fit best, without an answer."""
    assistant = service.assistant
    found = await service.queue.do(lambda: assistant.search(reader, searched.query, searched.k))
    return [PassageRead.of(hit, passage) for hit, passage in found]


@router.post("/summarize")
async def summarize(asked: ToSummarize, service: Shared, reader: Who) -> Summary:
    """A text, a document or a dossier in three sentences, in general or for a question."""
    assistant = service.assistant
    if (asked.text is None) == (asked.document is None):
        raise Impossible("name a document or give a text, one of both")
    named = asked.document is not None
    document = assistant.document(reader, asked.document) if named else given("text", "", asked.text)
    made = await service.queue.do(lambda: assistant.summarize(document, asked.question))
    return Summary.of(document.title, len(document.text.split()), made)


@router.post("/recommend")
async def recommend(wished: Wished, service: Shared) -> Recommended:
    """Products of the shop for a wish in words, each with a reason; all of them meet the filters."""
    assistant = service.assistant
    visitor = assistant.visitor(wished.visitor) if wished.visitor is not None else None
    try:
        wish = parse_wish(wished.wish) if wished.wish.strip() else Wish()
    except ValueError as error:
        raise Impossible(str(error)) from error
    if wished.age is not None:
        wish = replace(wish, ages=(wished.age, wished.age))
    if wished.price_max is not None:
        wish = replace(wish, price_max=min(wish.price_max, wished.price_max))
    wish = replace(wish, in_stock=wish.in_stock or wished.in_stock)
    understood, found = await service.queue.do(lambda: assistant.recommend(wish, visitor, wished.k))
    return Recommended(understood=str(understood), products=[Product.of(r) for r in found])


@router.get("/documents")
async def documents(
    service: Shared,
    reader: Who,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Documents:
    """The documents that questions are answered from."""
    assistant = service.assistant
    version = assistant.version
    listed = [DocumentListed(id=d.id, title=d.title, passages=d.passages) for d in assistant.listed(reader)]
    dossiers = [DocumentListed(id=d.id, title=d.title, passages=0) for d in assistant.dossiers.values()]
    page = listed[offset : offset + limit]
    return Documents(version=version, total=len(listed), documents=page, dossiers=dossiers, changeable=reader.is_owner)


@router.get("/documents/{document_id:path}")
async def document(document_id: AnyId, service: Shared, reader: Who) -> Given:
    """A document's title and text, and, for the owner, who may read it."""
    found = service.assistant.document(reader, document_id)
    rule = groups_of(found) if reader.is_owner else None
    return Given.model_construct(title=found.title, text=found.text, access=None if rule is None else sorted(rule))


TAKEN = {409: {"model": Problem, "description": "The id is taken."}}


@router.post("/documents", status_code=201, responses=TAKEN, dependencies=ONLY_OWNER)
async def add(new: GivenWithId, service: Shared, response: Response) -> Changed:
    """Adds a document; whoever asks after the reply is answered from it too."""
    if service.assistant.has(new.id):
        raise Taken(f"there is a document {new.id!r} already: PUT replaces it")
    return await put(service, new.id, new)


@router.put("/documents/{document_id:path}", dependencies=ONLY_OWNER)
async def replace_document(document_id: AnyId, new: Given, service: Shared) -> Changed:
    """Replaces a document, or adds it. Without `access` it is for whom the one was that it replaces."""
    if not service.assistant.has(document_id) and not re.fullmatch(DOCUMENT_ID, document_id):
        raise Impossible("an id has letters, digits, dots, hyphens and brackets, with single spaces or slashes between")
    return await put(service, document_id, new)


@router.delete("/documents/{document_id:path}", dependencies=ONLY_OWNER)
async def remove(document_id: AnyId, service: Shared) -> Changed:
    """Removes a document; no question asked after the reply is answered from it."""
    assistant = service.assistant
    return changed(service, document_id, await service.queue.do(lambda: assistant.remove(document_id)))


class Taken(Exception):
    """There is a document of this id already."""


def given(document_id: str, title: str, text: str) -> Document:
    """A document as files are read: clean.

    Raises:
        Impossible: there is no text.
    """
    text = clean(text)
    if not re.search(r"\w", text):
        raise Impossible("there is no text")
    return Document(document_id, shown(title) or document_id, text)


async def put(service: Service, document_id: str, new: Given) -> Changed:
    """Has a document added or replaced."""
    assistant, made = service.assistant, given(document_id, new.title, new.text)
    if isinstance(new.access, list):
        made = replace(made, metadata=rule_for(new.access))
    keeps_rule = new.access is None
    return changed(service, document_id, await service.queue.do(lambda: assistant.put(made, keeps_rule)))


def changed(service: Service, document_id: str, change: Change) -> Changed:
    """What became of a document."""
    service.measure()
    return Changed(id=document_id, change=change.kind, version=change.version, passages=change.passages)


@router.post("/feedback", status_code=201)
async def judge(judged: Judged, service: Shared, reader: Who) -> Thanks:
    """Keeps what a visitor thinks of an answer, as a row to evaluate on where the right answer is known."""
    told = service.assistant.judged(reader, judged.answer)
    row = feedback.keep(service.settings.feedback, told, judged.verdict, judged.correction)
    service.metrics.feedback.labels(judged.verdict).inc()
    return Thanks(kept=True, row=row)


@router.get("/health")
async def health() -> State:
    """Whether the process lives."""
    return State(status="alive")


@router.get("/ready")
async def ready(service: Shared, response: Response) -> State:
    """Whether questions are answered; 503 while the models are loaded, or when they hang."""
    if service.loaded is None or service.queue.closing or service.queue.is_stuck():
        response.status_code = 503
        response.headers["retry-after"] = "5"
        return State(status="loading" if service.loaded is None else "not ready")
    return State(status="ready", version=service.loaded.version, shop=service.loaded.shop is not None)


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}, dependencies=ONLY_OWNER
)
async def metrics(service: Shared) -> Response:
    """What is counted, for Prometheus."""
    return Response(generate_latest(service.metrics.registry), media_type=CONTENT_TYPE_LATEST)
