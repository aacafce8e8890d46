"""A reader in a process of its own, so that no file can stop, exhaust or crash the program that reads it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from rag_lib.indexing.reading.base import Reading, Unreadable

SECONDS = 40.0  # for one file, and
SECONDS_PER_MEGABYTE = 5.0


class IsolatedReader:
    """Reads files in another process, which starts with the first file and again after it was stopped.

    Args:
        seconds: how long a file may take, apart from SECONDS_PER_MEGABYTE.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self.started = 0  # processes
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> IsolatedReader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def read(self, kind: str, data: bytes) -> Reading:
        """What a file of a type (".pdf", ".html") holds.

        Raises:
            Unreadable: nothing, or reading it took too long, too much memory, or crashed.
        """
        limit = self.seconds + SECONDS_PER_MEGABYTE * len(data) / 1e6
        reply = self._ask(kind, data, limit)
        if "error" in reply:
            raise Unreadable(reply["error"])
        return Reading(**reply)

    def _ask(self, kind: str, data: bytes, limit: float) -> dict:
        process = self._running()
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        line = b""
        try:
            with contextlib.suppress(OSError):  # it was killed, or crashed, while it was being written to
                process.stdin.write(json.dumps({"kind": kind, "size": len(data)}).encode() + b"\n" + data)
                process.stdin.flush()
                line = process.stdout.readline()
        finally:
            timer.cancel()
            if not line.endswith(b"\n"):
                self._stop()
        if not line.endswith(b"\n"):
            raise Unreadable(f"reading it took more than {limit:.0f} s" if late.is_set() else "reading it crashed")
        return json.loads(line)

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            self.started += 1
            library = str(Path(__file__).resolve().parents[3])
            path = os.pathsep.join([library, *(p for p in sys.path if p)])
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rag_lib.indexing.reading.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # one thread: each would reserve memory, and NumPy only counts here
                env=os.environ | {"PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
