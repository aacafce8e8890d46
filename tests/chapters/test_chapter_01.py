"""What chapter 01 builds agrees with the finished version in rag_lib."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.evaluation.statistics import Estimate
from rag_lib.files import ARTICLES
from rag_lib.indexing import splitting
from rag_lib.indexing.reading.cleaning import clean
from rag_lib.indexing.reading.encodings import decode
from rag_lib.indexing.splitting import Splitting, passage_spans
from rag_lib.museum.collection import load_articles, load_dossiers
from rag_lib.plots import draw_estimates

chapter = definitions("01_documents_and_passages")
WORDS = "Moon an 3.5 Dr. U.S. end. Mars? (Mir “Go.” J. e.g. 1969 über Stop!” ... \n\n \n \t".split(" ")
TEXTS = [d.text for d in [*load_articles(), *load_dossiers()]]
ALIKE = [text for text in TEXTS if chapter.sentences_of(text) == splitting.sentence_spans(text)]
TEXT = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
SPELLINGS = "Fe\u0301licette rocket\r\n \u00a0\u00ad\u200b\ufeff\n½⁵ "


def test_the_articles_are_read_alike():
    ours = {d.id: (d.title, d.text) for d in (chapter.parse(p.read_text("utf-8")) for p in ARTICLES.glob("*.txt"))}
    assert ours == {d.id: (d.title, d.text) for d in load_articles()}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_bytes_are_decoded_alike(encoding):
    text = "Félicette flew above Algeria – “the naïve rôle of the Mélies café in Orléans” was over. "
    data = (text * 5).encode(encoding)
    assert chapter.decode(data) == decode(data).text


@given(st.text(st.sampled_from(SPELLINGS), max_size=30))
def test_text_is_cleaned_alike(text):
    assert chapter.clean(text) == clean(text)


@given(TEXT)
def test_sentences_and_paragraphs_are_found_alike(text):
    assert chapter.sentences_of(text) == splitting.sentence_spans(text)
    assert chapter.paragraphs_of(text) == splitting.paragraph_spans(text)


def ours(text: str, settings: Splitting) -> list[tuple[int, int]]:
    if settings.method == "fixed":
        return chapter.fixed(text, settings.max_words, settings.overlap)
    return {"sentence": chapter.by_sentence, "recursive": chapter.recursive}[settings.method](text, settings.max_words)


SETTINGS = [
    *(Splitting(size, method=method) for size in (12, 45, 90, 200) for method in splitting.METHODS),
    *(Splitting(size, overlap, "fixed") for size, overlap in ((12, 5), (90, 20), (90, 89), (400, 30))),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_museum_is_split_alike(settings):
    for text in ALIKE:
        assert ours(text, settings) == passage_spans(text, settings)


def test_the_librarys_exceptions_hardly_change_the_museums_sentences():
    assert len(TEXTS) - len(ALIKE) <= 5


@given(TEXT, st.integers(1, 8), st.sampled_from(sorted(splitting.METHODS)))
def test_any_text_is_split_alike(text, size, method):
    assert ours(text, Splitting(size, method=method)) == passage_spans(text, Splitting(size, method=method))


def test_whiskers_reach_from_the_low_to_the_high_end_of_an_interval():
    figure, ax = plt.subplots()
    draw_estimates(ax, [30, 60], [Estimate(0.5, 0.4, 0.7, 9), Estimate(0.6, 0.5, 0.65, 9)], "red")
    (points, _, (whiskers,)) = ax.containers[0]
    plt.close(figure)
    np.testing.assert_allclose(points.get_xydata(), [[30, 0.5], [60, 0.6]])
    np.testing.assert_allclose(whiskers.get_segments(), [[[30, 0.4], [30, 0.7]], [[60, 0.5], [60, 0.65]]])
