import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rag_lib.evaluation.calibration import calibration_curve, calibration_error, calibration_estimate, fit_logistic
from rag_lib.evaluation.statistics import resampled_groups


@pytest.mark.parametrize("ridge", [0.01, 1.0, 30.0])
def test_the_logistic_regression_is_the_librarys(ridge):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * (1, 5, 0.2)
    y = (x @ (1, -0.3, 2) + rng.logistic(size=200) > 0.5).astype(float)
    weights, bias = fit_logistic(x, y, ridge)
    library = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(weights, library.coef_[0], rtol=1e-4)
    assert bias == pytest.approx(library.intercept_[0], rel=1e-4)


@pytest.mark.parametrize("y", [[1.0, 1.0], [0.0, 0.0]])
def test_with_one_kind_of_answer_nothing_can_be_told_apart(y):
    with pytest.raises(ValueError, match="right answers and wrong ones"):
        fit_logistic(np.zeros((2, 1)), y)


def test_the_error_is_the_mean_distance_of_said_and_true():
    said = [0.1, 0.1, 0.9, 0.9]
    right = [0, 1, 1, 1]
    assert calibration_error(said, right, bins=2) == pytest.approx((0.4 + 0.1) / 2)
    assert calibration_error([0.5, 0.5], [1, 0], bins=1) == 0
    p, r, n = calibration_curve(said, right, bins=2)
    assert p.tolist() == [0.1, 0.9] and r.tolist() == [0.5, 1.0] and n.tolist() == [2, 2]


def test_true_probabilities_have_a_small_error_and_false_ones_a_large_one():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=4000)
    right = rng.uniform(size=4000) < p
    assert calibration_error(p, right) < 0.03 < 0.15 < calibration_error(p**3, right)
    estimate = calibration_estimate(p[:200], right[:200], groups=np.arange(200) // 4)
    assert estimate.low <= estimate.mean <= estimate.high and estimate.n == 200


def test_whole_groups_are_drawn():
    groups = list("aabcc")
    for drawn in resampled_groups(groups, 20):
        counts = {g: [int((drawn == i).sum()) for i in range(5) if groups[i] == g] for g in "abc"}
        assert all(len(set(c)) == 1 for c in counts.values()), "members of a group come together"
