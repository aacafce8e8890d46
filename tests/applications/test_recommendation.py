"""Recommenders equal trusted implementations, filters hold, and reasons say nothing that is not so."""

import numpy as np
import pytest
from fakes import FixedGenerator, HashEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import minmax_scale

from rag_lib.applications.recommendation import (
    Blend,
    ItemKNN,
    NothingFits,
    Popularity,
    ShopAssistant,
    TextProfile,
    co_purchases,
    open_products,
    purchase_matrix,
    stretched,
)
from rag_lib.applications.shop import Product, Purchase, Visitor
from rag_lib.applications.wishes import Wish, parse_wish
from rag_lib.generation.generators import Generation

IDS = list("abcdef")
HISTORIES = st.lists(st.lists(st.sampled_from(IDS), unique=True), min_size=1, max_size=12)


@settings(deadline=None)
@given(HISTORIES)
def test_likeness_by_purchases_is_the_cosine_of_scikit_learn(histories):
    matrix = purchase_matrix(IDS, histories)
    expected = cosine_similarity(matrix.T)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(co_purchases(matrix, shrinkage=0), expected, atol=1e-12)


@settings(deadline=None)
@given(HISTORIES, st.floats(0, 50))
def test_shrinkage_divides_by_more_and_keeps_symmetry(histories, shrinkage):
    matrix = purchase_matrix(IDS, histories)
    alike, together, norms = co_purchases(matrix, shrinkage), matrix.T @ matrix, np.linalg.norm(matrix, axis=0)
    np.testing.assert_array_equal(alike, alike.T)
    for i, j in zip(*np.nonzero(alike), strict=True):
        assert alike[i, j] == pytest.approx(together[i, j] / (norms[i] * norms[j] + shrinkage))


@settings(deadline=None)
@given(HISTORIES, st.lists(st.sampled_from(IDS), unique=True), st.integers(1, 6))
def test_item_knn_sums_over_the_nearest(histories, history, neighbours):
    alike = co_purchases(purchase_matrix(IDS, histories))
    expected = np.zeros(len(IDS))
    for i in range(len(IDS)):
        least = sorted(alike[i], reverse=True)[neighbours - 1]
        expected[i] = sum(alike[i, IDS.index(j)] for j in history if alike[i, IDS.index(j)] >= least)
    np.testing.assert_allclose(ItemKNN(IDS, histories, neighbours=neighbours).scores(history), expected, atol=1e-12)


def test_popularity_counts_and_is_the_same_for_everybody():
    popularity = Popularity(IDS, [["a", "b"], ["b"], ["b", "f"]])
    assert popularity.scores([]).tolist() == popularity.scores(["a"]).tolist() == [1, 3, 0, 0, 0, 1]


def test_a_text_profile_is_the_cosine_with_the_mean_and_knows_nothing_of_what_all_share():
    vectors = np.random.default_rng(0).normal(size=(6, 5))
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    expected = cosine_similarity(unit, unit[[1, 4]].mean(axis=0, keepdims=True))[:, 0]
    np.testing.assert_allclose(TextProfile(IDS, vectors).scores(["b", "e"]), expected)
    np.testing.assert_allclose(TextProfile(IDS, vectors + 7).scores(["b", "e"]), expected)
    assert TextProfile(IDS, vectors).scores([]).tolist() == [0] * 6


@settings(deadline=None)
@given(st.lists(st.integers(-100, 100), min_size=1))
def test_stretched_is_scikit_learns_min_max(values):
    scores = np.array(values, dtype=float)
    np.testing.assert_allclose(stretched(scores), minmax_scale(scores))


def test_a_blend_goes_from_the_one_to_the_other():
    histories, vectors = [["a", "b"], ["b", "c"]], np.eye(6)
    knn, text = ItemKNN(IDS, histories), TextProfile(IDS, vectors)
    for weight, part in ((0.0, knn), (1.0, text)):
        np.testing.assert_allclose(Blend(knn, text, weight).scores(["a"]), stretched(part.scores(["a"])))


