"""A turn that stands alone: names by rules, the baselines, and a generator within its budget."""

import pytest
from fakes import FixedGenerator

from rag_lib.applications.rewriting import (
    TURNS,
    AddedNames,
    Exchange,
    GeneratorRewriter,
    Names,
    as_said,
    concatenated,
    is_fragment,
    pronouns,
)
from rag_lib.applications.short_answers import is_denied, opening
from rag_lib.applications.small_talk import small_talk, without_small_talk
from rag_lib.generation.generators import Generation
from rag_lib.generation.jobs import REWRITE
from rag_lib.indexing.documents import Passage
from rag_lib.retrieval.base import QuestionTooLong

TEXTS = {
    "Johannes Kepler": "At last Johannes Kepler found three laws. He wrote them down in Prague. He died in 1630.",
    "Caroline Herschel": "In Bath lived Caroline Herschel. She found comets, and she sang. Her brother was William.",
    "Spitzer": "Its helium kept Spitzer cold. It flew round the Sun. It was launched after Planck.",
    "Planck": "In 2009 came Planck, colder than Spitzer. It measured the sky. The probe Apollo 13 was no rival of it.",
}
NAMES = Names([Passage(f"{t}#0", t, t, text, 0, len(text)) for t, text in TEXTS.items()])
REWRITE_BY_NAMES = AddedNames(NAMES)


def after(question: str, guide: str = "", title: str = "") -> list[Exchange]:
    return [Exchange(question, question, guide, title)]


def test_names_are_found_however_they_are_written():
    asked = "When did johannes kepler's mother meet Caroline Herschel?"
    assert NAMES(asked) == ["johannes kepler", "Caroline Herschel"]
    assert NAMES("what went wrong on apollo 13, then?") == ["apollo 13"]
    assert NAMES("When did the probe fly?") == [] and NAMES("") == []


@pytest.mark.parametrize("word", ["Didn't", "Isn’t", "I'll", "We’re", "We've", "He'd", "I'm"])
def test_a_shortened_word_is_no_name(word):
    text = f"On board, {word} was said to Kepler, and {word} was all."
    names = Names([Passage("a#0", "a", "a", text, 0, len(text))])
    assert names.words == {"kepler"} and names(f"{word.lower()} kepler fly") == ["kepler"]


@pytest.mark.parametrize(
    ("name", "pronoun"), [("Johannes Kepler", "he"), ("Caroline Herschel", "she"), ("Planck", "it")]
)
def test_the_texts_say_which_pronoun_goes_with_a_name_however_spelled(name, pronoun):
    assert {NAMES.pronoun(spelled) for spelled in (name, name.lower(), name.upper())} == {pronoun}


def test_a_name_at_the_beginning_of_a_title_counts_however_spelled():
    text = "She flew twice."
    assert Names([Passage("a#0", "a", "Sally Ride, an astronaut", text, 0, len(text))]).pronoun("sally ride") == "she"


@pytest.mark.parametrize(
    ("turn", "classes"),
    [
        ("Is it true that she sang?", ["she"]),
        ("Was it cold there?", ["it", "that"]),
        ("Are there any photographs of them?", ["they"]),
        ("It was Kepler, wasn't it?", ["it"]),
        ("Who was Kepler?", []),
    ],
)
def test_pronouns_that_point_back(turn, classes):
    assert pronouns(turn) == classes


@pytest.mark.parametrize(
    ("turn", "before", "question"),
    [
        (
            "When did he die himself?",
            after("Who found three laws?", "A man did.", "Johannes Kepler, the astronomer"),
            "When did Johannes Kepler die himself?",
        ),
        (
            "Were his laws right?",
            after("Who found three laws?", "A man did.", "Johannes Kepler and his laws"),
            "Were Johannes Kepler's laws right?",
        ),
        (
            "Did she sing?",
            after("Who lived there?", "Caroline Herschel did.", "Spitzer"),
            "Did Caroline Herschel sing? (Spitzer)",
        ),
        ("And her brother?", after("Who was Caroline Herschel?"), "And her brother? (Caroline Herschel)"),
        (
            "How cold was it?",
            after("Where did Spitzer fly?", "Round the Sun.", "Planck"),
            "How cold was Planck? (Spitzer)",
        ),
        ("Is it true that it flew?", after("Where did Spitzer fly?"), "Is it true that Spitzer flew?"),
        (
            "How many were there?",
            after("Where did Spitzer fly?", "", "Planck"),
            "How many were there? (Planck; Spitzer)",
        ),
    ],
)
def test_a_name_takes_the_place_of_a_pronoun_or_stands_behind(turn, before, question):
    assert REWRITE_BY_NAMES(turn, before) == question


def test_no_name_stands_for_a_pronoun_that_the_turn_explains_itself():
    before = after("Who found three laws?", "A man did.", "Johannes Kepler")
    turn = "And the probe that hopped, how many times did it land?"
    assert REWRITE_BY_NAMES(turn, before) == f"{turn} (Johannes Kepler)"
    turn = "Did Caroline Herschel ever write about her comets?"
    assert REWRITE_BY_NAMES(turn, before) == turn


