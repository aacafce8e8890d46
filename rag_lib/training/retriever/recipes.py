"""The recipe for an encoder, or DPR's two, on anybody's own pairs of questions and passages.

`rag_lib.museum.retriever_recipe` has the museum's. Taught in notebooks/08_finetune_retriever.ipynb.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from rag_lib.evaluation.ranking import of_ranks, ranking_metrics
from rag_lib.evaluation.squad import SQUAD, load_public, parse
from rag_lib.files import write_json
from rag_lib.indexing.documents import Source, indexed_text
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.adapters import merge_adapter
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.training.processes import is_first
from rag_lib.training.retriever.contrastive import GOAL, OneTower, RetrieverSettings, TwoTowers, train
from rag_lib.training.retriever.pairs import (
    MARGIN,
    Pair,
    bm25_scores,
    distinct_passages,
    holds_answer,
    pair_from_row,
    read_pairs,
    with_negatives,
)
from rag_lib.training.run import first_and_best

OWN = RetrieverSettings(rate=5e-4, late=0.5)  # unless told otherwise
DPR = RetrieverSettings(epochs=6, rate=1e-4, scale=1.0, rank=0, max_tokens=256)  # dot products need no scale
DEPTH = 20  # ranks beyond it count as not found
METRICS = ranking_metrics((1, 5, DEPTH))


def ranks_of(
    queries: np.ndarray, passages: np.ndarray, right: Sequence[int], others: Sequence[Sequence[int]] | None = None
) -> np.ndarray:
    """The rank of each query's right passage (a row of `passages`), 0 beyond DEPTH; ties count against it.

    Args:
        others: each query's further right passages, which do not count against it.
    """
    scores = np.array(queries @ passages.T, dtype=float)
    own = scores[np.arange(len(right)), right]
    for row, rows in zip(scores, others or (), strict=False):
        row[list(rows)] = -np.inf
    ranks = (scores >= own[:, None]).sum(axis=1)
    return np.where(ranks <= DEPTH, ranks, 0)


def passage_ranks(
    queries: np.ndarray, vectors: np.ndarray, pairs: Sequence[Pair], passages: Sequence[Source]
) -> np.ndarray:
    """`ranks_of` each pair's passage, from the vectors of the pairs' questions and of the passages."""
    places = {passage: i for i, passage in enumerate(passages)}
    others = [[places[s] for s in p.others if s in places] for p in pairs]
    return ranks_of(queries, vectors, [places[p.passage] for p in pairs], others)


def dense_ranks(encoder: SentenceEncoder, pairs: Sequence[Pair], passages: Sequence[Source]) -> np.ndarray:
    """The rank of each pair's passage among `passages`."""
    vectors = encoder.encode_passages([indexed_text(p) for p in passages])
    return passage_ranks(encoder.encode_queries([p.question for p in pairs]), vectors, pairs, passages)


def summary(ranks: np.ndarray) -> dict[str, float]:
    """Every metric's mean."""
    return {name: round(float(of_ranks(ranks, metric).mean()), 4) for name, metric in METRICS.items()}


def squad_pairs(split: str, count: int) -> tuple[list[Pair], list[Source]]:
    """`count` SQuAD questions with their paragraphs, drawn with a seed, and up to 1,000 paragraphs, theirs first.

    Raises:
        DataUnavailable: SQuAD cannot be had.
    """
    rows = load_public(SQUAD, split)
    rows = rows.select(random.Random(0).sample(range(len(rows)), min(len(rows), 10 * count))).to_list()
    pairs = [pair_from_row(parse(row)) for row in rows]
    return pairs[:count], distinct_passages(pairs)[:1000]


def against_bm25(pairs: Sequence[Pair], passages: Sequence[Source]) -> list[Pair]:
    """Pairs with the negatives that share the most words with the question."""
    return with_negatives(pairs, passages, bm25_scores(pairs, passages))


def against_model(pairs: Sequence[Pair], passages: Sequence[Source], encoder: SentenceEncoder) -> list[Pair]:
    """Pairs with the negatives that the encoder itself finds nearest, but for those too near to be surely wrong."""
    vectors = encoder.encode_passages([indexed_text(p) for p in passages], progress=True)
    return with_negatives(
        pairs, passages, encoder.encode_queries([p.question for p in pairs]) @ vectors.T, margin=MARGIN
    )


