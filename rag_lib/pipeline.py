"""Retriever and generator as one: from a question to an answer with its sources.

Taught in notebooks/07_rag_pipeline.ipynb; the idea and the name are those of Lewis et al. (2020), "Retrieval-Augmented
Generation for Knowledge-Intensive NLP Tasks".
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rag_lib.documents import Passage
from rag_lib.generators import Generation, Generator
from rag_lib.hits import Hit, check_k
from rag_lib.knowledge_base import KnowledgeBase
from rag_lib.prompts import Source
from rag_lib.retrievers import PASSAGES, Retriever, check_query
from rag_lib.splitting import sentence_spans


@dataclass(frozen=True)
class Citation:
    """A passage that supports an answer: what it says at `document.text[start:end]`, and the whole `sentence`."""

    passage: Passage
    start: int
    end: int
    sentence: str


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        text: the answer; empty where nothing was found to answer from, or the score is below the threshold.
        citations: the passages that support it, at least one unless `text` is empty.
        score: the probability that the generator gave the answer, from 0 to 1.
        guess: what the generator would have said, sure or not.
        hits: the passages that were read, best first.
        seconds: the time it took, by step.
    """

    question: str
    text: str
    citations: tuple[Citation, ...]
    score: float
    hits: tuple[Hit, ...]
    seconds: dict[str, float]
    guess: str = ""


class RAG:
    """Retrieval-augmented generation over a knowledge base.

    An answer whose score is below `threshold` is kept back; None is the generator's own threshold.
    """

    def __init__(
        self,
        knowledge: KnowledgeBase,
        retriever: Retriever,
        generator: Generator,
        k: int = PASSAGES,
        threshold: float | None = None,
    ) -> None:
        self.knowledge = knowledge
        self.retriever = retriever
        self.generator = generator
        self.k = check_k(k)
        self.threshold = generator.threshold if threshold is None else threshold

    def ask(self, question: str) -> Answer:
        """Answers a question from the k passages that the retriever ranks highest.

        Raises:
            EmptyQuestion: there is no question.
            QuestionTooLong: it leaves no room for a passage.
        """
        started = time.perf_counter()
        question = check_query(question)
        hits = self.retriever.retrieve(question, self.k)
        retrieved = time.perf_counter()
        if not hits:
            return Answer(question, "", (), 0.0, (), {"retrieval": retrieved - started})
        passages = [self.knowledge.passages[h.id] for h in hits]
        generation = self.generator.generate([question], [[Source(p.title, p.text) for p in passages]])[0]
        seconds = {"retrieval": retrieved - started, "generation": time.perf_counter() - retrieved}
        text = generation.text if generation.score >= self.threshold else ""
        citations = cite(generation, passages) if text else ()
        return Answer(question, text, citations, generation.score, tuple(hits), seconds, generation.text)


def cite(generation: Generation, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """Where an answer comes from: the place it quotes, else the sentence read that shares most words with it."""
    if generation.place is not None:
        passage = passages[generation.place.source]
        return (citation(passage, generation.place.start, generation.place.end),)
    answer = set(re.findall(r"\w+", generation.text.lower()))
    candidates = [(passages[i], span) for i in generation.used for span in sentence_spans(passages[i].text)]
    passage, (a, b) = max(
        candidates, key=lambda c: len(answer & set(re.findall(r"\w+", c[0].text[slice(*c[1])].lower())))
    )
    return (citation(passage, a, b),)


def citation(passage: Passage, start: int, end: int) -> Citation:
    """A citation of `passage.text[start:end]`, with its span in the document and its sentence."""
    sentences = [(a, b) for a, b in sentence_spans(passage.text) if a < end and b > start]
    a, b = (sentences[0][0], sentences[-1][1]) if sentences else (start, end)
    return Citation(passage, passage.start + start, passage.start + end, passage.text[a:b])
