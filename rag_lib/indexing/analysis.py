"""One analyser for documents and queries alike (taught in notebooks/02_bm25.ipynb)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

import Stemmer

WORD = re.compile(r"\w+(?:'\w+)?")
# Lucene's English list and the words that every question has.
STOP_WORDS = frozenset(
    """a an and are as at be but by for if in into is it no not of on or such that the their then there these they this
    to was will with what which who whom whose when where why how did do does had has have were been its his
    her""".split()
)


@dataclass(frozen=True)
class Analyzer:
    """Turns text into the terms that an index counts: lower case, no accents, no stop words, word stems."""

    stop_words: bool = True
    stemmer: str | None = "english"  # Snowball (Porter, 2001); None leaves words as they are

    @cached_property
    def _stemmer(self) -> Stemmer.Stemmer | None:
        return Stemmer.Stemmer(self.stemmer) if self.stemmer else None

    def __call__(self, text: str) -> list[str]:
        """The terms of a text, in order, with repetitions."""
        plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
        plain = "".join(c for c in plain if not unicodedata.combining(c)) if not plain.isascii() else plain
        words = [w.removesuffix("'s") for w in WORD.findall(plain)]
        if self.stop_words:
            words = [w for w in words if w not in STOP_WORDS]
        return self._stemmer.stemWords(words) if self._stemmer else words
