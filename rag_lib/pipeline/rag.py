"""Retriever and generator as one: from a question to an answer with its sources.

Taught in notebooks/07_rag_pipeline.ipynb; the idea and the name are those of Lewis et al. (2020), "Retrieval-Augmented
Generation for Knowledge-Intensive NLP Tasks".
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np
from tqdm.auto import tqdm

from rag_lib.evaluation.answers import normalize_answer
from rag_lib.generation.generators import Generation, Generator
from rag_lib.hits import Hit, check_has, check_k, check_texts, check_whole
from rag_lib.indexing.documents import Passage, Source
from rag_lib.indexing.knowledge_base import KnowledgeBase, check_knowledge
from rag_lib.indexing.splitting import sentence_spans, sentences_around
from rag_lib.pipeline.standing import SPARE, Standing, without_copies
from rag_lib.retrieval.base import PASSAGES, Retriever, check_query, passage_probabilities

TOGETHER = 1.0  # the weight of the reading of all passages together in a vote; the likeliest passage's is 1


@dataclass(frozen=True)
class Citation:
    """A passage that supports an answer: what it says at `document.text[start:end]`, and the whole `sentence`."""

    passage: Passage
    start: int
    end: int
    sentence: str

    @property
    def words(self) -> str:
        """The words cited."""
        return self.passage.text[self.start - self.passage.start : self.end - self.passage.start]


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        text: the answer, of a question for yes or no "Yes" or "No" where the generator is sure; empty where nothing was
            found to answer from, or the score is below the threshold.
        citations: the passages read that say so, the one to look at first first; at least one unless `text` is empty.
        score: how sure the generator is of its answer, from 0 to 1; of the bundled one, how probably it is right.
        guess: what the generator wrote, sure or not; the sentence that says so where it says yes or no.
        nearest: where the guess stands, or what comes nearest to it.
        disagreeing: where passages read say otherwise; of copies one.
        cut: how many of the passages were too long for the generator, so that it did not read their ends.
        hits: the passages that were read, best first.
        seconds: the time it took, by step; of a step done for several questions at once, this one's share.
    """

    question: str
    text: str
    citations: tuple[Citation, ...]
    score: float
    hits: tuple[Hit, ...]
    seconds: dict[str, float]
    guess: str = ""
    nearest: Citation | None = None
    cut: int = 0
    disagreeing: tuple[Citation, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class Found:
    """What retrieval found for a question: `passages[i]`, with its `standing[i]`, belongs to `hits[i]`, best first."""

    question: str
    hits: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    standing: tuple[int, ...]
    seconds: float

    @property
    def sources(self) -> list[Source]:
        """The passages as the generator sees them."""
        return [
            Source(p.title, p.text, p.document_id, standing)
            for p, standing in zip(self.passages, self.standing, strict=True)
        ]


class RAG:
    """Retrieval-augmented generation over a knowledge base.

    An answer whose score is below `threshold` is kept back; None is the generator's own threshold. With `vote`, the
    passages are read together and one by one (see `vote`); None does so where the generator's answers gain by it.

    Raises:
        TypeError: a part is none, such as its name.
        ValueError: `k` is no whole number of at least 1, or the threshold no number from 0 to 1, as the scores are.
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
        check_knowledge(knowledge)
        check_has(retriever, "a retriever, which make_retriever makes by its name", "retrieve")
        check_has(generator, "a generator, which make_generator loads by its name", "generate", "stream")
        self.knowledge = knowledge
        self.retriever = retriever
        self.generator = generator
        self.standing = Standing(knowledge)
        self.k = check_k(k)
        if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
            raise ValueError(f"the threshold must be a number from 0 to 1, or None, not {threshold!r}")
        self.threshold = generator.threshold if threshold is None else threshold
        self.vote = generator.votes if vote is None else vote

    def ask(self, question: str) -> Answer:
        """Answers a question from the k passages that the retriever ranks highest.

        Raises:
            TypeError: the question is no text.
            EmptyQuestion: there is no question.
            QuestionTooLong: it leaves no room for a passage.
        """
        return self.ask_many([question])[0]

    def ask_many(self, questions: Sequence[str], batch_size: int = 8, progress: bool = False) -> list[Answer]:
        """The answers that `ask` would give; passages are found one question at a time and read in batches.

        Raises:
            TypeError: the questions are one text, or not texts.
            ValueError: `batch_size` is below 1; or, as EmptyQuestion or QuestionTooLong, a question cannot be asked.
        """
        batch_size = check_whole(batch_size, "batch_size")
        questions = [check_query(question) for question in check_texts(questions)]
        answers: list[Answer] = []
        with tqdm(total=len(questions), desc="asking", disable=not progress) as bar:
            for i in range(0, len(questions), batch_size):
                batch = [self.find(question) for question in questions[i : i + batch_size]]
                started = time.perf_counter()
                generations = self.read(batch)
                share = (time.perf_counter() - started) / len(batch)
                answers += [self.conclude(f, g, share) for f, g in zip(batch, generations, strict=True)]
                bar.update(len(batch))
        return answers

    def stream(self, question: str) -> Iterator[str | Answer]:
        """Pieces of text while they are written, then the Answer: its `guess` is the pieces put together.

        What is streamed is what the generator writes with all passages before it, greedily and without a vote, for a
        vote is known only when all have been counted. Whether the score reaches the threshold shows at the end.

        Raises:
            As `ask`, when the first piece is asked for.
        """
        found = self.find(check_query(question))
        started = time.perf_counter()
        generation = None
        for piece in self.write(found):
            if isinstance(piece, Generation):
                generation = piece
            else:
                yield piece
        yield self.conclude(found, generation, time.perf_counter() - started)

    def write(self, found: Found) -> Iterator[str | Generation]:
        """What the generator writes with all passages before it: pieces of text, then the Generation, if any."""
        if found.hits:
            yield from self.generator.stream(found.question, found.sources, self.source_logs(found, found.sources))

    def find(self, question: str) -> Found:
        """The k passages ranked highest, without copies; none where the passages know no word of the question."""
        started = time.perf_counter()
        found = self.retriever.retrieve(question, self.k + SPARE) if self.knowledge.knows(question) else []
        hits = tuple(without_copies(found, self.knowledge.passages, self.k))
        passages = tuple(self.knowledge.passages[h.id] for h in hits)
        standing = tuple(self.standing(question, p) for p in passages)
        return Found(question, hits, passages, standing, time.perf_counter() - started)

    def read(self, batch: Sequence[Found]) -> list[Generation | None]:
        """What is answered to each question; None where nothing was found."""
        readings = [self.readings(found) if found.hits else [] for found in batch]
        questions = [found.question for found, each in zip(batch, readings, strict=True) for _ in each]
        sources = [sources for each in readings for sources in each]
        logs = [self.source_logs(f, s) for f, each in zip(batch, readings, strict=True) for s in each]
        written = iter(self.generator.generate(questions, sources, source_logs=logs))
        return [
            self.combine(found, [next(written) for _ in each]) if found.hits else None
            for found, each in zip(batch, readings, strict=True)
        ]

    def readings(self, found: Found) -> list[list[Source]]:
        """What the generator reads: all passages together and, for a vote, each alone."""
        return [found.sources, *([s] for s in found.sources)] if self.vote else [found.sources]

    def combine(self, found: Found, generations: Sequence[Generation]) -> Generation:
        """One answer from those to the `readings`."""
        together, *alone = generations
        voted = vote(together, alone, self.passage_probabilities(found)) if alone else together
        return replace(voted, cut=together.cut)

    def source_logs(self, found: Found, sources: Sequence[Source]) -> list[float]:
        """log p(passage | question) of the sources of a reading: of all that were found; one alone has 0."""
        if len(sources) < len(found.hits):
            return [0.0] * len(sources)
        return np.log(np.maximum(self.passage_probabilities(found), 1e-9)).tolist()

    def passage_probabilities(self, found: Found) -> np.ndarray:
        """p(passage | question), (hits,), as the retriever reads its own scores."""
        return passage_probabilities(found.hits, self.retriever.temperature)

    def conclude(self, found: Found, generation: Generation | None, seconds: float) -> Answer:
        """The answer with its citations, or none where the score is below the threshold or nothing was read."""
        if generation is None:
            return Answer(found.question, "", (), 0.0, (), {"retrieval": found.seconds})
        times = {"retrieval": found.seconds, "generation": seconds}
        text = (generation.verdict or generation.text) if generation.score >= self.threshold else ""
        stands = cite(generation, found.passages) if generation.text else ()
        return Answer(
            found.question,
            text,
            stands if text else (),
            generation.score,
            found.hits,
            times,
            generation.text,
            stands[0] if stands else None,
            len(generation.cut),
            tuple(citation(found.passages[p.source], p.start, p.end) for p in generation.disagreeing),
            generation.verdict,
        )


def vote(together: Generation, alone: Sequence[Generation], probabilities: Sequence[float]) -> Generation:
    """The answer with most support: that of all passages read together, and that of each read alone.

    A passage read alone is weighed by p(passage | question), as in RAG-Sequence (Lewis et al., 2020), in proportion to
    the likeliest passage; reading them together (Fusion-in-Decoder) weighs TOGETHER. The score is the share of the
    support.
    """
    weights = np.asarray(probabilities) / np.max(probabilities)
    return most_supported([*(of_passage(i, g) for i, g in enumerate(alone)), together], [*weights.tolist(), TOGETHER])


def of_passage(i: int, generation: Generation) -> Generation:
    """What was written with passage i alone, its place given among all passages."""
    place = replace(generation.place, source=i) if generation.place else None
    return replace(generation, place=place, used=tuple(i for _ in generation.used), supporting=(), disagreeing=())


def most_supported(generations: Sequence[Generation], weights: Sequence[float]) -> Generation:
    """The answer with the largest sum of weight · score over the generations that agree with it.

    Its score is that sum divided by all weights.
    """
    support: dict[str, float] = {}
    first: dict[str, Generation] = {}
    for generation, weight in zip(generations, weights, strict=True):
        key = normalize_answer(generation.text)
        support[key] = support.get(key, 0.0) + weight * generation.score
        first.setdefault(key, generation)
    winner = max(support, key=support.__getitem__)
    return replace(first[winner], score=support[winner] / sum(weights))


def cite(generation: Generation, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """Where an answer comes from: the places it quotes, else the sentence read that shares most words with it."""
    if generation.place is not None:
        places = generation.supporting or (generation.place,)
        return tuple(citation(passages[p.source], p.start, p.end) for p in places)
    answer = set(re.findall(r"\w+", generation.text.lower()))
    candidates = [(passages[i], span) for i in generation.used for span in sentence_spans(passages[i].text)]
    passage, (a, b) = max(
        candidates, key=lambda c: len(answer & set(re.findall(r"\w+", c[0].text[slice(*c[1])].lower())))
    )
    return (citation(passage, a, b),)


def citation(passage: Passage, start: int, end: int) -> Citation:
    """A citation of `passage.text[start:end]`, with its span in the document and its sentence."""
    sentences = sentences_around(passage.text, start, end)
    a, b = (sentences[0][0], sentences[-1][1]) if sentences else (start, end)
    return Citation(passage, passage.start + start, passage.start + end, passage.text[a:b])
