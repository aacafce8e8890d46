"""What the sentence ranker learns from: right passages, traps first, and nothing that answers among the misleading."""

import pytest
from fakes import HashEncoder

from rag_lib.indexing.documents import Source
from rag_lib.museum.collection import Evidence, load_practice_questions, load_splits
from rag_lib.museum.sentence_recipe import OTHERS, SETTINGS, Asked, PassageSearch, asked_in_training

TEXTS = [
    "Vostok 1 flew in 1961. Gagarin was aboard.",
    "Vostok 2 flew in August. Titov was aboard.",
    "Aboard Vostok 1, it was reported, Gagarin was first.",
    *(f"Nothing about flight number {n}." for n in range(20)),
]
PASSAGES = [Source("Ships", text) for text in TEXTS]
WHO = Asked(
    "Who was aboard Vostok 1?",
    (Evidence("a", "Gagarin was aboard."),),
    (Evidence("b", "Titov was aboard."),),
    ("Gagarin", "Yuri Gagarin"),
)


@pytest.fixture(scope="module")
def search():
    return PassageSearch(PASSAGES, HashEncoder())


def test_a_lesson_has_the_right_passage_then_traps_and_no_other_one_that_answers(search):
    lesson = search.lesson(WHO)
    assert lesson.question == WHO.question and lesson.right == ("Gagarin was aboard.",)
    assert lesson.passages == (PASSAGES[0],)
    assert lesson.others[0] == PASSAGES[1] and lesson.traps == 1
    assert PASSAGES[2] not in lesson.others, "it holds an accepted answer, so it is no negative"
    assert len(lesson.others) == OTHERS == len(set(lesson.others))


def test_all_passages_mislead_where_nothing_answers(search):
    lesson = search.lesson(Asked("Who was aboard Vostok 9?", ()))
    assert lesson.passages == () and lesson.right == () and len(lesson.others) == OTHERS


def test_a_question_whose_sentence_is_in_no_passage_is_left_out(search):
    assert search.lesson(Asked("Who?", (Evidence("a", "Nobody was aboard."),))) is None
    assert search.lessons([WHO, Asked("Who?", (Evidence("a", "Nobody was aboard."),))], "asked") == [search.lesson(WHO)]


def test_only_what_is_about_the_train_split_is_learnt_from():
    splits, asked = load_splits(), asked_in_training()
    articles = {e.article for task in asked.values() for a in task for e in (*a.right[:1], *a.traps)}
    assert {splits[article] for article in articles} == {"train"}
    assert len(asked["practice"]) + len(asked["traps"]) == len(load_practice_questions())


def test_the_mixture_names_all_tasks_and_adds_up():
    assert sum(SETTINGS.mixture.values()) == pytest.approx(1) == sum(SETTINGS.opening.values())
    assert SETTINGS.mixture.keys() == {"squad", "qed", "texts", *asked_in_training()}
