"""A second look at the passages found (taught in notebooks/05_retrieval.ipynb).

A retriever must score every passage, so it compares vectors made in advance. A reranker scores only a few, so it can
afford to look at question and passage together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Passage, indexed_text
from rag_lib.models.weights import SAFE, ModelUnavailable, hub_errors
from rag_lib.retrieval.base import Reranker

LONGEST_ECHO = 60  # words; longer questions are repeated by nobody

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
        self.model.tokenizer.split_special_tokens = True  # "[SEP]" in a text is text, not the end of it
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


class EnsembleReranker:
    """Several rerankers as one: the weighted sum of what each says in logarithms of odds, a product of experts.

    Where they err on different passages, together they err less. The temperature was fitted to 200 of the museum's
    validation questions, for late interaction with a weight of 1 and the cross-encoder with one half.

    Args:
        members: each reranker with its weight.
    """

    temperature = 1.0

    def __init__(self, members: Sequence[tuple[Reranker, float]]) -> None:
        self.members = list(members)

    def scores(self, query: str, passages: Sequence[Passage]) -> np.ndarray:
        """See `Reranker.scores`."""
        said = (weight * m.scores(query, passages) / m.temperature for m, weight in self.members)
        return sum(said, np.zeros(len(passages)))


def without_question(text: str, question: str) -> str:
    """A text without the places that repeat the question word for word."""
    words = re.findall(r"\w+", question)
    if not 2 < len(words) <= LONGEST_ECHO:
        return text
    return re.sub(r"\b" + r"\W+".join(map(re.escape, words)) + r"\b\W?", "", text, flags=re.IGNORECASE)


def fair_scores(reranker: Reranker, query: str, passages: Sequence[Passage]) -> np.ndarray:
    """A reranker's scores (len(passages),), of one that repeats the question no more than of the best that does not.

    To repeat a question is no answer to it. But lists of questions with their answers do so too, and they have what
    stands beside the question: such a passage is scored without it and raised as far as below the best that does not.
    """
    scores = reranker.scores(query, passages)
    bare = [replace(p, title=without_question(p.title, query), text=without_question(p.text, query)) for p in passages]
    echoes = [i for i, (p, b) in enumerate(zip(passages, bare, strict=True)) if p != b]
    if not echoes:
        return scores
    best_other = max((s for i, s in enumerate(scores) if i not in echoes), default=-np.inf)
    alone = reranker.scores(query, [bare[i] for i in echoes])
    scores = np.array(scores, dtype=float)
    scores[echoes] = np.minimum(scores[echoes], np.maximum(alone, np.nextafter(best_other, -np.inf)))
    return scores
