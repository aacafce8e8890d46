"""Server-sent events: an answer in pieces over one response (https://html.spec.whatwg.org/#server-sent-events)."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


def event(name: str, data: object) -> str:
    """One event; its data is JSON, so that no line end of a text can end it early."""
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


class Events(StreamingResponse):
    """A stream of events; however it ends, what makes them is ended too."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str]) -> None:
        super().__init__(events, headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self.events.aclose()
