"""A conversation: its state, its replies, its silence, and what it makes of bad input; and the command `chat`."""

import io
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FixedGenerator, HashEncoder
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.__main__ import main
from rag_lib.applications.dialogue import (
    ALONE,
    LONGEST_TURN,
    MORE,
    Conversation,
    Reply,
    State,
    UnreadableTurn,
    check_turn,
    whole_sentences,
)
from rag_lib.generation.generators import Generation, Place
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Document
from rag_lib.indexing.knowledge_base import build
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import make_retriever

TEXTS = {
    "kepler": (
        "Johannes Kepler",
        "Johannes Kepler found three laws. Then Johannes Kepler moved to Prague. He died at Regensburg in 1630. "
        "His grave was lost. Nobody found the grave again.",
    ),
    "laika": ("Laika", "Laika was a dog from Moscow. In 1957 Laika flew in Sputnik 2. She never came back alive."),
}


class Quoter(FixedGenerator):
    """A generator that quotes the first of some phrases that stands in a source; of none of them it is not sure."""

    threshold = 0.5

    def __init__(self, *phrases: str, score: float = 0.9) -> None:
        super().__init__()
        self.phrases, self.score = phrases, score

    def stream(self, question, sources, source_logs=None):
        self.asked.append((question, sources))
        for phrase in self.phrases:
            for i, source in enumerate(sources):
                if (start := source.text.find(phrase)) >= 0:
                    yield phrase
                    yield Generation(phrase, self.score, Place(i, start, start + len(phrase)), (0,))
                    return
        yield Generation("", 0.1, None, (0,))


