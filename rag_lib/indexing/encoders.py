"""Texts become vectors (taught in notebooks/03_embeddings.ipynb)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch  # before faiss: the other order crashes on macOS
from tqdm.auto import tqdm

from rag_lib.models.adapters import apply_adapter
from rag_lib.models.weights import (
    DEFAULT_ENCODER,
    UNTOUCHED_ENCODER,
    adapter_folder,
    encoder_source,
    hub_errors,
    load_adapter,
)

BATCH_SIZE = 16  # on a CPU faster than larger ones, and results are the same from run to run only for one size


class Encoder(Protocol):
    """Anything that embeds texts as unit vectors, and their tokens too; one that needs prompts adds them itself.

    Raises:
        ValueError: every method that is given texts, for what is no text.
    """

    name: str
    dimension: int

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
            self.model = SentenceTransformer(source, device=device, model_kwargs={"dtype": torch.float32})
        self.model.tokenizer.split_special_tokens = True  # "[SEP]" in a text is text, not the end of it
        if difference:
            apply_adapter(self.model[0].auto_model, load_adapter(difference))
        self.dimension = self.model.get_embedding_dimension()

    def fingerprint(self) -> str:
        """SHA-256 over the weights and the settings that shape the vectors."""
        digest = hashlib.sha256()
        for key, value in sorted(self.model.state_dict().items()):
            digest.update(key.encode() + value.cpu().contiguous().numpy().tobytes())
        modules = [type(m).__name__ for m in self.model]
        digest.update(json.dumps([modules, self.model.max_seq_length, self.model.prompts], sort_keys=True).encode())
        return digest.hexdigest()

    def _encode(self, texts: Sequence[str], progress: bool, encode) -> np.ndarray:
        if not len(texts):
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
            list(texts),
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
        limit = self.model.max_seq_length
        tokens = self.model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"] if len(texts) else []
        return sum(len(ids) > limit for ids in tokens)
