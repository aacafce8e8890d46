"""A second look at the passages found (taught in notebooks/05_retrieval.ipynb).

A retriever must score every passage, so it compares vectors made in advance. A reranker scores only a few, so it can
afford to look at question and passage together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rag_lib.indexing.documents import Passage, indexed_text
from rag_lib.indexing.encoders import Encoder
from rag_lib.models.weights import SAFE, ModelUnavailable, hub_errors

CROSS_ENCODER = "cross-encoder/ms-marco-MiniLM-L6-v2"


class CrossEncoderReranker:
    """Question and passage read together by one encoder (Nogueira and Cho, 2019): exact, and slow.

    Raises:
        ModelUnavailable: the model cannot be had, or gives more than one score.
    """

    temperature = 1.0  # its scores are logits already

    def __init__(self, name: str = CROSS_ENCODER, device: str = "cpu", batch_size: int = 16) -> None:
        from sentence_transformers import CrossEncoder

        with hub_errors(name):
            self.model = CrossEncoder(name, device=device, model_kwargs=dict(SAFE))
        if self.model.num_labels != 1:
            raise ModelUnavailable(f"{name} gives {self.model.num_labels} scores for a pair; a reranker gives one")
        self.batch_size = batch_size

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """The model's logits (len(passages),)."""
        if not len(passages):
            return np.zeros(0, dtype=np.float32)
        return self.model.predict(
            [(query, indexed_text(p)) for p in passages],
            batch_size=self.batch_size,
            activation_fn=torch.nn.Identity(),  # a sigmoid would make ties of large logits
            show_progress_bar=False,
        )


class MaxSimReranker:
    """Late interaction (Khattab and Zaharia, 2020): every token of the query finds its nearest token of the passage."""

    temperature = 0.05  # chosen for the answers that a vote gives; for the passages alone 0.024 fits best

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """The mean cosine (len(passages),) between a token of the query and the passage's token nearest to it."""
        (q,) = self.encoder.encode_query_tokens([query])
        tokens = self.encoder.encode_passage_tokens([indexed_text(p) for p in passages])
        return np.array([(q @ p.T).max(axis=1).mean() for p in tokens])
