"""What comes to the door of the library: wrong types are named, and a question without content is met with silence."""

from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FixedGenerator, HashEncoder

from rag_lib.evaluation.answers import exact_match, f1
from rag_lib.generation.prompts import QuestionTooLong
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import IndexSettings, build
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.base import LONGEST_QUESTION
from rag_lib.retrieval.catalogue import make_retriever

TEXTS = {
    "Laika": "Laika was a dog from the streets of Moscow. She flew in Sputnik 2 on 3 November 1957.",
    "Pluto": "Pluto was found in 1930. 1 of its moons is Charon; the V-2 did not get there. It is called so.",
    "Orbit Café": "The café sells soup for 5 euros, and opens at 9.",
}


@pytest.fixture(params=["bm25", "dense", "hybrid", "reranked"])
def rag(request):
    knowledge = build([Document(t, t, text) for t, text in TEXTS.items()], HashEncoder())
    return RAG(knowledge, make_retriever(request.param, knowledge, HashEncoder()), FixedGenerator())


@pytest.mark.parametrize("question", [
    "who was the", "1", "''", "?", "what", "the of and", "2 ?", "a", "it is", "Who? What? When?", "...", "🚀", "W", "9",
    "qzxv wvub", "asdfjkl", "xqz", "to be or not to be", "\u200b.", "' OR 1=1 --",
])  # fmt: skip
def test_a_question_without_content_finds_nothing(rag, question):
    answer = rag.ask(question)
    assert (answer.text, answer.guess, answer.hits, answer.citations, answer.score) == ("", "", (), (), 0.0)
    assert rag.generator.asked == []
    assert list(rag.stream(question))[-1].hits == () and rag.ask_many([question])[0].hits == ()


@pytest.mark.parametrize("question", [
    "Sputnik?", "café", "cafe", "Pluto", "V-2", "What is the V-2?", "dog", "Who was Laika?", "1957?", "moons", "SOUP",
    "Laikas", "Which dog flew?", "qzxv Pluto",
])  # fmt: skip
def test_a_short_question_with_one_known_word_is_read(rag, question):
    assert rag.ask(question).hits and rag.generator.asked


def test_words_that_every_question_has_are_no_content_even_where_they_are_indexed():
    settings = IndexSettings(analyzer=Analyzer(stop_words=False))
    knowledge = build([Document(t, t, text) for t, text in TEXTS.items()], HashEncoder(), settings)
    assert not knowledge.knows("who was the") and knowledge.knows("who was the dog")


@pytest.mark.parametrize(
    "question", ["tell me", "please", "what about that one?", "Is there any?", "Can you say more?"]
)
def test_words_that_ask_nothing_find_nothing(question):
    text = "Please tell me any one thing about the dog, can you? There is more to say."
    knowledge = build([Document("a", "A", text)], HashEncoder())
    assert not knowledge.knows(question) and knowledge.knows(f"{question} dog")


