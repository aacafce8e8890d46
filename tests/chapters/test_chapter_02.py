"""What chapter 02 builds agrees with the finished version in rag_lib, and with bm25s."""

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25, IDF
from rag_lib.museum.collection import load_articles, load_questions

chapter = definitions("02_bm25")
ARTICLES = [f"{a.title}. {a.text}" for a in load_articles()]
QUESTIONS = [q.question for q in load_questions("train")[:100]]


def test_the_analysers_are_one():
    for text in [*ARTICLES, *QUESTIONS, "Félicette’s café – O'Neill's", ""]:
        assert chapter.analyse(text) == Analyzer()(text)


@pytest.mark.parametrize("variant", IDF)
@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.6, 0.0), (3.0, 1.0)])
def test_scores_agree(variant, k1, b):
    ours = chapter.EagerBM25(ARTICLES, chapter.analyse, k1, b, variant)
    finished = BM25([str(i) for i in range(len(ARTICLES))], ARTICLES, Analyzer(), k1, b, variant)
    trusted = bm25s.BM25(method=variant, k1=k1, b=b)
    trusted.index([Analyzer()(text) for text in ARTICLES], show_progress=False)
    for question in QUESTIONS:
        scores = ours.scores(question)
        np.testing.assert_allclose(scores, finished.scores(question), atol=1e-5)
        terms = [t for t in Analyzer()(question) if t in trusted.vocab_dict]
        np.testing.assert_allclose(scores, trusted.get_scores(terms) if terms else 0, atol=1e-5)


def test_the_chapter_teaches_every_variant_of_the_library():
    assert set(chapter.IDF) == set(IDF)


@given(st.lists(st.lists(st.sampled_from("moon sun star orbit".split()), max_size=6), min_size=1, max_size=8))
def test_the_index_counts_every_word_once(documents):
    index = chapter.build_index(documents)
    rebuilt = [dict.fromkeys(set(d), 0) for d in documents]
    for term, (rows, f) in index.items():
        for row, count in zip(rows.tolist(), f.tolist(), strict=True):
            rebuilt[row][term] = count
    assert rebuilt == [{t: d.count(t) for t in set(d)} for d in documents]
