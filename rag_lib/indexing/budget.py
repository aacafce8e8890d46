"""Passages that fit their readers: what is longer than the encoder or the generator reads is split further.

A splitting counts words, models count tokens, and the two go apart wherever text is not prose: 90 "words" of a table,
of links, of code or of Chinese can be thousands of tokens. Built into `knowledge_base.build`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from rag_lib.indexing.documents import Passage, indexed_text
from rag_lib.indexing.splitting import Span, sentence_spans, stretches, word_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TITLE = 64  # the most tokens of a title, which every passage of its document repeats
GENERATOR = 512  # tokens that the bundled generator reads
QUESTION = 128  # of them are left for the question
CHARACTERS = 8  # count as a token at least: a tokenizer may make one unknown token of any length of letters


class Fitted(NamedTuple):
    """Passages that fit, and how many are not read whole all the same: a title was cut, or a letter has no end."""

    passages: list[Passage]
    cut: int


@dataclass(frozen=True)
class Budget:
    """How much a model reads of a passage.

    Attributes:
        tokenizer: the model's own.
        tokens: the most tokens of title and text together, without those that the model adds itself.
    """

    tokenizer: PreTrainedTokenizerBase
    tokens: int

    def sizes(self, texts: Sequence[str]) -> list[float]:
        """The length of each text, in tokens."""
        if not len(texts):
            return []
        ids = self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return [max(len(i), len(text) / CHARACTERS) for i, text in zip(ids, texts, strict=True)]

    def fits(self, text: str, room: float) -> bool:
        """Whether a text is no longer than `room` tokens."""
        return self.sizes([text])[0] <= room

    def spans(self, text: str, room: float) -> list[Span]:
        """Spans of a text that are no longer than `room` tokens each, as few as its lines, sentences and words allow.

        A word that is longer is halved; a letter with endless accents stays as it is.
        """
        packed: list[tuple[int, int, float]] = []
        for a, b, size in self.pieces(text, room, (line_spans, sentence_spans, word_spans)):
            if packed:
                start, end, before = packed[-1]
                # Tokens of texts that touch may run together; white space keeps them apart, and they need no recount.
                if before + size <= room and (a > end or self.fits(text[start:b], room)):
                    packed[-1] = (start, b, before + size)
                    continue
            packed.append((a, b, size))
        return [(a, b) for a, b, _ in packed]

    def pieces(
        self, text: str, room: float, cuts: Sequence[Callable[[str], list[Span]]]
    ) -> list[tuple[int, int, float]]:
        """The pieces (start, end, tokens) that the first cut makes; what it leaves too long goes to the next one."""
        spans = cuts[0](text) if cuts else halves(text)
        found: list[tuple[int, int, float]] = []
        for (a, b), size in zip(spans, self.sizes([text[a:b] for a, b in spans]), strict=True):
            if size <= room or (not cuts and len(spans) == 1):
                found.append((a, b, size))
            else:
                found += [(a + c, a + d, n) for c, d, n in self.pieces(text[a:b], room, cuts[1:])]
        return found

    def title(self, title: str) -> str:
        """A title, its end left out where it is too long."""
        room = min(TITLE, self.tokens // 4)
        if self.fits(title, room):
            return title
        start, end = self.spans(title, room - 1)[0]
        return title[start:end] + "…"

    def split(self, passage: Passage) -> list[Passage]:
        """A passage that is too long, as shorter ones."""
        title = self.sizes([indexed_text(replace(passage, text=""))])[0]
        spans = self.spans(passage.text, max(self.tokens - title, self.tokens // 2))
        return [
            replace(passage, text=passage.text[a:b], start=passage.start + a, end=passage.start + b) for a, b in spans
        ]

    def fitted(self, passages: Sequence[Passage]) -> Fitted:
        """Passages in their order, split where they are too long; a part keeps the id of the whole."""
        titles = {title: self.title(title) for title in {p.title for p in passages}}
        titled = [replace(p, title=titles[p.title]) for p in passages]
        found: list[Passage] = []
        cut = sum(p.title != q.title for p, q in zip(passages, titled, strict=True))
        for passage, size in zip(titled, self.sizes([indexed_text(p) for p in titled]), strict=True):
            parts = [passage] if size <= self.tokens else self.split(passage)
            cut += sum(not self.fits(indexed_text(part), self.tokens) for part in parts if len(parts) > 1)
            found += parts
        return Fitted(found, cut)


@cache
def generator_budget() -> Budget:
    """What the bundled generator reads of a passage beside a question.

    Raises:
        ModelUnavailable: its tokenizer cannot be had.
    """
    from rag_lib.models.weights import encoder_source, hub_errors, load_tokenizer  # seconds, where nothing is built

    source = encoder_source()  # the generator has the encoder's tokens
    with hub_errors(source):
        return Budget(load_tokenizer(source), GENERATOR - QUESTION)


def fit(passages: Sequence[Passage], budgets: Iterable[Budget]) -> Fitted:
    """Passages within all budgets, numbered anew within their documents."""
    fitted, cut = list(passages), 0
    for budget in budgets:
        fitted, more = budget.fitted(fitted)
        cut += more
    count: dict[str, int] = {}
    numbered = []
    for passage in fitted:
        number = count[passage.document_id] = count.get(passage.document_id, -1) + 1
        numbered.append(replace(passage, id=f"{passage.document_id}#{number}"))
    return Fitted(numbered, cut)


def line_spans(text: str) -> list[Span]:
    """Spans of the lines of a text, without white space around them: a row of a table stays whole."""
    return stretches(text, [m.end() for m in re.finditer("\n", text)])


def halves(text: str) -> list[Span]:
    """The two halves of a text, cut between letters, never before an accent; the whole where that cannot be."""
    middle = next((i for i in range(len(text) // 2, len(text)) if not unicodedata.combining(text[i])), len(text))
    return [(0, middle), (middle, len(text))] if 0 < middle < len(text) else [(0, len(text))]
