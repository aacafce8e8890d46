"""Training that can be killed at any moment: states as safetensors, logs as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file


class CheckpointUnusable(ValueError):
    """A saved state is damaged, or belongs to another model."""


def save_state(
    path: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizer: torch.optim.Optimizer | None = None,
    progress: Mapping[str, float] | None = None,
) -> None:
    """Writes trained parameters, the optimizer's state and the progress to one file, replaced atomically."""
    tensors = {
        f"{name}/{key}": p.detach()
        for name, module in modules.items()
        for key, p in module.named_parameters()
        if p.requires_grad
    }
    for i, state in optimizer.state_dict()["state"].items() if optimizer else ():
        tensors |= {f"optimizer/{i}/{key}": value for key, value in state.items()}
    scratch = path.with_suffix(".tmp")
    copies = {key: value.contiguous().clone() for key, value in tensors.items()}
    save_file(copies, scratch, metadata={key: str(value) for key, value in (progress or {}).items()})
    os.replace(scratch, path)


def load_state(
    path: Path, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer | None = None
) -> dict[str, float] | None:
    """Restores what `save_state` wrote and returns the progress; None where there is no file.

    Raises:
        CheckpointUnusable: the file is damaged, or its tensors do not fit.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            progress = {key: float(value) for key, value in (file.metadata() or {}).items()}
        tensors = load_file(path)
        state: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for key, value in tensors.items():
                owner, _, name = key.partition("/")
                if owner == "optimizer":
                    i, _, field = name.partition("/")
                    state.setdefault(int(i), {})[field] = value
                else:
                    modules[owner].get_parameter(name).copy_(value)
        if optimizer:
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointUnusable(f"{path} cannot be resumed from ({error}); remove it to start anew") from error
    return progress


def append_json(path: Path, row: Mapping) -> None:
    """Adds one row to a file of JSON lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def write_json(path: Path, value: object) -> None:
    """Writes a value as JSON."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
