"""Search among vectors, exact and approximate, under external ids (taught in notebooks/04_vector_index.ipynb).

`NumpyIndex` is a few lines that can be checked by eye. `FaissIndex` keeps ids over an index of FAISS (Douze et al.,
2024); its kind says which: `Flat` (exact), `IVF`, `HNSW` or `PQ`. All measure by the inner product, which for unit
vectors is the cosine.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Protocol

import numpy as np

if sys.platform == "darwin":
    import torch  # noqa: F401  before faiss: the other order crashes there

import faiss

from rag_lib.hits import Hit, best, check_k

POINTS_PER_CENTROID = 39  # FAISS's own lower bound: with fewer, k-means fits noise


class VectorIndex(Protocol):
    """What the retrievers ask of an index; every back end passes the same contract test."""

    dimension: int

    def __len__(self) -> int: ...

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """Adds vectors (len(ids), dimension); an id that is there already gets the new vector."""

    def remove(self, ids: Sequence[str]) -> None:
        """Removes ids; unknown ones are an error, and then nothing is removed."""

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """For each query (rows of (Q, dimension)), min(k, len(self)) hits, best first, ties by id."""


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


@dataclass(frozen=True)
class Flat:
    """Every vector is compared: exact. The other kinds change what is different with them."""

    name: ClassVar[str] = "flat"

    def __post_init__(self) -> None:
        if bad := {name: value for name, value in asdict(self).items() if value < 1}:
            raise ValueError(f"settings of an index must be at least 1, not {bad}")

    def description(self, dimension: int) -> str:
        """The index in the language of `faiss.index_factory`.

        Raises:
            ValueError: there is none of this dimension.
        """
        return "IDMap2,Flat"

    def train_at(self) -> int:
        """How many vectors it takes to train; below that the search is exact. 0: nothing is trained."""
        return 0

    def search(self, index: faiss.Index, queries: np.ndarray, depth: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
        """Scores and numbers (Q, depth), padded with -1; nothing is missed where `depth` is the size of the index.

        `effort` is 1 at first and doubles whenever too few were found.
        """
        return index.search(queries, depth)

    def remove(self, index: faiss.Index, numbers: np.ndarray) -> None:
        """Takes numbers out of the index, or leaves them there as tombstones."""
        index.remove_ids(numbers)


@dataclass(frozen=True)
class IVF(Flat):
    """An inverted file (Sivic and Zisserman, 2003): the `probes` nearest of `lists` clusters are searched."""

    name: ClassVar[str] = "ivf"
    lists: int = 256
    probes: int = 16

    def description(self, dimension: int) -> str:
        """See `Flat.description`."""
        return f"IVF{self.lists},Flat"

    def train_at(self) -> int:
        """See `Flat.train_at`."""
        return POINTS_PER_CENTROID * self.lists

    def search(self, index: faiss.Index, queries: np.ndarray, depth: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Flat.search`."""
        probes = self.lists if depth >= index.ntotal else min(self.lists, self.probes * effort)
        return index.search(queries, depth, params=faiss.SearchParametersIVF(nprobe=probes))


