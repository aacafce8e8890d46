"""What the cross-encoder says of the passages found: kept for every question, and the same when it reads again."""

import json

import numpy as np
import pytest

from rag_lib.files import BadLine
from rag_lib.hits import Hit
from rag_lib.indexing.splitting import Splitting, split_documents
from rag_lib.models.weights import MUSEUM_CROSS_ENCODER
from rag_lib.museum.collection import load_articles, load_questions
from rag_lib.museum.second_look import load_second_look, second_look
from rag_lib.retrieval.base import RERANKED
from rag_lib.retrieval.cross_encoder import CrossEncoder

QUESTIONS = [q for q in load_questions("validation") if q.answers]
PASSAGES = {p.id: p for p in split_documents(load_articles(), Splitting())}


class Fixed:
    """Finds the same passages for every question."""

    temperature = 1.0

    def retrieve(self, query, k):
        return [Hit(i, 1.0) for i in list(PASSAGES)[:k]]


class Counting:
    """Scores a passage by its length in words, divided by seven."""

    temperature = 1.0

    def scores(self, query, passages):
        return np.array([len(p.text.split()) / 7 for p in passages])


def test_each_passage_found_has_its_score_in_the_order_found(tmp_path):
    rows = list(second_look(QUESTIONS[:2], Fixed(), PASSAGES, Counting()))
    assert [row["id"] for row in rows] == [q.id for q in QUESTIONS[:2]]
    found = list(PASSAGES)[:RERANKED]
    assert list(rows[0]["scores"]) == found
    assert rows[0]["scores"] == {i: round(len(PASSAGES[i].text.split()) / 7, 3) for i in found}
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load_second_look(path) == {row["id"]: row["scores"] for row in rows}
    path.write_text("{")
    with pytest.raises(BadLine):
        load_second_look(path)


def test_what_is_stored_is_of_all_questions_and_of_passages_that_there_are():
    stored = load_second_look()
    assert list(stored) == [q.id for q in QUESTIONS]
    assert all(len(scores) == RERANKED and scores.keys() <= PASSAGES.keys() for scores in stored.values())


def test_the_cross_encoder_says_again_what_is_stored():
    reranker, stored = CrossEncoder.load(MUSEUM_CROSS_ENCODER), load_second_look()
    for question in QUESTIONS[::400]:
        scores = stored[question.id]
        again = reranker.scores(question.question, [PASSAGES[i] for i in scores])
        np.testing.assert_allclose(again, list(scores.values()), atol=0.01)
