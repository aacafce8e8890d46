"""Questions become outcomes: what is right is seen as right, and the truth is put in where a link broke."""

import dataclasses

import pytest
from fakes import HashEncoder

from rag_lib.__main__ import main
from rag_lib.applications.open_domain import Reading, load_results
from rag_lib.generation.generators import Generation, Place
from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import build
from rag_lib.museum import commands, open_collections
from rag_lib.museum.collection import STYLES, Evidence, Question
from rag_lib.museum.open_collections import OpenCollection, ask, drawn, squad_documents, squad_questions
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.retrievers import LexicalRetriever

TEXTS = {
    "laika": "Laika was a dog from Moscow. She flew in Sputnik 2 on 3 November 1957.",
    "ham": "Ham was a chimpanzee. He flew on a Redstone rocket in January 1961.",
    "rules": "Dogs must wait outside. Cameras are welcome.",
}
DOCUMENTS = [Document(i, i.title(), text) for i, text in TEXTS.items()]
FLIGHT, ROCKET = Evidence("laika", "She flew in Sputnik 2 on 3 November 1957."), Evidence("ham", TEXTS["ham"][22:])
WAIT = Evidence("rules", "Dogs must wait outside.")
QUESTIONS = [
    Question("when", "When did Laika fly?", ("3 November 1957",), (FLIGHT,), "when"),
    Question("ship", "In which ship did Laika fly?", ("Sputnik 2",), (FLIGHT,), "which"),
    Question("dogs", "Can dogs come in?", (), (WAIT,), "yes or no", verdict="no"),
    Question("both", "What did Ham fly on after Laika?", ("Redstone",), (ROCKET, FLIGHT), "what"),
    Question("lost", "Which ape used a Redstone?", ("chimpanzee",), (WAIT,), "which"),
    Question("none", "Who trained Laika?", (), (), "who", near="laika"),
]
QUOTED = {"when": "3 November 1957", "ship": "Moscow", "dogs": "wait", "both": "a Redstone rocket", "lost": "Redstone"}


class Quoting:
    """Quotes what it was told to quote for a question, where a source holds it, and else each source's first word."""

    threshold, votes = 0.5, False

    def generate(self, questions, sources, job=None, source_logs=None):
        return [self.read(q, s) for q, s in zip(questions, sources, strict=True)]

    def read(self, question, sources):
        wanted = QUOTED.get(next(q.id for q in QUESTIONS if q.question == question), "Laika")
        for i, source in enumerate(sources):
            if (start := source.text.find(wanted)) >= 0:
                return Generation(wanted, 0.123456, Place(i, start, start + len(wanted)), (i,))
        first = sources[0].text.split()[0]
        return Generation(first, 0.6, Place(0, 0, len(first)), (0,))


@pytest.fixture(scope="module")
def outcomes():
    encoder = HashEncoder()
    knowledge = build(DOCUMENTS, encoder)
    rag = RAG(knowledge, LexicalRetriever(knowledge.bm25), Quoting(), k=2, threshold=0.0)
    return {o.id: o for o in ask(OpenCollection(DOCUMENTS, knowledge, {"part": QUESTIONS}), rag, encoder)}


def test_a_right_answer_needs_no_mending(outcomes):
    o = outcomes["when"]
    assert (o.part, o.article, o.answerable, o.score) == ("part", "laika", True, 0.1235)
    assert o.counted and o.told and o.cited and o.nearly and o.named and o.f1 == 1.0
    assert o.rank == 1 and o.with_passage is None and o.with_sentence is None and o.second_rank is None
    document, start, end = o.place
    assert TEXTS[document][start:end] == "3 November 1957"


def test_the_passages_read_are_places_of_their_documents(outcomes):
    for o in outcomes.values():
        assert [p.score for p in o.passages] == sorted((p.score for p in o.passages), reverse=True)
        assert all(TEXTS[p.document][p.start : p.end] for p in o.passages)


def test_where_a_link_broke_the_truth_is_read_instead(outcomes):
    o = outcomes["ship"]  # the right passage was read, and its other sentence quoted
    assert not (o.counted or o.told or o.cited or o.nearly or o.named) and o.f1 == 0.0 and o.rank == 1
    assert o.with_passage == Reading(False, 0.1235), "alone, the passage tempts as before"
    assert o.with_sentence == Reading(False, 0.6), "in the sentence alone Moscow does not stand"


def test_a_passage_that_was_not_found_is_handed_over(outcomes):
    o = outcomes["lost"]
    assert o.rank == 0 and not o.told and o.with_passage == Reading(False, 0.6)


def test_without_a_short_answer_the_sentence_counts(outcomes):
    o = outcomes["dogs"]
    assert o.counted and o.told and o.cited and o.f1 is None and not o.nearly and not o.named


