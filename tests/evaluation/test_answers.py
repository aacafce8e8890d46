import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import roc_auc_score

from rag_lib.evaluation.answers import exact_match, f1, normalize_answer, rouge_l, rouge_n
from rag_lib.evaluation.statistics import auroc, auroc_estimate, bootstrap, paired_difference, risk_coverage


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The  Moon!", "moon"), ("an Apple, a day", "apple day"), ("U.S.", "us"), ("the", ""), ("Theory", "theory")],
)
def test_normalisation_is_that_of_squad(text, normal):
    assert normalize_answer(text) == normal


@pytest.mark.parametrize(
    ("prediction", "answers", "em", "best"),
    [
        ("Yuri Gagarin", ["Gagarin", "Yuri Gagarin"], 1.0, 1.0),
        ("the cosmonaut Gagarin", ["Yuri Gagarin"], 0.0, 0.5),
        ("Titov", ["Gagarin"], 0.0, 0.0),
        ("", ["Gagarin"], 0.0, 0.0),
        ("moon moon", ["moon"], 0.0, 2 / 3),
        # as the official script of SQuAD 2: where there is no answer, or none but articles, only silence is right
        ("anything", [], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("The.", [], 1.0, 1.0),
        ("", [""], 1.0, 1.0),
        ("", ["the", "A."], 1.0, 1.0),
        ("", ["the", "moon"], 0.0, 0.0),
        ("the", ["moon"], 0.0, 0.0),
    ],
)
def test_exact_match_and_f1_by_hand(prediction, answers, em, best):
    assert exact_match(prediction, answers) == em
    assert f1(prediction, answers) == pytest.approx(best)


@given(st.text(alphabet="ab ", max_size=12), st.text(alphabet="ab ", max_size=12))
def test_f1_is_symmetric_and_one_only_for_the_same_words(a, b):
    assert f1(a, [b]) == pytest.approx(f1(b, [a]))
    assert (f1(a, [b]) == 1.0) == (sorted(normalize_answer(a).split()) == sorted(normalize_answer(b).split()))


@pytest.mark.parametrize("answers", ["moon", b"moon", None, [None], [3]])
def test_answers_that_are_no_list_of_texts_are_refused(answers):
    for metric in (exact_match, f1):
        with pytest.raises(TypeError, match="a list of texts"):
            metric("m", answers)


def test_an_interval_of_groups_is_that_of_their_means():
    """Groups of one size: the same as a bootstrap of the groups' means; values that are alike say no more than one."""
    rng = np.random.default_rng(1)
    means = rng.random(40)
    values, groups = np.repeat(means, 10), np.repeat(np.arange(40), 10)
    grouped, plain = bootstrap(values, groups=groups), bootstrap(values)
    of_means = bootstrap(means)
    assert (grouped.mean, grouped.n) == (pytest.approx(of_means.mean), 400)
    assert (grouped.low, grouped.high) == pytest.approx((of_means.low, of_means.high))
    assert plain.high - plain.low < 0.5 * (grouped.high - grouped.low)
    alone = bootstrap(values[:50], groups=range(50))
    assert (alone.low, alone.high) == (bootstrap(values[:50]).low, bootstrap(values[:50]).high)
    with pytest.raises(ValueError, match="3 groups for 2 values"):
        bootstrap([0, 1], groups="abc")


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = [e.low <= 0.3 <= e.high for e in (bootstrap(rng.random(100) < 0.3, resamples=400) for _ in range(300))]
    assert 0.90 <= np.mean(held) <= 0.98


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


def test_paired_differences_are_those_of_the_items():
    a, b = [1, 1, 0, 1], [0, 1, 0, 0]
    estimate = paired_difference(a, b)
    assert (estimate.mean, estimate.n) == (0.5, 4)
    assert paired_difference(a, a).low == paired_difference(a, a).high == 0.0
    with pytest.raises(ValueError, match="paired"):
        paired_difference(a, b[:-1])


SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_auroc_is_that_of_scikit_learn(positive, negative):
    labels = [1] * len(positive) + [0] * len(negative)
    assert auroc(positive, negative) == pytest.approx(roc_auc_score(labels, positive + negative))


def test_auroc_has_an_interval_and_needs_both_kinds():
    rng = np.random.default_rng(0)
    estimate = auroc_estimate(rng.normal(1, 1, 200), rng.normal(0, 1, 200), resamples=300)
    assert estimate.low < 0.76 < estimate.high and estimate.n == 400  # Phi(1 / sqrt 2) is 0.760
    with pytest.raises(ValueError, match="positives and negatives"):
        auroc([], [1.0])


def test_risk_and_coverage_by_hand():
    coverage, risk = risk_coverage([0.2, 0.9, 0.5, 0.1], [0, 1, 0, 1])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk == pytest.approx([0, 1 / 2, 2 / 3, 1 / 2])


WORDS = st.lists(st.sampled_from(["moon", "Mars", "orbit,", "1969", "a"]), max_size=9).map(" ".join)


@given(WORDS, WORDS)
def test_rouge_l_is_that_of_rouge_score(prediction, reference):
    official = RougeScorer(["rougeL"], use_stemmer=False).score(reference, prediction)["rougeL"].fmeasure
    assert rouge_l(prediction, reference) == pytest.approx(official)


@given(WORDS, WORDS)
def test_rouge_n_is_that_of_rouge_score(prediction, reference):
    official = RougeScorer(["rouge1", "rouge2", "rouge3"], use_stemmer=False).score(reference, prediction)
    for n in (1, 2, 3):
        assert rouge_n(prediction, reference, n) == pytest.approx(official[f"rouge{n}"].fmeasure)
