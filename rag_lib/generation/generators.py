"""What a generator is, and what it returns (taught in notebooks/06_generation.ipynb)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from rag_lib.generation.jobs import ANSWER, Job
from rag_lib.generation.prompts import Prompt
from rag_lib.hits import check_texts
from rag_lib.indexing.documents import Source


@dataclass(frozen=True)
class Decoding:
    """How a text is searched for.

    Attributes:
        beams: the number of beams; 1 is greedy.
        max_new_tokens: at most so many; None for what suits the job.
        constrained: a model that was trained to copy (`PromptFormat.copies`) is held to it: answers are runs of words,
            quotations, replies and summaries are whole sentences of the passages.
        apart: passages are encoded apart (Fusion-in-Decoder), not one after the other; None as the model was trained.
        half: the model computes in bfloat16, which is faster where the processor has instructions for it; None for
            exactly there. Off by default, so that results are the same on every machine.
    """

    beams: int = 1
    max_new_tokens: int | None = None
    constrained: bool = True
    apart: bool | None = None
    half: bool | None = False


@dataclass(frozen=True)
class Place:
    """Where an answer stands, or what supports it: `sources[source].text[start:end]`."""

    source: int
    start: int
    end: int


class Token(NamedTuple):
    """A token written and its probability, from 0 to 1, among those that were allowed."""

    text: str
    probability: float


@dataclass(frozen=True)
class Generation:
    """What a generator wrote.

    Attributes:
        text: the answer; empty where the model said that the sources do not hold it.
        score: how sure the model is, from 0 to 1. The bundled one says the probability that the answer is right; others
            say that of their words.
        place: where it stands, if it is a quotation; else the sentence that it cites, if it cites one.
        used: the sources that were read, as positions in the list that was given.
        tokens: what was written token by token; empty where a generator does not know.
        prompts: the inputs that the model read; empty where a generator does not tell.
        cut: the sources of which it did not read the end, as positions like `used`.
        features: what the score was computed from, by name; empty where it is the model's own probability.
        supporting: where the sources say this, one place per source, `place` first; empty where nobody looked.
        disagreeing: where they say otherwise, one place per source and copies once.
        verdict: "Yes" or "No" where that was asked and the generator is sure of it; `text` then is the sentence that
            says so.
    """

    text: str
    score: float
    place: Place | None
    used: tuple[int, ...]
    tokens: tuple[Token, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    cut: tuple[int, ...] = ()
    features: Mapping[str, float] = field(default_factory=dict)
    supporting: tuple[Place, ...] = ()
    disagreeing: tuple[Place, ...] = ()
    verdict: str = ""


class Generator(Protocol):
    """Anything that answers a question from sources.

    Attributes:
        threshold: an answer with a lower score should be kept back.
        votes: whether answers gain when each source is read alone as well as all together.
    """

    threshold: float
    votes: bool

    def generate(
        self,
        questions: Sequence[str],
        sources: Sequence[Sequence[Source]],
        job: Job = ANSWER,
        source_logs: Sequence[Sequence[float]] | None = None,
    ) -> list[Generation]:
        """A text for each question from its own sources, best source first; of one that is too long the beginning.

        Args:
            source_logs: log p(source | question) of each source, where the retriever knows it. A generator that chooses
                between sources can weigh them with it; others leave it aside.

        Without a job, a generator does what it does best: the bundled one answers in a few words, a chat model replies.

        Raises:
            QuestionTooLong: a question leaves no room for a source.
            ValueError: there are not as many questions as lists of sources.
        """

    def stream(
        self, question: str, sources: Sequence[Source], source_logs: Sequence[float] | None = None
    ) -> Iterator[str | Generation]:
        """An answer in pieces while it is written, then the Generation; its text is the pieces put together.

        Raises:
            QuestionTooLong: the question leaves no room for a source.
        """


def check_sources(questions: Sequence[str], sources: Sequence[Sequence[Source]]) -> list[str]:
    """The questions, if each of them has its list of sources.

    Raises:
        TypeError: the questions are no texts, or the sources no lists of sources.
        ValueError: there are not as many questions as lists of sources.
    """
    questions = check_texts(questions)
    if len(questions) != len(sources):
        raise ValueError(f"{len(questions)} questions for {len(sources)} lists of sources")
    if not all(isinstance(source, Source) for each in sources for source in each):
        raise TypeError("each question takes a list of sources: Source(title, text)")
    return questions
