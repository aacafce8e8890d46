"""Vector search beside FAISS used directly, hnswlib and NumPy: recall of the ten nearest, and the cost of our ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch  # noqa: F401  before faiss: the other order crashes on macOS

import faiss  # isort: skip

from benchmarks.side_by_side import Peer, Round, Row, side_by_side
from benchmarks.texts import vectors_in_groups
from rag_lib.indexing.vector_index import HNSW, KINDS, POINTS_PER_CENTROID, make_index

DIMENSION, K = 384, 10
BATCHES = (1, 10, 100, 1000)
LISTS = 64


def in_batches(search: Callable[[np.ndarray], np.ndarray], queries: np.ndarray, batch: int) -> Round:
    """Searches all queries, so many at a time; rows (Q, K) of numbers are found."""
    parts = [queries[i : i + batch] for i in range(0, len(queries), batch)]
    return lambda: np.concatenate([search(part) for part in parts])


def ours(vectors: np.ndarray, queries: np.ndarray, batch: int, kind: str, **settings: int) -> Round:
    """rag_lib's index of a kind: FAISS under external ids."""
    index = make_index(kind, DIMENSION, **settings)
    index.add([str(i) for i in range(len(vectors))], vectors)
    return in_batches(lambda part: np.array([[int(h.id) for h in r] for r in index.search(part, K)]), queries, batch)


def bare(vectors: np.ndarray, queries: np.ndarray, batch: int) -> Round:
    """FAISS's exact index."""
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    return in_batches(lambda part: index.search(part, K)[1], queries, batch)


def hnswlib(vectors: np.ndarray, queries: np.ndarray, batch: int) -> Round:
    """hnswlib's graph with as many links and candidates as ours."""
    import hnswlib

    index = hnswlib.Index("ip", DIMENSION)
    index.init_index(len(vectors), M=HNSW.links, ef_construction=40)
    index.set_num_threads(faiss.omp_get_max_threads())
    index.add_items(vectors)
    index.set_ef(HNSW.beam)
    return in_batches(lambda part: index.knn_query(part, K)[0].astype(np.int64), queries, batch)


def recall(first: np.ndarray, own: np.ndarray) -> str:
    """The share of the first peer's hits that are found."""
    return f"recall {np.mean([len(set(a) & set(b)) / K for a, b in zip(first, own, strict=True)]):.3f}"


def kinds(vectors: np.ndarray, queries: np.ndarray) -> list[Peer]:
    """All approximate searches that so many vectors can train, one query at a time, beside the exact one."""
    there = [Peer("FAISS, exact", "IndexFlatIP", lambda: bare(vectors, queries, 1), "faiss")]
    for kind in KINDS:
        settings = {"lists": LISTS} if kind == "ivf" else {}
        if len(vectors) < KINDS[kind](**settings).train_at():
            print(f"  left out, needs {POINTS_PER_CENTROID} vectors a centroid: rag_lib, {kind}")
            continue
        build = lambda kind=kind, settings=settings: ours(vectors, queries, 1, kind, **settings)  # noqa: E731
        there.append(Peer(f"rag_lib, {kind}", str(KINDS[kind](**settings)), build))
    shape = f"M {HNSW.links}, ef {HNSW.beam}, ef_construction 40"
    return [*there, Peer("hnswlib", shape, lambda: hnswlib(vectors, queries, 1), "hnswlib")]


def exact(vectors: np.ndarray, queries: np.ndarray, batch: int) -> list[Peer]:
    """FAISS's exact search, bare and under our ids."""
    return [
        Peer("FAISS", "IndexFlatIP", lambda: bare(vectors, queries, batch), "faiss"),
        Peer("rag_lib", "flat", lambda: ours(vectors, queries, batch, "flat")),
    ]


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """Exact search by the size of a batch, then the kinds of index."""
    queries = vectors_in_groups(max(items, *BATCHES), DIMENSION, seed=1)
    for size in sizes:
        vectors = vectors_in_groups(size, DIMENSION, seed=2)
        for batch in BATCHES:
            asked, case = queries[: max(batch, items)], f"{size:,} vectors, {batch} queries at a time"
            yield from side_by_side("vectors", case, exact(vectors, asked, batch), rounds, len(asked), recall)
        some = queries[:items]
        yield from side_by_side("vectors", f"{size:,} vectors, kinds", kinds(vectors, some), rounds, len(some), recall)
