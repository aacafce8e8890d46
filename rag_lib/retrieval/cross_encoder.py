"""A cross-encoder from the bundled MiniLM (taught in notebooks/05_retrieval.ipynb).

Nogueira and Cho (2019), "Passage Re-ranking with BERT": question and passage are read together, as
`[CLS] question [SEP] title. passage [SEP]`, and a linear map of the first token's last state gives one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import parametrize

from rag_lib.indexing.documents import Passage, Source, indexed_text
from rag_lib.indexing.encoders import BATCH_SIZE
from rag_lib.models.adapters import adapter_weights, apply_adapter
from rag_lib.models.processor import computes_in_half
from rag_lib.models.weights import ModelUnavailable, hub_errors, load_adapter, load_minilm, save_adapter

MAX_TOKENS = 256
HEAD = "head.weight"


class CrossEncoder(torch.nn.Module):
    """MiniLM with a head for pairs of texts; a `Reranker` that can be trained.

    Until it is trained, its head is zero and every passage scores the same.
    """

    temperature = 1.0  # training ends by scaling the head, so that the scores are logarithms of odds

    def __init__(self) -> None:
        super().__init__()
        self.bert, self.tokenizer = load_minilm()
        self.head = torch.nn.Linear(self.bert.config.hidden_size, 1, bias=False)
        torch.nn.init.zeros_(self.head.weight)

    @classmethod
    def load(cls, folder: Path, half: bool | None = False) -> CrossEncoder:
        """The cross-encoder whose difference to the bundled encoder `save` wrote.

        Args:
            half: compute in bfloat16, twice as fast where the processor has instructions for it; None for there only.

        Raises:
            ModelUnavailable: it is missing, damaged, or no cross-encoder's.
        """
        weights = load_adapter(folder)
        if HEAD not in weights:
            raise ModelUnavailable(f"the model in {folder} is no cross-encoder: it has no head")
        model = cls()
        with hub_errors(str(folder)), torch.no_grad():
            model.head.weight.copy_(weights.pop(HEAD))
            apply_adapter(model.bert, weights)
        if computes_in_half() if half is None else half:
            model.bert.bfloat16()
        return model

    def save(self, folder: Path) -> None:
        """Writes the low-rank difference that was trained, and the head, in float16 with their SHA-256."""
        save_adapter(adapter_weights(self.bert) | {HEAD: self.head.weight.detach()}, folder)

    def forward(self, questions: Sequence[str], passages: Sequence[Source | Passage]) -> torch.Tensor:
        """The logit of each question with its passage, (n,), float32."""
        texts = [indexed_text(p) for p in passages]
        order = sorted(range(len(texts)), key=lambda i: len(questions[i]) + len(texts[i]))
        logits = torch.zeros(len(texts), device=self.head.weight.device)
        with parametrize.cached():  # a difference is added once, not for every chunk
            for start in range(0, len(order), BATCH_SIZE):
                chunk = order[start : start + BATCH_SIZE]  # like lengths together: less padding
                logits[chunk] = self.read([questions[i] for i in chunk], [texts[i] for i in chunk])
        return logits

    def read(self, questions: Sequence[str], texts: Sequence[str]) -> torch.Tensor:
        """The logits (n,) of texts that are read at once."""
        inputs = self.tokenizer(
            list(questions), list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        first = self.bert(**inputs.to(self.head.weight.device)).last_hidden_state[:, 0]
        with torch.autocast(first.device.type, enabled=False):  # in bfloat16 there would be ties
            return self.head(first.float())[:, 0]

    @torch.inference_mode()
    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """See `Reranker.scores`."""
        return self([query] * len(passages), passages).cpu().numpy()
