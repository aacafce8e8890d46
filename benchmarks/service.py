"""The service under load: many clients at once beside one client alone, on the museum.

Starts `python -m rag_lib serve` on this machine. One client asks every question once; its answers are the reference.
Then all clients ask for a while, each as soon as it has its reply; who is refused waits as long as `Retry-After` says.
Printed are p50 and p95 of the seconds to an answer, the refusals, every other error, the answers that differ from the
reference, and the server's memory. Without `--kept` no answer is remembered, so that every question is read.
Run from the repository's root: python benchmarks/service.py [--clients N] [--seconds S] [--questions Q] [--kept N]
[--documents FOLDER].
"""

import argparse
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rag_lib.files import ARTICLES, MUSEUM, read_json_lines

PATIENCE = 300  # seconds that a client waits for any reply at all


@dataclass
class Seen:
    """What all clients saw."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """In a line."""
        p50, p95 = np.percentile(self.seconds, [50, 95]) if self.seconds else (np.nan, np.nan)
        refused = {k: v for k, v in self.statuses.items() if k in (429, 503)}
        other = {k: v for k, v in self.statuses.items() if k not in (200, 429, 503)}
        return (
            f"{len(self.seconds)} answers, p50 {p50:.2f} s, p95 {p95:.2f} s; refused {refused or 0}; "
            f"other errors {other or 0}; wrong answers {len(self.wrong)}"
        )


def ask(port: int, question: str) -> tuple[int, dict, float]:
    """Status, reply and the seconds it took; the status is 0 where there was no reply."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/ask", json.dumps({"question": question}), {"content-type": "application/json"})
        response = connection.getresponse()
        reply = json.loads(response.read())
        reply["retry_after"] = float(response.headers.get("retry-after", 0))
        return response.status, reply, time.perf_counter() - started
    except OSError as error:
        return 0, {"error": str(error)}, time.perf_counter() - started
    finally:
        connection.close()


def memory(pid: int) -> float:
    """The resident memory of a process in MB (Linux)."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000


def said(reply: dict) -> tuple[str, str]:
    """What a reply says, and what it would have said had it been sure: a wrong silence differs too."""
    return reply["answer"], reply["guess"]


def alone(port: int, questions: list[str]) -> tuple[Seen, dict[str, tuple[str, str]]]:
    """One client asks each question once; and the answers."""
    seen, answers = Seen(), {}
    for question in questions:
        status, reply, seconds = ask(port, question)
        seen.statuses[status] += 1
        if status == 200:
            seen.seconds.append(seconds)
            answers[question] = said(reply)
    return seen, answers


def together(port: int, answers: dict[str, tuple[str, str]], clients: int, seconds: float) -> Seen:
    """All clients ask at once for a while."""
    seen, end, lock = Seen(), time.monotonic() + seconds, threading.Lock()

    def client(number: int) -> None:
        rng = random.Random(number)
        while time.monotonic() < end:
            question = rng.choice(list(answers))
            status, reply, took = ask(port, question)
            with lock:
                seen.statuses[status] += 1
                if status == 200:
                    seen.seconds.append(took)
                    if said(reply) != answers[question]:
                        seen.wrong.append(question)
            if status in (429, 503):
                time.sleep(min(reply["retry_after"], max(end - time.monotonic(), 0)))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--kept", type=int, default=0, help="answers that the service remembers (default: none)")
    parser.add_argument("--documents", default=str(ARTICLES), help="a folder (default: the museum)")
    parser.add_argument("--limit", type=float, default=30, help="the service's time limit in seconds")
    options = parser.parse_args()
    rows = read_json_lines(MUSEUM / "visitor_questions" / "validation.jsonl")
    questions = random.Random(0).sample([row["question"] for row in rows], options.questions)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp()
    command = [sys.executable, "-m", "rag_lib", "serve", "--port", str(port), "--kept", str(options.kept)]
    command += ["--documents", options.documents, "--seconds", str(options.limit)]
    command += ["--feedback", f"{folder}/feedback.jsonl", "--index", f"{folder}/index"]
    with open(f"{folder}/log", "w") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            started = time.monotonic()
            while '"ready"' not in Path(folder, "log").read_text():
                if server.poll() is not None:
                    sys.exit(Path(folder, "log").read_text())
                time.sleep(0.5)
            print(f"ready after {time.monotonic() - started:.0f} s, {memory(server.pid):.0f} MB", flush=True)
            seen, answers = alone(port, questions)
            print(f"one client:  {seen.line()}; {memory(server.pid):.0f} MB", flush=True)
            half = together(port, answers, options.clients, options.seconds / 2)
            print(f"{options.clients} clients:  {half.line()}; {memory(server.pid):.0f} MB after half of the time")
            half = together(port, answers, options.clients, options.seconds / 2)
            print(f"{options.clients} clients:  {half.line()}; {memory(server.pid):.0f} MB at the end", flush=True)
        finally:
            server.send_signal(signal.SIGTERM)
            print(f"stopped with {server.wait(120)}")


if __name__ == "__main__":
    main()
