"""The speed that was reached is kept: no recorded ratio to a peer may fall by half."""

import json
from time import process_time

import numpy as np
import pytest
from conftest import ROOT

from benchmarks import bm25, vectors
from benchmarks.growth import random_terms
from benchmarks.side_by_side import Peer, Row, side_by_side
from benchmarks.texts import unit_vectors

RECORDED = json.loads((ROOT / "benchmarks" / "ratios.json").read_text(encoding="utf-8"))
ROUNDS = 7


def bm25_row() -> Row:
    documents, queries = random_terms(3_000, seed=0), [text[:6] for text in random_terms(50, seed=1)]
    peers = [
        Peer("bm25s", "", lambda: bm25.theirs(documents, queries, True, "numpy"), "bm25s"),
        Peer("rag_lib", "", lambda: bm25.ours(documents, queries, True)),
    ]
    return list(side_by_side("bm25", "small", peers, ROUNDS, len(queries), bm25.same_scores, process_time))[1]


def vector_row() -> Row:
    some, queries = unit_vectors(3_000, vectors.DIMENSION, 0), unit_vectors(50, vectors.DIMENSION, 1)
    peers = vectors.exact(some, queries, batch=1)
    return list(side_by_side("vectors", "small", peers, ROUNDS, len(queries), vectors.recall, process_time))[1]


@pytest.mark.parametrize(
    ("name", "measured", "quality"),
    [
        ("BM25 beside bm25s", bm25_row, "the same ten scores for 50 of 50 queries"),
        ("flat index beside FAISS", vector_row, "recall 1.000"),
    ],
)
def test_no_ratio_has_fallen_by_half(name, measured, quality):
    row = measured()
    assert row.quality == quality
    assert row.ratio >= RECORDED[name] / 2, f"{row.ratio:.2f} times the peer's speed, once {RECORDED[name]}"


def test_a_slower_peer_has_a_smaller_ratio_and_an_absent_one_is_named(capsys):
    matrix = np.random.default_rng(0).standard_normal((200, 200))

    def times(n: int) -> Peer:
        return Peer(f"{n} times", "", lambda: lambda: [matrix @ matrix for _ in range(n)])

    rows = list(side_by_side("s", "c", [times(2), times(20), Peer("no one", "", list, "no_such_package")], 9, 1))
    assert [row.peer for row in rows] == ["2 times", "20 times"] and "no one" in capsys.readouterr().out
    assert rows[0].ratio == 1 and 0.02 < rows[1].ratio < 0.5
