"""Exact search among vectors, with external ids (taught in notebooks/04_vector_index.ipynb).

`NumpyIndex` is a few lines that can be checked by eye; `FaissIndex` is the same on FAISS (Douze et al., 2024). Both
measure by the inner product, which for unit vectors is the cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch  # noqa: F401  before faiss: the other order crashes on macOS

import faiss  # isort: skip

from rag_lib.hits import Hit, best, check_k


class VectorIndex(Protocol):
    """What the retrievers ask of an index; every back end passes the same contract test."""

    dimension: int

    def __len__(self) -> int: ...

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Adds vectors (len(ids), dimension); an id that is there already gets the new vector."""

    def remove(self, ids: Sequence[str]) -> None:
        """Removes ids; unknown ones are an error, and then nothing is removed."""

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """For each query (rows of (Q, dimension)), the at most k best hits, best first, ties by id."""


def check_vectors(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Vectors as a float32 matrix of unit rows.

    Raises:
        ValueError: another shape, values that are not finite, or rows that are not of length one.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise ValueError(f"vectors must be (n, {dimension}), not {vectors.shape}")
    norms = np.linalg.norm(vectors, axis=1)
    if not np.all(np.abs(norms - 1) < 1e-3):  # NaN fails this too
        raise ValueError("vectors must be finite and of length one: the inner product is a cosine only then")
    return vectors


def check_ids(ids: Sequence[str], vectors: np.ndarray) -> None:
    """Raises ValueError unless there is one new id for each vector and none twice."""
    if len(ids) != len(vectors):
        raise ValueError(f"{len(ids)} ids for {len(vectors)} vectors")
    if len(set(ids)) != len(ids):
        raise ValueError("an id occurs twice")


class NumpyIndex:
    """The exact index in NumPy: the reference for every other one."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.vectors: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.vectors)

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`."""
        vectors = check_vectors(vectors, self.dimension)
        check_ids(ids, vectors)
        self.vectors.update(zip(ids, vectors, strict=True))

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`."""
        if unknown := set(ids) - self.vectors.keys():
            raise KeyError(f"not in the index: {sorted(unknown)[:3]}")
        for i in set(ids):
            del self.vectors[i]

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        k, queries = check_k(k), check_vectors(queries, self.dimension)
        if not self.vectors:
            return [[] for _ in queries]
        scores = queries @ np.stack(list(self.vectors.values())).T  # (Q, N)
        return [best([Hit(i, float(s)) for i, s in zip(self.vectors, row, strict=True)], k) for row in scores]


class FaissIndex:
    """The exact index on FAISS. Ids are mapped to numbers that are never used twice."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        self.numbers: dict[str, int] = {}
        self.ids: dict[int, str] = {}
        self.next_number = 0

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`."""
        vectors = check_vectors(vectors, self.dimension)
        check_ids(ids, vectors)
        self.remove([i for i in ids if i in self.numbers])
        numbers = np.arange(self.next_number, self.next_number + len(ids), dtype=np.int64)
        self.next_number += len(ids)
        self.index.add_with_ids(vectors, numbers)
        self.numbers.update(zip(ids, numbers.tolist(), strict=True))
        self.ids.update(zip(numbers.tolist(), ids, strict=True))

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`."""
        if unknown := set(ids) - self.numbers.keys():
            raise KeyError(f"not in the index: {sorted(unknown)[:3]}")
        numbers = [self.numbers.pop(i) for i in set(ids)]
        if numbers:
            self.index.remove_ids(np.array(numbers, dtype=np.int64))
        for number in numbers:
            del self.ids[number]

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        k, queries = check_k(k), check_vectors(queries, self.dimension)
        if not len(self) or not len(queries):
            return [[] for _ in queries]
        depth = min(k + 1, len(self))
        scores, numbers = self.index.search(queries, depth)
        while depth < len(self) and (scores[:, k - 1] == scores[:, -1]).any():  # a tie at the border: ids decide
            depth = min(2 * depth, len(self))
            scores, numbers = self.index.search(queries, depth)
        return [
            best([Hit(self.ids[n], float(s)) for s, n in zip(*row, strict=True) if n >= 0], k)  # -1: FAISS's padding
            for row in zip(scores.tolist(), numbers.tolist(), strict=True)
        ]
