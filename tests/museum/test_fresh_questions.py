"""Forty questions written after all training and choosing: the museum must answer them as its data card promises."""

import json

import pytest
from conftest import ROOT

from rag_lib.evaluation.answers import f1, score_answers
from rag_lib.files import ARTICLES
from rag_lib.generation.catalogue import ASKED, make_generator
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.remembering import RememberingEncoder
from rag_lib.indexing.store import open_folder
from rag_lib.models.weights import MUSEUM_ENCODER
from rag_lib.museum.collection import load_articles
from rag_lib.pipeline.rag import RAG, Answer
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever

ROWS = [
    json.loads(line) for line in (ROOT / "tests" / "museum" / "fresh_questions.jsonl").read_text("utf-8").splitlines()
]
# Silence as in data/README.md; F1 as on the 200 validation questions first asked, above the 0.630 of all 669.
PROMISED_F1, PROMISED_SILENCE = 0.675, 0.52


@pytest.fixture(scope="module")
def answers() -> list[Answer]:
    encoder = RememberingEncoder(SentenceEncoder(MUSEUM_ENCODER), None)
    knowledge = open_folder(ARTICLES, encoder)
    rag = RAG(knowledge, make_retriever(DEFAULT, knowledge, encoder), make_generator(ASKED))
    return [rag.ask(row["question"]) for row in ROWS]


def test_answers_are_as_good_as_promised(answers):
    pairs = [(a.guess, row["answers"]) for a, row in zip(answers, ROWS, strict=True) if row["answers"]]
    texts, gold = zip(*pairs, strict=True)
    assert len(texts) == 30
    assert sum(score_answers(texts, gold, f1)) / 30 >= PROMISED_F1


def test_what_cannot_be_answered_is_not_answered_more_often_than_promised(answers):
    unanswerable = [a for a, row in zip(answers, ROWS, strict=True) if not row["answers"]]
    assert len(unanswerable) == 10
    assert sum(not a.text for a in unanswerable) >= PROMISED_SILENCE * 10


def test_what_is_cited_stands_there(answers):
    texts = {article.id: article.text for article in load_articles()}
    given = [a for a in answers if a.text]
    assert len(given) > 20
    for answer in given:
        assert answer.citations and answer.citations[0].words == answer.text, answer
        for c in answer.citations:  # the others may say more or less of it: "July 1992", "July"
            assert texts[c.passage.document_id][c.start : c.end] == c.words
            assert c.words.lower() in answer.text.lower() or answer.text.lower() in c.words.lower(), answer