class Writer(FixedGenerator):
    """A generator that writes words of its own, piece by piece."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def stream(self, question, sources, source_logs=None):
        for word in self.text.split(" "):
            yield word + " "
        yield Generation(self.text, 0.9, None, tuple(range(len(sources))))


class Witness(FixedGenerator):
    """A generator that quotes a phrase from every source that holds it."""

    threshold = 0.5

    def __init__(self, phrase: str) -> None:
        super().__init__()
        self.phrase = phrase

    def stream(self, question, sources, source_logs=None):
        starts = [(i, s.text.find(self.phrase)) for i, s in enumerate(sources)]
        places = tuple(Place(i, a, a + len(self.phrase)) for i, a in starts if a >= 0)
        yield Generation(self.phrase, 0.9, places[0], (0,), supporting=places)


class WordEncoder(HashEncoder):
    """An encoder for which texts are alike that share words."""

    def encode_passages(self, texts, progress=False):
        sums = [
            super(WordEncoder, self).encode_passages(re.findall(r"\w+", t.lower()) or [""]).sum(axis=0) for t in texts
        ]
        return np.array([total / np.linalg.norm(total) for total in sums], dtype=np.float32).reshape(len(texts), 16)


@pytest.fixture(scope="module")
def library():
    encoder = WordEncoder()
    return build([Document(i, title, text) for i, (title, text) in TEXTS.items()], encoder), encoder


def talk(library, generator) -> Conversation:
    knowledge, encoder = library
    return Conversation(RAG(knowledge, make_retriever("bm25", knowledge, encoder), generator), encoder)


def test_a_reply_is_the_sentence_that_says_so_opened_by_the_short_answer(library):
    conversation = talk(library, Quoter("1630"))
    reply = conversation.say("When did Johannes Kepler die?")
    assert reply.text == "1630. He died at Regensburg in 1630. [1]"
    (cited,) = reply.citations
    assert cited.passage.title == "Johannes Kepler" and cited.sentence in TEXTS["kepler"][1]
    assert conversation.state == State((reply,)) and reply.exchange.title == "Johannes Kepler"


def test_all_passages_that_say_so_are_cited_and_the_first_is_gone_on_from():
    encoder = WordEncoder()
    documents = [Document(i, i, f"{i} met Johannes Kepler. He died in 1630. {i} wept.") for i in ("Ann", "Bo")]
    conversation = talk((build(documents, encoder), encoder), Witness("1630"))
    reply = conversation.say("When did Johannes Kepler die?")
    first, second = (c.passage.title for c in reply.citations)
    assert reply.text == "1630. He died in 1630. [1][2]" and {first, second} == {"Ann", "Bo"}
    assert conversation.say("Tell me more").text == f"{first} wept. [1]"


def test_the_name_is_remembered_and_dropped_when_the_subject_changes(library):
    generator = Quoter("1630")
    conversation = talk(library, generator)
    for turn in ("Where did Johannes Kepler die?", "Was his grave found?", "In which Sputnik did Laika fly?"):
        conversation.say(turn)
    questions = [reply.question for reply in conversation.state.replies]
    assert questions[1] == "Was Johannes Kepler's grave found?" and questions[2] == "In which Sputnik did Laika fly?"


@pytest.mark.parametrize(("better", "kept"), [(ALONE - 0.1, True), (ALONE + 0.1, False)])
def test_an_old_name_is_dropped_where_more_is_found_without_it(library, better, kept):
    conversation = talk(library, Quoter("1630", "Moscow"))
    conversation.say("Where did Johannes Kepler die?")
    passages = {p.document_id: p.id for p in conversation.rag.knowledge.passages.values()}

    def retrieve(query, k):
        return [Hit(passages["kepler"], 3.0)] if "Kepler" in query else [Hit(passages["laika"], 3.0 + 2 * better)]

    conversation.rag.retriever = SimpleNamespace(retrieve=retrieve, temperature=2.0)
    reply = conversation.say("How much is a grave?")
    assert reply.question == ("How much is a grave? (Johannes Kepler)" if kept else "How much is a grave?")
    assert reply.exchange.title == ("Johannes Kepler" if kept else "Laika")
    assert "(" in conversation.say("What is a grave like that one?").question, "what points back needs its name"


def test_no_is_said_where_the_sentence_says_no(library):
    reply = talk(library, Quoter("never came back alive")).say("Did Laika come back alive?")
    assert reply.text == "No. She never came back alive. [1]"


def test_silence_shows_the_nearest_sentence_and_lends_no_name(library):
    conversation = talk(library, Quoter("nothing of the kind"))
    reply = conversation.say("Which wine did Kepler drink at Regensburg?")
    assert reply.silent and "does not say" in reply.text and "He died at Regensburg in 1630." in reply.text
    assert reply.exchange.title == ""
    unheard = talk(library, Quoter("nothing of the kind")).say("xyzzy plugh")
    assert unheard.silent and unheard.text == "The collection does not say anything about that."


@pytest.mark.parametrize(
    ("score", "opens"), [(0.5, "1630. He died"), (0.25, "I am not sure"), (0.2, "The collection does")]
)
def test_how_sure_a_reply_sounds_depends_on_the_score(library, score, opens):
    reply = talk(library, Quoter("1630", score=score)).say("When did Johannes Kepler die?")
    assert reply.text.startswith(opens) and "He died at Regensburg in 1630." in reply.text
    assert (reply.silent, reply.unsure) == (score < 0.25, 0.25 <= score < 0.5)


def test_a_writer_that_refuses_is_silent_and_not_unsure(library):
    reply = talk(library, Writer("")).say("When did Johannes Kepler die?")
    assert reply.silent and not reply.unsure and "comes nearest" in reply.text


def test_small_talk_asks_no_generator(library):
    generator = Quoter("1630")
    conversation = talk(library, generator)
    assert (
        conversation.say("Hello!").text.startswith("Hello") and conversation.say("thank you").text == "You're welcome."
    )
    for said in ("That's so sad.", "That was really interesting, thanks!", "how lovely", "It's great"):
        assert conversation.say(said).question == "", said
    assert generator.asked == [] and conversation.state.about == ()


def test_tell_me_more_goes_on_where_the_text_does_until_its_end(library):
    conversation = talk(library, Quoter("three laws"))
    conversation.say("What did Johannes Kepler find?")
    said = [conversation.say("tell me more") for _ in range(3)]
    assert said[0].text == "Then Johannes Kepler moved to Prague. [1] He died at Regensburg in 1630. [2]"
    assert len(said[0].citations) == MORE and "His grave was lost." in said[1].text
    assert said[2].text == "That is all that the collection says on this in “Johannes Kepler”."


def test_a_topic_opens_with_the_texts_own_opening(library):
    assert talk(library, Quoter()).say("Tell me about Laika, please.").text == "Laika was a dog from Moscow. [1]"
    conversation = talk(library, Quoter())
    assert conversation.say("I'm interested in Kepler.").text == "Johannes Kepler found three laws. [1]"
    assert conversation.say("Tell me more about Kepler").text == "Then Johannes Kepler moved to Prague. [1]"


def test_a_correction_asks_the_question_before_about_another(library):
    generator = Quoter("1957")
    conversation = talk(library, generator)
    conversation.say("When did Johannes Kepler fly?")
    reply = conversation.say("no, I meant Laika")
    assert reply.question == "When did Laika fly?" and reply.text == "1957. In 1957 Laika flew in Sputnik 2. [1]"


def test_a_writers_sentences_are_checked_before_they_are_said(library):
    written = "Laika flew in Sputnik 2 in 1957 [1]. Laika flew in Sputnik 2 in 1958. Laika was a dog from Moscow."
    conversation = talk(library, Writer(written))
    *pieces, reply = conversation.stream("What did Laika do?")
    assert "".join(pieces) == reply.text and len(pieces) == 2, "a sentence is shown as soon as it is checked"
    assert reply.text == "Laika flew in Sputnik 2 in 1957. [1] Laika was a dog from Moscow. [2]"
    assert [c.sentence for c in reply.citations] == ["In 1957 Laika flew in Sputnik 2.", "Laika was a dog from Moscow."]
    (claim,) = reply.left_out
    assert "1958" in claim.sentence and "1958 is not said there" in claim.faults


def test_a_writer_without_any_support_is_not_quoted(library):
    reply = talk(library, Writer("Cheese costs 4 euros.")).say("What did Laika eat?")
    assert reply.silent and "Cheese" not in reply.text and reply.left_out


def test_a_state_that_is_handed_in_stays_as_it_is(library):
    conversation = talk(library, Quoter("1630"))
    state = State()
    *_, reply = conversation.respond(state, "When did Kepler die?")
    assert state == State() == conversation.state and state.after(reply).replies == (reply,)


def test_a_long_conversation_asks_no_longer_questions(library):
    generator = Quoter("1630")
    conversation = talk(library, generator)
    conversation.say("When did Johannes Kepler die?")
    for _ in range(30):
        conversation.say("And what happened there?")
    assert {question for question, _ in generator.asked[1:]} == {"And what happened there? (Johannes Kepler)"}
    lengths = [len(reply.question) for reply in conversation.state.replies[1:]]
    assert len(set(lengths)) == 1 and len(conversation.state.replies) == 31


@pytest.mark.parametrize(
    ("turn", "line"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("word " * 10_000, "a turn of 10,000 words is too long"),
        ("\x00\x01\x02\x8f\ufffd\ufffd\x07", "no text"),
        ("%$§!)(/&%$§", "no text"),
    ],
)
def test_bad_turns_get_one_line_and_change_nothing(library, turn, line):
    conversation = talk(library, Quoter("1630"))
    with pytest.raises(UnreadableTurn, match=line) as error:
        conversation.say(turn)
    assert "\n" not in str(error.value) and conversation.state == State()


@given(st.text(max_size=60))
def test_a_turn_is_one_line_or_refused(turn):
    try:
        clean = check_turn(turn)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert clean and len(clean.splitlines()) == 1 and len(clean.split()) <= LONGEST_TURN


@given(st.lists(st.sampled_from(["It flew.", "He died in 1630 [1].", "Why?", "on the", "Moon"]), max_size=8))
def test_sentences_put_together_are_the_text(parts):
    text = " ".join(parts)
    assert "".join(whole_sentences(text)) == text
    assert whole_sentences("It flew [1]. Why? 3 m") == ["It flew [1].", " Why?", " 3 m"]


def chatted(library, monkeypatch, capsys, data: bytes) -> list[str]:
    """The lines that the command prints for standard input."""
    conversation = talk(library, Quoter("1630"))
    monkeypatch.setattr("rag_lib.applications.commands.opened", lambda options: (conversation.rag, library[1]))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    assert main(["chat"]) == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    return captured.out.splitlines()


def test_the_command_reads_a_turn_per_line(library, monkeypatch, capsys):
    lines = chatted(library, monkeypatch, capsys, b"When did Johannes Kepler die?\nWhere was he buried?\n")
    assert lines[0] == "You:   When did Johannes Kepler die?"
    assert lines[1:3] == ["Guide: 1630. He died at Regensburg in 1630. [1]", "       [1] Johannes Kepler (kepler)"]
    assert "       understood as: Where was Johannes Kepler buried?" in lines


def test_the_command_survives_bad_lines(library, monkeypatch, capsys):
    data = b"\n\xff\xfe\x00\x01\xff\xff\n" + b"word " * 10_000 + b"\nthank you"
    lines = chatted(library, monkeypatch, capsys, data)
    said = [line for line in lines if line.startswith("Guide:")]
    assert ["empty" in said[0], "no text" in said[1], "10,000 words" in said[2], "welcome" in said[3]] == [True] * 4


def test_an_interruption_is_one_clean_line(library, monkeypatch, capsys):
    conversation = talk(library, Quoter("1630"))
    monkeypatch.setattr("rag_lib.applications.commands.opened", lambda options: (conversation.rag, library[1]))

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(readline=interrupted), isatty=lambda: True)
    )
    assert main(["chat"]) == 130
    captured = capsys.readouterr()
    assert captured.err == "stopped\n" and captured.out.endswith("\n")


def test_a_reply_knows_what_it_needs_no_more():
    assert Reply("hi", "", "Hello!").exchange.question == ""
