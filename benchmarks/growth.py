"""How cost grows with the number of passages, beside what theory says.

Random texts whose words follow Zipf's law, and random vectors. The exponent b is fitted to seconds = a · passages^b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.bm25 import K, Ready
from benchmarks.side_by_side import Peer, Round, Row, side_by_side
from benchmarks.texts import unit_vectors
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.vector_index import make_index

WORDS, LENGTH, DIMENSION = 50_000, 30, 64
# Building is linear in both. A search is linear too: in the postings of its words, and in the vectors.
THEORY = 1.0


def random_terms(n: int, seed: int) -> list[list[str]]:
    """Texts of LENGTH words each."""
    chances = 1 / (np.arange(WORDS) + 20)
    drawn = np.random.default_rng(seed).choice(WORDS, (n, LENGTH), p=chances / chances.sum())
    names = np.array([f"w{i}" for i in range(WORDS)], dtype=object)
    return names[drawn].tolist()


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """BM25 and exact vector search at each size, then the fitted exponents."""
    rows: dict[str, list[tuple[int, Row]]] = {}
    for size in sizes:
        queries = [text[:6] for text in random_terms(items, seed=1)]
        texts = random_terms(size, seed=0)
        vectors, asked = unit_vectors(size, DIMENSION, 0), unit_vectors(items, DIMENSION, 1)

        def lexical(texts: list = texts, queries: list = queries) -> Round:
            index = BM25(range(len(texts)), texts, Ready())
            return lambda: [index.search(q, K) for q in queries]

        def dense(vectors: np.ndarray = vectors, asked: np.ndarray = asked) -> Round:
            index = make_index("flat", DIMENSION)
            index.add([str(i) for i in range(len(vectors))], vectors)
            return lambda: [index.search(q[None], K) for q in asked]

        peers = [
            Peer("BM25", f"{LENGTH} words each", lexical),
            Peer("vectors, exact", f"{DIMENSION} numbers each", dense),
        ]
        for row in side_by_side("growth", f"{size:,} passages", peers, rounds, items):
            rows.setdefault(row.peer, []).append((size, row))
            yield row
    for name, of in rows.items() if len(sizes) > 1 else ():
        n = np.log([size for size, _ in of])
        build = np.polyfit(n, np.log([row.build_s for _, row in of]), 1)[0]
        search = np.polyfit(n, -np.log([row.items_per_s for _, row in of]), 1)[0]
        print(f"  {name}: exponents {build:.2f} of building, {search:.2f} of a search; at most {THEORY} by theory")
