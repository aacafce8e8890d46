"""An answer piece by piece, while it is written (taught in notebooks/07_rag_pipeline.ipynb)."""

from __future__ import annotations

from collections.abc import Generator as Pieces
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import takewhile
from queue import SimpleQueue

import torch
from transformers.generation.streamers import BaseStreamer

from rag_lib.generators import Generation, Generator, Item, Seq2SeqGenerator, occurrences
from rag_lib.prompts import ANSWER, Source
from rag_lib.watching import watch


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


def stream_text(generator: Generator, question: str, sources: Sequence[Source]) -> Pieces[str, None, Generation]:
    """Yields the answer's text in pieces while a Seq2SeqGenerator writes it greedily; returns the Generation.

    The pieces put together are its text (with a model that is not held to copy, perhaps but for white space). Any other
    generator's text comes in one piece.

    Raises:
        QuestionTooLong: with the question no source fits into the model's input.
    """
    if not isinstance(generator, Seq2SeqGenerator):
        (generation,) = generator.generate([question], [sources])
        yield generation.text
        return generation
    streamer, ids, shown = TokenStreamer(), [], ""
    item = generator.lay_out(question, sources, ANSWER)
    watched = watch(generator, streamer=streamer)
    watched.decoding = replace(generator.decoding, beams=1)
    with ThreadPoolExecutor(max_workers=1) as pool:
        writing = pool.submit(watched.generate, [question], [sources])
        writing.add_done_callback(lambda _: streamer.end())  # also when it fails
        try:
            for token in streamer:
                ids.append(token)
                text = settled(generator, ids, item, sources)
                if len(text) > len(shown):
                    yield text[len(shown) :]
                    shown = text
        finally:
            streamer.abandoned = True
    (generation,) = writing.result()
    if generation.text.startswith(shown) and generation.text != shown:
        yield generation.text[len(shown) :]
    return generation


def settled(generator: Seq2SeqGenerator, ids: Sequence[int], item: Item, sources: Sequence[Source]) -> str:
    """So much of the text as no later token can change.

    A copying model's tokens may stand in several places, which may write them differently ("The", "the"): what all of
    them agree on is settled. Of other text it is the whole words; of lower-case tokens in free order, nothing.
    """
    ids = [t for t in ids if t not in generator.tokenizer.all_special_ids]
    if generator.constraint([item], ANSWER) is not None:
        places = occurrences(ids, item)
        return common_start([sources[p.source].text[p.start : p.end] for p in places])
    if getattr(generator.tokenizer, "do_lower_case", False):
        return ""
    text = generator.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
    return text[: text.rfind(" ") + 1]


def common_start(texts: Sequence[str]) -> str:
    """The longest beginning that all texts share; empty where there are none."""
    columns = zip(*texts, strict=False)
    return "".join(column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns))
