"""Retriever and generator as one: from a question to an answer with its sources.

Taught in notebooks/07_rag_pipeline.ipynb; the idea and the name are those of Lewis et al. (2020), "Retrieval-Augmented
Generation for Knowledge-Intensive NLP Tasks".
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rag_lib.documents import Passage
from rag_lib.evaluation import normalize_answer
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

    An answer whose score is below `threshold` is kept back; None is the generator's own threshold. With `vote`, the
    passages are read together and one by one (see `vote`); None does so where the generator reads passages apart.
    """

    def __init__(
        self,
        knowledge: KnowledgeBase,
        retriever: Retriever,
        generator: Generator,
        k: int = PASSAGES,
        threshold: float | None = None,
        vote: bool | None = None,
    ) -> None:
        self.knowledge = knowledge
        self.retriever = retriever
        self.generator = generator
        self.k = check_k(k)
        self.threshold = generator.threshold if threshold is None else threshold
        self.vote = getattr(generator, "apart", False) if vote is None else vote

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
        sources = [Source(p.title, p.text) for p in passages]
        readings = [sources, *([s] for s in sources)] if self.vote else [sources]
        together, *alone = self.generator.generate([question] * len(readings), readings)
        generation = vote(together, alone, [h.score for h in hits]) if alone else together
        seconds = {"retrieval": retrieved - started, "generation": time.perf_counter() - retrieved}
        text = generation.text if generation.score >= self.threshold else ""
        citations = cite(generation, passages) if text else ()
        return Answer(question, text, citations, generation.score, tuple(hits), seconds, generation.text)


SHARPNESS = 20.0  # how fast a passage's say falls with its score; for MaxSim's cosines, chosen on validation questions


def vote(together: Generation, alone: Sequence[Generation], scores: Sequence[float]) -> Generation:
    """The answer with most support: that of all passages read together, and that of each read alone.

    A passage read alone has a say of exp(SHARPNESS · (score - best score)), as p(passage | question) weighs it in
    RAG-Sequence (Lewis et al., 2020); reading them together (Fusion-in-Decoder) has a say of 1. The score is the
    share of the support.
    """
    says = [math.exp(SHARPNESS * (score - max(scores))) for score in scores]
    support: dict[str, float] = {}
    first: dict[str, Generation] = {}
    for i, (generation, say) in enumerate(zip(alone, says, strict=True)):
        key = normalize_answer(generation.text)
        support[key] = support.get(key, 0.0) + say * generation.score
        place = replace(generation.place, source=i) if generation.place else None
        first.setdefault(key, replace(generation, place=place, used=tuple(i for _ in generation.used)))
    key = normalize_answer(together.text)
    support[key] = support.get(key, 0.0) + together.score
    first.setdefault(key, together)
    winner = max(support, key=support.__getitem__)
    return replace(first[winner], score=support[winner] / (1.0 + sum(says)))


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
