"""BM25 with an inverted index of scores computed in advance (taught in notebooks/02_bm25.ipynb).

Robertson and Zaragoza (2009), "The Probabilistic Relevance Framework"; the variants are those that Kamphuis et al.
(2020) compare. Computing each posting's score when the index is built is the idea of bm25s (Lù, 2024).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from rag_lib.hits import Hit, check_k, top_k
from rag_lib.indexing.analysis import Analyzer

# The inverse document frequency of a term that stands in `df` of n texts. Robertson's would be negative for a term in
# more than half of them and is cut off at 0, as in bm25s; Lucene's is positive everywhere.
IDF = {
    "lucene": lambda n, df: np.log(1 + (n - df + 0.5) / (df + 0.5)),
    "robertson": lambda n, df: np.log(np.maximum((n - df + 0.5) / (df + 0.5), 1)),
    "atire": lambda n, df: np.log(n / df),
}


class BM25:
    """An index of texts by their terms.

    Args:
        terms: the terms of each text, where the analyser made them before.

    Attributes:
        ids: the N external ids, in the order of the texts.
        terms: term → row in `offsets`.
        offsets: (terms + 1,) the postings of term t are at offsets[t] : offsets[t + 1].
        rows: (postings,) the text of each posting, as a row of `ids`.
        weights: (postings,) what the term adds to that text's score.
    """

    def __init__(
        self,
        ids: Sequence[str],
        texts: Iterable[str],
        analyzer: Analyzer,
        k1: float = 1.2,
        b: float = 0.75,
        variant: str = "lucene",
        terms: Iterable[Sequence[str]] | None = None,
    ) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise ValueError(f"k1 must be at least 0 and b between 0 and 1, not {k1} and {b}")
        if variant not in IDF:
            raise ValueError(f"no variant of BM25 is called {variant!r}; there are {', '.join(IDF)}")
        self.analyzer, self.k1, self.b, self.variant = analyzer, k1, b, variant
        self.ids = list(ids)
        self.terms: dict[str, int] = {}
        tokens, lengths = array("q"), array("q")  # numbers, not words: half a million documents fit into memory
        for found in map(analyzer, texts) if terms is None else terms:
            tokens.extend(self.terms.setdefault(t, len(self.terms)) for t in found)
            lengths.append(len(found))
        if len(self.ids) != len(lengths):
            raise ValueError(f"{len(self.ids)} ids for {len(lengths)} texts")
        self._index(np.asarray(tokens, dtype=np.int64), np.asarray(lengths, dtype=np.int64))

    def _index(self, tokens: np.ndarray, lengths: np.ndarray) -> None:
        n = len(lengths)
        rows = np.repeat(np.arange(n), lengths)
        postings, frequency = np.unique(tokens * max(n, 1) + rows, return_counts=True)  # sorted by term, then row
        term, self.rows = np.divmod(postings, max(n, 1))
        document_frequency = np.bincount(term, minlength=len(self.terms))
        self.offsets = np.concatenate([[0], np.cumsum(document_frequency)]).astype(np.int64)
        idf = IDF[self.variant](n, document_frequency) * (self.k1 + 1 if self.variant == "atire" else 1)
        norm = 1 - self.b + self.b * lengths / max(lengths.mean(), 1e-9) if n else lengths
        self.weights = (idf[term] * frequency / (frequency + self.k1 * norm[self.rows])).astype(np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def scores(self, query: str, out: np.ndarray | None = None) -> np.ndarray:
        """Scores (N,) of all texts; terms that no text has add nothing.

        Args:
            out: an array of float32 for the scores, instead of a new one.
        """
        scores = np.empty(len(self.ids), dtype=np.float32) if out is None else out
        scores.fill(0)
        for term in self.analyzer.of_query(query):
            t = self.terms.get(term)
            if t is not None:
                postings = slice(self.offsets[t], self.offsets[t + 1])
                np.add.at(scores, self.rows[postings], self.weights[postings])
        return scores

    def search(self, query: str, k: int) -> list[Hit]:
        """The at most k best texts that share a term with the query, best first.

        Raises:
            TypeError: the query is no text.
            ValueError: k is not at least 1.
        """
        return top_k(self.ids, self.scores(query), check_k(k), above=0.0)

    def search_all(self, queries: Iterable[str], k: int) -> list[list[Hit]]:
        """What `search` finds for each query; faster, because their scores share one array.

        Raises:
            TypeError: the queries are one text, or not texts.
            ValueError: k is not at least 1.
        """
        if isinstance(queries, str):
            raise TypeError("this takes a list of texts, not str")
        k, scores = check_k(k), np.empty(len(self.ids), dtype=np.float32)
        return [top_k(self.ids, self.scores(query, scores), k, above=0.0) for query in queries]
