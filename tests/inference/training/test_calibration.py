import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from inference.evaluation.metrics import brier_score, expected_calibration_error
from inference.training.calibration import CalibrationError, fit_platt, log_loss, sigmoid


def draw(slope, intercept, n=40_000, seed=1):
    rng = np.random.default_rng(seed)
    margin = rng.normal(-3, 2, n)
    return margin, (rng.random(n) < sigmoid(slope * margin + intercept)).astype(np.int8)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.3, -2.0), (2.5, 1.0)])
def test_platt_finds_the_truth_and_agrees_with_logistic_regression(slope, intercept):
    margin, labels = draw(slope, intercept)
    platt = fit_platt(margin, labels)
    assert platt.slope == pytest.approx(slope, rel=0.06)
    assert platt.intercept == pytest.approx(intercept, abs=0.15)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(margin[:, None], labels)
    assert platt.slope == pytest.approx(reference.coef_[0, 0], rel=0.01)
    assert expected_calibration_error(labels, platt(margin), bins=20) < 0.005


@pytest.mark.parametrize("unit", [1e-6, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("zero", [0.0, 7.0, -300.0])
def test_scores_of_any_unit_and_zero_point_are_calibrated(unit, zero):
    margin, labels = draw(1.0, 0.0, 4_000)
    score = (margin + zero) * unit
    right = fit_platt(margin, labels)(margin)
    assert fit_platt(score, labels)(score) == pytest.approx(right, abs=1e-5)


def test_separable_margins_give_a_finite_slope():
    margin = np.array([-2.0] * 50 + [2.0] * 50)
    platt = fit_platt(margin, (margin > 0).astype(np.int8))
    assert platt(margin)[[0, -1]] == pytest.approx([1 / 52, 51 / 52], rel=1e-4)


def test_a_ranking_the_wrong_way_round_is_an_error():
    margin, labels = draw(-1.0, 0.0)
    with pytest.raises(CalibrationError, match=r"40000 hold-out rows.*slope -"):
        fit_platt(margin, labels)


def test_measures_agree_with_scikit_learn():
    margin, labels = draw(1.0, 0.0, 2_000)
    probability = sigmoid(margin)
    assert brier_score(labels, probability) == pytest.approx(brier_score_loss(labels, probability))
    assert log_loss(probability, labels) == pytest.approx(sklearn_log_loss(labels, probability))
    assert np.isfinite(log_loss(np.array([0.0, 1.0]), np.array([1, 0], np.int8)))


def test_sigmoid_is_finite_everywhere():
    assert sigmoid(np.array([-1e4, 0.0, 1e4])).tolist() == [0.0, 0.5, 1.0]
