import re

import pytest
from fakes import FixedGenerator, HashEncoder, WordReader

from rag_lib.generation.generators import Generation
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.knowledge_base import build
from rag_lib.pipeline.marginalization import RAGSequence, RAGToken
from rag_lib.pipeline.rag import RAG
from rag_lib.pipeline.tracing import trace, trace_stream
from rag_lib.retrieval.catalogue import make_retriever

QUESTION = "Which dog flew in Sputnik 2?"


@pytest.fixture(scope="module")
def rag(knowledge, encoder):
    return RAG(knowledge, make_retriever("dense", knowledge, encoder), Seq2SeqGenerator.load(), k=2)


def test_a_trace_shows_every_step_of_the_same_answer(rag):
    traced, answer = trace(rag, f"  {QUESTION}"), rag.ask(QUESTION)
    assert (traced.answer.text, traced.answer.citations, traced.answer.hits) == ("Laika", answer.citations, answer.hits)
    assert traced.answer.score == pytest.approx(answer.score, rel=1e-4)
    together, *alone = traced.readings
    assert [len(r.generation.prompts) for r in traced.readings] == [2, 1, 1]
    assert [p for r in alone for p in r.generation.prompts] == list(together.generation.prompts)
    tokenizer = rag.generator.tokenizer
    for prompt, passage in zip(together.generation.prompts, traced.passages, strict=True):
        words = tokenizer.tokenize(f"question: {QUESTION} title: {passage.title} context: {passage.text}")
        assert prompt.tokens == len(words) + 2 and QUESTION in prompt.text


def test_token_probabilities_make_up_the_score(rag):
    """What the generator's score holds beside them is that the passages hold an answer at all."""
    for reading in trace(rag, QUESTION).readings:
        product = 1.0
        for token in reading.generation.tokens:
            assert 0 < token.probability <= 1 + 1e-6
            product *= token.probability
        assert 0 < reading.generation.score <= product + 1e-6
        assert reading.generation.tokens[-1].text == "[SEP]"


def test_it_prints_and_draws(rag):
    traced = trace(rag, "Was <b>Laika</b> a dog?")
    text, markup = str(traced), traced._repr_html_()
    assert "reading 1" in text and "tokens" in text and "laika#0" in text
    assert "<b>Laika" not in markup and "&lt;b&gt;" in markup and "laika#0" in markup
    assert len(re.findall("<details>", markup)) == len(traced.readings) == 3
    assert max(map(len, text.splitlines())) < 400


def test_every_kind_of_rag_and_generator_can_be_traced(rag, knowledge, encoder):
    def make(kind, generator):
        return kind(knowledge, rag.retriever, generator, k=2, threshold=0.0)

    assert len(trace(make(RAGSequence, rag.generator), QUESTION).readings) == 2
    token = trace(make(RAGToken, rag.generator), QUESTION)
    assert token.readings == () and token.answer.text == "Laika"
    plain = trace(make(RAG, FixedGenerator(Generation("a dog", 0.9, None, (0,)))), QUESTION)
    assert plain.answer.text == "a dog" and plain.readings[0].generation.tokens == ()
    nothing = trace(RAG(knowledge, make_retriever("bm25", knowledge, encoder), rag.generator), "xylophone")
    assert (nothing.hits, nothing.readings, nothing.answer.text) == ((), (), "") and "none" in str(nothing)


def test_a_streamed_trace_is_that_of_the_same_answer_in_pieces(documents):
    encoder = HashEncoder()
    knowledge = build(documents, encoder)
    rag = RAG(knowledge, make_retriever("reranked", knowledge, encoder), WordReader())
    question = "When did Laika fly in Sputnik 2?"
    *pieces, streamed = trace_stream(rag, rag.find(question))
    whole = trace(rag, question)
    assert len(pieces) > 1 and "".join(pieces) == streamed.answer.guess == whole.answer.guess
    assert (streamed.hits, streamed.passages) == (whole.hits, whole.passages)
    assert [r.generation for r in streamed.readings] == [r.generation for r in whole.readings]
    (nothing,) = trace_stream(rag, rag.find("xyzzy?"))
    assert nothing.readings == () and not nothing.answer.guess
