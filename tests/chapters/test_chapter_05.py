"""What notebook 05 builds step by step is what rag_lib and the trusted implementations compute."""

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, R, nDCG
from notebook_definitions import definitions
from sentence_transformers.util import maxsim

from rag_lib.evaluation import ranking, statistics
from rag_lib.hits import Hit
from rag_lib.models.weights import load_minilm
from rag_lib.retrieval.dpr import DPREncoder
from rag_lib.retrieval.fusion import MinMaxFusion, ReciprocalRankFusion
from rag_lib.retrieval.rerankers import MaxSimReranker

CHAPTER = definitions("05_retrieval", constants=False)
IDS = list("abcdefgh")
RANKINGS = st.lists(st.sampled_from(IDS), unique=True, min_size=1)
GRADES = st.dictionaries(st.sampled_from(IDS), st.integers(0, 3), min_size=1).filter(lambda g: any(g.values()))
SCORED = st.dictionaries(st.sampled_from(IDS), st.integers(-50, 50).map(lambda n: n / 8), min_size=1)


@settings(max_examples=60)
@given(RANKINGS, GRADES, st.integers(1, 10))
def test_metrics(order, grades, k):
    run = {"q": {i: float(-rank) for rank, i in enumerate(order)}}
    for name, trusted in (("recall_at_k", R @ k), ("reciprocal_rank", RR @ k), ("ndcg_at_k", nDCG @ k)):
        value = getattr(CHAPTER, name)(order, grades, k)
        assert value == pytest.approx(getattr(ranking, name)(order, grades, k))
        assert value == pytest.approx(ir_measures.calc_aggregate([trusted], {"q": grades}, run)[trusted])


@settings(max_examples=60)
@given(RANKINGS, GRADES)
def test_average_precision(order, grades):
    run = {"q": {i: float(-rank) for rank, i in enumerate(order)}}
    value = CHAPTER.average_precision(order, grades)
    assert value == pytest.approx(ir_measures.calc_aggregate([AP], {"q": grades}, run)[AP])


def test_randomization_test():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.3):
        a, b = rng.random(50) + shift, rng.random(50)
        assert CHAPTER.randomization_test(a, b) == pytest.approx(statistics.randomization_test(a, b), abs=0.04)


def test_top_k():
    CHAPTER.top_k.__globals__["ids"] = IDS
    scores = np.array([0.5, 2.0, 0.5, 1.0, -1.0, 0.0, 0.1, 0.2], dtype=np.float32)
    assert CHAPTER.top_k(scores, 3) == {"b": 2.0, "d": 1.0, "a": 0.5}, "ties in the order of the ids"


@settings(deadline=None)
@given(st.lists(SCORED, min_size=2, max_size=3))
def test_fusions(rankings):
    rankings = [dict(sorted(r.items(), key=lambda item: (-item[1], item[0]))) for r in rankings]
    hits = [[Hit(i, s) for i, s in r.items()] for r in rankings]
    for by_hand, fusion in (
        (CHAPTER.reciprocal_rank_fusion, ReciprocalRankFusion()),
        (CHAPTER.min_max_fusion, MinMaxFusion()),
    ):
        ours = by_hand(rankings)
        expected = {h.id: h.score for h in fusion(hits, len(IDS))}
        assert ours == pytest.approx(expected)


def test_dprs_vectors(knowledge):
    tokenizer = load_minilm()[1]
    CHAPTER.token_states.__globals__["tokenizer"] = tokenizer
    dpr, passages = DPREncoder(), list(knowledge.passages.values())
    states = CHAPTER.token_states(dpr.passage, [p.title for p in passages], [p.text for p in passages])
    np.testing.assert_allclose(CHAPTER.cls_vectors(states), dpr.encode_passages(passages), atol=1e-4)
    states = CHAPTER.token_states(dpr.question, ["Which dog flew?", "Why?"])
    assert [len(s) for s in states] == [len(tokenizer(t)["input_ids"]) for t in ("Which dog flew?", "Why?")]
    expected = dpr.encode_questions(["Which dog flew?", "Why?"])
    np.testing.assert_allclose(CHAPTER.cls_vectors(states), expected, atol=1e-4)


def test_max_sim(encoder, knowledge):
    reranker, passages = MaxSimReranker(encoder), list(knowledge.passages.values())
    (query,) = encoder.encode_query_tokens(["lakes on a moon"])
    texts = encoder.encode_passage_tokens([f"{p.title}. {p.text}" for p in passages])
    ours = [CHAPTER.max_sim(query, t) for t in texts]
    np.testing.assert_allclose(ours, reranker.scores("lakes on a moon", passages), atol=1e-5)
    trusted = maxsim([torch.tensor(query)], [torch.tensor(t) for t in texts])[0] / len(query)
    np.testing.assert_allclose(ours, trusted.numpy(), atol=1e-5)


def test_cross_score(knowledge):
    """The notebook's is a BERT with a linear layer on its first token, as `CrossEncoderReranker` reads from the hub."""
    bert, tokenizer = load_minilm()
    head = torch.nn.Linear(384, 1)
    CHAPTER.cross_score.__globals__.update(bert=bert, tokenizer=tokenizer, head=head)
    passages = list(knowledge.passages.values())
    together = CHAPTER.cross_score("Which dog flew?", passages)
    for passage, score in zip(passages, together, strict=True):
        pair = tokenizer("Which dog flew?", f"{passage.title}. {passage.text}", return_tensors="pt")
        with torch.inference_mode():
            assert head(bert(**pair).last_hidden_state[:, 0]).item() == pytest.approx(score, abs=1e-4)