def test_a_turn_with_a_name_of_its_own_may_change_the_subject():
    before = after("Who found three laws?", "Kepler.", "Johannes Kepler")
    assert REWRITE_BY_NAMES("When was Spitzer launched?", before) == "When was Spitzer launched?"
    assert REWRITE_BY_NAMES("When did he die?", []) == "When did he die?"


def test_a_fragment_takes_the_question_before():
    before = after("When did Planck's helium run out? (Planck)", "In 2012.", "Planck")
    assert REWRITE_BY_NAMES("And on Spitzer?", before) == "When did Spitzer's helium run out?"
    assert REWRITE_BY_NAMES("Why?", before) == "When did Planck's helium run out? (Planck) Why?"
    assert REWRITE_BY_NAMES.exchanged(after("Where is it?")[0], "Planck") == "Where is it? (Planck)"
    assert not is_fragment("Which of the fires started late?") and is_fragment("and her husband?")
    assert is_fragment("By whom?") and is_fragment("And why?") and not is_fragment("Was it cold?")


def test_no_more_names_are_added_than_allowed_and_none_twice():
    before = after("Did Kepler meet Caroline Herschel on Spitzer and Planck?", "", "Johannes Kepler")
    for most in range(4):
        added = AddedNames(NAMES, most)("When?! was that so", before).count(";") + 1 if most else 0
        assert added <= most
    assert REWRITE_BY_NAMES("Why was that?", before) == "Why was that? (Johannes Kepler; Caroline Herschel)"


def test_the_baselines():
    before = [Exchange(f"v{i}", f"q{i}", f"g{i}") for i in range(TURNS + 1)]
    assert as_said("t", before) == "t"
    assert concatenated("t", before) == "v1 g1 v2 g2 v3 g3 t" and concatenated("t", []) == "t"


class Narrow(FixedGenerator):
    """A generator that reads one exchange at a time."""

    def generate(self, questions, sources, job=None, source_logs=None):
        if sources[0][0].text.count("visitor:") > 1:
            raise QuestionTooLong("too long")
        assert job is REWRITE
        return super().generate(questions, sources, job)


def test_a_generator_reads_as_many_exchanges_as_fit():
    generator = Narrow(Generation("rewritten", 1.0, None, (0,)))
    before = [Exchange(f"v{i}", f"q{i}", f"g{i}") for i in range(9)]
    assert GeneratorRewriter(generator)("t", before) == "rewritten"
    ((turn, (history,)),) = generator.asked
    assert turn == "t" and history.text == "visitor: v8 guide: g8"
    assert GeneratorRewriter(generator)("t", []) == "t", "there is nothing to rewrite from"


@pytest.mark.parametrize("turn", ["thank you", "ok thanks", "Hello!", "what can you do?", "Bye.", "Great, thank you!"])
def test_small_talk_is_answered(turn):
    assert (small_talk(turn).strip() and without_small_talk(turn) == turn) or without_small_talk(turn)


@pytest.mark.parametrize(
    "turn", ["Who said thank you?", "Great Red Spot, please", "help for the deaf", "Thanks! And when?", "Hello Kitty?"]
)
def test_a_question_is_no_small_talk(turn):
    assert small_talk(turn) == ""


def test_small_talk_before_a_question_is_left_out():
    assert without_small_talk("Thanks! And which probe was it?") == "And which probe was it?"
    assert without_small_talk("Great Red Spot, please") == "Great Red Spot, please"
    assert small_talk("thanks, bye") == small_talk("bye") != small_talk("thanks")


def test_a_short_answer_opens_the_reply_where_one_was_asked_for():
    sentence = "He died at Regensburg on 15 November 1630."
    assert opening("15 November 1630", sentence, "When did Kepler die?") == "15 November 1630"
    assert opening("at Regensburg", sentence, "Where did he die?") == "At Regensburg"
    assert opening("He died", sentence, "What did he do?") == "", "the sentence begins with it"
    assert opening("on 15 November 1630", sentence, "Did he die?") == "", "yes or no was asked"
    assert opening("at Regensburg", sentence, "Why did he die?") == "", "a reason is a sentence"


@pytest.mark.parametrize(
    ("question", "sentence", "denied"),
    [
        ("Did they mend the puncture?", "The puncture itself was never repaired or mended.", True),
        ("Did they mend the puncture?", "The puncture was mended.", False),
        ("Did they not mend the puncture?", "The puncture was never mended.", False),
        ("When was the puncture mended?", "The puncture was never mended.", False),
        ("Did they mend the puncture?", "The crew did not panic.", False),
    ],
)
def test_no_is_said_where_the_sentence_denies_what_was_asked(question, sentence, denied):
    assert is_denied(question, sentence) == denied
