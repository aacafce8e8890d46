"""What this machine's processor is good at."""

from __future__ import annotations

import torch


def computes_in_half() -> bool:
    """Whether this machine's processor multiplies matrices in bfloat16."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16"))
