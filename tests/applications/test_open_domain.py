"""The anatomy of failures: one cause each, gains that no share falls short of, and files that say when they are bad."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import OUTCOMES, SCORES, WELL, WRONG

from rag_lib.applications.open_domain import (
    CAUSES,
    CUT,
    NOT_READ,
    NOT_RETRIEVED,
    RIGHT,
    SILENT,
    UNANSWERABLE,
    UNCOUNTED,
    Reading,
    Results,
    anatomy,
    cause,
    is_mended,
    load_results,
    names,
    says_nearly,
)
from rag_lib.evaluation.answers import match
from rag_lib.files import BadLine

TEXTS = st.lists(st.sampled_from(["sergei", "korolev", "the", "12", "twelve", "euros"]), max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (WELL, RIGHT),
        (replace(WELL, score=0.4), SILENT),
        (replace(WELL, score=0.5), RIGHT),
        (replace(WRONG, nearly=True, cited=True), UNCOUNTED),
        (replace(WRONG, cited=True), CUT),
        (WRONG, NOT_READ),
        (replace(WRONG, score=0.1), NOT_READ),
        (replace(WRONG, rank=0), NOT_RETRIEVED),
        (replace(WRONG, rank=0, place=None, score=0.0, passages=()), NOT_RETRIEVED),
        (replace(WRONG, answerable=False), UNANSWERABLE),
        (replace(WRONG, answerable=False, score=0.1), RIGHT),
        (replace(WRONG, answerable=False, place=None), RIGHT),
    ],
)
def test_the_first_link_that_broke_is_to_blame(outcome, expected):
    assert cause(outcome, 0.5) == expected


@pytest.mark.parametrize(
    ("rank", "own", "other"), [(0, "with_passage", "with_sentence"), (2, "with_sentence", "with_passage")]
)
def test_search_and_reading_are_mended_only_by_their_own_truth(rank, own, other):
    broken = replace(WRONG, rank=rank)
    assert is_mended(replace(broken, **{own: Reading(True, 0.5)}), 0.5)
    assert not is_mended(replace(broken, **{own: Reading(True, 0.49)}), 0.5), "it must be sure, too"
    assert not is_mended(replace(broken, **{own: Reading(False, 0.9), other: Reading(True, 0.9)}), 0.5)
    assert not is_mended(broken, 0.5)


@settings(deadline=None)
@given(st.lists(OUTCOMES, min_size=1, max_size=20), SCORES)
def test_every_failure_has_one_cause_and_gains_no_more_than_its_share(outcomes, threshold):
    rows = anatomy(outcomes, threshold)
    assert list(rows) == list(CAUSES)
    for i, outcome in enumerate(outcomes):
        assert sum(blamed[i] for blamed, _ in rows.values()) == (cause(outcome, threshold) != RIGHT)
        assert all(blamed[i] or not mended[i] for blamed, mended in rows.values())
    for name in (SILENT, UNANSWERABLE):
        assert rows[name][0] == rows[name][1], "the last link: mending it is enough"
    for name in (CUT, UNCOUNTED):
        sure = [blamed and o.score >= threshold for blamed, o in zip(rows[name][0], outcomes, strict=True)]
        assert rows[name][1] == sure, "right words, and then it must be sure"


def test_nearly_the_same_words():
    assert says_nearly("on 29 September 1962", ["29 September 1962"])
    assert says_nearly("Korolev", ["Sergei Korolev"])
    assert says_nearly("twelve euros", ["€12"])
    assert not says_nearly("1962", ["29 September 1962 at Vandenberg"]), "too little of it"
    assert not says_nearly("September 1961", ["September 1962"]), "neither holds the other"
    assert not says_nearly("", ["Laika"]) and not says_nearly("Laika", [])


@given(TEXTS, TEXTS)
def test_nearly_is_mutual_and_wider_than_a_match(a, b):
    assert says_nearly(a, [b]) == says_nearly(b, [a])
    if match(a, [b]) and a.replace("the", "").split():
        assert says_nearly(a, [b]) and names(a, [b])


def test_what_a_reply_names():
    assert names("It was the dog Laika who flew first [1].", ["Laika"])
    assert not names("It was Laikanaut.", ["Laika"])
    assert names("No. Dogs must wait outside [1].", [], "no") and not names("Yes, no problem.", [], "no")
    assert not names("No.", []) and not names("", ["Laika"], "yes")


@settings(max_examples=20)
@given(st.lists(OUTCOMES, max_size=4))
def test_results_come_back_as_they_were_saved(tmp_path_factory, outcomes):
    path = tmp_path_factory.mktemp("results") / "x.jsonl"
    results = Results("bm25", "museum-minilm", "perigee", 0.5, 5, tuple(outcomes))
    results.save(path)
    assert load_results(path) == results
    assert results.of("p") == outcomes and results.of("another") == []


@pytest.mark.parametrize(
    ("row", "wrong"),
    [({"id": "q"}, "missing"), ({"id": "q", "planet": 1}, "planet"), ([1], "no outcome"), ({"place": 3}, "no outcome")],
)
def test_a_bad_line_is_named(tmp_path, row, wrong):
    path = tmp_path / "x.jsonl"
    Results("bm25", "e", "g", 0.5, 5, (WELL,)).save(path)
    path.write_text(path.read_text() + json.dumps(row) + "\n")
    with pytest.raises(BadLine, match=rf"x\.jsonl, line 3: .*{wrong}"):
        load_results(path)


def test_an_empty_file_is_no_result(tmp_path):
    (tmp_path / "x.jsonl").write_text("")
    with pytest.raises(BadLine, match="empty"):
        load_results(tmp_path / "x.jsonl")
