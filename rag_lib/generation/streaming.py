"""Tokens one by one, while a model writes them in another thread (taught in notebooks/07_rag_pipeline.ipynb)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from queue import SimpleQueue
from typing import TypeVar

import torch
from transformers.generation.streamers import BaseStreamer

T = TypeVar("T")


class Abandoned(Exception):
    """Nobody listens any more."""


class TokenStreamer(BaseStreamer):
    """Hands the token ids that `generate` writes in one thread to another that iterates over them."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[int | None] = SimpleQueue()
        self.begun = False
        self.abandoned = False

    def put(self, value: torch.Tensor) -> None:
        """Takes the next token; the first call brings the decoder's start token.

        Raises:
            Abandoned: it ends the writing.
        """
        if self.abandoned:
            raise Abandoned
        if self.begun:
            self.queue.put(int(value))
        self.begun = True

    def end(self) -> None:
        """Ends the iteration."""
        self.queue.put(None)

    def __iter__(self) -> Iterator[int]:
        return iter(self.queue.get, None)


@contextmanager
def tokens_of(write: Callable[[TokenStreamer], T]) -> Iterator[tuple[Iterator[int], Callable[[], T]]]:
    """Runs `write` in a thread of its own, and ends it when the block is left early.

    Yields:
        The token ids as they are written, and a function that waits for what `write` returns, or raises what it raised.
    """
    streamer = TokenStreamer()
    with ThreadPoolExecutor(max_workers=1) as pool:
        writing = pool.submit(write, streamer)
        writing.add_done_callback(lambda _: streamer.end())  # also when it fails
        try:
            yield iter(streamer), writing.result
        finally:
            streamer.abandoned = True


def common_start(texts: Sequence[str]) -> str:
    """The longest beginning that all texts share; empty where there are none."""
    columns = zip(*texts, strict=False)
    return "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
