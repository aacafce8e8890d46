"""A collection cut into shards, each searched apart, and one list made of their hits (taught in chapter 15).

The k best of all are among the k best of each shard: whatever a shard ranks lower has k better passages beside it
already. So the merge is exact wherever a passage's score does not hang on the other passages of its shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np

from rag_lib.hits import Hit, best, check_k
from rag_lib.indexing.vector_index import VectorIndex, check_ids, check_vectors


def shard_of(id: str, shards: int) -> int:
    """The shard that holds a passage, the same in every process and on every machine (Python's `hash` is not)."""
    return int.from_bytes(hashlib.blake2b(id.encode(), digest_size=8).digest()) % shards


def merge(hits: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """The k best hits of several lists, ties by id."""
    return best(list(chain.from_iterable(hits)), k)


class ShardedIndex:
    """A vector index whose vectors lie in several others; every search asks all of them at once.

    Args:
        shards: indexes of one dimension, empty unless `ids` are given. They may be in this process or behind a network.
        ids: what the shards hold already, as a sharded index of as many shards put it there.

    Raises:
        ValueError: there are no shards, they hold something else, or they are of different dimensions.
    """

    def __init__(self, shards: Sequence[VectorIndex], ids: Collection[str] = ()) -> None:
        if len({s.dimension for s in shards}) != 1 or sum(map(len, shards)) != len(ids):
            raise ValueError("a sharded index needs at least one shard, all empty and of the same dimension")
        self.shards = list(shards)
        self.ids = set(ids)
        self.dimension = shards[0].dimension
        self.pool = ThreadPoolExecutor(len(shards), thread_name_prefix="shard")

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def owners(self, ids: Sequence[str]) -> np.ndarray:
        """The number of the shard of each id, (len(ids),)."""
        return np.array([shard_of(i, len(self.shards)) for i in ids], dtype=int)

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`."""
        vectors = check_vectors(vectors, self.dimension)
        check_ids(ids, vectors)
        owners = self.owners(ids)
        for number, shard in enumerate(self.shards):
            rows = np.flatnonzero(owners == number)
            if len(rows):
                shard.add([ids[row] for row in rows], vectors[rows])
        self.ids.update(ids)

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`."""
        if unknown := set(ids) - self.ids:
            raise KeyError(f"not in the index: {sorted(unknown)[:3]}")
        owners = self.owners(ids)
        for number, shard in enumerate(self.shards):
            group = [ids[row] for row in np.flatnonzero(owners == number)]
            if group:
                shard.remove(group)
        self.ids.difference_update(ids)

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        k, queries = check_k(k), check_vectors(queries, self.dimension)
        found = list(self.pool.map(lambda shard: shard.search(queries, k), self.shards))
        return [merge(lists, k) for lists in zip(*found, strict=True)]