TEXTS = {
    "comet-book": ("The Comet Book", "books", 12.0, 5, 9, ("comets",), "A tale of a comet with two tails. Nice."),
    "comet-kit": ("Comet Kit", "kits", 30.0, 9, 99, ("comets", "ice"), "Build a comet nucleus from ice and soot."),
    "moon-map": ("Moon Map", "posters", 15.0, 6, 99, ("moon",), "All the seas of the Moon on one large sheet."),
    "moon-lamp": ("Moon Lamp", "home", 19.0, 6, 99, ("moon",), "A lamp as round and pale as the full Moon is."),
    "rocket": ("Rocket", "kits", 140.0, 14, 99, ("rockets",), "A tall rocket of wood with a red launch tower."),
}
PRODUCTS = [Product(i, *fields, in_stock=i != "moon-lamp") for i, fields in TEXTS.items()]
ANNA = Visitor("v-1", 7, (Purchase("moon-map", "2026-01-02", 5), Purchase("comet-book", "2026-02-03", 1)))
BERT = Visitor("v-2", 40, (Purchase("moon-map", "2026-01-05", None), Purchase("moon-lamp", "2026-01-06", 4)))


@pytest.fixture
def assistant(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path))
    return ShopAssistant(PRODUCTS, [ANNA, BERT], HashEncoder())


def found(assistant, *arguments, **options) -> list[str]:
    return [r.product.id for r in assistant.recommend(*arguments, k=10, **options)]


def test_filters_come_before_the_ranking(assistant):
    wish = parse_wish("Something for a six-year-old who likes comets, under 20 euros")
    assert found(assistant, wish)[0] == "comet-book"
    assert set(found(assistant, wish)) == {"comet-book", "moon-map", "moon-lamp"}
    assert [r.product.id for r in assistant.recommend(wish, k=1)] == ["comet-book"]
    assert set(found(assistant, parse_wish("for a six-year-old, in stock"))) == {"comet-book", "moon-map"}


def test_what_was_wished_and_is_sold_out_is_named(assistant):
    assert [p.id for p in assistant.sold_out(parse_wish("a moon lamp that is in stock"))] == ["moon-lamp"]
    assert assistant.sold_out(parse_wish("a moon lamp")) == [], "it is recommended then"
    assert assistant.sold_out(parse_wish("a moon lamp in stock, at most 5 euros")) == [], "it is not what was wished"


@settings(max_examples=40)
@given(st.integers(0, 99), st.integers(1, 200), st.sampled_from([None, ANNA, BERT]), st.sampled_from(["", "comet"]))
def test_nothing_outside_the_filters_and_nothing_twice(age, price, visitor, about):
    assistant = ShopAssistant(PRODUCTS, [ANNA, BERT], HashEncoder())
    wish, shown = Wish(about, (age, age), 0, price), []
    with pytest.raises(NothingFits):
        while True:
            (hit,) = assistant.recommend(wish, visitor, 1, without=shown)
            shown.append(hit.product.id)
            assert wish.allows(hit.product)
    assert len(set(shown)) == len(shown) and not set(shown) & set(visitor.bought if visitor else [])
    allowed = {p.id for p in PRODUCTS if wish.allows(p)} - set(visitor.bought if visitor else [])
    assert set(shown) == allowed, "and nothing that fits is kept back"


def test_a_visitors_own_age_counts_where_the_wish_names_none(assistant):
    assert found(assistant, Wish(), ANNA) == ["moon-lamp"]
    assert found(assistant, Wish(ages=(40, 40)), ANNA) == ["moon-lamp", "comet-kit", "rocket"]
    assert str(assistant.understood(Wish(), ANNA)) == "for age 7"


