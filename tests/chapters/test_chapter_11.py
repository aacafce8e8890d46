"""What notebook 11 builds step by step is what rag_lib does, and its checks tell right from wrong."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notebook_definitions import definitions

from rag_lib.applications import rewriting
from rag_lib.applications.rewriting import AddedNames, Exchange, Names
from rag_lib.evaluation.statistics import bootstrap
from rag_lib.files import ARTICLES
from rag_lib.indexing.documents import load_documents
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.museum.collection import load_dialogues
from rag_lib.museum.conversations import TurnResult

CHAPTER = definitions("11_dialogue")
PASSAGES = [p for p in split_documents(load_documents(ARTICLES).documents, Splitting()) if p.document_id < "e"]
NAMES = Names(PASSAGES)
CHAPTER.goes_with.__globals__.update(passages=PASSAGES, names=NAMES)
TITLES = {p.document_id: p.title for p in PASSAGES}


def test_names():
    assert CHAPTER.name_words([p.text for p in PASSAGES]) == NAMES.words
    for name in ("Caroline Herschel", "caroline herschel", "Apollo 13", "Cassini", "Clyde Tombaugh"):
        assert CHAPTER.goes_with(name) == NAMES.pronoun(name)


def test_the_names_that_are_added_are_the_finished_ones():
    finished, compared = AddedNames(NAMES), 0
    for dialogue in load_dialogues("validation")[:12]:
        before = []
        for turn in dialogue.turns:
            if rewriting.pronouns(turn.visitor) or not rewriting.is_fragment(turn.visitor):
                assert CHAPTER.added(turn.visitor, before) == finished(turn.visitor, before)
                compared += 1
            title = TITLES.get(turn.evidence.article, "") if turn.evidence else ""
            before.append(Exchange(turn.visitor, finished(turn.visitor, before), turn.guide, title))
    assert compared > 30


@given(st.lists(st.sampled_from(["Who?", "a b", ""]), max_size=6), st.sampled_from(["Why?", "Was it?"]))
def test_concatenation(said, turn):
    before = [Exchange(text, text, text.upper()) for text in said]
    assert CHAPTER.concatenated(turn, before) == rewriting.concatenated(turn, before)


def results() -> list[TurnResult]:
    ranks = [{"a": 1, "b": 0}, {"a": 5, "b": 1}, {"a": 0, "b": 2}, {"a": 3, "b": 3}]
    return [
        TurnResult(f"d{i // 2}", i, True, True, ranks=r, reply="r", sentence=i == 0, passage=i < 2)
        for i, r in enumerate(ranks)
    ]


def test_recall_and_its_paired_difference():
    assert CHAPTER.recall("a", 1, results()).mean == 0.25 and CHAPTER.recall("a", 5, results()).mean == 0.75
    assert CHAPTER.gain("a", "b", 1, results()).mean == 0.0 and CHAPTER.gain("a", "b", 5, results()).mean == 0.0
    assert CHAPTER.recall("b", 5, results()).n == 4


def test_what_became_of_turns():
    nothing = TurnResult("d9", 0, False, False, {"as said": "Is there a cafe?"}, silent=True)
    surely_wrong = replace(nothing, dialogue="d8", reply="r", silent=False)
    thanks = replace(nothing, dialogue="d7", questions={"as said": "Thank you!"})
    judged = CHAPTER.judged([*results(), nothing, surely_wrong, thanks])
    assert judged["right passage cited"].mean == 0.5 and judged["right sentence cited"].mean == 0.25
    assert judged["silent although there is an answer"].mean == 0.0
    assert judged["right sentence, where it was sure"].n == 4, "only turns that have an answer"
    assert judged["silent where there is none"].mean == 0.5 and judged["silent where there is none"].n == 2
    assert judged["supported, of what was told"].n == 5


def test_the_rule_of_three_stands_in_where_nothing_went_wrong():
    assert CHAPTER.bounded(bootstrap([1.0] * 12)).low == 0.75 and CHAPTER.bounded(bootstrap([1.0] * 2)).low == 0
    assert CHAPTER.bounded(bootstrap([1.0, 0.0])) == bootstrap([1.0, 0.0])


@pytest.mark.parametrize(("low", "high", "said"), [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "not to")])
def test_a_difference_in_words(low, high, said):
    estimate = type("Difference", (), {"low": low, "high": high})
    assert CHAPTER.verdict(estimate).startswith(said)


def test_the_checks_tell_right_from_wrong():
    cases = [("Why?", [Exchange("a", "a", "b")], 3), ("Why?", [Exchange(c, c, c) for c in "abc"], 1)]
    wrong = [
        CHAPTER.my_concatenated,
        lambda turn, before, turns: turn,
        lambda turn, before, turns: " ".join([e.visitor for e in before[-turns:]] + [turn]),
        lambda turn, before, turns: " ".join([x for e in before for x in (e.visitor, e.guide)] + [turn]),
        lambda turn, before, turns: " ".join([x for e in before[:turns] for x in (e.visitor, e.guide)] + [turn]),
    ]
    for function in wrong:
        function.__name__ = "mine"
        assert not CHAPTER.check(function, CHAPTER.concatenated, cases).startswith("Right")
    assert CHAPTER.check(rewriting_of_turns, CHAPTER.concatenated, cases).startswith("Right")

    turns = [
        ("When did he die?",),
        ("Is it true that Cassini was lost?",),
        ("Did he meet Caroline Herschel?",),
        ("How much is it?",),
        ("How much is a ticket?",),
        ("Did Caroline Herschel say she was happy?",),
    ]
    for function in (
        CHAPTER.my_stands_alone,
        lambda turn: bool(NAMES(turn)),
        lambda turn: not rewriting.pronouns(turn),
        lambda turn: not NAMES(turn),
        lambda turn: True,
    ):
        function.__name__ = "mine"
        assert not CHAPTER.check(function, CHAPTER.stands_alone, turns).startswith("Right")


def rewriting_of_turns(turn, before, turns):
    return " ".join([*(f"{e.visitor} {e.guide}" for e in before[-turns:]), turn])


def test_yes_needs_half_of_the_words_and_no_denial():
    CHAPTER.says_yes.__globals__["analyze"] = CHAPTER.Analyzer()
    assert CHAPTER.says_yes("Did the rover reach the crater?", "The rover reached the rim of the crater.")
    assert not CHAPTER.says_yes("Did the rover reach the crater?", "The rover never reached the crater.")
    assert not CHAPTER.says_yes("Did the rover reach the crater?", "A rover is a car.")
