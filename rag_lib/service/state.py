"""What all requests share: the settings, the queue, and the models once they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rag_lib.service.assistant import Assistant
from rag_lib.service.settings import Settings
from rag_lib.service.watching import LOG, Metrics
from rag_lib.service.work import Refused, WorkQueue

LOADING_SECONDS = 3600.0  # a large collection is embedded the first time


class Loading(Refused):
    """The models are not there yet."""

    reason = "loading"


@dataclass
class Service:
    """What all requests share; `assistant` is None until the models are loaded, `failure` is why they never will be."""

    settings: Settings
    metrics: Metrics
    queue: WorkQueue
    loaded: Assistant | None = None
    failure: Exception | None = None
    on_failure: Callable[[], None] = field(default=lambda: None)

    @property
    def assistant(self) -> Assistant:
        """The assistant.

        Raises:
            Loading: the models are not there yet.
        """
        if self.loaded is None:
            raise Loading("the models are being loaded", 5)
        return self.loaded

    async def load(self, open_assistant: Callable[[], Assistant]) -> None:
        """Loads the models, in the thread in which they will be used."""
        try:
            self.loaded = await self.queue.do(open_assistant, LOADING_SECONDS)
        except Exception as error:
            self.failure = error
            self.on_failure()
            return
        self.measure()
        LOG.info("ready", extra={"facts": {"version": self.loaded.version}})

    def measure(self) -> None:
        """Sets the gauges that tell of the collection."""
        if self.loaded is not None:
            snapshot = self.loaded.collection.snapshot()
            self.metrics.version.set(snapshot.version)
            self.metrics.passages.set(len(snapshot.knowledge))

    def close(self) -> None:
        """Finishes what is being worked on, then closes the collection."""
        self.queue.close(self.settings.seconds)
        if self.loaded is not None:
            self.loaded.collection.close()
