"""Questions with the passages that answer them, and with some that mislead.

Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from rag_lib.evaluation.answers import normalize_answer
from rag_lib.evaluation.squad import Row, read_own
from rag_lib.files import BadLine
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Source, indexed_text

MARGIN = 0.95  # of the right passage's score; Moreira et al. (2024), "NV-Retriever"
HELD_OUT_FROM = 200  # passages; with fewer, a tenth of them would say too little


@dataclass(frozen=True)
class Pair:
    """A question and the passage that answers it.

    Attributes:
        answers: all acceptable answers, where they are known; a passage that holds one of them is no negative.
        negatives: passages that look right and are not, the hardest first.
        others: further passages that answer the same question; they are no negatives either.
    """

    question: str
    passage: Source
    answers: tuple[str, ...] = ()
    negatives: tuple[Source, ...] = ()
    others: tuple[Source, ...] = ()


def pair_from_row(row: Row) -> Pair:
    """A row as a pair.

    Raises:
        ValueError: the row says that its context does not hold an answer.
    """
    if row.answers == ():
        raise ValueError("it has no answer, so there is no passage to find")
    answers = tuple(dict.fromkeys(text for text, _ in row.answers or ()))
    return Pair(row.question, Source(row.title, row.context.strip()), answers)


def read_pairs(folder: Path) -> tuple[list[Pair], list[Pair], list[BadLine]]:
    """Pairs to train on and to choose the best weights by, and what is wrong with the rows left out.

    Args:
        folder: laid out as `rag_lib.evaluation.squad` says. Without a validation.jsonl, a tenth of the passages is held
            out, and none where there are fewer than HELD_OUT_FROM.

    Raises:
        ValueError: there is no such file, or not two different passages to train on.
    """
    training, held_out, broken = read_own(folder, pair_from_row)
    training, held_out = with_others(training), with_others(held_out)
    if not held_out:
        training, held_out = hold_out(training)
    if len(distinct_passages(training)) < 2:
        raise ValueError(
            f"{folder} holds {len(training)} usable pairs; training takes at least two, with different passages"
            + (f" (left out: {broken[0]})" if broken else "")
        )
    return training, held_out, broken


def distinct_passages(pairs: Sequence[Pair]) -> list[Source]:
    """The passages of the pairs, each once, in their order."""
    return list(dict.fromkeys(p.passage for p in pairs))


def with_others(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs, each with the passages of those that ask the same question."""
    passages: dict[str, list[Source]] = {}
    for pair in pairs:
        passages.setdefault(normalize_answer(pair.question), []).append(pair.passage)
    found = (dict.fromkeys(passages[normalize_answer(p.question)]) for p in pairs)
    return [replace(p, others=tuple(s for s in each if s != p.passage)) for p, each in zip(pairs, found, strict=True)]


def hold_out(pairs: Sequence[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and those of a tenth of the passages; none where there are few passages.

    A question that is held out is not trained on with another passage either.
    """
    passages = distinct_passages(pairs)
    if len(passages) < HELD_OUT_FROM:
        return list(pairs), []
    held = set(random.Random(0).sample(passages, len(passages) // 10))
    second = [p for p in pairs if p.passage in held]
    asked = {p.question for p in second}
    return [p for p in pairs if p.passage not in held and p.question not in asked], second


def holds_answer(passage: Source, answers: Sequence[str]) -> bool:
    """Whether one of the answers stands in the passage, as whole words, whatever their case and punctuation."""
    text = f" {normalize_answer(passage.text)} "
    return any(f" {a} " in text for a in map(normalize_answer, answers) if a)


def is_right(pair: Pair, passage: Source) -> bool:
    """Whether a passage must not serve as a negative for a pair's question."""
    return passage in (pair.passage, *pair.others) or holds_answer(passage, pair.answers)


def with_negatives(
    pairs: Sequence[Pair],
    passages: Sequence[Source],
    scores: np.ndarray,
    count: int = 8,
    margin: float | None = None,
) -> list[Pair]:
    """The pairs with their hardest negatives: the passages of the highest scores that are not right.

    Args:
        scores: (len(pairs), len(passages)) of any retriever.
        margin: leave out passages above this share of the right passage's score: a model that has learnt something
            ranks an unjudged right passage about there. None where the scores are no such judge, as BM25's are not.

    Raises:
        ValueError: with a margin, a pair's passage is not among the passages.
    """
    place = {passage: i for i, passage in enumerate(passages)}
    if margin is not None and any(p.passage not in place for p in pairs):
        raise ValueError("a margin needs every pair's own passage among the passages")
    mined = []
    for pair, row in zip(pairs, scores, strict=True):
        limit = np.inf if margin is None else margin * row[place[pair.passage]]
        negatives: list[Source] = []
        for i in np.argsort(-row, kind="stable"):
            if row[i] <= limit and not is_right(pair, passages[i]):
                negatives.append(passages[i])
            if len(negatives) == count:
                break
        mined.append(replace(pair, negatives=tuple(negatives)))
    return mined


def bm25_scores(pairs: Sequence[Pair], passages: Sequence[Source]) -> np.ndarray:
    """BM25's scores (len(pairs), len(passages)) of all passages for every question."""
    index = BM25(range(len(passages)), map(indexed_text, passages), Analyzer())
    return np.stack([index.scores(p.question) for p in pairs])


def epoch_batches(pairs: Sequence[Pair], size: int, rng: random.Random) -> list[list[int]]:
    """A shuffled epoch as batches of `size` passages, each with all its questions; returns the pairs' positions.

    So no passage occurs twice in a batch, where it would be one question's right passage and, in another column, its
    wrong one; and a passage with several questions is read only once. What is left over for less than a batch waits
    for the next epoch: a smaller batch would be an easier task.
    """
    of_passage: dict[Source, list[int]] = {}
    for i, pair in enumerate(pairs):
        of_passage.setdefault(pair.passage, []).append(i)
    groups = list(of_passage.values())
    rng.shuffle(groups)
    return [list(chain(*groups[i : i + size])) for i in range(0, len(groups) - size + 1, size)]
