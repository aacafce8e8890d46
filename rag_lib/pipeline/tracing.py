"""How an answer came about, step by step (taught in notebooks/07_rag_pipeline.ipynb)."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import dataclass

from rag_lib.generation.generators import Generation, Token
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage, Source
from rag_lib.pipeline.rag import RAG, Answer, Found
from rag_lib.retrieval.base import check_query


@dataclass(frozen=True)
class Reading:
    """What the generator made of one choice of passages, and the seconds it took."""

    generation: Generation
    seconds: float


@dataclass(frozen=True, repr=False)
class Trace:
    """All steps from a question to its answer; `passages[i]` belongs to `hits[i]`. Prints, and draws in a notebook."""

    question: str
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    readings: tuple[Reading, ...]
    answer: Answer

    def __repr__(self) -> str:
        lines = [f"question   {self.question}", f"retrieval  {self.answer.seconds['retrieval']:.2f} s"]
        for hit, passage in zip(self.hits, self.passages, strict=True):
            lines.append(f"  {hit.score:6.3f}  {hit.id:32} {shortened(passage.text, 60)}")
        for n, reading in enumerate(self.readings, start=1):
            lines.append(f"reading {n}  {read(reading)}, {reading.seconds:.2f} s")
            lines += [
                f"  {prompt.tokens:4} tokens  {shortened(prompt.text, 80)}" for prompt in reading.generation.prompts
            ]
            lines.append("  wrote  " + " ".join(f"{t.text}({t.probability:.2f})" for t in reading.generation.tokens))
            lines.append(f"  score  {reading.generation.score:.2f}  {reading.generation.text}")
        return "\n".join([*lines, f"answer     {verdict(self.answer)}"])

    def _repr_html_(self) -> str:
        found = [
            f"<tr><td>{h.score:.3f}</td><td>{html.escape(h.id)}</td>"
            f'<td style="text-align:left">{html.escape(shortened(p.text, 90))}</td></tr>'
            for h, p in zip(self.hits, self.passages, strict=True)
        ]
        parts = [
            f"<p><b>Question</b> {html.escape(self.question)}</p>",
            f"<p><b>Retrieval</b> {self.answer.seconds['retrieval']:.2f} s</p><table>{''.join(found)}</table>",
        ]
        for n, reading in enumerate(self.readings, start=1):
            prompts = "<br>".join(f"{p.tokens} tokens: {html.escape(p.text)}" for p in reading.generation.prompts)
            parts.append(
                f"<p><b>Reading {n}</b> {read(reading)}, {reading.seconds:.2f} s; "
                f"score {reading.generation.score:.2f}<br>{''.join(map(shaded, reading.generation.tokens))}</p>"
                f"<details><summary>what the model read</summary><small>{prompts}</small></details>"
            )
        return "\n".join([*parts, f"<p><b>Answer</b> {html.escape(verdict(self.answer))}</p>"])


def trace(rag: RAG, question: str) -> Trace:
    """Answers a question as `rag.ask` does, and keeps every step. Readings are made one by one, so it takes longer.

    RAG-Token has no readings of its own; a generator may not tell its prompts and tokens.

    Raises:
        As `RAG.ask`.
    """
    return trace_of(rag, rag.find(check_query(question)))


def trace_of(rag: RAG, found: Found) -> Trace:
    """As `trace`, of a question whose passages have been found.

    Raises:
        QuestionTooLong: it leaves no room for a passage.
    """
    if not found.hits:
        return Trace(found.question, (), (), (), rag.conclude(found, None, 0.0))
    started = time.perf_counter()
    readings = tuple(timed_reading(rag, found, sources) for sources in rag.readings(found))
    generation = rag.combine(found, [reading.generation for reading in readings])
    answer = rag.conclude(found, generation, time.perf_counter() - started)
    return Trace(found.question, found.hits, found.passages, readings, answer)


def trace_stream(rag: RAG, found: Found) -> Iterator[str | Trace]:
    """Pieces of text while they are written, as `RAG.stream` has them, then the Trace.

    Raises:
        QuestionTooLong: the question leaves no room for a passage.
    """
    started = time.perf_counter()
    generation = None
    for piece in rag.write(found):
        if isinstance(piece, Generation):
            generation = piece
        else:
            yield piece
    seconds = time.perf_counter() - started
    readings = (Reading(generation, seconds),) if generation else ()
    yield Trace(found.question, found.hits, found.passages, readings, rag.conclude(found, generation, seconds))


def timed_reading(rag: RAG, found: Found, sources: list[Source]) -> Reading:
    """One reading with its time."""
    started = time.perf_counter()
    logs = [rag.source_logs(found, sources)]
    (generation,) = rag.generator.generate([found.question], [sources], source_logs=logs)
    return Reading(generation, time.perf_counter() - started)


def read(reading: Reading) -> str:
    """How much was read."""
    return f"{len(reading.generation.used)} passages, {sum(p.tokens for p in reading.generation.prompts)} tokens"


def verdict(answer: Answer) -> str:
    """The answer, or what it would have been."""
    text = answer.text or f"none; the guess was {answer.guess!r}"
    return f"{text} (score {answer.score:.2f}, {sum(answer.seconds.values()):.2f} s)"


def shaded(token: Token) -> str:
    """A token as HTML, the darker the surer, with its probability below it."""
    return (
        '<span style="display:inline-block;text-align:center;margin:2px;padding:2px 5px;border-radius:3px;color:black;'
        f'background:rgba(0,114,178,{0.08 + 0.5 * token.probability:.2f})">{html.escape(token.text)}'
        f"<br><small>{token.probability:.2f}</small></span>"
    )


def shortened(text: str, width: int) -> str:
    """The text on one line, cut after `width` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
