"""What this machine's processors are good at."""

from __future__ import annotations

import torch


def computes_in_half(device: str = "cpu") -> bool:
    """Whether a device multiplies matrices in bfloat16: GPUs do, and CPUs with instructions for it.

    Others imitate it, a hundred times more slowly than they compute in float32.
    """
    if torch.device(device).type != "cpu":
        return True
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def in_half(device: str, wanted: bool = True) -> torch.autocast:
    """A context in which matrices are multiplied in bfloat16, about twice as fast, on devices that can."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=wanted and computes_in_half(device))
