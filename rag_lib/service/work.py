"""One thread for the models, and a queue in front of it that is never longer than it may be.

Models gain nothing from several threads of requests on a few cores: one at a time finishes soonest. Whoever does not
get a place is told so at once, whoever waits too long at the end of the time, and whoever leaves gives the place back.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import TypeVar

T = TypeVar("T")
END = object()
STUCK = 4  # times the time limit: after so long, work that is still running is taken to hang


class Refused(Exception):
    """A request that is not served; the message is the reason, `retry_after` in whole seconds."""

    status = 503
    reason = "refused"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Busy(Refused):
    """All places are taken."""

    status = 429
    reason = "busy"


class Late(Refused):
    """The time is up."""

    reason = "late"


class Closing(Refused):
    """The service is about to stop."""

    reason = "closing"


class Job:
    """Work of one request: an iterator that is made and advanced in the thread of the models."""

    def __init__(self, work: Callable[[], Iterator]) -> None:
        self.work = work
        self.results: asyncio.Queue = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.entered = time.monotonic()
        self.begun: float | None = None
        self.abandoned = False

    def tell(self, value: object, error: BaseException | None = None) -> None:
        """Hands a result, an error or the end to whoever waits, in the loop where they wait."""
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.results.put_nowait, (value, error))

    def run(self) -> None:
        """Does the work, and stops between two results where nobody waits any more."""
        self.begun = time.monotonic()
        try:
            results = self.work()
            for value in results:
                self.tell(value)
                if self.abandoned:
                    getattr(results, "close", lambda: None)()
                    break
        except BaseException as error:  # the thread has to outlive everything
            self.tell(None, error)
        else:
            self.tell(END)


class WorkQueue:
    """Does one job after the other in a thread of its own.

    Args:
        waiting: the most jobs that may wait.
        seconds: how long a job may wait and run, together.
    """

    def __init__(self, waiting: int, seconds: float) -> None:
        self.waiting, self.seconds = waiting, seconds
        self.jobs: deque[Job] = deque()
        self.running: Job | None = None
        self.mean = 1.0  # seconds a job, of late
        self.closing = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._serve, name="models", daemon=True)
        self.thread.start()

    def __len__(self) -> int:
        return len(self.jobs)

    def _serve(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.jobs or self.closing)
                if not self.jobs:
                    return
                job = self.running = self.jobs.popleft()
            job.run()
            with self.changed:
                self.running = None
                self.mean += 0.1 * (time.monotonic() - (job.begun or 0.0) - self.mean)

    def is_stuck(self) -> bool:
        """Whether a job runs for so long that it will hardly ever end."""
        job = self.running
        return job is not None and job.begun is not None and time.monotonic() - job.begun > STUCK * self.seconds

    def wait_seconds(self) -> int:
        """About how long a new job would wait, in whole seconds, at least 1."""
        return max(1, math.ceil((len(self.jobs) + 1) * self.mean))

    def _enter(self, work: Callable[[], Iterator]) -> Job:
        with self.changed:
            if self.closing:
                raise Closing("the service is about to stop", 5)
            if len(self.jobs) >= self.waiting:
                raise Busy(f"{len(self.jobs)} requests are waiting already", self.wait_seconds())
            job = Job(work)
            self.jobs.append(job)
            self.changed.notify()
        return job

    def _leave(self, job: Job) -> None:
        job.abandoned = True
        with self.changed, suppress(ValueError):  # it has begun or ended
            self.jobs.remove(job)

    async def stream(self, work: Callable[[], Iterator[T]], seconds: float | None = None) -> AsyncIterator[T]:
        """The results of `work()` as they come; whoever stops listening gives the place back.

        Args:
            seconds: another time limit.

        Raises:
            Busy, Late, Closing: it is not done, or not to its end.
            What the work raises.
        """
        job, seconds = self._enter(work), seconds or self.seconds
        end = job.entered + seconds
        try:
            while True:
                value, error = await asyncio.wait_for(job.results.get(), max(end - time.monotonic(), 0.001))
                if error is not None:
                    raise error
                if value is END:
                    return
                yield value
        except TimeoutError as error:
            done = "it had begun, and may still be finished" if job.begun else "it had not begun, and will not"
            raise Late(f"not done within {seconds:g} seconds ({done})", self.wait_seconds()) from error
        finally:
            self._leave(job)

    async def do(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """What `work()` returns. Raises as `stream`."""

        def once() -> Iterator[T]:
            yield work()

        async with aclosing(self.stream(once, seconds)) as results:
            async for value in results:
                return value
        raise AssertionError("work has one result")

    def close(self, seconds: float = 0.0) -> None:
        """Takes no further jobs; those that were taken are done, and then the thread ends, which is waited for."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.thread.join(seconds)
