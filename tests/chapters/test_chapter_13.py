"""What notebook 13 builds step by step is what rag_lib and the trusted implementations compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions
from sklearn.metrics.pairwise import cosine_similarity

from rag_lib.applications import Blend, ItemKNN, TextProfile, parse_wish, recommendation
from rag_lib.evaluation import ranking
from rag_lib.museum import load_products

CHAPTER = definitions("13_recommendation", constants=False)
IDS = list("abcdef")
ROW = {product: i for i, product in enumerate(IDS)}
HISTORIES = st.lists(st.lists(st.sampled_from(IDS), unique=True), min_size=1, max_size=12)
HISTORY = st.lists(st.sampled_from(IDS), unique=True)
VECTORS = np.random.default_rng(0).normal(size=(6, 4))
CHAPTER.item_knn.__globals__.update(ids=IDS, row=ROW)


@settings(max_examples=50)
@given(HISTORIES, HISTORY, st.sampled_from([0.0, 10.0]), st.integers(1, 6))
def test_item_knn(histories, history, shrinkage, neighbours):
    matrix = CHAPTER.purchase_matrix(histories)
    alike = CHAPTER.co_purchases(matrix, shrinkage)
    np.testing.assert_allclose(alike, recommendation.co_purchases(matrix, shrinkage))
    ours = CHAPTER.item_knn(history, CHAPTER.nearest_only(alike, neighbours))
    np.testing.assert_allclose(ours, ItemKNN(IDS, histories, shrinkage, neighbours).scores(history))


@settings(deadline=None)
@given(HISTORY)
def test_profiles(history):
    apart = CHAPTER.centred(VECTORS)
    np.testing.assert_allclose(CHAPTER.profile_scores(history, apart), TextProfile(IDS, VECTORS).scores(history))


@settings(deadline=None)
@given(HISTORIES, HISTORY)
def test_the_blend(histories, history):
    alike = CHAPTER.co_purchases(CHAPTER.purchase_matrix(histories), shrinkage=10)
    CHAPTER.blend.__globals__.update(alike=alike, apart=CHAPTER.centred(VECTORS))
    finished = Blend(ItemKNN(IDS, histories), TextProfile(IDS, VECTORS))
    np.testing.assert_allclose(CHAPTER.blend(history), finished.scores(history), atol=1e-12)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(IDS), unique=True, min_size=1), st.dictionaries(st.sampled_from(IDS), st.integers(0, 9))
)
def test_novelty(order, sold):
    assert CHAPTER.novelty(order, sold, 9) == pytest.approx(ranking.novelty(order, sold, 9, len(order)))


def test_the_best_are_allowed_and_ties_go_by_id():
    scores, allowed = np.array([1.0, 3.0, 1.0, 9.0, 0.0, 2.0]), np.array([True, True, True, False, True, True])
    assert CHAPTER.best(scores, allowed, 4) == ["b", "f", "a", "c"]
    assert CHAPTER.best(scores, ~allowed, 4) == ["d"], "never more than are allowed"


def test_coverage_of_half():
    CHAPTER.coverage_of_half.__globals__["ids"] = IDS
    lists = [["a"], ["b"], ["c"], ["d"]]
    assert CHAPTER.coverage_of_half(lists)[0] == pytest.approx(2 / 6), "two of four visitors see two products"
    assert CHAPTER.coverage_of_half([["a", "b"]] * 4) == (pytest.approx(2 / 6),) * 3


def test_the_small_reader_agrees_with_the_finished_one():
    CHAPTER.read_wish.__globals__.update(NUMBERS={"six": 6, "twenty": 20}, NUMBER=r"(\d+|six|twenty)")
    for text in ("for a six-year-old, under 20 euros", "for my 6 year old under €20", "under twenty euros", "a comet"):
        age, price, _ = CHAPTER.read_wish(text)
        wish = parse_wish(text)
        assert wish.ages == (None if age is None else (age, age))
        assert wish.price_max == pytest.approx(float("inf") if price is None else price - 0.01)


def test_the_check_of_the_cosine_tells_right_from_wrong():
    right = [
        lambda a, b: np.dot(a, b) / np.sqrt(a.sum() * b.sum()),
        lambda a, b: cosine_similarity([a], [b])[0, 0],
    ]
    wrong = [
        CHAPTER.my_cosine,
        lambda a, b: np.dot(a, b),
        lambda a, b: np.dot(a, b) / (a.sum() * b.sum()),
        lambda a, b: np.dot(a, b) / np.sqrt(len(a) * len(b)),
        lambda a, b: (a == b).mean(),
        lambda a, b: np.dot(a, b) / (a.sum() + b.sum() - np.dot(a, b)),
    ]
    assert all(CHAPTER.check_cosine(f).startswith("Right") for f in right)
    assert not any(CHAPTER.check_cosine(f).startswith("Right") for f in wrong)
    assert CHAPTER.check_cosine(CHAPTER.my_cosine).startswith("Not yet")


def test_the_check_of_the_filter_tells_right_from_wrong():
    CHAPTER.check_filter.__globals__["products"] = load_products()
    wrong = [
        CHAPTER.my_filter,
        lambda p, age, price: True,
        lambda p, age, price: p.age_min <= age and p.price <= price,
        lambda p, age, price: p.age_min < age <= p.age_max and p.price <= price,
        lambda p, age, price: p.age_min <= age < p.age_max and p.price <= price,
        lambda p, age, price: p.age_min <= age <= p.age_max,
        lambda p, age, price: p.age_min <= age <= p.age_max and p.price >= price,
    ]
    assert CHAPTER.check_filter(lambda p, age, price: p.age_min <= age <= p.age_max and p.price <= price)[:5] == "Right"
    for passes in wrong:
        assert not CHAPTER.check_filter(passes).startswith("Right")