def test_a_reason_says_only_what_is_so(assistant):
    (lamp,) = assistant.recommend(Wish(), ANNA)
    assert lamp.reason == (
        "It shares the topic “moon” with “Moon Map”, which you bought and gave 5 stars: "
        "“A lamp as round and pale as the full Moon is.”"
    )
    book, *others = assistant.recommend(Wish("comet", (6, 6)))
    assert book.reason == "It says of itself: “A tale of a comet with two tails.”", "and not just: Nice."
    assert all(r.quote in r.product.description for r in (book, *others))
    assert all(r.because is None for r in assistant.recommend(Wish("comet"), Visitor("new", 40, ())))


def test_a_purchase_that_was_disliked_is_no_reason(assistant):
    (kit,) = (r for r in assistant.recommend(Wish(ages=(40, 40)), ANNA) if r.product.id == "comet-kit")
    assert kit.because is None, "Anna gave the comet book one star"


def test_it_says_where_a_product_misses_the_wish(assistant, monkeypatch):
    monkeypatch.setattr("rag_lib.applications.recommendation.NEAR", 1.1)  # so that only shared words count
    reasons = {r.product.id: r.reason for r in assistant.recommend(Wish("comet", (10, 10)))}
    assert reasons["comet-kit"].startswith("It says of itself")
    assert reasons["moon-map"].startswith("It does not mention “comet”, but fits the rest of the wish: “All the seas")
    assert not assistant.related(Wish("bread")).any() and assistant.related(Wish()).all()


def test_what_was_asked_for_by_its_name_comes_first(assistant, monkeypatch):
    monkeypatch.setattr(assistant, "wish_weight", 0.0)  # however little the wish counts otherwise
    for about in ("comets", "a comet of soot", "building with ice"):
        assert found(assistant, Wish(about), BERT)[0] == "comet-kit" != found(assistant, Wish(), BERT)[0]
    assert found(assistant, Wish("comets of wood"), BERT) == found(assistant, Wish(), BERT), "none has every word"
    assert not assistant.naming(Wish("the")).any(), "stop words name nothing"


@pytest.mark.parametrize(("written", "kept"), [("All the seas of the Moon on one large sheet.", True), ("Buy!", False)])
def test_what_a_generator_made_up_is_not_quoted(tmp_path, monkeypatch, written, kept):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path))
    generator = FixedGenerator(Generation(written, 1.0, None, (0,)))
    assistant = ShopAssistant(PRODUCTS, [ANNA], HashEncoder(), generator)
    quotes = {r.product.id: r.quote for r in assistant.recommend(Wish("moon"))}
    assert generator.asked and (quotes["moon-map"] == written) == kept
    assert all(quotes[p.id] in p.description for p in PRODUCTS)


def test_a_wish_that_nothing_meets_is_refused_in_one_line(assistant):
    with pytest.raises(
        NothingFits, match=r"for age 6, at most €5\.00: of its 5 products the age allows 3, the price 0"
    ):
        assistant.recommend(parse_wish("for a six-year-old, at most 5 euros"))
    with pytest.raises(NothingFits, match="an age in years allows more"):
        assistant.recommend(parse_wish("for a toddler, at most 1 euro"))
    with pytest.raises(ValueError, match="k must be"):
        assistant.recommend(Wish(), k=0)
    with pytest.raises(ValueError, match="nobody is -3 years old"):
        Visitor("v-3", -3, ())


def test_products_are_embedded_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RAG_CACHE", str(tmp_path))
    first, second, changed = HashEncoder(), HashEncoder(), HashEncoder()
    knowledge = open_products(PRODUCTS, first)
    assert list(knowledge.passages) == [p.id for p in PRODUCTS] and len(first.encoded) == 5
    np.testing.assert_array_equal(open_products(PRODUCTS, second).vectors, knowledge.vectors)
    assert second.encoded == [] and len(open_products(PRODUCTS[1:], changed)) == len(changed.encoded) == 4
