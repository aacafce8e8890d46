"""What four ways of reading answer, kept for the questions drawn. Notebook 07 lets them read some of them again."""

import json
from types import SimpleNamespace

import pytest

from rag_lib.files import BadLine
from rag_lib.museum.readings import QUESTIONS, drawn, load_readings, read_in_every_way, ways_of_reading
from rag_lib.pipeline.marginalization import RAGSequence, RAGToken
from rag_lib.retrieval.base import PASSAGES
from rag_lib.retrieval.catalogue import make_retriever

WAYS = ["fused", "RAG-Sequence", "RAG-Token", "vote"]


class Saying:
    """Answers every question with the question and a word of its own."""

    def __init__(self, word):
        self.word = word

    def ask(self, question):
        return SimpleNamespace(guess=f"{self.word}: {question}", text="")


def test_each_way_has_its_answer_to_each_question(tmp_path):
    questions = drawn(2)
    rows = list(read_in_every_way(questions, {"loud": Saying("A"), "low": Saying("b")}))
    first, second = (q.question for q in questions)
    assert [row["id"] for row in rows] == [q.id for q in questions]
    assert rows[0]["answers"] == {"loud": f"A: {first}", "low": f"b: {first}"}
    assert rows[1]["answers"]["low"] == f"b: {second}"
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_readings(path) == {row["id"]: row["answers"] for row in rows}
    path.write_text("{")
    with pytest.raises(BadLine):
        load_readings(path)


def test_what_is_stored_is_of_the_questions_drawn_and_of_all_ways():
    stored = load_readings()
    assert list(stored) == [q.id for q in drawn()] and len(set(stored)) == QUESTIONS
    assert all(list(answers) == WAYS and all(answers.values()) for answers in stored.values())


def test_the_ways_are_what_their_names_say(knowledge, encoder):
    bundled = SimpleNamespace(votes=True, threshold=0.5, generate=None)
    ways = ways_of_reading(knowledge, make_retriever("hybrid", knowledge, encoder), bundled)
    assert list(ways) == WAYS and all(rag.k == PASSAGES and rag.threshold == 0 for rag in ways.values())
    assert isinstance(ways["RAG-Token"], RAGToken) and isinstance(ways["RAG-Sequence"], RAGSequence)
    assert ways["RAG-Sequence"].thorough and ways["vote"].vote and not ways["fused"].vote
    assert len({rag.retriever for rag in ways.values()}) == 1, "all read the same passages, found once"
