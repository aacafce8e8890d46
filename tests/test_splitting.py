import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.documents import Document
from rag_lib.splitting import Splitting, passage_spans, sentence_spans, split_document

WORDS = st.sampled_from(
    ["Moon", "the", "a", "3.5", "Dr.", "U.S.", "end.", "Why?", "No!", "\n\n", "über", "e.g.", '"Go."']
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
