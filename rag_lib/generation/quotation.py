"""From the tokens that were copied back to the places they were copied from.

Taught in notebooks/06_generation.ipynb.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from rag_lib.generation.generators import Place
from rag_lib.generation.prompts import Prompt
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans, sentences_around


class TokenizedText(NamedTuple):
    """The token ids of a text, the characters (start, end) of each, the tokens of each sentence, and the text."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    sentences: list[range]
    text: str


@dataclass(frozen=True)
class Item:
    """One question as the model reads it: its rows of input, and what of the sources is in them.

    `used` are the sources that are read, `cut` those of them whose ends are not; `labels` says how many tokens stand
    before each one's text, beginning with its title's.
    """

    rows: list[list[int]]
    used: tuple[int, ...]
    texts: list[TokenizedText]
    prompts: tuple[Prompt, ...] = ()
    cut: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()


def tokenize(text: str, tokenizer: PreTrainedTokenizerBase) -> TokenizedText:
    """A text's tokens with their places."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    starts = [start for start, _ in offsets]
    sentences = [range(bisect_left(starts, a), bisect_left(starts, b)) for a, b in sentence_spans(text)]
    return TokenizedText(encoded["input_ids"], offsets, [s for s in sentences if len(s)], text)


def occurrences(ids: Sequence[int], item: Item) -> list[Place]:
    """All places where a run of tokens stands in the sources read, in their order."""
    n = len(ids)
    return [
        Place(source, text.offsets[i][0], text.offsets[i + n - 1][1])
        for source, text in zip(item.used, item.texts, strict=True)
        for i in range(len(text.ids) - n + 1 if n else 0)
        if text.ids[i : i + n] == list(ids)
    ]


def whole_sentences(ids: Sequence[int], item: Item) -> list[Place]:
    """The sentences of the sources that a run of tokens consists of, read in their order; a cut one is left out."""
    places, ids = [], list(ids)
    for source, text in zip(item.used, item.texts, strict=True):
        for sentence in text.sentences:
            tokens = [text.ids[i] for i in sentence]
            if ids[: len(tokens)] == tokens:
                places.append(Place(source, text.offsets[sentence[0]][0], text.offsets[sentence[-1]][1]))
                del ids[: len(tokens)]
    return places


def best_supported(places: Sequence[Place], sources: Sequence[Source], question: str) -> Place | None:
    """The place whose sentence has most terms of the question, the first of several; None where there is no place."""
    analyze = Analyzer()
    terms = set(analyze(question))

    def support(place: Place) -> int:
        text = sources[place.source].text
        around = [text[a:b] for a, b in sentences_around(text, place.start, place.end)]
        return len(terms.intersection(analyze(" ".join(around))))

    return max(places, key=support, default=None)
