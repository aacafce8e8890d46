import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.generation.claims import (
    CLAIMS,
    DECODER,
    HEAD,
    RANKER,
    RETRIEVER,
    RIVAL,
    SHORT,
    SUPPORTS,
    Choice,
    are_alike,
    claims,
    differs,
    in_all,
    outvoted,
    probabilities,
    ranked,
    says_same,
    verdict_claims,
    witnesses,
)
from rag_lib.generation.evidence import Quotation
from rag_lib.generation.generators import Generation, Place
from rag_lib.indexing.documents import Source

EMPTY = frozenset({1})  # the id of "the"
GAGARIN, YURI, TITOV = 7, 6, 9


def choice(source: int, ids: list[int], log: float, odds: float) -> Choice:
    quotation = Quotation(ids, Place(source, 0, 5), log, odds)
    return Choice(quotation, quotation, ())


def test_the_likeliest_sentence_comes_first_and_in_it_the_likeliest_words():
    one, other = (Quotation([9], Place(i, 0, 40), log) for i, log in enumerate((-1.0, -2.0)))
    choices = [
        Choice(Quotation([1], Place(1, 0, 3), -0.1), other, (-0.1,)),
        Choice(Quotation([2], Place(0, 4, 7), -3.0), one, (-0.2,)),
        Choice(Quotation([3], Place(0, 8, 9), -3.1), one, (-0.1,)),
        Choice(Quotation([4], Place(0, 8, 9), -9.0), one, (-0.1,), source=-1.0),
    ]
    assert [c.quotation.ids[0] for c in ranked(choices[:3])] == [2, 3, 1]
    p = probabilities(choices[:3])
    assert sum(p) == pytest.approx(1) and p[1] > p[2]
    assert p[0] == pytest.approx(1 / (1 + math.exp(HEAD))), "one sentence is a nat likelier than the other"
    assert p[1] / p[2] == pytest.approx(math.exp(0.1 - DECODER * 0.1))
    assert choices[3].evidence == choices[1].evidence - RETRIEVER


def test_a_ranker_adds_what_it_thinks_of_the_sentence():
    one, other = (Quotation([9], Place(i, 0, 40), -1.0, relevance=relevance) for i, relevance in enumerate((0.5, 2.0)))
    choices = [Choice(one, one, ()), Choice(other, other, (), source=-0.1)]
    assert ranked(choices) == choices[::-1]
    assert choices[1].evidence - choices[0].evidence == pytest.approx(1.5 * RANKER - 0.1 * RETRIEVER)


@pytest.mark.parametrize(("relevance", "disagrees"), [(5.0, True), (5.0 - RIVAL, True), (4.9 - RIVAL, False)])
def test_what_the_ranker_thinks_no_answer_does_not_disagree(relevance, disagrees):
    best, other = choice(0, [GAGARIN], -0.1, 9.0), choice(1, [TITOV], -1.0, CLAIMS)
    pair = [replace(c, sentence=c.quotation._replace(relevance=j)) for c, j in ((best, 5.0), (other, relevance))]
    found = claims(pair, EMPTY, [source("a"), source("b")])
    assert bool(found.disagreeing) == disagrees


@pytest.mark.parametrize(
    ("says_yes", "relevance", "supports", "disagrees"),
    [
        (4.0, 5.0, True, False),
        (-4.0, 5.0, False, True),
        (0.1, 5.0, False, False),
        (-4.0, 4.9 - RIVAL, False, False),
    ],
)
def test_yes_and_no_disagree_however_long_the_sentences_are(says_yes, relevance, supports, disagrees):
    long = [range(i, i + 30) for i in (100, 200)]
    best, other = (
        Quotation([*ids], Place(i, 0, 99), -1.0, 0.0, j, yes)
        for i, (ids, j, yes) in enumerate(zip(long, (5.0, relevance), (3.0, says_yes), strict=True))
    )
    found = verdict_claims([Choice(q, q, ()) for q in (best, other)], EMPTY, [source("a"), source("b")])
    assert [c.place.source for c in found.supporting] == ([0, 1] if supports else [0])
    assert [c.place.source for c in found.disagreeing] == ([1] if disagrees else [])


def source(document: str, standing: int = 3, text: str = "") -> Source:
    return Source("", text or f"What {document} says of it in words of its own.", document, standing)


@pytest.mark.parametrize(
    ("whole", "part", "text", "same"),
    [
        ("13 April 1970", "April 1970", "It was in April 1970.", True),
        ("13 April 1970", "1970", "It was in April 1970.", True),
        ("13 April 1970", "April 1970", "It was on 17 April 1970.", False),
        ("13 April 1970", "1970", "It was on 17 April 1970.", False),
        ("Yuri Gagarin", "Gagarin", "On 12 April 1961 Yuri Gagarin flew.", True),
    ],
)
def test_a_part_of_another_date_supports_nothing(whole, part, text, same):
    texts, ids = [f"It was {whole}.", text], [[1, 2, 3], [3]]
    places = [Place(i, t.index(q), t.index(q) + len(q)) for i, t, q in zip((0, 1), texts, (whole, part), strict=True)]
    quotations = [Quotation(i, place, -0.1, 9.0) for i, place in zip(ids, places, strict=True)]
    found = claims([Choice(q, q, ()) for q in quotations], EMPTY, [source("a", text=t) for t in texts])
    assert [c.place.source for c in found.supporting] == ([0, 1] if same else [0])


