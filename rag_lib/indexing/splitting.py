"""Documents become passages (taught in notebooks/01_documents_and_passages.ipynb).

A text is cut into pieces, and a passage takes as many neighbouring pieces as fit; the methods differ in what a piece
is. A passage keeps its span in the document, so that a citation can point at the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rag_lib.hits import check_whole
from rag_lib.indexing.documents import Document, Passage, check_document
from rag_lib.indexing.sentences import Span, sentence_spans, stretches
from rag_lib.text import kind

EMPTY_LINE = re.compile(r"\n\s*\n")

Cut = Callable[[str], list[Span]]


@dataclass(frozen=True)
class Splitting:
    """How documents are cut into passages.

    Attributes:
        max_words: the most words that a passage may have.
        overlap: how many pieces of the passage before are repeated, as far as the next piece fits in beside them.
        method: what a piece is. "sentence": a sentence, or part of one that is too long. "recursive": a paragraph; of
            one that is too long its sentences, of a sentence that is too long its words, apart from the neighbours.
            "fixed": a word.

    Raises:
        ValueError: a number is no whole one, or too small, or no method is called so.
    """

    max_words: int = 90
    overlap: int = 0
    method: str = "sentence"

    def __post_init__(self) -> None:
        for name, least in (("max_words", 1), ("overlap", 0)):
            object.__setattr__(self, name, check_whole(getattr(self, name), name, least))
        if self.method not in METHODS:
            raise ValueError(f"no splitting method is called {self.method!r}; there are {', '.join(METHODS)}")


def paragraph_spans(text: str) -> list[Span]:
    """Spans of the paragraphs of `text`, which stand between empty lines, in order."""
    return stretches(text, [m.end() for m in EMPTY_LINE.finditer(text)])


def word_spans(text: str) -> list[Span]:
    """Spans of the words of `text`, which stand between white space, in order."""
    return [m.span() for m in re.finditer(r"\S+", text)]


def shift(spans: Iterable[Span], by: int) -> list[Span]:
    """Spans found in a part of a text that starts at `by`, counted from the start of the text."""
    return [(by + a, by + b) for a, b in spans]


def cut_long(text: str, span: Span, max_words: int) -> list[Span]:
    """A sentence of too many words, as spans of at most `max_words` words."""
    words = shift(word_spans(text[slice(*span)]), span[0])
    chunks = [words[i : i + max_words] for i in range(0, len(words), max_words)]
    return [(chunk[0][0], chunk[-1][1]) for chunk in chunks]


def sentence_pieces(text: str, max_words: int) -> list[Span]:
    """Sentences, and the parts of those that are too long."""
    return [piece for sentence in sentence_spans(text) for piece in cut_long(text, sentence, max_words)]


def recursive_runs(
    text: str, max_words: int, cuts: Sequence[Cut] = (paragraph_spans, sentence_spans, word_spans)
) -> list[list[Span]]:
    """Neighbours that the first cut makes short enough; what it leaves too long goes to the next one, by itself."""
    runs: list[list[Span]] = [[]]
    for a, b in cuts[0](text):
        if len(text[a:b].split()) <= max_words:
            runs[-1].append((a, b))
        else:
            finer = recursive_runs(text[a:b], max_words, cuts[1:])
            runs += [*(shift(run, a) for run in finer), []]
    return runs


# What each method makes of a text: runs of pieces. No passage reaches from one run into the next.
METHODS: dict[str, Callable[[str, int], list[list[Span]]]] = {
    "sentence": lambda text, max_words: [sentence_pieces(text, max_words)],
    "recursive": recursive_runs,
    "fixed": lambda text, max_words: [word_spans(text)],
}


def pack(text: str, pieces: Sequence[Span], splitting: Splitting) -> list[Span]:
    """Spans of the passages of one run: as many whole pieces each as fit."""
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
        while first < last and sum(counts[first : last + 1]) > splitting.max_words:
            first += 1  # or the next passage would only repeat the end of this one
    return spans


def sentences_around(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The spans of the sentences of which a part lies in `text[start:end]`."""
    return [(a, b) for a, b in sentence_spans(text) if a < end and b > start]


def passage_spans(text: str, splitting: Splitting) -> list[Span]:
    """Spans of the passages of a text, in order."""
    runs = METHODS[splitting.method](text, splitting.max_words)
    return [span for run in runs for span in pack(text, run, splitting)]


def split_document(document: Document, splitting: Splitting) -> list[Passage]:
    """The passages of a document, in order, with ids `<document id>#0`, `#1`, …

    Raises:
        TypeError: it is no document.
    """
    check_document(document)
    return [
        Passage(f"{document.id}#{i}", document.id, document.title, document.text[a:b], a, b)
        for i, (a, b) in enumerate(passage_spans(document.text, splitting))
    ]


def split_documents(documents: Iterable[Document], splitting: Splitting) -> list[Passage]:
    """The passages of all documents, in order.

    Raises:
        TypeError: they are no documents, or one that is in no list.
    """
    if not isinstance(documents, Iterable):
        raise TypeError(f"this takes a list of documents, Document(id, title, text), not {kind(documents)}")
    return [passage for document in documents for passage in split_document(document, splitting)]
