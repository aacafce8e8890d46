import functools
import math
import threading

import pytest
from fakes import FixedGenerator
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import ANSWER
from rag_lib.generation.prompts import QuestionTooLong
from rag_lib.generation.quotation import TokenizedText
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.generation.streaming import common_start
from rag_lib.indexing.documents import Source
from rag_lib.pipeline.rag import RAG, Answer
from rag_lib.retrieval.base import EmptyQuestion
from rag_lib.retrieval.catalogue import make_retriever

QUESTIONS = ["Which dog flew in Sputnik 2?", "Where did Huygens land?", "What had the wrong shape?"]


@pytest.fixture(scope="module")
def rag(knowledge, encoder):
    return RAG(knowledge, make_retriever("dense", knowledge, encoder), Seq2SeqGenerator.load(), k=3, threshold=0.0)


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_pieces_are_the_answer(rag, question):
    *pieces, last = rag.stream(question)
    plain = RAG(rag.knowledge, rag.retriever, rag.generator, 3, threshold=0.0, vote=False).ask(question)
    assert isinstance(last, Answer) and all(isinstance(piece, str) and piece for piece in pieces)
    assert "".join(pieces) == last.guess == plain.guess
    assert last.citations == plain.citations and last.hits == plain.hits
    assert last.score == pytest.approx(plain.score, rel=1e-4)


def test_the_first_piece_comes_before_the_last_token_is_written(rag, monkeypatch):
    """The writer waits before its second token until the first piece has been read."""
    read = threading.Event()
    forward, calls = rag.generator.model.forward, []

    @functools.wraps(forward)
    def waiting(*args, **kwargs):
        calls.append(1)
        if len(calls) > 2:
            assert read.wait(20), "nothing was streamed before the third step"
        return forward(*args, **kwargs)

    monkeypatch.setattr(rag.generator.model, "forward", waiting)
    pieces = rag.stream("Which telescope was launched by Discovery?")
    first = next(pieces)
    assert isinstance(first, str)
    read.set()
    assert isinstance(list(pieces)[-1], Answer)


def test_what_is_kept_back_was_still_streamed_as_a_guess(rag):
    strict = RAG(rag.knowledge, rag.retriever, rag.generator, 3, threshold=1)
    *pieces, last = strict.stream(QUESTIONS[0])
    assert "".join(pieces) == last.guess == "Laika" and last.text == ""


def test_a_stream_that_is_abandoned_ends_the_writing(rag):
    before = threading.active_count()
    pieces = rag.stream(QUESTIONS[0])
    next(pieces)
    pieces.close()
    assert threading.active_count() == before
    assert "".join(list(rag.stream(QUESTIONS[0]))[:-1]) == "Laika", "and the next one is not disturbed"


def test_bad_questions_are_refused_in_a_stream_too(rag):
    with pytest.raises(EmptyQuestion):
        next(rag.stream(" "))
    with pytest.raises(QuestionTooLong):
        next(rag.stream("Titan methane " * 5000))


def test_an_error_of_the_model_reaches_the_reader(rag, monkeypatch):
    @functools.wraps(rag.generator.model.forward)
    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(rag.generator.model, "forward", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(rag.stream(QUESTIONS[0]))


def test_without_a_passage_there_is_only_the_answer(knowledge, encoder, rag):
    (answer,) = RAG(knowledge, make_retriever("bm25", knowledge, encoder), rag.generator).stream("xylophone")
    assert answer.guess == ""


def test_another_generator_streams_in_one_piece(rag):
    pieces = list(
        RAG(rag.knowledge, rag.retriever, FixedGenerator(Generation("a dog", 0.9, None, (0,)))).stream("Which dog?")
    )
    assert pieces[0] == pieces[1].text == "a dog"


@given(st.lists(st.text(alphabet="ab ", max_size=6), max_size=4))
def test_the_common_start(texts):
    start = common_start(texts)
    assert all(text.startswith(start) for text in texts)
    if texts and all(len(text) > len(start) for text in texts):
        assert len({text[: len(start) + 1] for text in texts}) > 1


def test_only_what_all_places_agree_on_is_settled(rag):
    """In lower case "The moon" and "the moon" are the same tokens: nothing is shown before it is clear which it is."""
    sources = [Source("a", "The moon rose."), Source("b", "Over the moon flew a dog.")]
    item = rag.generator.lay_out("What?", sources, ANSWER)
    ids = item.texts[1].ids
    assert isinstance(item.texts[0], TokenizedText)
    assert rag.generator.settled(ids[1:3], item, sources) == ""
    assert rag.generator.settled(ids[1:4], item, sources) == "the moon flew"
    assert rag.generator.settled(item.texts[0].ids[:3], item, sources) == "The moon rose"


def test_what_was_written_is_told_token_by_token(rag):
    """The tokens make up the text, and their probabilities the score, but for the doubt whether there is an answer."""
    sources = [Source("Laika", "Laika was a dog. She flew in Sputnik 2.")]
    (generation,) = rag.generator.generate(QUESTIONS[:1], [sources])
    assert [t.text for t in generation.tokens] == ["lai", "##ka", "[SEP]"] and generation.text == "Laika"
    assert 0 < generation.score <= math.prod(t.probability for t in generation.tokens)
    (prompt,) = generation.prompts
    assert QUESTIONS[0] in prompt.text and prompt.used == (0,)
    *_, streamed = rag.generator.stream(QUESTIONS[0], sources)
    assert [t.text for t in streamed.tokens] == [t.text for t in generation.tokens]
