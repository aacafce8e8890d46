"""Several processes that train one model together, each on its share of every batch.

They are started by PyTorch's own `torchrun`, on one machine or several; taught in
notebooks/09_finetune_generator.ipynb. Started without it, there is one process, and all of this does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.nn.utils import parameters_to_vector, vector_to_parameters

PATIENCE = timedelta(hours=2)  # for which processes wait for the one that evaluates


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Joins the other processes, if torchrun started any, and gives this one's device: its own GPU for "cuda".

    Raises:
        ValueError: there is no such device.
    """
    number = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and number >= torch.cuda.device_count():
        raise ValueError(f"PyTorch finds no device {device} on this machine: leave --device out to train on the CPU")
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    on_gpu = device == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """This process's number."""
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that evaluates, and writes files and messages."""
    return rank() == 0


def wait() -> None:
    """Waits for the others."""
    if dist.is_initialized():
        dist.barrier()


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum of all processes' tensors, without gradients."""
    value = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def from_first(value: int, device: torch.device) -> int:
    """The first process's number."""
    return int(total(torch.tensor(value if is_first() else 0, device=device)))


def add_gradients(parameters: Sequence[torch.nn.Parameter]) -> None:
    """Gives every parameter the sum of all processes' gradients; one that is used in none stays without."""
    if not dist.is_initialized():
        return
    used_in = total(
        torch.tensor([p.grad is not None for p in parameters], dtype=torch.int, device=parameters[0].device)
    )
    used = [p for p, processes in zip(parameters, used_in.tolist(), strict=True) if processes]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in used]
    vector_to_parameters(total(parameters_to_vector(gradients)), gradients)
    for p, gradient in zip(used, gradients, strict=True):
        p.grad = gradient
