import time

import pytest

from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25

analyze = Analyzer()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000,000", "1000000"),
        ("1.000.000", "1000000"),
        ("1'000'000", "1000000"),
        ("10,00,000", "1000000"),
        ("1,234.5", "1234.5"),
        ("3,5", "3.5"),
        ("１９６９", "1969"),
        ("١٩٦٩", "1969"),
        ("Félicette’s café", "felicette cafe"),
        ("STRASSE", "Straße"),
        ("ΣΊΣΥΦΟΣ", "σισυφος"),
        ("אֲנִי", "אני"),
        ("CO₂", "co2"),
        ("oﬃce", "office"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_two_spellings_are_one(one, other):
    assert analyze(one) == analyze(other) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5", "5.3"),
        ("3,5", "5,3"),
        ("10⁵", "105"),
        ("1.5", "15"),
        ("कुत्ता", "किताब मेज पर है"),
        ("がく", "かく"),
        ("24.12.1983", "12.24.1983"),
    ],
)
def test_two_things_share_no_term(one, other):
    assert not set(analyze.of_query(one)) & set(analyze(other))


def test_lists_of_numbers_are_numbers():
    assert analyze("1986,1987 and 1,2,3") == ["1986", "1987", "1", "2", "3"]


@pytest.mark.parametrize(
    ("query", "found", "other"),
    [
        ("故乡", "低头思故乡", "故事很长"),
        ("月", "举头望明月", "低头思故乡"),
        ("東京", "私は東京に住んでいます", "京都の東"),
        ("고양이", "고양이가 집에 있다", "강아지는 집에 없다"),
        ("ดวงจันทร์", "เขาเดินบนดวงจันทร์", "แมวสีดำ"),
        ("कुत्ता", "कुत्ता घर में है", "किताब मेज पर है"),
        ("кошка", "Кошка спит.", "Собака спит."),
    ],
)
def test_words_of_any_script_are_found_and_others_are_not(query, found, other):
    assert [hit.id for hit in BM25("ab", [found, other], analyze).search(query, 5)] == ["a"]


@pytest.mark.parametrize("piece", ["a", "1,", "1.", "'", "0'", "故", "ก", "\u0301\u0323", "\ufffd", "1,000"])
def test_time_grows_with_the_length_only(piece):
    started = time.process_time()
    analyze(piece * (100_000 // len(piece)))
    assert time.process_time() - started < 10
