import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.reading.cleaning import clean, join_lines


@given(st.text(st.characters()))
def test_cleaning_twice_changes_nothing_more(text):
    assert clean(clean(text)) == clean(text)


@given(st.text())
def test_nothing_that_steers_a_terminal_or_the_writing_direction_is_left(text):
    cleaned = clean(f"{text}\x1b[31m\u202e\u2066\x9b\U000e0041\x00\u2028\ud83d{text}")
    assert {c for c in cleaned if unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs")} <= {"\n", "\t"}
    assert not set("\u202e\u2066\U000e0041") & set(cleaned)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("an eﬃcient oﬀer, ﬁnal ﬂight, ﬅ", "an efficient offer, final flight, st"),
        ("10⁵ km, ½", "10⁵ km, ½"),
        ("\x1b[1;31mred\x1b[0m and \x1b]0;title\x07plain", "red and plain"),
        ("a\u2029b\x0cc\x85d", "a\n\nb\nc d"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("half \ud835.", "half \ufffd."),
        ("\ud83d\ude80", "🚀"),
    ],
)
def test_a_reader_sees_no_difference(text, cleaned):
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        (
            "The engineer Joan Oka-\nfor came. It left on 4\nMay 1986.",
            "The engineer Joan Okafor came. It left on 4 May 1986.",
        ),
        ("a state-of-the-\nart design is here", "a state-of-the-art design is here"),
        ("the well-\nknown author of it", "the well-known author of it"),
        ("It was the Anglo-\nSaxon way of it", "It was the Anglo-Saxon way of it"),
        ("in the years of 1914-\n1918 they fought", "in the years of 1914-1918 they fought"),
        ("the ion-drive flew; an ion-\ndrive is slow", "the ion-drive flew; an ion-drive is slow"),
        ("an exper\u00ad\niment that was made", "an experiment that was made"),
        ("A short line.\nAnother line that is a good deal longer than it.", None),
        ("- one item of the list\n- and another of them", None),
        ("1. Open the valve.\n2. Close it.", None),
        ("| Name | Year |\n| Io | 1979 |", None),
        ("def f(x):\n    return x + 1", None),
        ("2026-11-29 12:00 server has been started now\n2026-11-29 12:01 server has been stopped", None),
        ("First paragraph\n\nsecond paragraph", None),
        ("a line with two spaces is broken  \nas Markdown has it", None),
    ],
)
def test_lines_that_only_the_page_broke_are_joined(text, joined):
    assert join_lines(text) == (text if joined is None else joined)


@given(st.text(st.sampled_from("aB1.-\u00ad \n\n\t#|")))
def test_joining_keeps_every_letter(text):
    def letters(text: str) -> list[str]:
        return [c for c in text if c not in "- \n\t\u00ad"]

    assert letters(join_lines(text)) == letters(text)


@pytest.mark.parametrize(
    "piece", [" ", "\n", ".", "\u0301", "\u0301\u0323", "a-\n", "a\n", "\x1b[", "\x1b]", "-\n", "\u00ad\n"]
)
def test_time_grows_with_the_length_only(piece):
    started = time.process_time()
    clean(join_lines("a" + piece * (200_000 // len(piece))))
    assert time.process_time() - started < 10  # a tenth of a second here; squares take minutes
