import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.files import json_lines
from rag_lib.retrieval.base import check_query
from rag_lib.text import few_marks, shown, well_formed


@given(st.text(st.characters()))
def test_every_text_can_be_written_afterwards(text):
    well_formed(text).encode()
    assert well_formed(well_formed(text)) == well_formed(text)
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert well_formed(text) == text


@given(st.text(st.characters()))
def test_what_is_shown_is_one_line_that_prints(text):
    line = shown(text)
    assert len(line) <= 200 and line == shown(line)
    assert not any(c in line for c in "\n\r\t\x1b\x9b\u2028\u202e\u2066\u200f\ufeff\U000e0041")


@pytest.mark.parametrize("text", ["Félicette 🚀", "किताब", "می\u200cخواهم", "👩\u200d🚀", "שלום", "x" * 200])
def test_what_is_clean_is_shown_as_it_is(text):
    assert shown(text) == text


def test_long_names_are_cut():
    assert shown("a" * 300) == "a" * 199 + "…" and shown("a" * 300, None) == "a" * 300


def test_a_letter_keeps_thirty_marks():
    assert few_marks("a" + "\u0301" * 50_000 + "b") == "a" + "\u0301" * 30 + "b"


def test_json_lines_are_well_formed(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": ["\\ud83d", {"\\uDC00": "\\ud83d\\ude80"}], "n": 1, "s": "\\\\ud83d"}\n')
    assert [row for _, row in json_lines(path)] == [{"a": ["\ufffd", {"\ufffd": "🚀"}], "n": 1, "s": "\\ud83d"}]


def test_a_line_that_is_not_json_has_one_number(tmp_path):
    path, broken = tmp_path / "rows.jsonl", []
    path.write_text('{"a": 1}\n{b}\n')
    assert len(list(json_lines(path, broken))) == 1
    reason = "Expecting property name enclosed in double quotes"
    assert [str(bad) for bad in broken] == [f"{path}, line 2: not JSON ({reason}, character 2)"]


def test_a_question_is_one_clean_line():
    assert check_query(" Who\nflew \udce9\x1b[2J first\u202e? ") == "Who flew \ufffd[2J first?"
