"""What notebook 10 builds step by step is what rag_lib computes, and its checks tell right from wrong."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from notebook_definitions import definitions
from outcomes import OUTCOMES, SCORES, WELL, WRONG

from rag_lib.applications.open_domain import Reading, cause, says_nearly
from rag_lib.evaluation.ranking import of_ranks, ranking_metrics

CHAPTER = definitions("10_open_domain_qa", threshold=0.5)
WORDS = st.lists(st.sampled_from(["sergei", "korolev", "april", "1961"]), max_size=4)


@settings(deadline=None)
@given(OUTCOMES, SCORES)
def test_causes(outcome, threshold):
    CHAPTER.is_answered.__globals__["threshold"] = threshold
    assert CHAPTER.first_broken(outcome) == cause(outcome, threshold)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_nearly(said, accepted):
    assert CHAPTER.nearly(said, accepted) == says_nearly(" ".join(said), [" ".join(accepted)])


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1), st.integers(1, 5))
def test_recall(ranks, k):
    outcomes = [replace(WELL, rank=rank) for rank in ranks]
    nowhere = replace(WELL, rank=0, answerable=False)
    expected = of_ranks(ranks, ranking_metrics([k])[f"recall@{k}"]).mean()
    assert CHAPTER.recall([*outcomes, nowhere], k) == pytest.approx(expected)


def test_figures_by_hand():
    CHAPTER.is_answered.__globals__["threshold"] = 0.5
    unsure = replace(WRONG, rank=0, score=0.2, f1=0.5, article="b")
    reason = replace(WELL, f1=None, rank=3, article="c")
    nowhere = [replace(WRONG, answerable=False, score=s, f1=None) for s in (0.4, 0.6, 0.3)]
    figures = {name: value.mean for name, value in CHAPTER.figures([WELL, unsure, reason, *nowhere]).items()}
    assert figures == pytest.approx(
        {
            "recall@1": 1 / 3, "recall@5": 2 / 3, "exact match": 1 / 2, "F1": 3 / 4, "told rightly": 2 / 3,
            "answered": 2 / 3, "answered, and rightly": 2 / 3, "told rightly, if answered": 1.0,
            "silent, if there is no answer": 2 / 3,
        }
    )  # fmt: skip
    assert "silent, if there is no answer" not in CHAPTER.figures([WELL]), "SQuAD has none"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rank", 2),
        ("place", ("a", 2, 5)),
        ("told", False),
        ("counted", False),
        ("score", 0.8),
        ("answerable", False),
        ("f1", 0.5),
        ("nearly", False),
        ("nearest", True),
        ("second_rank", 1),
        ("named", False),
        ("cited", False),
        ("with_passage", (True, 0.9)),
        ("with_sentence", (False, 0.9)),
    ],
)
def test_a_stored_outcome_that_is_not_true_is_seen(name, value):
    assert CHAPTER.differences(replace(WELL, **{name: value}), WELL) == [name]


def test_rounding_is_no_difference_and_other_passages_are_one():
    (passage,) = WELL.passages
    assert CHAPTER.differences(replace(WELL, score=0.905, passages=(passage._replace(score=0.51),)), WELL) == []
    assert CHAPTER.differences(replace(WELL, passages=(passage._replace(start=1),)), WELL) == ["passages"]
    assert CHAPTER.differences(replace(WELL, passages=()), WELL) == ["passages"]
    read = replace(WELL, with_passage=Reading(True, 0.9))
    assert CHAPTER.differences(replace(read, with_passage=Reading(True, 0.905)), read) == []
    assert CHAPTER.differences(replace(read, with_passage=Reading(False, 0.9)), read) == ["with_passage"]
    assert CHAPTER.differences(replace(read, with_passage=Reading(True, 0.8)), read) == ["with_passage"]


def test_the_difference_of_two_samples_resamples_the_articles_of_both():
    def asked(told, articles):
        return [replace(WELL, told=t, article=a) for t, a in zip(told, articles, strict=True)]

    alike, apart = asked([1, 1, 0, 0], "aabb"), asked([1, 0, 1, 0], "aabb")
    wide = CHAPTER.difference_of(alike, apart)
    assert wide.mean == 0 and (wide.low, wide.high) == (-0.5, 0.5), "whole articles: none, half or all is right"
    narrow = CHAPTER.difference_of(asked([1] * 4, "abcd"), apart)
    assert (narrow.mean, narrow.low, narrow.high, narrow.n) == (0.5, 0.5, 0.5, 8)


def test_the_check_of_recall_tells_right_from_wrong():
    outcomes = [replace(WELL, rank=rank) for rank in (0, 1, 1, 3, 5)] + [replace(WELL, rank=0, answerable=False)] * 3
    wrong = [
        lambda found, k: np.mean([o.rank <= k for o in found if o.answerable]),
        lambda found, k: np.mean([0 < o.rank <= k for o in found]),
        lambda found, k: np.mean([0 < o.rank < k for o in found if o.answerable]),
        lambda found, k: sum(0 < o.rank <= k for o in found if o.answerable),
    ]
    assert CHAPTER.check_recall(CHAPTER.my_recall, outcomes).startswith("Not yet")
    assert CHAPTER.check_recall(CHAPTER.recall, outcomes) == "Right."
    assert all(CHAPTER.check_recall(yours, outcomes).startswith("Not quite") for yours in wrong)


def test_the_check_of_nearly_tells_right_from_wrong():
    holds, shared = CHAPTER.holds, CHAPTER.shared_f1
    wrong = [
        lambda a, b: a == b,
        lambda a, b: holds(a, b),
        lambda a, b: holds(b, a),
        lambda a, b: holds(a, b) or holds(b, a),
        lambda a, b: shared(a, b) >= 0.5,
        lambda a, b: bool(set(a) & set(b)),
    ]
    assert CHAPTER.check_nearly(CHAPTER.my_nearly).startswith("Not yet")
    assert CHAPTER.check_nearly(CHAPTER.nearly) == "Right."
    for yours in wrong:
        assert CHAPTER.check_nearly(yours).startswith("Not quite")
