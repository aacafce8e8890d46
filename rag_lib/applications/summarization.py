"""A long text in a few sentences, in general or for a question (taught in notebooks/12_summarization.ipynb).

Sentences are copied from it (see `extraction`), or a generator writes them from as much of the text as it is given at a
time. What the text does not support is left out again; `grounding` says what that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from rag_lib.applications.extraction import (
    SENTENCES,
    choose,
    embedded,
    lead,
    mmr,
    passages_of,
    read_for,
    relevance,
    sentences_of,
    textrank,
)
from rag_lib.applications.grounding import Claim, Grounds
from rag_lib.files import check_path
from rag_lib.generation.generators import Generator
from rag_lib.generation.jobs import SUMMARIZE
from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Source, Unreadable, load_document

BUDGET = 900  # words of passages that a generator is given at a time; some 1,200 tokens
SO_FAR = 150  # words of the budget that are kept for the summary so far


@dataclass(frozen=True)
class Summary:
    """A summary, sentence by sentence.

    Attributes:
        claims: its sentences, each with what supports it in the text.
        left_out: sentences that were written but that the text does not support.
    """

    claims: tuple[Claim, ...]
    left_out: tuple[Claim, ...] = ()

    @property
    def text(self) -> str:
        """The sentences in a row."""
        return " ".join(claim.sentence for claim in self.claims)


def read_document(path: str | Path) -> Document:
    """The document in a file.

    Raises:
        Unreadable: it cannot be opened, is too large, of no known type, or without text; the message names the file.
        TypeError, ValueError: it is no path, or an empty one.
    """
    path = check_path(path, "a file")
    try:
        return load_document(path)[0]
    except Unreadable as error:
        scanned = path.suffix.lower() == ".pdf" and str(error) == "no text in it"
        hint = "; a scanned PDF needs text recognition (OCR) first" if scanned else ""
        raise Unreadable(f"{path}: {error}{hint}") from error


# Writing within a budget


def words_in(passages: Sequence[Source]) -> int:
    """The number of words of passages together."""
    return sum(len(passage.text.split()) for passage in passages)


def in_groups(passages: Sequence[Source], budget: int) -> list[list[Source]]:
    """Neighbouring passages in groups of at most `budget` words; a longer passage is a group by itself."""
    groups: list[list[Source]] = []
    for passage in passages:
        if groups and words_in([*groups[-1], passage]) <= budget:
            groups[-1].append(passage)
        else:
            groups.append([passage])
    return groups


def write(generator: Generator, question: str, passages: Sequence[Source]) -> str:
    """What a generator makes of passages in one call."""
    return generator.generate([question], [passages], SUMMARIZE)[0].text


def retrieve_first(
    passages: Sequence[Source], generator: Generator, encoder: Encoder, question: str = "", budget: int = BUDGET
) -> str:
    """A summary of only those passages that matter most, as many as fit, in their order: one call.

    Raises:
        NotAbout: no passage is near the question.
    """
    vectors, asked = embedded([passage.text for passage in passages], encoder, question)

    def fits(i: int, chosen: list[int]) -> bool:
        return not chosen or words_in([passages[j] for j in (*chosen, i)]) <= budget

    chosen = sorted(mmr(relevance(vectors, asked), vectors, len(passages), allowed=fits))
    return write(generator, question, [passages[i] for i in chosen])


def map_reduce(
    passages: Sequence[Source], generator: Generator, encoder: Encoder, question: str = "", budget: int = BUDGET
) -> str:
    """A summary of the summaries of all groups of passages, made shorter again until they fit into one call.

    Raises:
        RuntimeError: what the generator writes is no shorter than what it reads.
    """
    groups = in_groups(passages, budget)
    while len(groups) > 1:
        written = [write(generator, question, group) for group in tqdm(groups, desc="map", disable=len(groups) < 9)]
        fewer = in_groups([Source(passages[0].title, text) for text in written if text], budget)
        if len(fewer) >= len(groups):
            raise RuntimeError("the generator's summaries are no shorter than the text; a larger budget may help")
        groups = fewer
    return write(generator, question, groups[0]) if groups else ""


def refine(
    passages: Sequence[Source], generator: Generator, encoder: Encoder, question: str = "", budget: int = BUDGET
) -> str:
    """A summary that is written anew group by group, from itself and the next passages."""
    summary = ""
    groups = in_groups(passages, max(budget - SO_FAR, 1))
    for group in tqdm(groups, desc="refine", disable=len(groups) < 9):
        known = [Source(passages[0].title, summary)] if summary else []
        summary = write(generator, question, [*known, *group])
    return summary


# The finished way

COPYING: dict[str, Callable[[Sequence[str], Encoder, str], list[int]]] = {
    "lead": lambda sentences, encoder, question: lead(sentences),
    "textrank": lambda sentences, encoder, question: textrank(sentences),
    "sentences": choose,
}
WRITING: dict[str, Callable[[Sequence[Source], Generator, Encoder, str, int], str]] = {
    "retrieve": retrieve_first,
    "map-reduce": map_reduce,
    "refine": refine,
}
METHODS = (*COPYING, *WRITING)


def summarize(
    document: Document,
    encoder: Encoder,
    generator: Generator | None = None,
    question: str = "",
    method: str = "sentences",
    budget: int = BUDGET,
    ranker: SentenceRanker | None = None,
) -> Summary:
    """A few sentences on a document, in general or for a question, that the document supports.

    Args:
        generator: what writes; the methods that only copy do without.
        method: one of METHODS.
        budget: words that the generator is given at a time.
        ranker: helps the method "sentences" to find those that answer a question.

    Raises:
        NotAbout: the text has nothing to say on the question.
        ValueError: there is no such method, or not the generator that it needs, or a question to a method that knows of
            none, or a budget below 1.
    """
    if method not in METHODS or (method in WRITING and generator is None):
        raise ValueError(f"{method!r} is none of {', '.join(METHODS)}, or lacks its generator")
    if question and method in ("lead", "textrank"):
        raise ValueError(f"{method!r} knows nothing of a question; the others do")
    if budget < 1:
        raise ValueError(f"a budget of {budget} words holds nothing")
    question = " ".join(question.split())
    sentences = sentences_of(document.text)
    if len(sentences) <= SENTENCES:
        written = sentences
    elif method == "sentences" and question and ranker:
        log_odds = read_for(question, document, encoder, ranker)
        written = [sentences[i] for i in choose(sentences, encoder, question, log_odds=log_odds)]
    elif method in COPYING:
        written = [sentences[i] for i in COPYING[method](sentences, encoder, question)]
    else:
        written = sentences_of(WRITING[method](passages_of(document), generator, encoder, question, budget))
    claims = Grounds(sentences, encoder).check(written)
    kept = tuple(claim for claim in claims if claim.supported)
    return Summary(kept, tuple(claim for claim in claims if not claim.supported))