CALLS = {
    "ask(None)": lambda rag: rag.ask(None),
    "ask(5)": lambda rag: rag.ask(5),
    "ask(b'Who?')": lambda rag: rag.ask(b"Who?"),
    "ask(['Who?'])": lambda rag: rag.ask(["Who?"]),
    "ask_many('Who?')": lambda rag: rag.ask_many("Who?"),
    "ask_many(None)": lambda rag: rag.ask_many(None),
    "ask_many(['Who?', None])": lambda rag: rag.ask_many(["Who?", None]),
    "ask_many(batch_size)": lambda rag: rag.ask_many(["Who?"], batch_size="8"),
    "stream(None)": lambda rag: next(rag.stream(None)),
    "retrieve(None)": lambda rag: rag.retriever.retrieve(None, 3),
    "retrieve(k)": lambda rag: rag.retriever.retrieve("Who?", "3"),
    "k": lambda rag: RAG(rag.knowledge, rag.retriever, rag.generator, k="5"),
    "threshold": lambda rag: RAG(rag.knowledge, rag.retriever, rag.generator, threshold="high"),
    "threshold=nan": lambda rag: RAG(rag.knowledge, rag.retriever, rag.generator, threshold=float("nan")),
    "threshold=7": lambda rag: RAG(rag.knowledge, rag.retriever, rag.generator, threshold=7),
    "threshold=-1": lambda rag: RAG(rag.knowledge, rag.retriever, rag.generator, threshold=-1),
    "a generator's name": lambda rag: RAG(rag.knowledge, rag.retriever, "perigee"),
    "a generator's class": lambda rag: RAG(rag.knowledge, rag.retriever, FixedGenerator),
    "a retriever's name": lambda rag: RAG(rag.knowledge, "bm25", rag.generator),
    "a folder's name": lambda rag: RAG("folder", rag.retriever, rag.generator),
    "no knowledge": lambda rag: RAG(None, rag.retriever, rag.generator),
    "make_retriever(None)": lambda rag: make_retriever(None, rag.knowledge, HashEncoder()),
    "make_retriever(5)": lambda rag: make_retriever(5, rag.knowledge, HashEncoder()),
    "bm25.search(None)": lambda rag: rag.knowledge.bm25.search(None, 3),
    "bm25.search_all(text)": lambda rag: rag.knowledge.bm25.search_all("Who?", 3),
    "build(texts)": lambda rag: build(["a text"], HashEncoder()),
    "build(text)": lambda rag: build("a text", HashEncoder()),
    "build(None)": lambda rag: build(None, HashEncoder()),
    "build(Document)": lambda rag: build(Document, HashEncoder()),
    "build(one document)": lambda rag: build(Document("a", "b", "c"), HashEncoder()),
    "build(an encoder's name)": lambda rag: build([Document("a", "b", "c")], "minilm"),
    "build(settings)": lambda rag: build([Document("a", "b", "c")], HashEncoder(), {"max_words": 5}),
    "build(no settings)": lambda rag: build([Document("a", "b", "c")], HashEncoder(), {}),
    "exact_match": lambda rag: exact_match("a", "a b"),
    "f1": lambda rag: f1("a", "a b"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_type_is_named(rag, call):
    with pytest.raises((TypeError, ValueError), match=r"text|number|Document|this takes|settings") as caught:
        CALLS[call](rag)
    assert "\n" not in str(caught.value) and "attribute" not in str(caught.value) and not rag.generator.asked
    assert "not " in str(caught.value), "it says what was given"


def test_what_was_given_is_named_a_class_too(rag):
    with pytest.raises(TypeError, match=r"a generator, which make_generator loads by its name, not str$"):
        RAG(rag.knowledge, rag.retriever, "perigee")
    with pytest.raises(TypeError, match=r"a list of documents, .*, not the class Document$"):
        build(Document, HashEncoder())


@pytest.mark.parametrize("threshold", [0, 1, 0.5, np.float32(0.5), None])
def test_a_threshold_is_any_number_from_0_to_1(rag, threshold):
    assert RAG(rag.knowledge, rag.retriever, rag.generator, threshold=threshold).threshold == (threshold or 0)


@pytest.mark.parametrize("method", ["generate", "stream"])
def test_parts_need_only_their_methods_whoever_made_them(rag, method):
    retriever = SimpleNamespace(retrieve=rag.retriever.retrieve, temperature=1.0)
    generator = SimpleNamespace(threshold=0.0, votes=False, **{method: getattr(rag.generator, method)})
    made = RAG(rag.knowledge, retriever, generator)
    answer = made.ask("Who was Laika?") if method == "generate" else list(made.stream("Who was Laika?"))[-1]
    assert answer.text == "Laika"


def test_a_question_of_a_million_characters_is_refused_at_once(rag):
    for question in ("Laika " * 200_000, "x" * (LONGEST_QUESTION + 1)):
        for ask in (rag.ask, lambda q: rag.ask_many(["Who was Laika?", q]), lambda q: rag.retriever.retrieve(q, 3)):
            with pytest.raises(QuestionTooLong, match="characters"):
                ask(question)
    assert rag.generator.asked == []
