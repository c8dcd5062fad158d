"""Curves on held-out rows say what scikit-learn and the figures on the card say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from payments import payments, quick_settings
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from inference.evaluation.metrics import expected_calibration_error
from inference.policy.costs import CostSettings
from inference.policy.policy import APPROVE, DECLINE
from inference.shadow.statistics.costs import Costs, losses
from inference.training.curves import HeldOut, by_threshold, calibration, learning
from inference.training.fraud_model import fit_fraud_model
from inference.training.rounds import spans_of
from inference.training.settings import TreeSettings, XGBoostSettings
from inference.training.train import train

COSTS = CostSettings(cap=50, friction=3, review=1)
RNG = np.random.default_rng(4)
DATA = replace(payments(6_000), weights=RNG.integers(1, 4, 6_000).astype(np.float64))
DATA = replace(DATA, stakes=np.where(RNG.random(6_000) < 0.1, np.nan, DATA.matrix[:, 0]))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> HeldOut:
    seen: list[HeldOut] = []
    folder: Path = tmp_path_factory.mktemp("packages")
    package = train(DATA, quick_settings(), folder, lambda *_: None, observe=seen.append)
    (held_out,) = seen
    assert len(held_out.labels) == package.card.metrics["holdout_rows"]
    error = expected_calibration_error(held_out.labels, held_out.probability, 20, held_out.weights)
    assert package.card.metrics["calibration_error"] == pytest.approx(error, rel=1e-5)
    return held_out


def test_precision_recall_and_roc(rows: HeldOut) -> None:
    table = by_threshold(rows, None)
    assert "cost_per_1000_events" not in table.column_names
    at = {name: table[name].to_numpy() for name in table.column_names}
    assert (np.diff(at["threshold"]) < 0).all()
    assert len(table) <= 500
    weighted = {"sample_weight": rows.weights}
    precision, recall, bounds = precision_recall_curve(rows.labels, rows.probability, **weighted)
    place = np.searchsorted(bounds, at["threshold"])
    np.testing.assert_allclose(at["precision"], precision[place], rtol=1e-9)
    np.testing.assert_allclose(at["recall"], recall[place], rtol=1e-9)
    wrong, right, bounds = roc_curve(
        rows.labels, rows.probability, drop_intermediate=False, **weighted
    )
    place = np.searchsorted(-bounds, -at["threshold"])
    np.testing.assert_allclose(at["false_positive_rate"], wrong[place], rtol=1e-9)
    np.testing.assert_allclose(at["recall"], right[place], rtol=1e-9)
    assert at["flagged"][-1] == at["recall"][-1] == 1


def test_costs_are_those_of_the_policy(rows: HeldOut) -> None:
    table = by_threshold(rows, COSTS)
    assert rows.stakes is not None
    assert rows.weights is not None
    for place in (0, len(table) // 2, len(table) - 1):
        declined = rows.probability >= table["threshold"][place].as_py()
        lost = losses(
            np.where(declined, DECLINE, APPROVE),
            rows.labels,
            np.nan_to_num(rows.stakes),
            Costs(COSTS.cap, COSTS.friction, COSTS.review),
        )
        expected = 1_000 * np.average(lost, weights=rows.weights)
        assert table["cost_per_1000_events"][place].as_py() == pytest.approx(expected, rel=1e-9)
    assert (
        "cost_per_1000_events" not in by_threshold(rows._replace(stakes=None), COSTS).column_names
    )


def test_the_reliability_curve_adds_up_to_the_error_on_the_card(rows: HeldOut) -> None:
    table = calibration(rows)
    events, said, happened, before = (
        table[name].to_numpy() for name in ("events", "probability", "fraud_rate", "uncalibrated")
    )
    error = expected_calibration_error(rows.labels, rows.probability, 20, rows.weights)
    assert np.average(np.abs(said - happened), weights=events) == pytest.approx(error, rel=1e-5)
    assert (np.diff(said) > 0).all()
    assert (np.diff(before) > 0).all()
    assert len(table) <= 20


def test_rounds_end_where_the_model_does(rows: HeldOut) -> None:
    steps = list(learning(rows))
    assert [each for each, _ in steps][-1] == 20
    final = average_precision_score(
        rows.labels, rows.model.margin(rows.matrix), sample_weight=rows.weights
    )
    assert steps[-1][1]["average_precision_by_round"] == pytest.approx(final, rel=1e-9)
    assert steps[-1][1]["log_loss_by_round"] < steps[0][1]["log_loss_by_round"]
    for settings in (
        quick_settings(trees=TreeSettings(rounds=60, bags=2)),
        quick_settings(family="xgboost", xgboost=XGBoostSettings(rounds=60)),
    ):
        model = fit_fraud_model(DATA.matrix, DATA.labels, settings, None, lambda _: None)
        stages = list(model.stages(DATA.matrix))
        assert len(stages) > 10
        np.testing.assert_allclose(stages[-1][1], model.margin(DATA.matrix), atol=1e-5)
        assert np.abs(stages[0][1] - stages[-1][1]).max() > 0.1
    dense = fit_fraud_model(
        DATA.matrix, DATA.labels, quick_settings(family="logistic"), None, lambda _: None
    )
    assert not list(learning(rows._replace(model=dense)))


@pytest.mark.parametrize("rounds", [1, 2, 7, 300, 5_000])
def test_spans_cover_all_rounds(rounds: int) -> None:
    spans = spans_of(rounds)
    assert [begin for begin, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert (spans[-1][1], len(spans)) == (rounds, min(len(spans), 25))
