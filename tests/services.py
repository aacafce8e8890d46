"""A service with an encoder and a generator that are quick and known; as a program, it serves until it is stopped."""

import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fakes import HashEncoder, WordReader
from starlette.testclient import TestClient

from rag_lib.indexing.documents import Document
from rag_lib.service.app import create_app
from rag_lib.service.assistant import Assistant, LiveCollection
from rag_lib.service.server import config_of, listening, run
from rag_lib.service.settings import Settings

LOCAL = "http://127.0.0.1:8000"


def open_service(folder: Path, documents=(), generator=None, **more) -> Assistant:
    """An assistant on documents, kept in a folder; its retriever loads no model."""
    encoder = HashEncoder()
    collection = LiveCollection.open(folder / "collection", encoder, documents)
    return Assistant(collection, encoder, generator or WordReader(), **{"retriever": "hybrid"} | more)


def wait_until(true, seconds: float = 30.0) -> None:
    """Waits until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@contextmanager
def client_of(assistant: Assistant, settings: Settings):
    """A client of a service whose models are loaded."""
    with TestClient(create_app(settings, lambda: assistant), LOCAL) as client:
        wait_until(lambda: client.get("/ready").status_code == 200)
        yield client


@contextmanager
def serving(assistant: Assistant, settings: Settings):
    """A port on which a service listens, and what its requests share."""
    app = create_app(settings, lambda: assistant)
    listener = listening("127.0.0.1", 0)
    server = uvicorn.Server(config_of(app, settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: app.state.service.loaded is not None)
        yield listener.getsockname()[1], app.state.service
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])

    def wait() -> None:
        (folder / "begun").touch()
        wait_until((folder / "go").exists, 100)

    laika = Document("laika", "Laika", "Laika flew in Sputnik 2.")
    settings = Settings(port=port, seconds=100, feedback=folder / "feedback.jsonl")
    run(settings, lambda: open_service(folder, [laika], WordReader(wait)))
