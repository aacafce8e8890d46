import itertools

import numpy as np
import pytest
from fakes import HashEncoder
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import IndexSettings, build
from rag_lib.indexing.splitting import (
    METHODS,
    Splitting,
    passage_spans,
    sentence_spans,
    split_document,
    split_documents,
)
from rag_lib.indexing.store import load, save

WORDS = st.sampled_from(
    ["Moon", "the", "a", "3.5", "Dr.", "U.S.", "end.", "Why?", "No!", "\n\n", "über", "e.g.", '"Go."']
)
TWO_PARAGRAPHS = (
    "Dr. Ride flew on STS-7. It was fun.\n\nThe U.S. crew of five landed in California on 24 June 1983. "
    "Then a third one was selected to fly."
)
TEXT = st.lists(WORDS, max_size=60).map(" ".join)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith met J. Doe at 3.5 km. They left.", ["Dr. Smith met J. Doe at 3.5 km.", "They left."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("A heading\n\nA text", ["A heading", "A text"]),
        ("It flew... and fell.", ["It flew... and fell."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences(text, sentences):
    assert [text[a:b] for a, b in sentence_spans(text)] == sentences


@given(TEXT, st.integers(1, 12), st.integers(0, 3))
def test_passages_keep_every_word_in_order_and_their_spans_are_true(text, max_words, overlap):
    document = Document("d", "D", text)
    passages = split_document(document, Splitting(max_words, overlap))
    for p in passages:
        assert text[p.start : p.end] == p.text == p.text.strip()
        assert 1 <= len(p.text.split()) <= max_words
    assert [p.id for p in passages] == [f"d#{i}" for i in range(len(passages))]
    starts = [p.start for p in passages]
    assert starts == sorted(set(starts))
    covered = {i for p in passages for i in range(p.start, p.end)}
    assert all(i in covered for i, c in enumerate(text) if not c.isspace())


@given(TEXT, st.integers(1, 12))
def test_without_overlap_no_character_is_in_two_passages(text, max_words):
    spans = passage_spans(text, Splitting(max_words, 0))
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_overlap_repeats_whole_sentences():
    text = "One one. Two two. Three three. Four four."
    spans = passage_spans(text, Splitting(4, overlap=1))
    assert [text[a:b] for a, b in spans] == ["One one. Two two.", "Two two. Three three.", "Three three. Four four."]


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="max_words"):
        Splitting(0)


@pytest.mark.parametrize("given", ["9", 1.5, True, None, 0, -1])
def test_a_number_of_words_is_a_whole_one(given):
    with pytest.raises(ValueError, match=f"^max_words must be a whole number of at least 1, not {given!r}$"):
        Splitting(given)


@pytest.mark.parametrize("given", ["9", 1.5, -1])
def test_an_overlap_is_a_whole_number(given):
    with pytest.raises(ValueError, match=f"^overlap must be a whole number of at least 0, not {given!r}$"):
        Splitting(9, given)


def test_a_number_of_numpys_is_kept_as_pythons():
    """Settings are saved as JSON, which knows no others."""
    assert type(Splitting(np.int64(9), np.int64(1)).max_words) is int


@pytest.mark.parametrize("given", ["x", None, {"text": "x"}, Document])
def test_what_is_no_document_is_not_split(given):
    with pytest.raises(TypeError, match=r"^a document is a Document\(id, title, text\), not "):
        split_document(given, Splitting())
    with pytest.raises(TypeError, match=r"document.*Document\(id, title, text\), not "):
        split_documents(given, Splitting())


METHOD = st.sampled_from(sorted(METHODS))


@given(TEXT, st.integers(1, 12), st.integers(0, 3), METHOD)
def test_every_method_keeps_every_word_and_the_limit_and_repeats_no_passage(text, max_words, overlap, method):
    spans = passage_spans(text, Splitting(max_words, overlap, method))
    assert all(1 <= len(text[a:b].split()) <= max_words and text[a:b] == text[a:b].strip() for a, b in spans)
    covered = {i for a, b in spans for i in range(a, b)}
    assert all(i in covered for i, c in enumerate(text) if not c.isspace())
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(spans)), "one lies inside its neighbour"
    if overlap == 0:
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_fixed_passages_count_words_and_share_the_overlap():
    text = "one two three\n\nfour five"
    spans = passage_spans(text, Splitting(3, overlap=1, method="fixed"))
    assert [text[a:b] for a, b in spans] == ["one two three", "three\n\nfour five"]


def test_recursive_passages_keep_paragraphs_and_cut_long_ones_by_sentence_then_by_word():
    text = "Go on.\n\nLook up.\n\nOne ends. Two is far too long to fit in. Three ends.\n\nStop now."
    spans = passage_spans(text, Splitting(5, method="recursive"))
    assert [text[a:b] for a, b in spans] == [
        "Go on.\n\nLook up.",
        "One ends.",
        "Two is far too long",
        "to fit in.",
        "Three ends.",
        "Stop now.",
    ]


def test_the_default_has_not_changed():
    """Saved indexes and the generator's training rest on these passages."""
    spans = passage_spans(TWO_PARAGRAPHS, Splitting(12))
    assert spans == [(0, 35), (37, 96), (97, 134)]
    assert Splitting() == Splitting(90, 0, "sentence")


def test_settings_are_kept_with_an_index(tmp_path):
    settings = IndexSettings(Splitting(30, 2, "recursive"))
    save(build([Document("d", "Mars", "Red.")], HashEncoder(), settings), tmp_path)
    assert load(tmp_path, HashEncoder()).settings == settings


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match=r"no splitting method is called 'magic'; there are sentence"):
        Splitting(method="magic")
