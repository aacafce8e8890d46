"""Which questions ask for yes or no, and when one of them is said."""

import pytest

from rag_lib.generation.verdicts import SURE, asks_whether, verdict
from rag_lib.museum.collection import SPLITS, load_visitor_questions


@pytest.mark.parametrize(
    "question",
    [
        "Is Planck still sending data?",
        "and did she fly again?",
        "Am I allowed to touch it?",
        "Can't I touch the meteorite?",
        "Isn't it cold there?",
        "didn’t they land",
        "Can I bring my dog?",
        "Has anyone been there since, or not?",
    ],
)
def test_it_asks_for_yes_or_no(question):
    assert asks_whether(question)


@pytest.mark.parametrize(
    "question",
    [
        "When did she fly?",
        "Can you tell me when Apollo 11 landed?",
        "could anybody explain what a pulsar is",
        "Do you know where Gagarin landed?",
        "Was it Gagarin or Titov who flew first?",
        "Did he land in the capsule or by parachute?",
        "May 1961: who flew?",
        "Island of the satellite?",
        "",
    ],
)
def test_it_asks_for_something_else(question):
    assert not asks_whether(question)


def test_the_museums_visitors_are_understood():
    asked = [q for split in SPLITS for q in load_visitor_questions(split) if q.evidence]
    missed = [q.question for q in asked if q.verdict and not asks_whether(q.question)]
    wrong = [q.question for q in asked if not q.verdict and q.answers and asks_whether(q.question)]
    assert len(missed) < 0.05 * sum(bool(q.verdict) for q in asked), missed
    assert all("? " in question for question in wrong), "but for two questions at once"


def test_it_is_said_only_where_it_is_sure():
    assert [verdict(x) for x in (9.0, SURE, SURE - 0.1, 0.0, -0.1, -SURE)] == ["Yes", "Yes", "", "", "", "No"]
