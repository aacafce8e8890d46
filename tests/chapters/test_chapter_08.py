"""What notebook 08 builds step by step is what rag_lib and the trusted implementations compute."""

import json
import random
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from rag_lib.evaluation import ranking
from rag_lib.evaluation.statistics import paired_difference
from rag_lib.indexing.documents import Source
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.models.weights import MUSEUM_DIFFERENCE, checked_shards
from rag_lib.museum.retriever_recipe import load_ranks
from rag_lib.training.retriever import contrastive, pairs
from rag_lib.training.retriever.recipes import METRICS, ranks_of


@cache
def chapter():
    return definitions("08_finetune_retriever")


@settings(max_examples=15)
@given(st.integers(2, 6), st.integers(0, 4), st.integers(0, 99), st.sampled_from([1.0, 0.2, 0.05]))
def test_contrastive_loss(b, extra, seed, temperature):
    torch.manual_seed(seed)
    q, p = torch.randn(b, 8, requires_grad=True), torch.randn(b + extra, 8, requires_grad=True)
    right = torch.randperm(b + extra)[:b]
    cosines = torch.nn.functional.normalize(q) @ torch.nn.functional.normalize(p).T / temperature
    ours = chapter().contrastive_loss(cosines, right)
    assert ours.item() == pytest.approx(contrastive.contrastive_loss(cosines, right).item(), abs=1e-5)
    trusted = MultipleNegativesRankingLoss(model=None, scale=1 / temperature)
    if not extra:
        theirs = trusted.compute_loss_from_embeddings([q, p[right]], None)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-4, abs=1e-5)
        for a, c in zip(torch.autograd.grad(ours, (q, p)), torch.autograd.grad(theirs, (q, p)), strict=True):
            assert torch.allclose(a, c, atol=1e-4)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(2, 6), st.integers(0, 5))
def test_batches(which, size, seed):
    known = [pairs.Pair(str(i), Source("", str(n))) for i, n in enumerate(which)]
    ours = chapter().epoch_batches([p.passage for p in known], size, random.Random(seed))
    assert ours == pairs.epoch_batches(known, size, random.Random(seed))


@pytest.mark.parametrize(
    ("text", "answers", "expected"),
    [
        ("Laika flew in 1957.", ("1957",), True),
        ("Laika flew in 19571.", ("1957",), False),
        ("LAIKA, the dog", ("Laika",), True),
        ("Nobody", (), False),
    ],
)
def test_holds_answer(text, answers, expected):
    assert chapter().holds_answer(text, answers) is expected
    assert pairs.holds_answer(Source("", text), answers) is expected


def test_negatives_that_hold_an_answer_are_left_out():
    rng, words = np.random.default_rng(0), ["red", "blue", "green", "giant", "dwarf"]
    texts = [" ".join(rng.choice(words, 2)) for _ in range(12)]
    known = [pairs.Pair(word, Source("", "own"), (word,)) for word in words]
    scores = rng.random((len(known), len(texts)))
    holding = chapter().with_answers(scores, texts, [p.answers for p in known])
    chosen = np.where(holding, -np.inf, scores).argmax(axis=1)
    mined = pairs.with_negatives(known, [Source("", t) for t in texts], scores, count=1)
    assert [(Source("", texts[n]),) for n in chosen] == [p.negatives for p in mined]


@given(st.permutations("abcdefghijklmnopqrstuvwxyz"), st.sampled_from("abcxyz"))
def test_figures_from_a_rank_are_those_from_the_ranking(order, right):
    scores = np.array([[-order.index(c) for c in sorted(order)]], dtype=float)
    row = np.array([sorted(order).index(right)])
    rank = chapter().ranks_of(scores, row)
    assert rank == order.index(right) + 1
    assert chapter().ndcg10(rank)[0] == pytest.approx(ranking.ndcg_at_k(order, {right: 1}, 10))
    ours = ranks_of(scores, np.eye(26), row)
    expected = {
        **{f"recall@{k}": ranking.recall_at_k(order, {right: 1}, k) for k in (1, 5, 20)},
        "MRR@20": ranking.reciprocal_rank(order, {right: 1}, 20),
        "nDCG@10": ranking.ndcg_at_k(order, {right: 1}, 10),
    }
    assert {name: ranking.of_ranks(ours, metric)[0] for name, metric in METRICS.items()} == pytest.approx(expected)


def test_the_shipped_difference_is_small_whole_and_changes_the_vectors(encoder):
    assert checked_shards(MUSEUM_DIFFERENCE) == ["museum.safetensors"]
    assert (MUSEUM_DIFFERENCE / "museum.safetensors").stat().st_size <= 1_500_000
    trained = SentenceEncoder("museum-minilm")
    assert trained.fingerprint() != SentenceEncoder("all-MiniLM-L6-v2").fingerprint()
    a, b = (e.encode_queries(["Who was the first woman in space?"])[0] for e in (trained, encoder))
    assert 0.3 < a @ b < 0.999


def test_the_stored_figures_follow_from_the_stored_ranks():
    stored = json.loads((MUSEUM_DIFFERENCE / "figures.json").read_text())
    ranks = load_ranks(MUSEUM_DIFFERENCE / "ranks.jsonl")
    assert set(ranks) == set(stored) == {"validation", "test", "squad"}
    for split, systems in ranks.items():
        after, before = (
            ranking.of_ranks(systems[f"dense, {name}"], METRICS["nDCG@10"]) for name in ("trained", "untouched")
        )
        gain = stored[split]["dense, trained - untouched"]["nDCG@10"]
        assert gain == asdict(paired_difference(after, before))
        assert gain["low"] > (0.05 if split != "squad" else -0.01)


def test_the_check_of_the_hardest_negative_tells_right_from_wrong():
    check = chapter().check_hardest
    assert check(lambda scores, excluded: np.where(excluded, -np.inf, scores).argmax()) == "Right."
    assert check(chapter().my_hardest).startswith("Not yet")
    wrong = [
        lambda scores, excluded: scores.argmax(),
        lambda scores, excluded: (scores * ~excluded).argmax(),
        lambda scores, excluded: scores[~excluded].argmax(),
        lambda scores, excluded: np.where(excluded, np.inf, scores).argmin(),
    ]
    assert all(check(function).startswith("Not quite") for function in wrong)
