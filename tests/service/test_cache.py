"""Kept answers: found again in another spelling, and never given when they may have become wrong."""

import pytest
from conftest import TEXTS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services import open_service

from rag_lib.indexing.documents import Document
from rag_lib.service.assistant import Assistant, Told, Unknown
from rag_lib.service.cache import AnswerCache, normalized
from rag_lib.service.readers import OWNER


@pytest.fixture
def assistant(tmp_path, documents) -> Assistant:
    return open_service(tmp_path, documents)


QUESTION = "When did Laika fly in Sputnik 2?"


def answer(assistant, question: str) -> Told:
    return list(assistant.ask(OWNER, question))[-1]


SPELLINGS = [
    "when did  LAIKA fly in Sputnik 2",
    "When did Laika fly in Sputnik 2 ?!",
    "Ｗhen did Laika fly in Sputnik 2?",
]


@pytest.mark.parametrize("other", SPELLINGS)
def test_a_question_is_known_again_in_another_spelling(assistant, other):
    first = answer(assistant, QUESTION)
    assert first.cache == "miss" and assistant.kept(OWNER, QUESTION).cache == "exact"
    again = assistant.kept(OWNER, other)
    assert again.cache == "normalized" and again.trace.answer == first.trace.answer
    assert again.trace.question != QUESTION, "nobody is shown how others spelt it"
    assert assistant.generator.read == 1


def test_a_question_of_marks_only_is_not_taken_for_another():
    assert normalized("???") != normalized("!")


def test_the_oldest_go_first(assistant):
    cache = AnswerCache(2)
    traces = [answer(assistant, f"What is {name}?").trace for name in ("Laika", "Ham", "Titan")]
    cache.put(OWNER, traces[0], 1)
    cache.put(OWNER, traces[1], 1)
    cache.get(OWNER, traces[0].question)
    cache.put(OWNER, traces[2], 1)
    assert [cache.get(OWNER, t.question)[0] for t in traces] == ["exact", "miss", "exact"]


def test_a_change_of_what_was_read_forgets_the_answer(assistant):
    before = answer(assistant, QUESTION)
    assistant.put(Document("laika", "Laika", TEXTS["laika"].replace("1957", "1958")))
    assert assistant.kept(OWNER, QUESTION) is None and len(assistant.cache) == 0
    after = answer(assistant, QUESTION)
    assert "1957" in before.trace.answer.guess and "1958" in after.trace.answer.guess and after.cache == "miss"


def test_a_change_elsewhere_is_looked_at_and_costs_no_reading(tmp_path):
    documents = [Document(f"d{i}", f"Ship {i}", f"Ship {i} sailed to port {i}.") for i in range(30)]
    documents.append(Document("laika", "Laika", TEXTS["laika"]))
    assistant = open_service(tmp_path, documents, k=1)
    first = answer(assistant, QUESTION)
    assistant.put(Document("other", "Tulips", "Tulips grow in spring."))
    assert assistant.kept(OWNER, QUESTION) is None, "nothing is known before it was looked up"
    again = answer(assistant, QUESTION)
    assert again.cache == "rechecked" and again.trace.answer == first.trace.answer and assistant.generator.read == 1
    assert assistant.kept(OWNER, QUESTION).cache == "exact" and again.version > first.version


def test_a_document_that_answers_better_is_used_at_once(assistant):
    question = "How many umbrellas did King Zog collect?"
    assert not answer(assistant, question).trace.answer.text
    assistant.put(Document("zog", "King Zog", "King Zog did collect many umbrellas, 412."))
    assert "412" in answer(assistant, question).trace.answer.text
    assistant.remove("zog")
    assert "412" not in answer(assistant, question).trace.answer.guess


WORDS = "Laika Ham Titan flew rocket moon orbit dog lakes 1957 1961 Saturn".split()
texts = st.lists(st.sampled_from(WORDS), min_size=3, max_size=12).map(lambda words: " ".join(words) + ".")
changes = st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | texts), min_size=1, max_size=5)


@given(steps=changes)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_a_cache_everything_is_answered_as_without(tmp_path_factory, documents, steps):
    """The property that counts: whatever changes, a kept answer is the one that would be given anew."""
    assistant = open_service(tmp_path_factory.mktemp("cached"), documents)
    questions = ["Which dog flew in orbit?", "Are there lakes on Titan?", "Which rocket did Ham fly on in 1961?"]
    for document_id, text in steps:
        try:
            assistant.put(Document(document_id, document_id, text)) if text else assistant.remove(document_id)
        except Unknown:
            continue
        for question in questions:
            one, other = answer(assistant, question).trace.answer, assistant.load(OWNER).rag.ask(question)
            assert (one.text, one.guess, one.score) == (other.text, other.guess, other.score)
            assert one.citations == other.citations
