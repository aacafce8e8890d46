"""How fast `rag_lib` searches, beside FAISS used directly: python benchmarks/vector_index.py

Both search the same unit vectors, in turns, so that whatever else the machine does burdens both. The share of FAISS's
throughput that remains is the ratio of two times measured one after the other; the interval is a bootstrap over turns.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch  # noqa: F401  before faiss: the other order crashes on macOS

import faiss  # isort: skip

from rag_lib.evaluation.statistics import Estimate, bootstrap
from rag_lib.indexing.vector_index import make_index


def unit_vectors(n: int, dimension: int, seed: int) -> np.ndarray:
    """Random vectors (n, dimension) of length one, float32."""
    vectors = np.random.default_rng(seed).standard_normal((n, dimension), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def share_of_throughput(ours: Callable[[], object], theirs: Callable[[], object], turns: int) -> Estimate:
    """Our throughput as a share of theirs, from `turns` pairs of calls; who goes first alternates."""
    seconds(ours), seconds(theirs)  # a warm-up
    logs = []
    for turn in range(turns):
        if turn % 2:
            slow, fast = seconds(ours), seconds(theirs)
        else:
            fast, slow = seconds(theirs), seconds(ours)
        logs.append(np.log(fast / slow))
    e = bootstrap(logs)
    return Estimate(float(np.exp(e.mean)), float(np.exp(e.low)), float(np.exp(e.high)), e.n)


def main() -> None:
    """Prints a line for single queries and one for each size of batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--turns", type=int, default=40)
    options = parser.parse_args()
    vectors = unit_vectors(options.vectors, options.dimension, seed=0)
    queries = unit_vectors(1000, options.dimension, seed=1)
    flat = faiss.IndexFlatIP(options.dimension)
    flat.add(vectors)
    index = make_index("flat", options.dimension)
    index.add([str(i) for i in range(len(vectors))], vectors)
    print(f"{options.vectors:,} x {options.dimension}, k = {options.k}, {faiss.omp_get_max_threads()} threads")
    for size in (1, 10, 100, 1000):
        part = queries[:size]
        scores, _ = flat.search(part, options.k)
        np.testing.assert_array_equal([[hit.score for hit in hits] for hits in index.search(part, options.k)], scores)
        turns = options.turns * (5 if size == 1 else 1)
        share = share_of_throughput(
            lambda part=part: index.search(part, options.k), lambda part=part: flat.search(part, options.k), turns
        )
        print(f"{size:5} queries at a time: {share} of FAISS's throughput", flush=True)


if __name__ == "__main__":
    main()
