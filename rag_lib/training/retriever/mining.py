"""What rerankers and DPR are trained on: passages of SQuAD, hard negatives from two retrievers, single sentences.

Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from rag_lib.evaluation.squad import SQUAD, Row, load_public, parse
from rag_lib.files import read_json_lines, write_json_lines
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.splitting import Splitting, passage_spans, sentence_spans
from rag_lib.training.retriever.pairs import MARGIN, Pair, is_right, with_negatives

CHUNK = 512  # questions whose scores are kept at once


def cut_row(row: Row) -> tuple[Pair, list[Source]]:
    """A row of SQuAD over passages as short as the museum's, and all passages of its paragraph.

    The sentence of the answer is among the pair's `answers`, as a passage that holds it is right.
    """
    answer, start = row.answers[0]

    def around(spans: Sequence[tuple[int, int]]) -> str:
        a, b = next((a, b) for a, b in spans if a <= start < b)
        return row.context[a:b]

    spans = passage_spans(row.context, Splitting())
    pair = Pair(row.question, Source(row.title, around(spans)), (answer, around(sentence_spans(row.context))))
    return pair, [Source(row.title, row.context[a:b]) for a, b in spans]


def squad_passages(count: int) -> tuple[list[Pair], list[Source]]:
    """`count` questions of SQuAD's train split, drawn with a seed, and all passages of their paragraphs.

    Raises:
        DataUnavailable: SQuAD cannot be had.
    """
    rows = load_public(SQUAD, "train")
    rows = rows.select(random.Random(0).sample(range(len(rows)), min(len(rows), count)))
    cut = [cut_row(parse(row)) for row in rows]
    return [pair for pair, _ in cut], list(dict.fromkeys(p for _, passages in cut for p in passages))


def mined(pairs: Sequence[Pair], passages: Sequence[Source], encoder: Encoder, count: int = 4) -> list[Pair]:
    """Pairs with up to `count` negatives that BM25 ranks highest, and as many that the encoder does.

    A pair that has none is left out.
    """
    index = BM25(range(len(passages)), map(indexed_text, passages), Analyzer())
    vectors = encoder.encode_passages([indexed_text(p) for p in passages], progress=True)
    found: list[Pair] = []
    for start in tqdm(range(0, len(pairs), CHUNK), desc="mining"):
        part = pairs[start : start + CHUNK]
        words = np.stack([index.scores(p.question) for p in part])
        meaning = encoder.encode_queries([p.question for p in part]) @ vectors.T
        lexical = with_negatives(part, passages, words, count)
        dense = with_negatives(part, passages, meaning, count, MARGIN)
        for a, b in zip(lexical, dense, strict=True):
            found.append(replace(a, negatives=tuple(dict.fromkeys(a.negatives + b.negatives))))
    return [p for p in found if p.negatives]


def over_sentences(pairs: Sequence[Pair]) -> list[Pair]:
    """The same questions over single sentences with their titles.

    The right one is the sentence among a pair's answers. The others of its passage mislead, and of each negative the
    sentence that shares most words with the question. A pair whose passage does not hold such a sentence is left out.
    """
    analyzer, found = Analyzer(), []
    for pair in pairs:
        own = sentences(pair.passage)
        right = next((s for s in own if s.text in pair.answers), None)
        words = set(analyzer(pair.question))
        nearest = [max(sentences(n), key=lambda s: len(words & set(analyzer(s.text)))) for n in pair.negatives]
        if right is not None:
            wrong = [s for s in dict.fromkeys([*own, *nearest]) if not is_right(replace(pair, passage=right), s)]
            found.append(replace(pair, passage=right, negatives=tuple(wrong)))
    return [p for p in found if p.negatives]


def sentences(passage: Source) -> list[Source]:
    """The sentences of a passage, each with its title."""
    return [Source(passage.title, passage.text[a:b]) for a, b in sentence_spans(passage.text)]


def kept(path: Path, make: Callable[[], Sequence[Pair]]) -> list[Pair]:
    """The pairs in a file; what `make` gives is written there first where there is no file."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_lines(path, map(asdict, make()))
    return [
        Pair(r["question"], Source(*r["passage"]), tuple(r["answers"]), tuple(Source(*n) for n in r["negatives"]))
        for r in read_json_lines(path)
    ]
