"""Looking over a generator's shoulder while it writes (taught in notebooks/07_rag_pipeline.ipynb)."""

from __future__ import annotations

import copy
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from rag_lib.generators import Seq2SeqGenerator


class WatchedModel:
    """A model whose `generate` is given further options and whose outputs are kept; all else is the model's own."""

    def __init__(self, model: PreTrainedModel, **options: Any) -> None:
        self.model = model
        self.options = options
        self.outputs: list[ModelOutput] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(self, **arguments: Any) -> ModelOutput:
        """See `GenerationMixin.generate`."""
        self.outputs.append(self.model.generate(**arguments, **self.options))
        return self.outputs[-1]


def watch(generator: Seq2SeqGenerator, **options: Any) -> Seq2SeqGenerator:
    """The same generator on the same weights with a WatchedModel; the one given is left as it is."""
    watched = copy.copy(generator)
    watched.model = WatchedModel(generator.model, **options)
    return watched
