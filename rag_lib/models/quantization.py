"""Weights in 8 bits: whole numbers from -127 to 127 and a scale per row.

Half the size of float16 on disk; they are turned back into floats when they are loaded. Symmetric quantisation by rows,
as in Dettmers et al. (2022), "LLM.int8()". Taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

SCALE = ".scale"  # of the matrix whose name stands before it


def quantized(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Matrices (m, n) as int8 with scales (m,) in float32 under `<name>.scale`; all else in float16."""
    stored: dict[str, torch.Tensor] = {}
    for name, w in weights.items():
        if w.dim() != 2:
            stored[name] = w.half().contiguous()
            continue
        scale = (w.float().abs().amax(1) / 127).clamp(min=1e-30)
        stored[name] = (w.float() / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        stored[name + SCALE] = scale
    return stored


def dequantized(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights in float32 from what `quantized` made; those without a scale as they are, in float32.

    Raises:
        KeyError: a matrix of whole numbers lacks its scales.
    """
    weights = {}
    for name, value in stored.items():
        if value.dtype == torch.int8:
            weights[name] = value.float() * stored[name + SCALE][:, None]
        elif not name.endswith(SCALE):
            weights[name] = value.float()
    return weights
