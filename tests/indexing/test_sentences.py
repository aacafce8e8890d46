import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.sentences import sentence_spans


@pytest.mark.parametrize("given", [None, 5, b"Go.", ["Go."]])
def test_what_is_no_text_has_no_sentences(given):
    with pytest.raises(TypeError, match=f"^what has sentences is a text, not {type(given).__name__}$"):
        sentence_spans(given)


def sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "The probe left on Dec. 17, 1903.",
        "Okafor et al. (2019) agree.",
        "Mt. Erebus is high.",
        "It starts at 9 a.m. GMT on Monday.",
        "It starts at 5 p.m. EST today.",
        "She holds a Ph.D. in physics.",
        "Anna Okafor, Ph.D., led it.",
        "See Fig. 3 and Eq. (4) for details.",
        "As in Eq. (4) we see.",
        "J. R. R. Tolkien and J.R.R. Tolkien wrote it.",
        "Lt. Col. Anders and Maj. Gen. Smith came.",
        "Sen. Glenn flew, as did Rev. King.",
        "It cost approx. 5 million.",
        "No. 5 is alive.",
        "See pp. 5–9 of Vol. II.",
        "Washington, D.C. Mayor Smith spoke.",
        "The firm Acme Inc. was sold.",
        "The U.S. Navy ship sailed.",
        "He lived from c. 1500 to 1560.",
        "It happened in Sept. 1977.",
        "Yahoo! was founded in 1994.",
        "Das Auto ist rot, z. B. vorn.",
        "It flew... and fell.",
        "It is 3.5 km, or 1,000.5 m, away.",
        "Smith vs. Jones, cf. Brown, e.g. Apollo.",
    ],
)
def test_one_sentence(text):
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It was in Paris.", "Élodie flew it."),
        ("It was cold.", "Österreich schwieg."),
        ("Он полетел.", "Она осталась."),
        ("Ελένη πέταξε.", "Άννα έμεινε."),
        ("هل طار؟", "نعم طار."),
        ("यह एक किताब है।", "वह पढ़ता है।"),
        ("It ended in 1986.", "3 men survived."),
        ("She moved to the U.S.", "Then she left."),
        ("He came at 5 p.m.", "She left."),
        ("He lives on Main St.", "The house is red."),
        ("He said no.", "She went."),
        ("They found vitamin C.", "It was new."),
        ('He said "Go."', "Then he went."),
        ("(It flew.)", "Then it fell."),
        ("Really?!", "“Yes.”"),
        ("It failed…", "Then it flew."),
        ("Is it?", "¿Qué?"),
    ],
)
def test_two_sentences(first, second):
    assert sentences(f"{first} {second}") == [first, second]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1. Open the valve.\n2. Close it.", ["1. Open the valve.", "2. Close it."]),
        ("Steps:\n1) Open it\n2) Close it", ["Steps:", "1) Open it", "2) Close it"]),
        ("- red\n- green\n* blue", ["- red", "- green", "* blue"]),
        ("a. Open it.\nb. Close it.", ["a. Open it.", "b. Close it."]),
        ("他飞了。她没飞！真的？是", ["他飞了。", "她没飞！", "真的？", "是"]),
        ("Head\n \nText", ["Head", "Text"]),
        ("on one\nline", ["on one\nline"]),
    ],
)
def test_lists_lines_and_scripts_without_spaces(text, parts):
    assert sentences(text) == parts


@given(st.text(st.sampled_from("aB1.!?。 \n\t\"'“”()-éЖ故क")))
def test_every_letter_is_in_one_sentence(text):
    spans = sentence_spans(text)
    inside = [i for a, b in spans for i in range(a, b)]
    assert inside == sorted(set(inside)) and {i for i, c in enumerate(text) if not c.isspace()} <= set(inside)
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)


@pytest.mark.parametrize("piece", [".", ". ", "J. ", "\n", "\n ", '."', "。", "“a ", "(a ", "- a\n", "! ", "é. "])
def test_time_grows_with_the_length_only(piece):
    started = time.process_time()
    sentence_spans(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 10
