"""A sharded index whose shards lie in actors of Ray: processes on one machine or many, started again when they die."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rag_lib.distributed.ray_cluster import RayUnavailable, connect
from rag_lib.distributed.sharding import ShardedIndex
from rag_lib.hits import Hit
from rag_lib.indexing.store import FILE, load_index, save_index
from rag_lib.indexing.vector_index import FaissIndex, Flat

SECONDS = 120.0  # that a shard may take to answer; a lost one needs some to start and to read its file


@dataclass(frozen=True)
class MadeBy:
    """Stands for the encoder of the vectors where only its fingerprint matters."""

    name: str

    def fingerprint(self) -> str:
        """What the encoder said of itself."""
        return self.name


class Shard:
    """What an actor holds: an index, and the file from which a new actor reads it where this one is lost.

    A call that is repeated because its answer was lost does no harm. Every change is on the disk before it is answered.
    """

    def __init__(self, dimension: int, folder: Path, kind: Flat, encoder: MadeBy) -> None:
        self.folder, self.encoder = folder, encoder
        self.index = load_index(folder, encoder) if (folder / FILE).is_file() else FaissIndex(dimension, kind)

    def ids(self) -> list[str]:
        """What it holds."""
        return list(self.index.numbers)

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`."""
        self.index.add(ids, vectors)
        save_index(self.index, self.folder, self.encoder)

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`, but what is not there may be gone already."""
        self.index.remove([i for i in ids if i in self.index.numbers])
        save_index(self.index, self.folder, self.encoder)

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        return self.index.search(queries, k)


class ActorShard:
    """A `VectorIndex` that asks an actor. One that dies is started again, elsewhere if need be, and asked again."""

    def __init__(self, dimension: int, folder: Path, kind: Flat, encoder: MadeBy, cpus: float) -> None:
        self.dimension, self.folder, self.ray = dimension, folder, connect(cpus=cpus)
        lasting = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD", "num_cpus": cpus}
        self.actor = self.ray.remote(Shard).options(**lasting).remote(dimension, folder, kind, encoder)

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            return self.ray.get(getattr(self.actor, method).remote(*arguments), timeout=SECONDS)
        except self.ray.exceptions.GetTimeoutError:
            raise RayUnavailable(f"the shard of {self.folder} has not answered for {SECONDS:g} seconds") from None
        except self.ray.exceptions.RayActorError as error:
            raise RayUnavailable(f"the shard of {self.folder} cannot be started: {last_line(error)}") from error

    def __len__(self) -> int:
        return len(self.ids())

    def ids(self) -> list[str]:
        """What the shard holds."""
        return self._ask("ids")

    def add(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """See `VectorIndex.add`. Each call writes the shard's file anew: better few calls with much."""
        self._ask("add", list(ids), vectors)

    def remove(self, ids: Sequence[str]) -> None:
        """See `VectorIndex.remove`, but unknown ids are passed over: `ShardedIndex` knows them."""
        self._ask("remove", list(ids))

    def search(self, queries: np.ndarray, k: int) -> list[list[Hit]]:
        """See `VectorIndex.search`."""
        return self._ask("search", queries, k)


def last_line(error: Exception) -> str:
    """The last line of what a worker raised, which says what it was."""
    return str(getattr(error, "cause", None) or error).strip().splitlines()[-1]


def ray_index(
    dimension: int, folder: Path, shards: int = 2, kind: Flat | None = None, encoder: str = "", cpus: float = 1
) -> ShardedIndex:
    """A vector index whose shards are held by actors; with those of `folder` where it was opened before.

    Args:
        folder: where all machines can read and write: a shared disk.
        kind: of the index in each shard.
        encoder: the fingerprint of the encoder that makes the vectors.
        cpus: CPUs for each shard; with 0 they share what there is.

    Raises:
        ValueError: shards is below 1, or the folder has another number of them.
        RayUnavailable: there is no cluster, or a shard cannot be started, as its file is of another encoder.
    """
    if shards < 1:
        raise ValueError(f"there must be at least one shard, not {shards}")
    names = [f"{number}-of-{shards}" for number in range(1, shards + 1)]
    if folder.is_dir() and (others := sorted({p.name for p in folder.iterdir()} - set(names))):
        raise ValueError(f"{folder} does not hold {shards} shards but {others[0]}: index it anew")
    parts = [ActorShard(dimension, folder / name, kind or Flat(), MadeBy(encoder), cpus) for name in names]
    return ShardedIndex(parts, ids=set(chain.from_iterable(part.ids() for part in parts)))