def test_passages_that_say_the_same_support_each_other_and_others_disagree():
    choices = [
        choice(0, [YURI, GAGARIN], -0.1, 9.0),
        choice(1, [TITOV], -5.0, CLAIMS),
        choice(1, [GAGARIN], -9.0, SUPPORTS - 0.1),
        choice(2, [1, GAGARIN], -6.0, SUPPORTS),
        choice(3, [TITOV], -8.0, CLAIMS - 0.1),
    ]
    found = claims(choices, EMPTY, [source(d) for d in "abcd"])
    assert [c.place.source for c in found.supporting] == [0, 2]
    assert [c.place.source for c in found.disagreeing] == [1]


def test_what_a_passage_says_is_what_is_likeliest_in_it_alone():
    """Beside a stranger's answer the decoder finds none of the others' words likely, the longer the less."""
    choices = [choice(0, [TITOV], -0.1, 9.0), choice(1, [GAGARIN], -8.0, 1.0), choice(1, [YURI, GAGARIN], -9.0, CLAIMS)]
    (other,) = claims(choices, EMPTY, [source("stranger", 1), source("museum")]).disagreeing
    assert other.quotation.ids == [YURI, GAGARIN]


def test_a_question_that_is_repeated_is_no_answer():
    choices = [choice(0, [GAGARIN], -0.1, 9.0), choice(1, [1, TITOV], -5.0, 8.0)]
    sources = [source("a"), source("b")]
    assert claims(choices, EMPTY, sources, frozenset({TITOV, YURI})).disagreeing == ()
    assert len(claims(choices, EMPTY, sources, frozenset({YURI})).disagreeing) == 1


def test_a_document_does_not_disagree_with_itself():
    choices = [choice(0, [GAGARIN], -0.1, 9.0), choice(1, [TITOV], -5.0, 8.0)]
    assert claims(choices, EMPTY, [source("a"), source("a")]).disagreeing == ()
    assert len(claims(choices, EMPTY, [source("a"), source("b")]).disagreeing) == 1
    assert len(claims(choices, EMPTY, [source(""), source("")]).disagreeing) == 1, "unknown is not the same"


def test_a_stranger_who_repeats_the_answer_comes_after_those_with_more_to_say():
    choices = [choice(0, [GAGARIN], -0.1, 14.0), choice(1, [GAGARIN], -9.0, 5.0), choice(2, [YURI, GAGARIN], -9, 6.0)]
    found = claims(choices, EMPTY, [source("stranger", 1), source("museum"), source("library")])
    assert [c.place.source for c in found.supporting] == [1, 2, 0]


def test_a_lone_document_is_outvoted_by_one_with_more_to_say():
    said = Generation("x", 0.9, Place(0, 0, 1), (0, 1), supporting=(Place(0, 0, 1),), disagreeing=(Place(1, 0, 1),))
    assert outvoted(said, [source("stranger", 1), source("museum")]) == {0}
    assert outvoted(said, [source("stranger", 2), source("museum")]) == set()
    assert outvoted(said, [source("stranger", 1), source("short note", 1)]) == set()
    assert outvoted(said, [Source("", "a"), Source("", "b")]) == set(), "nothing is known of their documents"


def test_what_was_set_aside_disagrees_with_what_is_left():
    first = Generation("lie", 0.9, Place(1, 0, 3), (0, 1, 2), supporting=(Place(1, 0, 3),))
    rest = Generation("truth", 0.6, Place(1, 4, 9), (0, 1), supporting=(Place(1, 4, 9), Place(0, 2, 7)))
    whole = in_all(rest, [0, 2], first, [source(d) for d in "abc"])
    assert (whole.text, whole.score, whole.used) == ("truth", 0.6, (0, 1, 2))
    assert whole.place == Place(2, 4, 9) and whole.supporting == (Place(2, 4, 9), Place(0, 2, 7))
    assert whole.disagreeing == (Place(1, 0, 3),)


ids = (
    st.lists(st.integers(1, 4), min_size=1, max_size=5)
    .filter(lambda x: set(x) != {1})
    .map(lambda x: choice(0, x, 0, 0))
)


@given(ids, ids)
def test_saying_the_same_has_no_direction(a, b):
    assert says_same(a, b, EMPTY) == says_same(b, a, EMPTY) and says_same(a, a, EMPTY)
    assert differs(a, b, EMPTY) == (not says_same(a, b, EMPTY))


def test_long_answers_are_not_told_to_differ():
    assert differs(choice(0, [2], 0, 0), choice(1, [3] * SHORT, 0, 0), EMPTY)
    assert not differs(choice(0, [2], 0, 0), choice(1, [3] * (SHORT + 1), 0, 0), EMPTY)


def test_copies_are_one_witness():
    claim = "Olga Petrenko was the first woman in space. She flew in 1959"
    texts = [f"{claim}.", f"{claim.upper()}!", f"{claim}, they say.", "Valentina Tereshkova flew in Vostok 6."]
    assert are_alike(texts[0], texts[1]) and are_alike(texts[0], texts[2]) and not are_alike(texts[0], texts[3])
    sources = [source(str(i), text=text) for i, text in enumerate(texts)]
    assert [p.source for p in witnesses((Place(i, 0, 1) for i in range(4)), sources)] == [0, 3]


@given(st.text(), st.text())
def test_likeness_has_no_direction(a, b):
    assert are_alike(a, b) == are_alike(b, a) and are_alike(a, a)
