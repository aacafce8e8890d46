"""A small trainable difference to frozen weights (taught in notebooks/09_finetune_generator.ipynb).

LoRA (Hu et al., 2022): a matrix W of m × n becomes W + B A, where only B (m × r) and A (r × n) are trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.utils import parametrize

LAYER = re.compile(r"\.layers?\.")  # BART says "layers", BERT "layer"
HEADS = ("evidence.",)  # small, so trained and kept whole


class LowRank(nn.Module):
    """W + B A; B starts at zero, so that nothing changes at first."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        super().__init__()
        m, n = weight.shape
        self.a = nn.Parameter(torch.randn(rank, n, device=weight.device) / n**0.5)
        self.b = nn.Parameter(torch.zeros(m, rank, device=weight.device))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The changed weight (m, n)."""
        return weight + self.b @ self.a

    def beside(self, x: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """The outputs (..., m) that inputs (..., n) had of W, with what B A adds; computed in their precision."""
        rows = x.flatten(0, -2) @ self.a.to(x.dtype).T
        return torch.addmm(outputs.flatten(0, -2), rows, self.b.to(x.dtype).T).view_as(outputs)


def matrices(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear maps inside a model's layers, by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear) and LAYER.search(name)}


def is_head(name: str) -> bool:
    """Whether a parameter belongs to a head."""
    return name.startswith(HEADS)


def add_adapter(model: nn.Module, rank: int) -> None:
    """Freezes a model but for its heads, and gives every matrix of its layers a trainable difference of this rank."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_head(name))
    for linear in matrices(model).values():
        parametrize.register_parametrization(linear, "weight", LowRank(linear.weight, rank))
        linear.parametrizations.weight.original.requires_grad_(False)


def add_side_paths(model: nn.Module, rank: int, start: Mapping[str, torch.Tensor] | None = None) -> None:
    """Freezes a model and gives every matrix of its layers the difference of `add_adapter`, computed beside it.

    x (W + B A)ᵀ is xWᵀ + x Aᵀ Bᵀ. No gradient of W's size arises so, and W may be kept in half precision: for large
    models it is the faster way to train.

    Args:
        start: differences to begin with, as `adapter_weights` gives them.

    Raises:
        ValueError: they are another model's, or of another rank.
    """
    model.requires_grad_(False)
    for name, linear in matrices(model).items():
        linear.difference = LowRank(linear.weight, rank)
        try:
            for part in "ab" if start else "":
                getattr(linear.difference, part).data.copy_(start[f"{name}.{part}"])
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"the adapter does not fit the model, or not rank {rank}: {error}") from error
        linear.register_forward_hook(lambda module, inputs, output: module.difference.beside(inputs[0], output))


def difference_of(linear: nn.Linear) -> LowRank:
    """The trainable difference that a matrix was given."""
    return linear.difference if hasattr(linear, "difference") else linear.parametrizations.weight[0]


def adapter_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The differences of a model with an adapter, by `<matrix>.a` and `<matrix>.b`, and its heads."""
    return {name: p.detach() for name, p in model.named_parameters() if is_head(name)} | {
        f"{name}.{part}": getattr(difference_of(linear), part).detach()
        for name, linear in matrices(model).items()
        for part in "ab"
    }


@torch.no_grad()
def apply_adapter(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Adds saved differences to a model's matrices, for good, and takes over the heads.

    Raises:
        ValueError: they are another model's.
    """
    linears = matrices(model)
    try:
        for key, value in weights.items():
            name, _, part = key.rpartition(".")
            if is_head(key):
                model.get_parameter(key).copy_(value)
            elif part == "a":
                linears[name].weight += weights[f"{name}.b"].float() @ value.float()
    except (KeyError, RuntimeError, AttributeError) as error:
        raise ValueError(f"the adapter does not fit the model: {error}") from error


def merge_adapter(model: nn.Module) -> None:
    """Adds a model's trained differences to its matrices, for good."""
    for linear in matrices(model).values():
        parametrize.remove_parametrizations(linear, "weight")
