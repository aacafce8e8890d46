"""BM25 beside bm25s, rank_bm25 and tantivy: the same passages through the same analyser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.side_by_side import Peer, Round, Row, side_by_side
from benchmarks.texts import as_queries, collect
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25

K = 10
K1, B = 1.2, 0.75
SLOW = 10_000  # passages; rank_bm25 scores each one for each word of a query, in Python
Terms = Sequence[Sequence[str]]


class Ready:
    """Stands in for an analyser where the terms are there already: all index the very same lists."""

    def __call__(self, terms: list[str]) -> list[str]:
        """The terms as they are."""
        return terms

    of_query = __call__


def ours(documents: Terms, queries: Terms, together: bool) -> Round:
    """rag_lib's."""
    index = BM25(range(len(documents)), documents, Ready(), K1, B)
    if together:
        return lambda: [[h.score for h in hits] for hits in index.search_all(queries, K)]
    return lambda: [[h.score for h in index.search(q, K)] for q in queries]


def theirs(documents: Terms, queries: Terms, together: bool, backend: str) -> Round:
    """bm25s's, in the variant that is rag_lib's default."""
    import bm25s

    index = bm25s.BM25(method="lucene", k1=K1, b=B, backend=backend)
    index.index(documents, show_progress=False)
    options = {"k": min(K, len(documents)), "show_progress": False, "n_threads": 0}
    if together:
        return lambda: index.retrieve(queries, **options).scores
    return lambda: [index.retrieve([q], **options).scores[0] for q in queries]


def rank_bm25(documents: Terms, queries: Terms) -> Round:
    """rank_bm25's Okapi: its idf is that of 1994, which is lower for words in many documents, so its scores differ."""
    from rank_bm25 import BM25Okapi

    index = BM25Okapi(documents, k1=K1, b=B)

    def search() -> list[np.ndarray]:
        return [-np.sort(-index.get_scores(q))[:K] for q in queries]

    return search


def tantivy(documents: Terms, queries: Terms) -> Round:
    """Tantivy's index in memory, its terms split at white space.

    Its scores hold the factor k1 + 1, which changes no order and which Lucene has left out since version 8. It keeps
    the length of a passage in one byte, so that the scores of long ones differ a little.
    """
    import tantivy

    schema = tantivy.SchemaBuilder().add_text_field("text", tokenizer_name="whitespace").build()
    index = tantivy.Index(schema)
    writer = index.writer(num_threads=1)
    for document in documents:
        writer.add_document(tantivy.Document(text=" ".join(document)))
    writer.commit()
    index.reload()

    def parsed(query: Sequence[str]) -> object:
        terms = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "text", term)) for term in query]
        return tantivy.Query.boolean_query(terms)

    searcher = index.searcher()
    return lambda: [[score / (K1 + 1) for score, _ in searcher.search(parsed(q), K).hits] for q in queries]


def same_scores(first: Sequence, own: Sequence) -> str:
    """For how many queries the ten best scores are the first peer's."""
    padded = ([np.pad(np.asarray(f, dtype=float), (0, K - len(f))) for f in found] for found in (first, own))
    same = sum(np.allclose(a, b, atol=1e-3) for a, b in zip(*padded, strict=True))
    return f"the same ten scores for {same} of {len(first)} queries"


def peers(documents: Terms, queries: Terms, together: bool) -> list[Peer]:
    """All that search these documents."""
    formula = f"k1 = {K1}, b = {B}"
    there = [Peer("rag_lib", formula, lambda: ours(documents, queries, together))]
    for backend, package in (("numpy", "bm25s"), ("numba", "numba")):
        build = lambda backend=backend: theirs(documents, queries, together, backend)  # noqa: E731
        there.append(Peer(f"bm25s, {backend}", f"method lucene, {formula}, n_threads 0", build, package))
    if not together:
        there.append(
            Peer(
                "tantivy",
                "in memory, white space, one thread, lengths in a byte",
                lambda: tantivy(documents, queries),
                "tantivy",
            )
        )
        if len(documents) <= SLOW:
            there.append(Peer("rank_bm25", f"BM25Okapi, {formula}", lambda: rank_bm25(documents, queries), "rank_bm25"))
    return there


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """One query at a time, and all at once."""
    texts = collect(max(sizes) + items)
    analyse = Analyzer()
    queries, terms = ([analyse(t) for t in part] for part in (as_queries(texts[:items]), texts[items:]))
    for size in sorted({min(size, len(terms)) for size in sizes}):
        documents = terms[:size]
        vocabulary = {term for document in documents for term in document}
        known = [q for q in ([t for t in query if t in vocabulary] for query in queries) if q]  # bm25s needs known ones
        for together in (False, True):
            case = f"{size:,} passages, {'all queries at once' if together else 'one query at a time'}"
            yield from side_by_side("bm25", case, peers(documents, known, together), rounds, len(known), same_scores)
