from itertools import combinations

import torch
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.generation.constraints import PassageConstraint, SentenceConstraint, allowed_in_sentences, allowed_next

END = 99
PIECES = frozenset({7, 8})  # tokens that continue a word
PASSAGES = st.lists(st.lists(st.integers(1, 8), max_size=8), max_size=3)


def whole_word_runs(passages: list[list[int]]) -> set[tuple[int, ...]]:
    """All runs that start at a word and end at one, by brute force."""
    return {
        tuple(ids[i:j])
        for ids in passages
        for i in range(len(ids))
        for j in range(i + 1, len(ids) + 1)
        if ids[i] not in PIECES and (j == len(ids) or ids[j] not in PIECES)
    }


def reachable(passages: list[list[int]]) -> set[tuple[int, ...]]:
    """All sequences that decoding under the constraint can end with."""
    found, open_prefixes = set(), [()]
    while open_prefixes:
        prefix = open_prefixes.pop()
        for token in allowed_next(prefix, passages, END, PIECES):
            if token == END:
                found.add(prefix)
            else:
                open_prefixes.append((*prefix, token))
    return found


@given(PASSAGES)
def test_just_the_runs_of_whole_words_can_be_decoded(passages):
    runs = whole_word_runs(passages)
    assert reachable(passages) == (runs or {()})


def test_words_that_answer_nothing_are_no_answer_by_themselves():
    assert allowed_next([1], [[1, 2]], END, empty=frozenset({1})) == {2}
    assert allowed_next([1, 2], [[1, 2, 3]], END, empty=frozenset({1})) == {3, END}
    assert allowed_next([1], [[1]], END, empty=frozenset({1})) == {END}, "there must be a way out"


def series(sentences: list[list[int]], most: int) -> set[tuple[int, ...]]:
    """All series of one to `most` sentences in their order, by brute force."""
    return {tuple(t for s in chosen for t in s) for n in range(1, most + 1) for chosen in combinations(sentences, n)}


@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), max_size=4), st.integers(1, 3))
def test_just_series_of_whole_sentences_can_be_decoded(sentences, most):
    found, open_prefixes = set(), [()]
    while open_prefixes:
        prefix = open_prefixes.pop()
        for token in allowed_in_sentences(prefix, sentences, END, most):
            if token == END:
                found.add(prefix)
            else:
                open_prefixes.append((*prefix, token))
    assert found == (series(sentences, most) or {()})


def test_a_given_number_of_sentences_is_copied_or_all_that_are_left():
    constraint = SentenceConstraint([[[9]], [[1, 2], [3], [4]]], END, 2)
    assert constraint(1, torch.tensor([50])) == [1, 3, 4]
    assert constraint(1, torch.tensor([50, 1, 2])) == [3, 4], "one sentence is not enough"
    assert constraint(1, torch.tensor([50, 1, 2, 4])) == [END]
    assert constraint(1, torch.tensor([50, 4])) == [END], "there is none left"
    assert constraint(0, torch.tensor([50, 9, END])) == [END]


def test_items_of_a_batch_are_bound_to_their_own_passages():
    constraint = PassageConstraint([[[1, 2]], [[3, 4]]], END, PIECES)
    assert constraint(0, torch.tensor([50])) == [1, 2]
    assert constraint(1, torch.tensor([50])) == [3, 4]
    assert constraint(1, torch.tensor([50, 3])) == [4, END]
    assert constraint(1, torch.tensor([50, 3, END])) == [END]
