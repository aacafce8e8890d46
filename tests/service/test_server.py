"""The server as strangers meet it: slow, many, gone in the middle, and told to stop."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from conftest import ROOT
from fakes import WordReader
from services import LOCAL, open_service, serving, wait_until
from starlette.testclient import TestClient

from rag_lib.__main__ import main
from rag_lib.service import server
from rag_lib.service.app import create_app
from rag_lib.service.settings import Settings


class Gate:
    """Holds the generator until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Semaphore(0), threading.Event()

    def __call__(self) -> None:
        self.reached.release()
        assert self.open.wait(30)


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def slow(tmp_path, documents, gate):
    """A service that reads nothing until the gate is opened, with room for two that wait."""
    settings = Settings(waiting=2, seconds=20, body_seconds=0.5, feedback=tmp_path / "f")
    with serving(open_service(tmp_path, documents, WordReader(gate)), settings) as (port, service):
        yield port, service
        gate.open.set()


def ask(port: int, question: str, stream: bool = False) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        body = json.dumps({"question": question, "stream": stream})
        connection.request("POST", "/ask", body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()


def begin_to_ask(port: int, question: str, stream: bool = False) -> socket.socket:
    """A connection on which a whole request was sent and nothing is read."""
    body = json.dumps({"question": question, "stream": stream}).encode()
    head = f"POST /ask HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    return connection


def test_one_too_many_is_told_to_come_again_and_the_others_are_answered(slow, gate):
    port, service = slow
    with begin_to_ask(port, "Who was Laika?") as first:
        assert gate.reached.acquire(timeout=20)
        waiting = [begin_to_ask(port, f"Who was {name}?") for name in ("Ham", "Hubble")]
        wait_until(lambda: len(service.queue) == 2)
        status, headers, body = ask(port, "Who was Titan?")
        assert status == 429 and int(headers["retry-after"]) >= 1 and json.loads(body)["reason"] == "busy"
        gate.open.set()
        for connection in (first, *waiting):
            with connection:
                assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("stream", [False, True])
def test_clients_that_leave_take_no_place(slow, gate, stream):
    port, service = slow
    with begin_to_ask(port, "Who was Laika?"):
        assert gate.reached.acquire(timeout=20)
        for i in range(8):  # many more than there are places
            begin_to_ask(port, f"Question {i} about Titan?", stream).close()
            wait_until(lambda: len(service.queue) == 0)
    gate.open.set()
    wait_until(lambda: service.queue.running is None)
    assert ask(port, "Which moon has lakes?", stream)[0] == 200
    assert service.loaded.generator.read <= 3, "nobody was worked for who had left"


def test_a_body_that_never_ends_takes_no_place_and_is_given_up(slow):
    port, service = slow
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"POST /ask HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: 99\r\n\r\n{{".encode())
        connection.settimeout(20)
        assert b" 408 " in connection.recv(100) and len(service.queue) == 0
        with connection.makefile("rb") as rest:
            assert rest.read().endswith(b"}"), "the answer came whole and the connection was closed"


def test_a_head_that_never_ends_is_given_up(monkeypatch, tmp_path, documents):
    monkeypatch.setattr(server, "HEAD_SECONDS", 0.4)
    with serving(open_service(tmp_path, documents), Settings(feedback=tmp_path / "f")) as (port, _):
        for beginning in (b"", b"GET /health HT"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(beginning)
                connection.settimeout(20)
                assert connection.recv(100) == b""
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()


def test_whoever_waits_too_long_is_told_so(tmp_path, documents, gate):
    settings = Settings(seconds=0.5, feedback=tmp_path / "f")
    with serving(open_service(tmp_path, documents, WordReader(gate)), settings) as (port, _):
        status, headers, body = ask(port, "Who was Laika?")
        assert status == 503 and json.loads(body)["reason"] == "late" and headers["retry-after"]
        status, _, body = ask(port, "Who was Ham?", stream=True)
        assert status == 503, "while it waits, also a stream is refused by its status"
        gate.open.set()


def test_a_port_that_is_taken_is_one_clear_line():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1"),
    ):
        server.listening("127.0.0.1", taken.getsockname()[1])


def test_where_others_could_ask_it_does_not_start_without_a_token(monkeypatch, capsys):
    monkeypatch.delenv("RAG_TOKEN", raising=False)
    assert main(["serve", "--host", "0.0.0.0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: 0.0.0.0 can be reached from other machines: set RAG_TOKEN")


def test_without_its_packages_it_says_which_are_missing(monkeypatch, capsys):
    monkeypatch.setattr("rag_lib.grammar.find_spec", lambda name: None)
    assert main(["serve"]) == 1
    assert "pip install fastapi uvicorn prometheus-client" in capsys.readouterr().err


def test_what_cannot_be_loaded_ends_it_in_one_line(tmp_path):
    def fail():
        raise ValueError("no documents in this folder")

    app = create_app(Settings(feedback=tmp_path / "f"), fail)
    stopped = threading.Event()
    app.state.service.on_failure = stopped.set
    with TestClient(app, LOCAL) as client:
        assert stopped.wait(20) and client.get("/ready").status_code == 503
    assert str(app.state.service.failure) == "no documents in this folder"


def refuses(port: int) -> bool:
    """Whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionError:
        return True
    return False


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_told_to_stop_it_finishes_what_it_has_taken_and_takes_no_more(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, str(ROOT / "tests" / "services.py"), str(tmp_path), str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stderr=log, cwd=tmp_path) as process,
    ):
        try:
            wait_until(lambda: '"ready"' in (tmp_path / "log").read_text() or process.poll() is not None, 600)
            with begin_to_ask(port, "Who flew in Sputnik 2?") as taken:
                wait_until((tmp_path / "begun").exists)
                process.send_signal(signal.SIGTERM)
                wait_until(lambda: refuses(port))
                (tmp_path / "go").touch()
                taken.settimeout(60)
                answer = b""
                while part := taken.recv(10_000):
                    answer += part
            assert answer.startswith(b"HTTP/1.1 200") and b"Laika flew" in answer
            assert process.wait(60) == 0
        finally:
            process.kill()
    first, *lines = (tmp_path / "log").read_text().splitlines()
    assert first == f"serving on http://127.0.0.1:{port}/ (Ctrl-C stops it)"
    assert [json.loads(line)["event"] for line in lines] == ["ready", "request", "stopped"]
