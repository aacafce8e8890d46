"""Texts become vectors (taught in notebooks/03_embeddings.ipynb)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch  # before faiss: the other order crashes on macOS
from tqdm.auto import tqdm

from rag_lib.hits import check_texts
from rag_lib.indexing.budget import Budget
from rag_lib.models.adapters import apply_adapter
from rag_lib.models.weights import (
    DEFAULT_ENCODER,
    SAFE,
    UNTOUCHED_ENCODER,
    adapter_folder,
    encoder_source,
    hub_errors,
    load_adapter,
    tokenizer_state,
)

BATCH_SIZE = 16  # on a CPU faster than larger ones, and results are the same from run to run only for one size


UNIMPORTANT = ("_name_or_path", "transformers_version", "architectures", "dtype")  # in a model's configuration


class Encoder(Protocol):
    """Anything that embeds texts as unit vectors, and their tokens too; one that needs prompts adds them itself.

    Raises:
        TypeError: every method that is given texts, for what is no list of texts.
    """

    name: str
    dimension: int
    budget: Budget | None  # how much of a passage it reads; None for any length

    def fingerprint(self) -> str:
        """Changes whenever the vectors would."""

    def encode_passages(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text a unit vector for each of its tokens, (tokens, dimension), float32."""

    def encode_query_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """For each text a unit vector for each of its tokens, (tokens, dimension), float32."""


class SentenceEncoder:
    """A bi-encoder of the Sentence Transformers library (Reimers and Gurevych, 2019); one tower for both sides.

    Args:
        name: all-MiniLM-L6-v2 or museum-minilm, which are bundled; a folder that `train retriever` wrote; or any model
            by its name on the hub or its folder.

    Raises:
        ModelUnavailable: the model is neither on this machine nor to be had from the hub, or damaged.
    """

    def __init__(self, name: str | None = None, device: str = "cpu") -> None:
        from sentence_transformers import SentenceTransformer

        self.name = name or DEFAULT_ENCODER
        difference = adapter_folder(self.name)
        source = encoder_source() if self.name == UNTOUCHED_ENCODER or difference else self.name
        with hub_errors(source):
            self.model = SentenceTransformer(source, device=device, model_kwargs=dict(SAFE))
        self.model.tokenizer.split_special_tokens = True  # "[SEP]" in a text is text, not the end of it
        if difference:
            apply_adapter(self.model[0].auto_model, load_adapter(difference))
        self.dimension = self.model.get_embedding_dimension()

    @property
    def budget(self) -> Budget | None:
        """What it reads of a passage, beside its own tokens and its prompt; None for any length."""
        limit, tokenizer = self.model.max_seq_length, self.model.tokenizer
        if limit is None:
            return None
        prompt = tokenizer(self.model.prompts.get("document") or "")["input_ids"]
        return Budget(tokenizer, limit - len(prompt))

    def fingerprint(self) -> str:
        """SHA-256 over all that shapes the vectors: weights, tokenizer, pooling, configuration and prompts."""
        model = self.model
        digest = hashlib.sha256(tokenizer_state(model.tokenizer).encode())
        for key, value in sorted(model.state_dict().items()):
            digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
        modules = [(type(m).__name__, m.get_config_dict() if hasattr(m, "get_config_dict") else {}) for m in model]
        config = {k: v for k, v in model[0].auto_model.config.to_diff_dict().items() if k not in UNIMPORTANT}
        settings = [modules, config, model.max_seq_length, model.truncate_dim, model.prompts]
        digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
        return digest.hexdigest()

    def _encode(self, texts: Sequence[str], progress: bool, encode) -> np.ndarray:
        if not (texts := check_texts(texts)):
            return np.zeros((0, self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together: less padding
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        step = BATCH_SIZE * 8
        for i in tqdm(range(0, len(order), step), desc="embedding", disable=not progress):
            chunk = order[i : i + step]
            vectors[chunk] = encode(
                [texts[j] for j in chunk], batch_size=BATCH_SIZE, normalize_embeddings=True, show_progress_bar=False
            )
        return vectors

    def encode_passages(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""
        return self._encode(texts, progress, self.model.encode_document)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""
        return self._encode(texts, False, self.model.encode_query)

    def _encode_tokens(self, texts: Sequence[str], kind: str) -> list[np.ndarray]:
        vectors = self.model.encode(
            check_texts(texts),
            prompt=self.model.prompts.get(kind),
            output_value="token_embeddings",
            batch_size=BATCH_SIZE,
            show_progress_bar=False,
        )
        return [torch.nn.functional.normalize(v.float(), dim=1).cpu().numpy() for v in vectors]

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_passage_tokens`."""
        return self._encode_tokens(texts, "document")

    def encode_query_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_query_tokens`."""
        return self._encode_tokens(texts, "query")

    def truncated(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads; what lies beyond is not in their vectors."""
        texts, limit = check_texts(texts), self.model.max_seq_length
        tokens = self.model.tokenizer(texts, truncation=False, verbose=False)["input_ids"] if texts else []
        return sum(len(ids) > limit for ids in tokens)
