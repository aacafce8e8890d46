"""A long text in a few sentences, in general or for a question (taught in notebooks/12_summarization.ipynb).

Sentences are copied from it (LEAD-3, TextRank, MMR over embeddings), or a generator writes them from as much of the
text as it is given at a time. What the text does not support is left out again; `grounding` says what that is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from rag_lib.applications.grounding import Claim, Grounds
from rag_lib.generation.generators import Generator
from rag_lib.generation.jobs import SUMMARIZE
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Source, Unreadable, load_document
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_pieces

SENTENCES = 3
LONGEST = 80  # words of a sentence; what never ends with a full stop is cut there
BUDGET = 900  # words of passages that a generator is given at a time; some 1,200 tokens
SO_FAR = 150  # words of the budget that are kept for the summary so far
DAMPING = 0.85  # as Mihalcea and Tarau (2004)
MOST = 8_000  # sentences that TextRank compares with each other
# The next two were chosen on the museum's training dossiers.
BALANCE = 0.95  # of MMR: 1 looks at relevance only, 0 at novelty only
ABOUT = 0.25  # the least cosine of a question with the sentence or passage nearest to it
LEANING = re.compile(
    r"""["'“‘(\[]*(?:he|she|it|its|his|her|they|their|them|this|that|these|those|such|but|yet|and|so|or|nor|however|
    then|there|another|others?|both|neither|also|even|still|instead|one|some|most)\b""",
    re.IGNORECASE | re.VERBOSE,
)


class NotAbout(ValueError):
    """The text has nothing to say on the question."""


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


def read_document(path: Path) -> Document:
    """The document in a file.

    Raises:
        Unreadable: it cannot be opened, is too large, of no known type, or without text; the message names the file.
    """
    try:
        return load_document(path)[0]
    except Unreadable as error:
        scanned = path.suffix.lower() == ".pdf" and str(error) == "no text in it"
        hint = "; a scanned PDF needs text recognition (OCR) first" if scanned else ""
        raise Unreadable(f"{path}: {error}{hint}") from error


def sentences_of(text: str) -> list[str]:
    """The sentences of a text on a line each; one of more than LONGEST words is cut."""
    return [" ".join(text[a:b].split()) for a, b in sentence_pieces(text, LONGEST)]


def passages_of(document: Document) -> list[Source]:
    """A document as a generator reads it, passage by passage."""
    return [Source(document.title, document.text[a:b]) for a, b in passage_spans(document.text, Splitting())]


# Choosing sentences


def lead(sentences: Sequence[str], n: int = SENTENCES) -> list[int]:
    """The first n sentences."""
    return list(range(min(n, len(sentences))))


def word_overlap(sentences: Sequence[str]) -> np.ndarray:
    """TextRank's similarity (n, n): the terms that two sentences share over the sum of the logarithms of their numbers.

    Mihalcea and Tarau (2004), "TextRank: Bringing Order into Texts". A sentence is not similar to itself, and numbers
    of terms below 2 count as 2, whose logarithm is above zero.
    """
    analyze = Analyzer()
    terms = [set(analyze(sentence)) for sentence in sentences]
    column = {term: j for j, term in enumerate(sorted(set().union(*terms)))}
    holds = np.zeros((len(sentences), len(column)), dtype=np.float32)
    for i, found in enumerate(terms):
        holds[i, [column[term] for term in found]] = 1
    logs = np.log(np.maximum(holds.sum(1), 2))
    similarity = (holds @ holds.T) / (logs[:, None] + logs)
    np.fill_diagonal(similarity, 0)
    return similarity


def pagerank(weights: np.ndarray, damping: float = DAMPING, tolerance: float = 1e-9) -> np.ndarray:
    """The ranks (n,), which sum to one, of the nodes of a graph with weights (n, n) from row to column.

    Brin and Page (1998): a walker follows an edge in proportion to its weight, or jumps anywhere with probability
    1 - damping, and from a node without edges always. A rank is the share of time spent there.
    """
    n = len(weights)
    out = weights.sum(1, keepdims=True)
    steps = np.divide(weights, out, out=np.full(weights.shape, 1 / n), where=out > 0)
    rank, before = np.full(n, 1 / n), np.zeros(n)
    while np.abs(rank - before).sum() > tolerance:
        rank, before = (1 - damping) / n + damping * (rank @ steps), rank
    return rank


def textrank(sentences: Sequence[str], n: int = SENTENCES) -> list[int]:
    """The n sentences of the highest rank in the graph of shared words, in their order.

    Raises:
        ValueError: there are more than MOST sentences, too many to compare each with each.
    """
    if len(sentences) > MOST:
        raise ValueError(f"TextRank compares each sentence with each: {len(sentences):,} are more than {MOST:,}")
    return sorted(np.argsort(-pagerank(word_overlap(sentences)), kind="stable")[:n].tolist())


def relevance(vectors: np.ndarray, question: np.ndarray | None = None) -> np.ndarray:
    """How much each sentence matters (n,), from unit vectors (n, d).

    In general that is the cosine with the mean of all; for a question (d,) the mean of its own cosine with it and
    those of its two neighbours, because an answer seldom stands in one sentence alone.
    """
    if question is None:
        mean = vectors.mean(0)
        return vectors @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
    return np.convolve(vectors @ question, [1 / 3, 1 / 3, 1 / 3])[1:-1]


def mmr(
    relevance: np.ndarray,
    vectors: np.ndarray,
    n: int,
    balance: float = BALANCE,
    allowed: Callable[[int, list[int]], bool] = lambda i, chosen: True,
) -> list[int]:
    """Up to n items, one by one: each time the one that is relevant and unlike those chosen, in the order of choice.

    Carbonell and Goldstein (1998), maximal marginal relevance: balance · relevance - (1 - balance) · the largest cosine
    with a chosen one.

    Args:
        relevance: (m,); vectors: unit vectors (m, d).
        allowed: whether item i may follow those chosen.
    """
    chosen: list[int] = []
    nearest = np.zeros(len(relevance))
    while len(chosen) < n:
        free = [i for i in range(len(relevance)) if i not in chosen and allowed(i, chosen)]
        if not free:
            break
        gain = balance * relevance[free] - (1 - balance) * nearest[free]
        chosen.append(free[int(gain.argmax())])
        cosines = vectors @ vectors[chosen[-1]]
        nearest = cosines if len(chosen) == 1 else np.maximum(nearest, cosines)
    return chosen


def leans(sentence: str) -> bool:
    """Whether a sentence opens with a word that points back, and so cannot be understood alone."""
    return LEANING.match(sentence) is not None


def choose(sentences: Sequence[str], encoder: Encoder, question: str = "", n: int = SENTENCES) -> list[int]:
    """The n sentences that matter most and repeat each other least, in their order.

    In general, one that leans on the sentence before is chosen only after that one; for a question, neighbours come
    together anyway (see `relevance`).

    Raises:
        NotAbout: no sentence is near the question.
    """
    vectors, asked = embedded(sentences, encoder, question)
    leaning = [leans(sentence) for sentence in sentences]

    def allowed(i: int, chosen: list[int]) -> bool:
        return asked is not None or i == 0 or not leaning[i] or i - 1 in chosen

    return sorted(mmr(relevance(vectors, asked), vectors, n, allowed=allowed))


def embedded(texts: Sequence[str], encoder: Encoder, question: str) -> tuple[np.ndarray, np.ndarray | None]:
    """The vectors of texts (n, d) and of the question (d,), if there is one.

    Raises:
        NotAbout: no text is near the question.
    """
    vectors = encoder.encode_passages(list(texts), progress=len(texts) > 500)
    if not question:
        return vectors, None
    asked = encoder.encode_queries([question])[0]
    if float((vectors @ asked).max()) < ABOUT:
        raise NotAbout("the text has nothing to say on this question")
    return vectors, asked


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
) -> Summary:
    """A few sentences on a document, in general or for a question, that the document supports.

    Args:
        generator: what writes; the methods that only copy do without.
        method: one of METHODS.
        budget: words that the generator is given at a time.

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
    elif method in COPYING:
        written = [sentences[i] for i in COPYING[method](sentences, encoder, question)]
    else:
        written = sentences_of(WRITING[method](passages_of(document), generator, encoder, question, budget))
    claims = Grounds(sentences, encoder).check(written)
    kept = tuple(claim for claim in claims if claim.supported)
    return Summary(kept, tuple(claim for claim in claims if not claim.supported))
