"""Dense Passage Retrieval's pair of encoders (taught in notebooks/05_retrieval.ipynb).

Karpukhin et al. (2020), "Dense Passage Retrieval for Open-Domain Question Answering": one BERT for questions, another
for passages (their title and text as a pair), the vector of the first token, and the dot product, which is no cosine.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import (
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from rag_lib.files import private_cache, write_atomically
from rag_lib.hits import Hit, check_k, top_k
from rag_lib.indexing.documents import Passage
from rag_lib.indexing.encoders import BATCH_SIZE
from rag_lib.models.adapters import apply_adapter
from rag_lib.models.weights import (
    SAFE,
    adapter_folder,
    hub_errors,
    load_adapter,
    load_minilm,
    load_tokenizer,
    tokenizer_state,
)
from rag_lib.retrieval.base import check_query

QUESTION_ENCODER = "facebook/dpr-question_encoder-single-nq-base"
PASSAGE_ENCODER = "facebook/dpr-ctx_encoder-single-nq-base"
MAX_TOKENS = 256  # as in the paper


class DPREncoder:
    """Two encoders whose vectors are compared by the dot product; trainable, unlike the tokenizer they share.

    Without names, both start from the bundled MiniLM, which was trained for the average of its tokens: until they are
    trained as a pair, they find little. QUESTION_ENCODER and PASSAGE_ENCODER name the paper's on the Hugging Face hub.
    The folder of a difference to the bundled MiniLM is a name, too.

    Raises:
        ValueError: one name without the other.
        ModelUnavailable: a model is neither on this machine nor to be had from the hub, or damaged.
    """

    def __init__(self, question: str | None = None, passage: str | None = None, device: str = "cpu") -> None:
        if (question is None) != (passage is None):
            raise ValueError("DPR is a pair: name both the question encoder and the passage encoder, or neither")
        self.question, self.tokenizer = load_tower(DPRQuestionEncoder, question)
        self.passage, _ = load_tower(DPRContextEncoder, passage)
        self.device = device
        self.question.to(device)
        self.passage.to(device)
        self.dimension = self.question.config.hidden_size

    def fingerprint(self) -> str:
        """SHA-256 over the passage encoder's weights and tokens, which changes whenever the passages' vectors would."""
        digest = hashlib.sha256(f"{MAX_TOKENS} {tokenizer_state(self.tokenizer)}".encode())
        for key, value in sorted(self.passage.state_dict().items()):
            digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def _encode(self, model: PreTrainedModel, texts: Sequence, progress: bool) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))  # like lengths together: less padding
        for i in tqdm(range(0, len(order), BATCH_SIZE), desc="embedding", disable=not progress):
            chunk = order[i : i + BATCH_SIZE]
            inputs = self.tokenizer(
                [texts[j] for j in chunk], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                vectors[chunk] = model(**inputs.to(self.device)).pooler_output.cpu().numpy()
        return vectors

    def encode_questions(self, questions: Sequence[str], progress: bool = False) -> np.ndarray:
        """Vectors (len(questions), dimension), float32, of any length."""
        return self._encode(self.question, list(questions), progress)

    def encode_passages(self, passages: Sequence[Passage], progress: bool = False) -> np.ndarray:
        """Vectors (len(passages), dimension), float32, of any length; each passage is read as `title [SEP] text`."""
        return self._encode(self.passage, [(p.title, p.text) for p in passages], progress)


def load_tower(tower: type[PreTrainedModel], name: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A DPR encoder and its tokenizer: the bundled MiniLM's, that with a difference, or one of the hub by its name."""
    difference = adapter_folder(name) if name else None
    if name and not difference:
        with hub_errors(name):
            return tower.from_pretrained(name, **SAFE).eval(), load_tokenizer(name)
    model, tokenizer = from_minilm(tower)
    if difference:
        with hub_errors(name):
            apply_adapter(model, load_adapter(difference))
    return model, tokenizer


def from_minilm(tower: type[PreTrainedModel]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A DPR encoder with the bundled MiniLM's weights, and its tokenizer."""
    bert, tokenizer = load_minilm()
    model = tower(DPRConfig(**{k: v for k, v in bert.config.to_dict().items() if k != "model_type"}))
    body = next(iter(model.children())).bert_model
    body.load_state_dict({k: v for k, v in bert.state_dict().items() if not k.startswith("pooler.")})
    return model.eval(), tokenizer


def passage_vectors(encoder: DPREncoder, passages: Sequence[Passage], progress: bool = False) -> np.ndarray:
    """DPR's vectors (len(passages), dimension), from the cache where they are the same as before."""
    digest = hashlib.sha256(encoder.fingerprint().encode())
    for p in passages:
        digest.update(f"{p.title}\0{p.text}\0".encode())
    path = private_cache("dpr") / f"{digest.hexdigest()[:16]}.npy"
    try:
        vectors = np.load(path, allow_pickle=False)
        if vectors.shape == (len(passages), encoder.dimension):
            return vectors
    except (OSError, ValueError):
        pass  # not there, or damaged
    vectors = encoder.encode_passages(passages, progress)
    data = io.BytesIO()
    np.save(data, vectors, allow_pickle=False)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the answer
        write_atomically(path, data.getvalue())
    return vectors


class DPRRetriever:
    """By meaning, with one encoder for questions and another for passages: the dot product of their vectors."""

    temperature = 1.0  # as DPR's contrastive loss reads its dot products

    def __init__(
        self, passages: Mapping[str, Passage], encoder: DPREncoder | None = None, progress: bool = False
    ) -> None:
        self.encoder = encoder or DPREncoder()
        self.ids = list(passages)
        self.vectors = passage_vectors(self.encoder, list(passages.values()), progress)

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k passages with the largest dot products."""
        return top_k(self.ids, self.vectors @ self.encoder.encode_questions([check_query(query)])[0], check_k(k))
