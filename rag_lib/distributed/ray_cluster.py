"""A cluster of Ray, which starts processes on many machines and again where one is lost.

Moritz et al. (2018), "Ray: A Distributed Framework for Emerging AI Applications". Whoever reaches a cluster runs code
on it: keep it in a network of its own.
"""

from __future__ import annotations

import logging
import os
from types import ModuleType


class RayUnavailable(RuntimeError):
    """Ray is not installed, not there, or does not answer."""


def connect(address: str | None = None, cpus: float = 1) -> ModuleType:
    """Ray itself, connected to a cluster.

    Args:
        address: of the cluster's head; None for the one that this process is connected to, or else for a new one on
            this machine, which ends with the process.
        cpus: of the cluster, that whoever calls needs at least: Ray would wait for them for ever.

    Raises:
        RayUnavailable: it is not installed, there is no cluster at the address, or it is too small.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported: nothing is sent anywhere
    try:
        import ray
    except ImportError:
        raise RayUnavailable("Ray is not installed: pip install 'rag-from-scratch[distributed]'") from None
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if not ray.is_initialized():
        try:
            ray.init(address=address, include_dashboard=None if address else False, log_to_driver=False)
        except Exception as error:  # a bare one where a node does not start in time
            where = address or "this machine"
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RayUnavailable(f"no cluster of Ray at {where}: {reason}") from error
    there = ray.cluster_resources().get("CPU", 0)
    if there < cpus:
        raise RayUnavailable(f"{cpus:g} CPUs are needed, the cluster has {there:g}")
    return ray
