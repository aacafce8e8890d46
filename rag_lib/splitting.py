"""Documents become passages (taught in notebooks/01_documents_and_passages.ipynb).

A passage is a run of whole sentences; its span in the document is kept, so that a citation can point at the place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from rag_lib.documents import Document, Passage

# A full stop after one of these does not end a sentence.
ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof st jr sr lt col gen capt sgt maj adm no vol fig approx ca c vs etc e.g i.e u.s u.k
    u.s.s.r""".split()
)
BOUNDARY = re.compile(r"[.!?]+[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|\n\s*\n")


@dataclass(frozen=True)
class Splitting:
    """How documents are cut: at most `max_words` words a passage, `overlap` sentences shared with the one before."""

    max_words: int = 90
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.max_words < 1 or self.overlap < 0:
            raise ValueError(f"max_words must be at least 1 and overlap at least 0, not {self}")


def ends_sentence(text: str, match: re.Match) -> bool:
    """Whether a boundary found by its punctuation is one: not after an abbreviation or a single initial."""
    if not match.group().startswith(".") or match.group().startswith(".."):
        return True
    words = text[max(0, match.start() - 20) : match.start()].split()
    word = words[-1].lower().lstrip("(\"'“‘[") if words else ""
    return word not in ABBREVIATIONS and not (len(word) == 1 and word.isalpha())


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Character spans (start, end) of the sentences of `text`, without surrounding white space, in order."""
    ends = [m.end() for m in BOUNDARY.finditer(text) if ends_sentence(text, m)]
    return [s for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if (s := trim(text, a, b))[0] < s[1]]


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without the white space at its ends; empty at `end` where there is nothing else."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, start + len(piece.strip())


def cut_long(text: str, span: tuple[int, int], max_words: int) -> list[tuple[int, int]]:
    """A sentence of too many words, as spans of at most `max_words` words."""
    words = [(span[0] + m.start(), span[0] + m.end()) for m in re.finditer(r"\S+", text[slice(*span)])]
    chunks = [words[i : i + max_words] for i in range(0, len(words), max_words)]
    return [(chunk[0][0], chunk[-1][1]) for chunk in chunks]


def passage_spans(text: str, splitting: Splitting) -> list[tuple[int, int]]:
    """Character spans of the passages of a text: as many whole sentences each as fit."""
    pieces = [p for s in sentence_spans(text) for p in cut_long(text, s, splitting.max_words)]
    counts = [len(text[a:b].split()) for a, b in pieces]
    spans, first = [], 0
    while first < len(pieces):
        last, words = first + 1, counts[first]
        while last < len(pieces) and words + counts[last] <= splitting.max_words:
            words += counts[last]
            last += 1
        spans.append((pieces[first][0], pieces[last - 1][1]))
        if last == len(pieces):
            break
        first = max(first + 1, last - splitting.overlap)
    return spans


def split_document(document: Document, splitting: Splitting) -> list[Passage]:
    """The passages of a document, in order, with ids `<document id>#0`, `#1`, …"""
    return [
        Passage(f"{document.id}#{i}", document.id, document.title, document.text[a:b], a, b)
        for i, (a, b) in enumerate(passage_spans(document.text, splitting))
    ]


def split_documents(documents: Iterable[Document], splitting: Splitting) -> list[Passage]:
    """The passages of all documents, in order."""
    return [passage for document in documents for passage in split_document(document, splitting)]
