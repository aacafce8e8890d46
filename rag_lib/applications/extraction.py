"""The sentences of a text that matter most, to the letter (taught in notebooks/12_summarization.ipynb).

The first ones (LEAD-3), those that share most words with the others (TextRank), or those whose vectors say so, each
unlike those chosen before (MMR): in general, or for a question, where a sentence ranker may help.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence

import numpy as np

from rag_lib.generation.sentence_ranker import SentenceRanker
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Source
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_pieces

SENTENCES = 3
LONGEST = 80  # words of a sentence; what never ends with a full stop is cut there
DAMPING = 0.85  # as Mihalcea and Tarau (2004)
MOST = 8_000  # sentences that TextRank compares with each other
# The next three were chosen on the museum's training dossiers.
BALANCE = 0.95  # of MMR: 1 looks at relevance only, 0 at novelty only
ABOUT = 0.25  # the least cosine of a question with the sentence or passage nearest to it
READ = 12  # passages nearest to a question, whose sentences a ranker reads
LEANING = re.compile(
    r"""["'“‘(\[]*(?:he|she|it|its|his|her|they|their|them|this|that|these|those|such|but|yet|and|so|or|nor|however|
    then|there|another|others?|both|neither|also|even|still|instead|one|some|most)\b""",
    re.IGNORECASE | re.VERBOSE,
)


class NotAbout(ValueError):
    """The text has nothing to say on the question."""


def sentences_of(text: str) -> list[str]:
    """The sentences of a text on a line each; one of more than LONGEST words is cut."""
    return [" ".join(text[a:b].split()) for a, b in sentence_pieces(text, LONGEST)]


def passages_of(document: Document) -> list[Source]:
    """A document as a generator reads it, passage by passage."""
    return [Source(document.title, document.text[a:b]) for a, b in passage_spans(document.text, Splitting())]


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


def relevance(
    vectors: np.ndarray, question: np.ndarray | None = None, log_odds: np.ndarray | None = None
) -> np.ndarray:
    """How much each sentence matters (n,), from unit vectors (n, d).

    In general that is the cosine with the mean of all; for a question (d,) the mean of its own cosine with it and
    those of its two neighbours, because an answer seldom stands in one sentence alone. Where a ranker has read the
    sentences, its `log_odds` (n,) take the place of the cosines.
    """
    if question is None:
        mean = vectors.mean(0)
        return vectors @ (mean / max(float(np.linalg.norm(mean)), 1e-12))
    if log_odds is None:
        return np.convolve(vectors @ question, [1 / 3, 1 / 3, 1 / 3])[1:-1]
    return np.convolve(np.pad(log_odds, 1, mode="edge"), [1 / 3, 1 / 3, 1 / 3], mode="valid")


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


def choose(
    sentences: Sequence[str],
    encoder: Encoder,
    question: str = "",
    n: int = SENTENCES,
    log_odds: np.ndarray | None = None,
) -> list[int]:
    """The n sentences that matter most and repeat each other least, in their order.

    In general, one that leans on the sentence before is chosen only after that one; for a question, neighbours come
    together anyway (see `relevance`).

    Args:
        log_odds: that each sentence answers the question, (sentences,); see `read_for`.

    Raises:
        NotAbout: no sentence is near the question.
    """
    vectors, asked = embedded(sentences, encoder, question)
    leaning = [leans(sentence) for sentence in sentences]

    def allowed(i: int, chosen: list[int]) -> bool:
        return asked is not None or i == 0 or not leaning[i] or i - 1 in chosen

    return sorted(mmr(relevance(vectors, asked, log_odds), vectors, n, allowed=allowed))


def read_for(question: str, document: Document, encoder: Encoder, ranker: SentenceRanker) -> np.ndarray:
    """The log-odds that each sentence of a document answers a question, (sentences,).

    The ranker reads the READ passages nearest to it. Sentences elsewhere get the least that was found.

    Raises:
        NotAbout: no passage is near the question.
    """
    starts = [start for start, _ in sentence_pieces(document.text, LONGEST)]
    begins = [begin for begin, _ in passage_spans(document.text, Splitting())]
    passages = passages_of(document)
    vectors, asked = embedded([passage.text for passage in passages], encoder, question)
    nearest = np.argsort(-(vectors @ asked), kind="stable")[:READ]
    found: dict[int, float] = {}
    for i, scores in zip(nearest, ranker.score(question, [passages[i] for i in nearest]), strict=True):
        for sentence in scores:
            row = bisect_right(starts, begins[i] + sentence.start) - 1
            found[row] = max(sentence.relevance, found.get(row, sentence.relevance))
    least = min(found.values())
    return np.array([found.get(row, least) for row in range(len(starts))])


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
