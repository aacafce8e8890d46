import pytest
from pdfs import locked, pdf_of

from rag_lib.indexing.reading.base import Unreadable
from rag_lib.indexing.reading.cleaning import clean
from rag_lib.indexing.reading.pdf import joined_pages, read_pdf


def text_of(data: bytes) -> str:
    return clean(read_pdf(data).text)


def test_text_and_title():
    reading = read_pdf(pdf_of(["Philae landed in 2014."], "(Philae)"))
    assert reading.metadata == {"title": "Philae"} and reading.text.strip() == "Philae landed in 2014."


@pytest.mark.parametrize("title", ["", "()", "(untitled)", "42", "[1 2]", "<</A 1>>", "/Name"])
def test_what_is_no_title_is_none(title):
    assert read_pdf(pdf_of(["Text."], title)).metadata in ({}, {"title": "/Name"})


def test_a_password_of_the_owner_alone_locks_nothing():
    assert text_of(locked(pdf_of(["Philae landed."]), "", "owner")) == "Philae landed."


def test_a_locked_file_is_named():
    with pytest.raises(Unreadable, match="password"):
        read_pdf(locked(pdf_of(["Philae landed."]), "user", "owner"))


def test_ligatures_are_letters():
    meanings = {"1": "FB01", "2": "FB03", "3": "FB00"}
    assert text_of(pdf_of(["The 1nal o2cer, Dr. Gri3in."], meanings=meanings)) == "The final officer, Dr. Griffin."


def test_half_a_surrogate_becomes_a_mark():
    assert text_of(pdf_of(["It flew in 1986 X."], meanings={"X": "D835"})) == "It flew in 1986 \ufffd."


def test_hyphens_at_line_ends_go_and_others_stay():
    lines = ["The engineers used an experi-", "mental ion engine for the mis-", "sion, a state-of-the-", "art design."]
    assert text_of(pdf_of(lines)) == (
        "The engineers used an experimental ion engine for the mission, a state-of-the-art design."
    )


def test_a_table_of_contents_is_not_all_dots():
    assert text_of(pdf_of(["1 Introduction ........................ 7", "2 Orbits . . . . . . . 14"])) == (
        "1 Introduction … 7\n2 Orbits … 14"
    ).replace(" … ", "  …  ")


def test_letters_without_a_meaning_are_named():
    with pytest.raises(Unreadable, match="no meaning"):
        read_pdf(pdf_of(["aaaa aaaa aaaa"], meanings={"a": "FFFD"}))


def test_a_sentence_goes_on_over_the_end_of_a_page():
    assert joined_pages(["It was a long", "way to Mars.", "", "The end."]) == "It was a long\nway to Mars.\n\nThe end."
