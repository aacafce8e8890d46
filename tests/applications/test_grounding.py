"""What a text supports, and what it does not."""

import pytest

from rag_lib.applications.grounding import Grounds, content_of, denied_terms
from rag_lib.indexing.analysis import Analyzer

SOURCE = [
    "Laika was a small dog from the streets of Moscow.",
    "She flew in Sputnik 2 on 3 November 1957.",
    "The ship was not built to come back, and she died in orbit.",
    "In 1960 the dogs Belka and Strelka flew for a day.",
    "Both of them came back to Earth alive.",
    "The museum sells two soft toys of Laika for twelve euros.",
]


@pytest.fixture(scope="module")
def grounds(encoder) -> Grounds:
    return Grounds(SOURCE, encoder)


@pytest.mark.parametrize(
    "sentence",
    [
        *SOURCE,
        "The dogs Belka and Strelka flew for a day in 1960.",
        "Laika flew in Sputnik 2 in November 1957.",
        "Two soft toys of Laika cost 12 euros at the museum.",
    ],
)
def test_what_the_source_says_is_supported(grounds, sentence):
    (claim,) = grounds.check([sentence])
    assert claim.supported, claim.faults
    assert claim.evidence in SOURCE


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("She flew in Sputnik 2 on 3 November 1958.", "1958"),
        ("The dogs Belka and Laika flew for a day in 1961.", "1961"),
        ("Laika was a small dog from the streets of London.", "London"),
        ("Both of them never came back to Earth alive.", "denied"),
        ("The ship was built to come back, and she died in orbit.", "denied"),
        ("Compilers translate programs into machine code.", "words"),
    ],
)
def test_what_the_source_does_not_say_is_found(grounds, sentence, fault):
    (claim,) = grounds.check([sentence])
    assert not claim.supported and any(fault in f for f in claim.faults), claim.faults


def test_claims_come_in_the_order_of_the_sentences(grounds):
    asked = ["Nobody is 99 years old.", SOURCE[1], "Laika flew in 1700."]
    assert [claim.sentence for claim in grounds.check(asked)] == asked
    assert grounds.check([]) == []


def test_a_name_at_the_start_counts_only_where_the_source_has_it_as_one(grounds):
    assert grounds.names("Dogs of Moscow flew.") == ["Moscow"]
    assert grounds.names("Strelka and Belka flew.") == ["Strelka", "Belka"]


def test_negations_reach_a_few_words_and_not_beyond_the_clause():
    analyze = Analyzer()
    assert denied_terms("The ship didn't return, and the dog died.", analyze) == {"return"}
    assert denied_terms("No one ever saw the far side of the cold Moon.", analyze) >= {"ever", "saw"}
    assert "moon" not in denied_terms("No one ever saw the far side of the cold Moon.", analyze)


def test_numbers_are_the_same_in_words_and_digits():
    analyze = Analyzer()
    assert content_of("Twelve of them, and one more, in 1,957 days", analyze).numbers == {"12", "1957"}
