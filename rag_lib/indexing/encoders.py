"""Texts become vectors (taught in notebooks/03_embeddings.ipynb)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from rag_lib.hits import check_texts
from rag_lib.indexing.base import Encoder
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
    load_minilm,
    tokenizer_state,
)

BATCH_SIZE = 16  # on a CPU faster than larger ones, and results are the same from run to run only for one size
MINILM_TOKENS = 256  # that the bundled encoder reads of a text, with its own two
# The rest of what Sentence Transformers says of the bundled encoder; a test holds it to that.
MINILM_SETTINGS = (
    ("Transformer", {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
    }),
    ("Pooling", {"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True}),
    ("Normalize", {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"}),
)  # fmt: skip
UNIMPORTANT = ("_name_or_path", "transformers_version", "architectures", "dtype")  # in a model's configuration


def digest_of(
    tokenizer: PreTrainedTokenizerBase,
    weights: Mapping[str, torch.Tensor],
    config: PretrainedConfig,
    modules: Sequence,
    *settings: object,
) -> str:
    """SHA-256 over all that shapes an encoder's vectors: weights, tokenizer, pooling, configuration and prompts."""
    digest = hashlib.sha256(tokenizer_state(tokenizer).encode())
    for key, value in sorted(weights.items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy())
    important = {k: v for k, v in config.to_diff_dict().items() if k not in UNIMPORTANT}
    digest.update(json.dumps([modules, important, *settings], sort_keys=True, default=str).encode())
    return digest.hexdigest()


class MiniLMEncoder:
    """The bundled encoder by Transformers alone: the vectors of `SentenceEncoder`, but ready seconds sooner.

    Args:
        name: all-MiniLM-L6-v2, museum-minilm, or a folder that `train retriever` wrote as a difference.

    Raises:
        ModelUnavailable: the model is neither on this machine nor to be had from the hub, or damaged.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or DEFAULT_ENCODER
        self.bert, self.tokenizer = load_minilm()
        self.bert.config.use_cache = False  # as Sentence Transformers has it; only decoders have a use for a cache
        if difference := adapter_folder(self.name):
            with hub_errors(self.name):
                apply_adapter(self.bert, load_adapter(difference))
        self.dimension = self.bert.config.hidden_size
        self.budget = Budget(self.tokenizer, MINILM_TOKENS - self.tokenizer.num_special_tokens_to_add())

    def fingerprint(self) -> str:
        """As `SentenceEncoder.fingerprint`: an index that one of them made is the other's as well."""
        weights = {f"0.model.{key}": value for key, value in self.bert.state_dict().items()}
        settings = MINILM_TOKENS, None, {"query": "", "document": ""}  # vectors are not cut; there are no prompts
        return digest_of(self.tokenizer, weights, self.bert.config, MINILM_SETTINGS, *settings)

    @torch.inference_mode()
    def _read(self, texts: Sequence[str], progress: bool = False) -> Iterator[tuple[int, torch.Tensor]]:
        """The number of each text with the states (tokens, dimension) of its tokens, the shortest text first."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # like lengths together: less padding
        for start in tqdm(range(0, len(order), BATCH_SIZE), desc="embedding", disable=not progress):
            chunk = order[start : start + BATCH_SIZE]
            inputs = self.tokenizer(
                [texts[i] for i in chunk], padding=True, truncation=True, max_length=MINILM_TOKENS, return_tensors="pt"
            )
            states, masks = self.bert(**inputs).last_hidden_state, inputs["attention_mask"].bool()
            yield from ((i, state[mask]) for i, state, mask in zip(chunk, states, masks, strict=True))

    def encode_passages(self, texts: Sequence[str], progress: bool = False) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32: the mean of the tokens' states."""
        texts = check_texts(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for i, states in self._read(texts, progress):
            vectors[i] = F.normalize(states.mean(0), dim=0).numpy()
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors (len(texts), dimension), float32."""
        return self.encode_passages(texts)

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_passage_tokens`."""
        vectors = {i: F.normalize(states, dim=1).numpy() for i, states in self._read(check_texts(texts))}
        return [vectors[i] for i in range(len(vectors))]

    def encode_query_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_query_tokens`."""
        return self.encode_passage_tokens(texts)


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
        modules = [(type(m).__name__, m.get_config_dict() if hasattr(m, "get_config_dict") else {}) for m in model]
        settings = model.max_seq_length, model.truncate_dim, model.prompts
        return digest_of(model.tokenizer, model.state_dict(), model[0].auto_model.config, modules, *settings)

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
        return [F.normalize(v.float(), dim=1).cpu().numpy() for v in vectors]

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


def make_encoder(name: str | None = None) -> Encoder:
    """An encoder by its name, as the command line asks for it: see `SentenceEncoder`, of which only the bundled ones
    need no Sentence Transformers, whose import takes seconds.

    Raises:
        ModelUnavailable: the model is neither on this machine nor to be had from the hub, or damaged.
    """
    bundled = name in (None, UNTOUCHED_ENCODER) or adapter_folder(name)
    return MiniLMEncoder(name) if bundled else SentenceEncoder(name)