def test_words_more_are_nearly_right_and_the_other_article_is_looked_for(outcomes):
    o = outcomes["both"]
    assert not o.counted and o.nearly and o.cited and o.told and o.named
    assert {o.rank, o.second_rank} == {1, 2}


def test_what_has_no_answer_cannot_be_right(outcomes):
    o = outcomes["none"]
    assert not (o.answerable or o.counted or o.told or o.cited or o.nearest) and o.article == "laika"
    assert o.rank == 0 and o.with_passage is None and o.with_sentence is None


ROWS = [
    {
        "id": str(i), "title": title, "context": context, "question": " why? ",
        "answers": {"text": texts, "answer_start": [context.index(t) for t in texts]},
    }
    for i, (title, context, texts) in enumerate(
        [
            ("Ham_(ape)", "Ham was an ape. He flew in 1961.", ["1961", "in 1961"]),
            ("Ham_(ape)", "Ham was an ape. He flew in 1961.", ["an ape", "He"]),
            ("Ham_(ape)", "He liked apples.", ["apples"]),
            ("Laika", "Laika flew.", ["Laika"]),
        ]
    )
]  # fmt: skip


def test_squad_becomes_one_heap():
    documents = squad_documents(ROWS)
    assert [d.id for d in documents] == ["Ham_(ape)#0", "Ham_(ape)#1", "Laika#0"]
    assert documents[0].title == "Ham (ape)" and documents[1].text == "He liked apples."
    questions = squad_questions(ROWS, documents)
    assert [q.id for q in questions] == ["0", "1", "2", "3"] and questions[0].question == "why?"
    assert questions[0].evidence == (Evidence("Ham_(ape)#0", "He flew in 1961."),) and not questions[0].also_evidence
    assert [e.sentence for e in questions[1].evidence + questions[1].also_evidence] == [
        "Ham was an ape.",
        "He flew in 1961.",
    ]


def test_questions_of_one_squad_article_are_drawn_together():
    encoder, documents = HashEncoder(), squad_documents(ROWS)
    knowledge = build(documents, encoder)
    asked = [dataclasses.replace(q, question=QUESTIONS[0].question) for q in squad_questions(ROWS, documents)]
    rag = RAG(knowledge, LexicalRetriever(knowledge.bm25), Quoting(), threshold=0.0)
    outcomes = ask(OpenCollection(documents, knowledge, {"squad": asked}), rag, encoder)
    assert [o.article for o in outcomes] == ["Ham_(ape)", "Ham_(ape)", "Ham_(ape)", "Laika"]


def test_a_limit_draws_the_same_questions_again():
    assert drawn(QUESTIONS, 3) == drawn(QUESTIONS, 3) and len({q.id for q in drawn(QUESTIONS, 3)}) == 3
    assert drawn(QUESTIONS, None) == drawn(QUESTIONS, 6) == drawn(QUESTIONS, 99) == QUESTIONS


def test_only_some_styles_can_be_asked(monkeypatch):
    monkeypatch.setattr(open_collections, "open_folder", lambda *_, **__: None)
    both, visitors = (open_collections.museum("validation", HashEncoder(), 3, *s) for s in ((), [STYLES[1:]]))
    assert visitors.questions == {"as visitors ask": both.questions["as visitors ask"]}
    assert [len(questions) for questions in both.questions.values()] == [3, 3]


@pytest.fixture
def small(monkeypatch):
    """The command line's parts, small."""
    encoder = HashEncoder()
    collection = OpenCollection(DOCUMENTS, build(DOCUMENTS, encoder), {"part": QUESTIONS})
    monkeypatch.setattr(commands, "make_encoder", lambda name: encoder)
    monkeypatch.setattr(commands, "make_generator", lambda name: Quoting())
    monkeypatch.setattr(commands, "museum", lambda split, encoder, limit, styles: collection)


def test_the_command_writes_a_file_a_part(small, tmp_path, capsys):
    options = ["--parts", "validation", "--retriever", "bm25", "-k", "2"]
    assert main(["evaluate", "open-domain", "--output", str(tmp_path / "new"), *options]) == 0
    results = load_results(tmp_path / "new" / "validation.jsonl")
    assert (results.retriever, results.generator, results.threshold, results.k) == ("bm25", "perigee", 0.5, 2)
    assert [o.id for o in results.outcomes] == [q.id for q in QUESTIONS]
    assert "6 questions" in capsys.readouterr().out


def test_without_squad_it_says_so_in_a_line(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAG_DATASETS", str(tmp_path))
    assert main(["evaluate", "open-domain", "--output", str(tmp_path), "--parts", "squad"]) == 1
    assert "error: rajpurkar/squad (validation) could not be loaded" in capsys.readouterr().err
