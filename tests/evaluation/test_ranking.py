"""The ranking metrics are trec_eval's, the test is SciPy's."""

from functools import partial

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import RR, R, nDCG
from scipy import stats

from rag_lib.evaluation.ranking import coverage, ndcg_at_k, novelty, of_ranks, recall_at_k, reciprocal_rank
from rag_lib.evaluation.statistics import randomization_test

IDS = [f"d{i}" for i in range(12)]


def reference(ranking, grades, metric) -> float:
    """The metric of one ranking by ir_measures; the scores keep the order, for it breaks ties in its own way."""
    run = {"q": {i: float(-rank) for rank, i in enumerate(ranking)}}
    return ir_measures.calc_aggregate([metric], {"q": grades}, run)[metric]


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(IDS), unique=True, min_size=1),
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 3), min_size=1).filter(lambda g: any(g.values())),
    st.integers(1, 15),
)
def test_metrics_equal_ir_measures(ranking, grades, k):
    assert recall_at_k(ranking, grades, k) == pytest.approx(reference(ranking, grades, R @ k))
    assert reciprocal_rank(ranking, grades, k) == pytest.approx(reference(ranking, grades, RR @ k))
    assert ndcg_at_k(ranking, grades, k) == pytest.approx(reference(ranking, grades, nDCG @ k))


def test_metrics_by_hand():
    ranking, grades = ["x", "b", "y", "a"], {"a": 2, "b": 1, "c": 1, "x": 0, "y": -1}
    assert recall_at_k(ranking, grades, 3) == pytest.approx(1 / 3)
    assert reciprocal_rank(ranking, grades, 4) == 1 / 2 and reciprocal_rank(ranking, grades, 1) == 0
    ideal = 2 / np.log2(2) + 1 / np.log2(3) + 1 / np.log2(4)
    assert ndcg_at_k(ranking, grades, 4) == pytest.approx((1 / np.log2(3) + 2 / np.log2(5)) / ideal)


@pytest.mark.parametrize("metric", [recall_at_k, reciprocal_rank, ndcg_at_k])
def test_nothing_retrieved_is_zero_and_nothing_relevant_is_refused(metric):
    assert metric([], {"a": 1}, 5) == 0
    with pytest.raises(ValueError, match="nothing is judged relevant"):
        metric(["a"], {"a": 0}, 5)


@given(st.lists(st.sampled_from(IDS), min_size=1), st.integers(1, 15))
def test_an_id_that_occurs_twice_counts_where_it_stands_first(ranking, k):
    grades, once = {"d0": 1, "d3": 2}, list(dict.fromkeys(ranking))
    for metric in (recall_at_k, reciprocal_rank, ndcg_at_k):
        assert metric(ranking, grades, k) == metric(once, grades, k) <= 1
    assert ndcg_at_k(["a", "a"], {"a": 1}, 10) == 1


@pytest.mark.parametrize("k", [0, -1, 2.5, None])
def test_a_cutoff_that_makes_no_sense_is_refused(k):
    for metric in (recall_at_k, reciprocal_rank, ndcg_at_k):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            metric(["a"], {"a": 1}, k)
    for measured in (lambda: novelty(["a"], {"a": 1}, 7, k), lambda: coverage([["a", "b"]], 2, k)):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            measured()


def test_a_rank_is_that_of_a_ranking():
    assert of_ranks([0, 1, 4, 11], partial(reciprocal_rank, k=10)).tolist() == [0, 1, 0.25, 0]


def test_the_randomization_test_equals_scipys():
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.1, 0.4):
        a, b = rng.random(60) + shift, rng.random(60)
        expected = stats.permutation_test(
            (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", rng=0, vectorized=True
        ).pvalue
        assert randomization_test(a, b) == pytest.approx(expected, abs=0.02)


def test_systems_that_do_not_differ_are_told_apart_as_rarely_as_promised():
    rng = np.random.default_rng(2)
    p = [randomization_test(rng.random(30) < 0.5, rng.random(30) < 0.5, resamples=200) for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) <= 0.09
    assert randomization_test([1, 0, 1], [1, 0, 1]) == 1.0
    with pytest.raises(ValueError, match="paired"):
        randomization_test([1], [1, 2])


def test_novelty_is_in_bits_and_what_nobody_bought_is_newest():
    sold = {"a": 7, "b": 3, "c": 0}
    assert novelty(["a"], sold, 7, 1) == 0, "everybody has it"
    assert novelty(["b", "a"], sold, 7, 1) == 1 and novelty(["b", "a"], sold, 7, 2) == 0.5
    assert novelty(["c"], sold, 7, 1) == novelty(["unseen"], sold, 7, 1) == 3
    with pytest.raises(ValueError, match="empty ranking"):
        novelty([], sold, 7, 1)


def test_coverage_counts_different_items_among_the_first():
    assert coverage([["a", "b", "c"], ["a", "d"], []], size=8, k=2) == 3 / 8


@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_an_empty_catalogue_cannot_be_covered(size):
    with pytest.raises(ValueError, match=f"^the size of a catalogue must be a whole number of at least 1, not {size}$"):
        coverage([["a"]], size, 1)
