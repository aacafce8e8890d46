"""Embedding the museum's passages beside Sentence Transformers as it is called by default, and ONNX Runtime."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.side_by_side import Peer, Round, Row, side_by_side
from rag_lib.files import ARTICLES
from rag_lib.indexing.documents import indexed_text, load_documents
from rag_lib.indexing.encoders import MiniLMEncoder
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.models.weights import encoder_source


def default(texts: list[str]) -> Round:
    """What a first program calls."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(encoder_source(), device="cpu")
    return lambda: model.encode(texts, show_progress_bar=False)


def onnx(texts: list[str]) -> Round:
    """Sentence Transformers' own way to ONNX Runtime; exports the model first."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(encoder_source(), device="cpu", backend="onnx")
    return lambda: model.encode(texts, show_progress_bar=False)


def ours(texts: list[str]) -> Round:
    """rag_lib's encoder."""
    encoder = MiniLMEncoder()
    return lambda: encoder.encode_passages(texts)


def cosine(first: np.ndarray, own: np.ndarray) -> str:
    """How near the vectors are."""
    return f"cosine at least {float((first * own).sum(1).min()):.6f}"


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """So many of the museum's passages, in random order."""
    passages = split_documents(load_documents(ARTICLES).documents, Splitting())
    texts = [indexed_text(p) for p in random.Random(0).sample(passages, min(items, len(passages)))]
    peers = [
        Peer(
            "Sentence Transformers", "encode, batches of 32, float32", lambda: default(texts), "sentence_transformers"
        ),
        Peer("rag_lib", "like lengths together, batches of 16, float32", lambda: ours(texts)),
        Peer("Sentence Transformers, ONNX", "backend onnx", lambda: onnx(texts), "onnxruntime"),
    ]
    yield from side_by_side("encoding", f"{len(texts)} passages", peers, rounds, len(texts), cosine)