@dataclass(frozen=True)
class HNSW(Flat):
    """A graph of neighbours in layers (Malkov and Yashunin, 2018): `links` a vector, `beam` candidates in a search."""

    name: ClassVar[str] = "hnsw"
    links: int = 32
    beam: int = 128

    def description(self, dimension: int) -> str:
        """See `Flat.description`."""
        return f"IDMap2,HNSW{self.links}"

    def search(self, index: faiss.Index, queries: np.ndarray, depth: int, effort: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Flat.search`."""
        if depth >= index.ntotal:  # a walk may not reach every vector, a scan does
            scores, rows = faiss.downcast_index(index.index).storage.search(queries, depth)
            return scores, faiss.vector_to_array(index.id_map)[rows]
        return index.search(queries, depth, params=faiss.SearchParametersHNSW(efSearch=max(self.beam, depth)))

    def remove(self, index: faiss.Index, numbers: np.ndarray) -> None:
        """Leaves them: other vectors are reached through them."""


@dataclass(frozen=True)
class PQ(Flat):
    """Product quantisation (Jégou et al., 2011): of each vector only `parts` codes of `bits` bits are kept."""

    name: ClassVar[str] = "pq"
    parts: int = 48
    bits: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 3 <= self.bits <= 8:
            raise ValueError(f"a code has 3 to 8 bits, not {self.bits}")

    def description(self, dimension: int) -> str:
        """See `Flat.description`."""
        if dimension % self.parts:
            raise ValueError(f"vectors of {dimension} dimensions cannot be cut into {self.parts} equal parts")
        return f"IDMap2,PQ{self.parts}x{self.bits}np"  # np: no polysemous training, minutes for what is not used here

    def train_at(self) -> int:
        """See `Flat.train_at`."""
        return POINTS_PER_CENTROID * 2**self.bits


class FaissIndex:
    """An index of FAISS under external ids, which are mapped to numbers that are never used twice.

    A kind that must be trained is searched exactly until there are vectors enough to train it. Vectors that a kind
    cannot remove stay as tombstones, which a search skips; once they outnumber the living, the index is built anew.
    """

    def __init__(self, dimension: int, kind: Flat | None = None) -> None:
        self.dimension = dimension
        self.kind = kind or Flat()
        self.numbers: dict[str, int] = {}
        self.ids: dict[int, str] = {}
        self.next_number = 0
        self.kind.description(dimension)  # bad settings are refused now, not when there are vectors enough
        self.serving = Flat() if self.kind.train_at() else self.kind
        self.index = self._empty()

    def _empty(self) -> faiss.Index:
        description = self.serving.description(self.dimension)
        return faiss.index_factory(self.dimension, description, faiss.METRIC_INNER_PRODUCT)

    def _rebuild(self) -> None:
        """Makes the index anew from the vectors in it that are alive."""
        numbers = np.array(list(self.ids), dtype=np.int64)
        vectors = self.index.reconstruct_batch(numbers)
        self.index = self._empty()
        if self.serving.train_at():
            self.index.train(vectors)
        self.index.add_with_ids(vectors, numbers)

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
        if self.serving != self.kind and len(self) >= self.kind.train_at():
            self.serving = self.kind
            self._rebuild()

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`."""
        if unknown := set(ids) - self.numbers.keys():
            raise KeyError(f"not in the index: {sorted(unknown)[:3]}")
        numbers = [self.numbers.pop(i) for i in set(ids)]
        for number in numbers:
            del self.ids[number]
        if numbers:
            self.serving.remove(self.index, np.array(numbers, dtype=np.int64))
        if self.index.ntotal > 2 * len(self):
            self._rebuild()

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        k, queries = check_k(k), check_vectors(queries, self.dimension)
        found: list[list[Hit]] = [[] for _ in queries]
        pending = np.arange(len(queries) if len(self) else 0)
        effort = 1
        while len(pending):
            # One more than asked for shows a tie at the border; where a share is dead, that share more are fetched.
            depth = min(math.ceil((k + 1) * effort * self.index.ntotal / len(self)), self.index.ntotal)
            scores, numbers = self.serving.search(self.index, queries[pending], depth, effort)
            for i, row, row_scores in zip(pending, numbers.tolist(), scores.tolist(), strict=True):
                # Neither FAISS's padding, -1, nor a tombstone has an id.
                names = map(self.ids.get, row)
                found[i] = [Hit(name, s) for name, s in zip(names, row_scores, strict=True) if name is not None]
            if depth == self.index.ntotal:
                break
            pending = [i for i in pending if len(found[i]) <= k or found[i][k - 1].score == found[i][-1].score]
            effort *= 2
        return [best(hits, k) for hits in found]

    def stored(self) -> np.ndarray:
        """The index of FAISS as bytes, for `restore`."""
        return faiss.serialize_index(self.index)

    def restore(self, stored: np.ndarray, numbers: dict[str, int], next_number: int, trained: bool) -> None:
        """Takes over what was saved of another index of the same kind.

        Raises:
            ValueError: the parts do not belong together.
        """
        index = faiss.deserialize_index(stored)
        if index.d != self.dimension or index.ntotal < len(numbers) or max(numbers.values(), default=-1) >= next_number:
            raise ValueError("its files do not belong together")
        self.index, self.numbers, self.next_number = index, numbers, next_number
        self.ids = {number: i for i, number in numbers.items()}
        self.serving = self.kind if trained else Flat()


KINDS = {kind.name: kind for kind in (Flat, IVF, HNSW, PQ)}


def make_index(name: str, dimension: int, **settings: int) -> VectorIndex:
    """An empty index by its name: numpy, flat, ivf, hnsw or pq.

    Raises:
        ValueError: another name, or settings that its kind does not have or cannot have.
    """
    try:
        if name == "numpy":
            return NumpyIndex(dimension, **settings)
        return FaissIndex(dimension, KINDS[name](**settings))
    except KeyError:
        raise ValueError(f"no index is called {name!r}; there are numpy, {', '.join(KINDS)}") from None
    except TypeError:
        raise ValueError(f"the index {name!r} has no settings {sorted(settings)}") from None
