import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25, IDF

TEXTS = [
    "The Moon is the only natural satellite of the Earth; the Moon raises tides.",
    "Running dogs ran to the moons of Saturn and Jupiter.",
    "Valentina Tereshkova was the first woman in space, in 1963.",
    "Space stations orbit the Earth: Mir, Skylab, Salyut 1 and Salyut 7.",
    "",
    "the of and",
]
QUERIES = ["moon tides", "first woman in space", "salyut 7", "running moons", "dogs dogs dogs", "earth"]
PLAIN = Analyzer(stop_words=False, stemmer=None)


def reference_scores(texts, query, analyzer, k1, b, variant="lucene"):
    """Scores of bm25s over the same terms."""
    tokens = [analyzer(t) for t in texts]
    reference = bm25s.BM25(method=variant, k1=k1, b=b)
    reference.index(tokens, show_progress=False)
    terms = [t for t in analyzer(query) if t in reference.vocab_dict]
    return reference.get_scores(terms) if terms else np.zeros(len(texts), dtype=np.float32)


@pytest.mark.parametrize("analyzer", [Analyzer(), PLAIN, Analyzer(stemmer=None)])
@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.9, 0.4), (2.0, 0.0), (0.5, 1.0)])
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("variant", IDF)
def test_scores_equal_bm25s(analyzer, k1, b, query, variant):
    ids = list(map(str, range(len(TEXTS))))
    ours = BM25(ids, TEXTS, analyzer, k1, b, variant).scores(query)
    np.testing.assert_allclose(ours, reference_scores(TEXTS, query, analyzer, k1, b, variant), atol=1e-5)


def test_a_term_of_most_texts_adds_nothing_in_robertsons_variant_and_something_in_lucenes():
    texts = ["moon", "moon", "moon star"]
    assert BM25("abc", texts, PLAIN, variant="robertson").search("moon", 3) == []
    assert len(BM25("abc", texts, PLAIN, variant="lucene").search("moon", 3)) == 3


@pytest.mark.parametrize("settings", [{"k1": -1}, {"b": 1.5}, {"variant": "bm26"}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be|no variant of BM25 is called 'bm26'"):
        BM25(["a"], ["moon"], Analyzer(), **settings)


WORD = st.sampled_from("moon sun star dog cat orbit".split())


@settings(max_examples=50)
@given(
    st.lists(st.lists(WORD, min_size=1, max_size=8).map(" ".join), min_size=1, max_size=12), WORD, st.integers(1, 20)
)
def test_search_is_the_sorted_scores(texts, query, k):
    index = BM25([f"p{i}" for i in range(len(texts))], texts, PLAIN)
    scores = index.scores(query)
    expected = sorted(((f"p{i}", s) for i, s in enumerate(scores.tolist()) if s > 0), key=lambda h: (-h[1], h[0]))[:k]
    assert [tuple(h) for h in index.search(query, k)] == expected
    np.testing.assert_allclose(scores, reference_scores(texts, query, PLAIN, 1.2, 0.75), atol=1e-5)


def test_documents_and_queries_go_through_one_analyser():
    index = BM25(["a", "b"], ["He was running in the gardens", "A stone"], Analyzer())
    assert [h.id for h in index.search("the garden runs", 5)] == ["a"]


@pytest.mark.parametrize("query", ["", "xylophone", "the of and", "?!"])
def test_a_query_without_known_terms_finds_nothing(query):
    assert BM25(["a"], ["the moon"], Analyzer()).search(query, 3) == []


@pytest.mark.parametrize("query", [None, 5, b"moon", ["moon"]])
def test_a_query_that_is_no_text_is_refused(query):
    index = BM25(["a"], ["the moon"], Analyzer())
    with pytest.raises(TypeError, match=f"^a query is a text, not {type(query).__name__}$"):
        index.search(query, 3)
    with pytest.raises(TypeError, match=f"^a query is a text, not {type(query).__name__}$"):
        index.search_all([query], 3)


def test_accents_and_possessives_do_not_matter():
    assert Analyzer()("Félicette's café") == Analyzer()("felicette cafe")


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_k_must_be_a_whole_number_of_at_least_one(k):
    with pytest.raises(ValueError, match="k must be"):
        BM25(["a"], ["moon"], Analyzer()).search("moon", k)


def test_an_empty_index_finds_nothing():
    assert BM25([], [], Analyzer()).search("moon", 3) == []


def test_many_queries_at_once_find_what_each_finds_alone():
    rng = np.random.default_rng(0)
    texts = [" ".join(f"word{i}" for i in rng.zipf(1.3, 12) if i < 500) for _ in range(3000)]
    index = BM25([str(i) for i in range(3000)], texts, Analyzer())
    queries = [" ".join(text.split()[:4]) for text in texts[:40]] + ["", "unknown"]
    assert index.search_all(queries, 7) == [index.search(query, 7) for query in queries]
    for query in queries[:5]:
        by_hand = np.zeros(3000, dtype=np.float32)
        for term in index.analyzer.of_query(query):
            t = index.terms[term]
            for p in range(index.offsets[t], index.offsets[t + 1]):
                by_hand[index.rows[p]] += index.weights[p]
        np.testing.assert_array_equal(index.scores(query), by_hand)
