"""Mixed precision: a copy in bfloat16 computes, the float32 original is trained (Micikevicius et al., 2018).

Taught in notebooks/09_finetune_generator.ipynb.
"""

from __future__ import annotations

import copy

import torch


class HalfCopy:
    """A model's bfloat16 copy, whose gradients go to the original's parameters.

    A step of the optimizer is often smaller than the gap between two neighbouring bfloat16 numbers, so that the copy
    alone would hardly learn; computing with it is twice as fast on processors that multiply bfloat16.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = copy.deepcopy(model).bfloat16()
        pairs = zip(model.parameters(), self.model.parameters(), strict=True)
        trained = [(original, copied) for original, copied in pairs if original.requires_grad]
        self.originals, self.copies = ([pair[i] for pair in trained] for i in (0, 1))

    @torch.no_grad()
    def refreshed(self) -> torch.nn.Module:
        """The copy, with the original's parameters of now, rounded."""
        torch._foreach_copy_(self.copies, self.originals)
        return self.model

    def hand_over_gradients(self) -> None:
        """Gives the copy's gradients to the original, in float32."""
        for original, copied in zip(self.originals, self.copies, strict=True):
            original.grad = None if copied.grad is None else copied.grad.float()
            copied.grad = None
