"""Citations that a model writes itself: "[1]" in its text becomes a place in a passage."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag_lib.generation.generators import Place
from rag_lib.generation.quotation import best_supported
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans

MARK = re.compile(r"\s*\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\]")
OPEN_MARK = re.compile(r"\s*\[[\d,\s]*$")  # one that is not yet written to its end
SENTENCE_END = re.compile(r"[.!?]?[\"'”’)]*$")


def numbers_in(mark: re.Match) -> list[int]:
    """The numbers of a mark."""
    return [int(n) for n in mark.group(1).split(",")]


def with_marks(text: str, numbers: Sequence[int]) -> str:
    """A text that cites passages: their marks stand before the full stop at its end."""
    end = SENTENCE_END.search(text).start()
    return f"{text[:end]} {''.join(f'[{n}]' for n in numbers)}{text[end:]}"


def without_marks(text: str) -> str:
    """A text without any citation."""
    return MARK.sub("", text).strip()


def with_valid_marks(text: str, passages: int) -> str:
    """A text in which only such marks are left as name one of so many passages."""

    def valid(mark: re.Match) -> str:
        return mark.group() if all(1 <= n <= passages for n in numbers_in(mark)) else ""

    return MARK.sub(valid, text).strip()


def cited(text: str, passages: int) -> list[int]:
    """The passages that a text cites, from 0, each once, in its order."""
    numbers = [n for mark in MARK.finditer(text) for n in numbers_in(mark)]
    return list(dict.fromkeys(n - 1 for n in numbers if 1 <= n <= passages))


def place_of(text: str, sources: Sequence[Source], used: Sequence[int], question: str) -> Place | None:
    """Where what a text says stands.

    That is where it stands word for word, in a passage that it cites or, if it cites none, in any; else the sentence of
    the first passage cited that has most terms in common with it; None where it cites none.

    Args:
        text: with its marks; number n stands for `sources[used[n - 1]]`.
        question: of several places that say the same, the one nearest to it is taken.
    """
    said, chosen = without_marks(text), [used[i] for i in cited(text, len(used))]
    places = [
        Place(i, match.start(), match.end())
        for i in chosen or used
        for match in re.finditer(rf"(?<!\w){re.escape(said)}(?!\w)", sources[i].text)
        if said
    ]
    if places or not chosen:
        return best_supported(places, sources, question)
    analyze, first = Analyzer(), chosen[0]
    terms = set(analyze(said))
    spans = sentence_spans(sources[first].text)
    best = max(
        spans, key=lambda span: len(terms.intersection(analyze(sources[first].text[slice(*span)]))), default=None
    )
    return None if best is None else Place(first, *best)