def own_pairs(data: Path) -> tuple[list[Pair], list[Pair]]:
    """The pairs of a folder to train on and those held out; says which rows were left out."""
    training, held_out, broken = read_pairs(data)
    if is_first():
        for row in broken:
            print(f"left out: {row}", file=sys.stderr)
        for pair in (*training, *held_out):
            if pair.answers and not holds_answer(pair.passage, pair.answers):
                print(f"note: the context does not hold an answer to {pair.question!r}", file=sys.stderr)
        print(f"{len(training)} pairs to train on, {len(held_out)} held out, {len(broken)} rows left out")
    return training, held_out


Evaluate = Callable[[], Mapping[str, float]]


def train_and_tell(
    towers: OneTower | TwoTowers,
    training: Sequence[Pair],
    held_out: Sequence[Pair],
    evaluate: Evaluate,
    folder: Path,
    settings: RetrieverSettings,
) -> None:
    """Trains against BM25's negatives, and says what that did to what `evaluate` measures.

    That is what is held out or, where nothing is, the training pairs themselves.

    Raises:
        ValueError: nothing was gained on what is held out.
    """
    before = evaluate() if is_first() and not held_out else {}
    negatives = against_bm25(training, distinct_passages(training))
    train(towers, negatives, folder, settings, evaluate if held_out else None)
    if is_first():
        before, after = first_and_best(folder, GOAL) if held_out else (before, evaluate())
        few = "the pairs trained on, as none are held out (so this proves little)"
        measured = f"{len(held_out)} held-out pairs" if held_out else few
        shown = ("recall@1", "recall@5", GOAL)
        changes = ", ".join(f"{name} {before[name]:.2f} -> {after[name]:.2f}" for name in shown)
        print(f"on {measured}, before -> after: {changes}")


def train_on_pairs(
    data: Path, folder: Path, settings: RetrieverSettings = OWN, name: str | None = None, device: str = "cpu"
) -> None:
    """Trains an encoder on a user's own pairs; `folder` becomes a Sentence Transformers model.

    The weights that do best on what is held out (see `read_pairs`) are kept.

    Raises:
        ValueError: there are too few pairs.
        ModelUnavailable: the encoder cannot be had.
        CheckpointUnusable: the folder holds a run with other settings or data.
    """
    training, held_out = own_pairs(data)
    encoder = SentenceEncoder(name, device)
    passages = distinct_passages([*training, *held_out])
    towers = OneTower(encoder, settings.max_tokens)

    def evaluate() -> dict[str, float]:
        return summary(dense_ranks(encoder, held_out or training, passages))

    train_and_tell(towers, training, held_out, evaluate, folder / "run", settings)
    merge_adapter(encoder.model)
    if is_first():
        encoder.model.save_pretrained(str(folder), create_model_card=False)
        write_json(folder / "training.json", asdict(settings) | {"pairs": len(training), "held_out": len(held_out)})


def train_dpr(data: Path, folder: Path, settings: RetrieverSettings = DPR, device: str = "cpu") -> None:
    """Trains DPR's two towers on a user's own pairs, into the folders `question` and `passage` inside `folder`.

    The weights that do best on what is held out (see `read_pairs`) are kept.

    Raises:
        ValueError: there are too few pairs.
        CheckpointUnusable: the folder holds a run with other settings or data.
    """
    training, held_out = own_pairs(data)
    encoder = DPREncoder(device=device)
    passages = distinct_passages([*training, *held_out])

    def evaluate() -> dict[str, float]:
        measured = held_out or training
        questions, vectors = encoder.encode_questions([p.question for p in measured]), encoder.encode_passages(passages)
        return summary(passage_ranks(questions, vectors, measured, passages))

    train_and_tell(TwoTowers(encoder, settings.max_tokens), training, held_out, evaluate, folder / "run", settings)
    for module, place in ((encoder.question, "question"), (encoder.passage, "passage")):
        merge_adapter(module)
        if is_first():
            module.save_pretrained(folder / place)
            encoder.tokenizer.save_pretrained(folder / place)
