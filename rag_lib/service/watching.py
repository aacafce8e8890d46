"""Metrics for Prometheus and a log of JSON lines; neither holds what visitors ask unless that was asked for."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LOG = logging.getLogger("rag_lib.service")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter("rag_requests", "Requests", ["method", "route", "status"], registry=registry)
        self.seconds = Histogram("rag_request_seconds", "Seconds", ["route"], buckets=BUCKETS, registry=registry)
        self.refusals = Counter("rag_refusals", "Requests that were refused", ["reason"], registry=registry)
        self.answers = Counter("rag_answers", "Answers by where they came from", ["cache"], registry=registry)
        self.silent = Counter("rag_silent", "Questions that got no answer", registry=registry)
        self.sure = Histogram(
            "rag_sure", "How sure answers were", buckets=[i / 10 for i in range(1, 11)], registry=registry
        )
        self.feedback = Counter("rag_feedback", "Visitors' judgements", ["verdict"], registry=registry)
        self.waiting = Gauge("rag_waiting", "Requests that wait for the models", registry=registry)
        self.version = Gauge("rag_collection_version", "The collection's version", registry=registry)
        self.passages = Gauge("rag_passages", "Passages of the collection", registry=registry)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: time, level, event, and the record's `facts`.

    Of an error the kind and the place are told, not its message, which may hold a visitor's words.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().split("\n")[0],  # asyncio puts an error's words on the next line
        }
        if record.exc_info and record.exc_info[1]:
            kind, error, _ = record.exc_info
            frames = traceback.extract_tb(error.__traceback__)
            line |= {"error": kind.__name__, "at": [f"{f.filename}:{f.lineno}" for f in frames[-5:]]}
        return json.dumps(line | getattr(record, "facts", {}), ensure_ascii=False)


def log_as_json() -> None:
    """Has the service and its server log to the standard error, a line an event."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("rag_lib.service", logging.INFO), ("uvicorn", logging.WARNING), ("asyncio", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
