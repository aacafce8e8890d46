from dataclasses import replace

import pytest
from contracts import GeneratorContract
from fakes import chat_tokenizer, small_model, tiny_chat_model

from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.chat import ChatGenerator
from rag_lib.generation.chat_prompts import NO_ANSWER
from rag_lib.generation.generators import Decoding, Generation, Place
from rag_lib.generation.guide import GuidedChat, sentence_around
from rag_lib.generation.jobs import REPLY, SUMMARIZE
from rag_lib.generation.reader import EvidenceReader
from rag_lib.indexing.documents import Source
from rag_lib.models.weights import load_minilm

EVIDENCE = "It was launched from Vandenberg by a Thor-Agena rocket."
SOURCES = [
    Source("Anik", "Canada was the third."),
    Source("Alouette 1", f"It was Canada's first satellite. {EVIDENCE} It worked for ten years."),
]


class Finds:
    """A reader that finds one place, and how sure it is."""

    threshold, votes = 0.4, False

    def __init__(self, *words: str) -> None:
        self.words = words

    def generate(self, questions, sources, job=None, source_logs=None):
        start = SOURCES[1].text.index(self.words[0]) if self.words else 0
        place = Place(1, start, start + len(self.words[0])) if self.words else None
        text = self.words[0] if self.words else ""
        return [Generation(text, 0.7, place, (1, 0), supporting=(place,) if place else ()) for _ in questions]


class Says(ChatGenerator):
    """A chat model that always says the same, and remembers what it was shown."""

    def __init__(self, reply: str) -> None:
        self.reply, self.shown, self.job = reply, None, None

    def generate(self, questions, sources, job=REPLY, source_logs=None):
        self.shown, self.job = sources, job
        return [Generation(self.reply, 0.1, None, (0,)) for _ in questions]


def told(reply: str) -> str:
    (generation,) = GuidedChat(Finds("Thor-Agena"), Says(reply)).generate(["Whose rocket?"], [SOURCES])
    return generation.text


class TestGuidedChat(GeneratorContract):
    QUOTES = False

    @pytest.fixture(scope="class")
    def generator(self):
        tokenizer = load_minilm()[1]
        chat = ChatGenerator(tiny_chat_model(), chat_tokenizer(), Decoding(max_new_tokens=24))
        return GuidedChat(EvidenceReader(small_model(tokenizer).eval(), tokenizer), chat)


def test_the_chat_model_is_shown_the_sentence_alone_and_its_passage_is_cited():
    guide = GuidedChat(Finds("Thor-Agena"), Says("A Thor-Agena launched it [1]."))
    (generation,) = guide.generate(["Whose rocket?"], [SOURCES])
    assert guide.chat.shown == [[Source("Alouette 1", EVIDENCE)]] and guide.threshold == 0.4
    assert generation.text == "A Thor-Agena launched it [1]." and generation.score == 0.7
    place = generation.place
    assert SOURCES[place.source].text[place.start : place.end] == EVIDENCE and generation.supporting == (place,)
    swapped = replace(generation, used=(0, 1))
    assert guide.in_words(swapped, place, SOURCES, Generation("By Thor-Agena", 1, None, (0,))).text.endswith(" [2]")


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        ("It was launched by a Thor-Agena.", "It was launched by a Thor-Agena [1]."),
        ("It was launched by an Atlas.", f"{EVIDENCE[:-1]} [1]."),
        ("It was launched in 1962.", f"{EVIDENCE[:-1]} [1]."),
        ("No, it was launched by a Thor-Agena [1].", "No, it was launched by a Thor-Agena [1]."),
        ("No, Canada used a Thor-Agena.", f"No. {EVIDENCE[:-1]} [1]."),
        ("yes", f"Yes. {EVIDENCE[:-1]} [1]."),
        ("Alouette 1 was launched by a rocket.", "Alouette 1 was launched by a rocket [1]."),
        ("", f"{EVIDENCE[:-1]} [1]."),
        (NO_ANSWER, f"{EVIDENCE[:-1]} [1]."),
        ("No, the collections does not say.", f"{EVIDENCE[:-1]} [1]."),
        ("Nobody knows.", f"{EVIDENCE[:-1]} [1]."),
    ],
)
def test_nothing_is_shown_that_the_evidence_does_not_hold(reply, shown):
    assert told(reply) == shown


@pytest.mark.parametrize(
    ("verdict", "reply", "shown"),
    [
        ("Yes", "Yes, it was launched by a Thor-Agena.", "Yes, it was launched by a Thor-Agena [1]."),
        ("Yes", "It was launched by a Thor-Agena.", "Yes. It was launched by a Thor-Agena [1]."),
        ("No", "Yes, it was launched by a Thor-Agena.", f"No. {EVIDENCE[:-1]} [1]."),
        ("", "Yes, it was launched by a Thor-Agena.", f"{EVIDENCE[:-1]} [1]."),
        ("", "It was launched by a Thor-Agena.", "It was launched by a Thor-Agena [1]."),
    ],
)
def test_yes_and_no_are_the_readers_where_it_has_a_ranker(verdict, reply, shown):
    class Decides(Finds):
        ranker = object()

        def generate(self, *arguments):
            return [replace(g, verdict=verdict) for g in super().generate(*arguments)]

    (generation,) = GuidedChat(Decides("Thor-Agena"), Says(reply)).generate(["Was it a Thor-Agena?"], [SOURCES])
    assert generation.text == shown and generation.verdict == ""


def test_where_nothing_is_found_nothing_is_said():
    guide = GuidedChat(Finds(), Says("It was an Atlas."))
    assert [g.text for g in guide.generate(["Whose?"], [SOURCES])] == [""]
    assert [*guide.stream("Whose?", SOURCES)][-1].text == ""


def test_other_jobs_are_the_chat_models_alone():
    guide = GuidedChat(Finds("Thor-Agena"), Says("A summary with an Atlas."))
    (generation,) = guide.generate(["?"], [SOURCES], SUMMARIZE)
    assert generation.text == "A summary with an Atlas." and guide.chat.shown == [SOURCES]


def test_a_place_across_sentences_has_all_of_them():
    text = "One is here. Two is there. Three."
    assert sentence_around(Place(0, 8, 15), [Source("", text)]) == Place(0, 0, 26)


def test_the_bundled_one_is_found_by_its_name(monkeypatch):
    loaded = []
    monkeypatch.setattr(EvidenceReader, "load_with_ranker", lambda decoding: Finds("Thor-Agena"))
    monkeypatch.setattr(ChatGenerator, "load", lambda name, decoding: loaded.append(name) or Says("x"))
    assert isinstance(make_generator("chat"), GuidedChat) and loaded == ["chat"]
