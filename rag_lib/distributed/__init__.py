"""A collection on several machines, by existing engines (the extra `distributed`).

Vectors and questions go in; the hits that one machine would find come out. `sharding` shows by hand why;
Milvus keeps the vectors, Ray keeps processes running: those that encode, those that hold the shards, and those that
answer.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(
    __name__,
    {
        "sharding": "ShardedIndex merge shard_of",
        "milvus": "MilvusIndex MilvusUnavailable",
        "ray_cluster": "RayUnavailable connect",
        "ray_encoding": "encode_collection",
        "ray_index": "ray_index",
        "ray_serve": "serve_replicas stop_replicas",
    },
)
