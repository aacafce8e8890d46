"""A collection is encoded by several processes, on one machine or many; what is done survives whatever is lost."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from rag_lib.distributed.ray_cluster import connect
from rag_lib.files import write_atomically
from rag_lib.hits import check_texts
from rag_lib.indexing.base import Encoder

SHARD = 4_096  # texts in a file: some minutes of work on a CPU, which is what a lost worker loses at most


def shard_name(fingerprint: str, texts: Sequence[str]) -> str:
    """The name of the file of some texts' vectors: another one for other texts or another encoder."""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=16)
    for text in texts:
        digest.update(len(text).to_bytes(8) + text.encode())
    return f"{digest.hexdigest()}.npy"


class ShardWriter:
    """What each worker runs: it loads the encoder once and writes a file for each shard that it is given."""

    def __init__(self, make_encoder: Callable[[], Encoder]) -> None:
        self.encoder = make_encoder()

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        """Encodes a shard, unless a worker that was lost had just written it."""
        path = Path(shard["path"])
        if not path.is_file():
            data = BytesIO()
            np.save(data, self.encoder.encode_passages(list(shard["texts"])), allow_pickle=False)
            write_atomically(path, data.getvalue())
        return {"path": str(path)}


def encode_collection(
    texts: Sequence[str],
    make_encoder: Callable[[], Encoder],
    folder: Path,
    workers: int = 2,
    cpus: float = 1,
    size: int = SHARD,
    progress: bool = False,
) -> list[Path]:
    """Encodes texts with an actor pool of Ray Data; files that an earlier run left in `folder` are not made again.

    Args:
        make_encoder: loads the encoder, here and in every worker.
        folder: where all machines can write: a shared disk.
        workers: processes with an encoder each, as many as the cluster has room for.
        cpus: CPUs for each worker.
        size: texts in a file.

    Returns:
        The files, in the order of the texts; `np.load` reads the vectors of each, (size, dimension), float32. They are
        to the last bit what one process computes that encodes shard by shard.

    Raises:
        ValueError: workers or size are below 1.
        RayUnavailable: there is no cluster with that many CPUs for one worker.
        OSError: the folder cannot be written.
    """
    if min(workers, size) < 1:
        raise ValueError(f"workers and size must be at least 1, not {workers} and {size}")
    texts, fingerprint = check_texts(texts), make_encoder().fingerprint()
    folder.mkdir(parents=True, exist_ok=True)
    shards = [texts[start : start + size] for start in range(0, len(texts), size)]
    paths = [folder / shard_name(fingerprint, shard) for shard in shards]
    missing = {p: {"path": str(p), "texts": s} for p, s in zip(paths, shards, strict=True) if not p.is_file()}
    if missing:
        connect(cpus=cpus)
        from ray import data

        data.DataContext.get_current().enable_progress_bars = False
        pool = data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=2)
        rows = data.from_items(list(missing.values()), override_num_blocks=len(missing))
        written = rows.map(ShardWriter, fn_constructor_args=(make_encoder,), compute=pool, num_cpus=cpus)
        for _ in tqdm(written.iter_rows(), total=len(missing), desc="encoding shards", disable=not progress):
            pass
    return paths
