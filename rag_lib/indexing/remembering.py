"""Token vectors of passages, which late interaction needs again and again, computed once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from rag_lib.indexing.base import Encoder

KEPT = 512  # passages; their token vectors take some 100 MB


class RememberingEncoder:
    """An encoder that keeps the token vectors of the passages which it met last. Several threads may use it.

    Args:
        most: so many passages are kept; None for all.
    """

    def __init__(self, encoder: Encoder, most: int | None = KEPT) -> None:
        self.encoder, self.most = encoder, most
        self.kept: dict[str, np.ndarray] = {}  # by text, the one used last at the end
        self.lock = threading.Lock()

    def __getattr__(self, name: str) -> object:
        return getattr(self.encoder, name)

    def encode_passage_tokens(self, texts: Sequence[str]) -> list[np.ndarray]:
        """See `Encoder.encode_passage_tokens`."""
        with self.lock:
            known = {text: self.kept[text] for text in texts if text in self.kept}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, self.encoder.encode_passage_tokens(new), strict=True)
        with self.lock:
            for text in dict.fromkeys(texts):
                self.kept.pop(text, None)
                self.kept[text] = known[text]
            while self.most is not None and len(self.kept) > self.most:
                del self.kept[next(iter(self.kept))]
        return [known[text] for text in texts]
