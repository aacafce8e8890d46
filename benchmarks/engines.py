"""Whether every engine finds what one process finds, also when machines are lost: python benchmarks/engines.py

Ray runs on two nodes of a cluster on this machine, Milvus from a file. The counts go to data/results/engines.json.
Needs the extra `distributed`.
"""

from __future__ import annotations

import os

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before Ray is imported

import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from rag_lib.distributed import MilvusIndex, ShardedIndex, connect, ray_index
from rag_lib.files import ARTICLES, DATA, write_json
from rag_lib.hits import Hit
from rag_lib.indexing import FaissIndex, SentenceEncoder, open_folder
from rag_lib.indexing.vector_index import VectorIndex
from rag_lib.museum import load_questions

RESULTS = DATA / "results" / "engines.json"
K, SHARDS = 10, 4
NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20}


def agreeing(index: VectorIndex, queries: np.ndarray, expected: Sequence[Sequence[Hit]]) -> int:
    """How many questions have the same hits in the same order."""
    return sum([h.id for h in a] == [h.id for h in b] for a, b in zip(index.search(queries, K), expected, strict=True))


def main() -> None:
    """Fills each engine with the museum's passages, asks the validation questions, and writes the counts."""
    encoder = SentenceEncoder()
    knowledge = open_folder(ARTICLES, encoder, progress=True)
    ids, vectors = list(knowledge.passages), knowledge.vectors
    queries = encoder.encode_queries([q.question for q in load_questions("validation") if q.answers])
    one = FaissIndex(encoder.dimension)
    one.add(ids, vectors)
    expected = one.search(queries, K)
    rows = []

    def note(engine: str, index: VectorIndex, prepare: Callable[[], object] = lambda: None) -> None:
        prepare()
        rows.append({"engine": engine, "same": agreeing(index, queries, expected)})
        print(rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as folder:
        sharded = ShardedIndex([FaissIndex(encoder.dimension) for _ in range(SHARDS)])
        milvus = MilvusIndex(encoder.dimension, f"{folder}/passages.db")
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        second = cluster.add_node(**NODE)
        connect(cluster.address)
        actors = ray_index(encoder.dimension, Path(folder, "shards"), SHARDS, cpus=0.1)
        for index in (sharded, milvus, actors):
            index.add(ids, vectors)
        note(f"{SHARDS} shards in one process", sharded)
        note("Milvus, a file", milvus)
        note(f"Ray, {SHARDS} actors on two nodes", actors)
        note("Ray, after an actor was killed", actors, lambda: ray.kill(actors.shards[0].actor, no_restart=False))
        note("Ray, after a node was killed", actors, lambda: cluster.remove_node(second, allow_graceful=False))
        ray.shutdown()
        cluster.shutdown()
    about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "passages": len(ids), "questions": len(queries), "k": K}
    about |= {"versions": {name: version(name) for name in ("ray", "pymilvus", "milvus-lite")}}
    RESULTS.parent.mkdir(exist_ok=True)
    write_json(RESULTS, about | {"rows": rows})


if __name__ == "__main__":
    main()
