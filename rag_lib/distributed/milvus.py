"""Vectors in Milvus, an engine that runs as a file in this process, as a server, or on many machines.

The same code for all three: only the address differs. Wang et al. (2021), "Milvus: A Purpose-Built Vector Data
Management System".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from rag_lib.hits import Hit, best, check_k
from rag_lib.indexing.vector_index import check_ids, check_vectors

BATCH = 1_000  # rows in a message: Milvus takes 64 MB at a time
MOST = 16_384  # hits that Milvus gives at most
LONGEST_ID = 512  # bytes


class MilvusUnavailable(RuntimeError):
    """Milvus is not installed, not there, or does not do what it is asked."""


class MilvusIndex:
    """A `VectorIndex` whose vectors lie in a collection of Milvus; it outlives the process.

    Args:
        uri: a path that ends in .db (a file, with milvus-lite), or the address of a server or cluster, http://….
        collection: its name there; made where there is none.
        search: what Milvus is told when it searches, such as {"params": {"ef": 128}} for a graph.
        index_type: how Milvus searches: FLAT is exact; HNSW and IVF_FLAT are not, and a file has FLAT alone.

    Raises:
        MilvusUnavailable: it cannot be reached, or the collection there has other vectors.
    """

    def __init__(
        self,
        dimension: int,
        uri: str,
        collection: str = "passages",
        index_type: str = "FLAT",
        search: dict[str, Any] | None = None,
        token: str = "",
    ) -> None:
        self.dimension, self.collection, self.index_type, self.how = dimension, collection, index_type, search or {}
        self.client = connect(uri, token)
        with errors(uri):
            if not self.client.has_collection(collection):
                self._create()
            self._check()
            self.client.load_collection(collection)

    def _create(self) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=LONGEST_ID)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=self.dimension)
        index = self.client.prepare_index_params()
        index.add_index("vector", index_type=self.index_type, metric_type="IP")
        # "Strong": a search sees what was written before it, as with every other index here.
        self.client.create_collection(self.collection, schema=schema, index_params=index, consistency_level="Strong")

    def _check(self) -> None:
        fields = {f["name"]: f for f in self.client.describe_collection(self.collection)["fields"]}
        there = fields.get("vector", {}).get("params", {}).get("dim")
        if there is None or int(there) != self.dimension:
            raise MilvusUnavailable(
                f"the collection {self.collection!r} there has vectors of dimension {there}, not {self.dimension}"
            )

    def __len__(self) -> int:
        with errors(self.collection):
            return int(self.client.query(self.collection, output_fields=["count(*)"])[0]["count(*)"])

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`.

        Raises:
            ValueError: also where an id has more than LONGEST_ID bytes.
        """
        vectors = check_vectors(vectors, self.dimension)
        check_ids(ids, vectors)
        if long := [i for i in ids if len(i.encode()) > LONGEST_ID]:
            raise ValueError(f"an id has more than {LONGEST_ID} bytes: {long[0][:40]}…")
        rows = [{"id": i, "vector": v} for i, v in zip(ids, vectors, strict=True)]
        with errors(self.collection):
            for part in batches(rows):
                self.client.upsert(self.collection, part)

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`."""
        unique = sorted(set(ids))
        with errors(self.collection):
            known = {row["id"] for part in batches(unique) for row in self.client.get(self.collection, part)}
            if unknown := set(unique) - known:
                raise KeyError(f"not in the index: {sorted(unknown)[:3]}")
            for part in batches(unique):
                self.client.delete(self.collection, ids=part)

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`. A tie at the border is followed as far as Milvus gives hits.

        Raises:
            ValueError: k is above MOST.
        """
        k, queries = check_k(k), check_vectors(queries, self.dimension)
        k = min(k, len(self))
        if k > MOST:
            raise ValueError(f"Milvus gives at most {MOST:,} hits, not {k:,}")
        if not k or not len(queries):
            return [[] for _ in queries]
        depth = min(k + 1, MOST)
        while True:
            found = self._found(queries, depth)
            tied = any(len(hits) == depth > k and hits[k - 1].score == hits[-1].score for hits in found)
            if not tied or depth == MOST:
                return [best(hits, k) for hits in found]
            depth = min(2 * depth, MOST)

    def _found(self, queries: np.ndarray, depth: int) -> list[list[Hit]]:
        with errors(self.collection):
            rows = self.client.search(self.collection, list(queries), limit=depth, search_params=self.how)
        # It sums in another order for some rows than for others: what differs in the seventh decimal is a tie.
        return [[Hit(hit["id"], round(float(hit["distance"]), 6)) for hit in row] for row in rows]

    def drop(self) -> None:
        """Deletes the collection with all that is in it."""
        with errors(self.collection):
            self.client.drop_collection(self.collection)

    def close(self) -> None:
        """Lets go of the file or the connection."""
        self.client.close()


def batches(items: Iterable[Any]) -> Iterable[list[Any]]:
    """The items in lists of at most BATCH."""
    items = iter(items)
    return iter(lambda: list(islice(items, BATCH)), [])


def connect(uri: str, token: str) -> Any:
    """A client of Milvus.

    Raises:
        MilvusUnavailable: it is not installed, or cannot be reached.
    """
    try:
        from pymilvus import MilvusClient
    except ImportError:
        raise MilvusUnavailable("Milvus is not installed: pip install 'rag-from-scratch[distributed]'") from None
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what fails is our line, not its pages of traces
    with errors(uri):
        return MilvusClient(uri, token=token, timeout=10)


class errors:  # noqa: N801  used as a word: with errors(where)
    """Turns whatever Milvus raises into one clear line."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        from pymilvus.exceptions import MilvusException

        if isinstance(error, MilvusException):
            raise MilvusUnavailable(f"Milvus ({self.where}): {' '.join(str(error.message).split())[:300]}") from error
