"""BM25 of rag_lib beside bm25s: 10⁵ real passages, the same analyser, one run.

The passages are paragraphs of the docstrings of the installed Python packages, so nothing is downloaded. Run from the
repository's root: python benchmarks/bm25.py. The row of bm25s' numba back end appears where numba is installed.
"""

import ast
import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import bm25s
import numpy as np
from tqdm.auto import tqdm

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25

PASSAGES, QUERIES, ROUNDS, K = 100_000, 300, 5, 10
QUERY_WORDS = 8


def paragraphs() -> Iterator[str]:
    """Paragraphs of at least ten words from the docstrings of the installed packages, in the order of their files."""
    for path in sorted(Path(sysconfig.get_path("purelib")).rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for paragraph in (ast.get_docstring(node) or "").split("\n\n"):
                    if len(paragraph.split()) >= 10:
                        yield " ".join(paragraph.split())


def collect(count: int) -> list[str]:
    """So many different paragraphs, in random order (fixed seed), so that none stands beside its neighbours."""
    texts: dict[str, None] = {}
    with tqdm(total=count, desc="reading docstrings") as bar:
        for text in paragraphs():
            bar.update(text not in texts)
            texts[text] = None
            if len(texts) == count:
                break
    return [list(texts)[i] for i in np.random.default_rng(0).permutation(len(texts))]


class Ready:
    """Stands in for an analyser where the terms are there already: both systems index the very same lists."""

    def __call__(self, terms: list[str]) -> list[str]:
        """The terms as they are."""
        return terms


def timed(function, *arguments):
    """Seconds that a call took, and its result."""
    start = perf_counter()
    result = function(*arguments)
    return perf_counter() - start, result


def build_bm25s(documents: list[list[str]], backend: str) -> bm25s.BM25:
    """The index of bm25s, in the variant and with the parameters that are rag_lib's defaults."""
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75, backend=backend)
    index.index(documents, show_progress=False)
    return index


def search_bm25s(index: bm25s.BM25, queries: list[list[str]]) -> list[np.ndarray]:
    """The scores of the K best of each query, one query at a time as they come in."""
    return [index.retrieve([q], k=K, show_progress=False, n_threads=0).scores[0] for q in queries]


def search_ours(index: BM25, queries: list[list[str]]) -> list[np.ndarray]:
    """The scores of the K best of each query."""
    return [np.array([hit.score for hit in index.search(q, K)], dtype=np.float32) for q in queries]


def main() -> None:
    """Prints the table."""
    texts = collect(PASSAGES + QUERIES)
    analyse = Analyzer()
    seconds, documents = timed(lambda: [analyse(text) for text in tqdm(texts[:PASSAGES], desc="analysing")])
    vocabulary = {term for document in documents for term in document}
    queries = [analyse(" ".join(text.split()[:QUERY_WORDS])) for text in texts[PASSAGES:]]
    queries = [q for q in ([t for t in query if t in vocabulary] for query in queries) if q]  # bm25s needs known terms
    print(f"{len(documents):,} passages, {np.mean([len(d) for d in documents]):.0f} terms each, {len(queries)} queries")
    print(f"analysing them, the same for all: {seconds:.1f} s")

    ids = [f"{i:06}" for i in range(len(documents))]
    backends = ["numpy", *(["numba"] if importlib.util.find_spec("numba") else [])]
    build = {"rag_lib": lambda: BM25(ids, documents, Ready())}
    build |= {f"bm25s, {b}": lambda b=b: build_bm25s(documents, b) for b in backends}
    indexes, build_times = {}, {}
    for name, function in build.items():
        build_times[name], indexes[name] = timed(function)
    search = {name: search_ours if name == "rag_lib" else search_bm25s for name in build}
    found = {name: search[name](indexes[name], queries) for name in build}  # also warms up; numba compiles here
    # Rounds take turns, so that other work on the machine meets all alike; the quickest round counts.
    rounds = [{n: timed(search[n], indexes[n], queries)[0] for n in build} for _ in tqdm(range(ROUNDS), desc="rounds")]

    print(f"{'':14} {'build, s':>9} {'queries/s':>10}   same top-{K} scores as rag_lib")
    for name in build:
        same = sum(
            np.allclose(np.pad(ours, (0, K - len(ours))), theirs, atol=1e-4)
            for ours, theirs in zip(found["rag_lib"], (np.pad(f, (0, K - len(f))) for f in found[name]), strict=True)
        )
        speed = len(queries) / min(r[name] for r in rounds)
        print(f"{name:14} {build_times[name]:9.2f} {speed:10.0f}   {same} of {len(queries)}")


if __name__ == "__main__":
    main()
