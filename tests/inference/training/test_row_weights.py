"""A row of weight two is as good as the same row twice."""

from dataclasses import replace

import numpy as np
import pytest
from payments import payments, quick_settings

from inference.engine.protocol import Outputs
from inference.packages.thresholds import fit_thresholds
from inference.training.calibration import fit_platt
from inference.training.holdout_figures import measure
from inference.training.train import train
from inference.training.training_set import TrainingError

RNG = np.random.default_rng(5)
N = 4_000
LABELS = (RNG.random(N) < 0.1).astype(np.int8)
MARGIN = RNG.normal(LABELS * 1.5 - 2)
WEIGHTS = RNG.integers(1, 4, N).astype(np.float64)
TWICE = np.repeat(np.arange(N), WEIGHTS.astype(int))


def test_calibration() -> None:
    weighted, repeated = fit_platt(MARGIN, LABELS, WEIGHTS), fit_platt(MARGIN[TWICE], LABELS[TWICE])
    assert weighted.slope == pytest.approx(repeated.slope, rel=1e-5)
    assert weighted.intercept == pytest.approx(repeated.intercept, rel=1e-5)
    assert weighted.slope != pytest.approx(fit_platt(MARGIN, LABELS).slope, rel=1e-3)


def test_thresholds() -> None:
    probability = (1 / (1 + np.exp(-MARGIN))).astype(np.float32)
    weighted = fit_thresholds(probability, LABELS, 0.05, 0.01, WEIGHTS)
    repeated = fit_thresholds(probability[TWICE], LABELS[TWICE], 0.05, 0.01)
    found = {row.alert_rate: row for row in repeated.table}
    for row in weighted.table:
        # Of a row that stands for three, one may be flagged and two not; not so if it is one.
        assert row.probability >= found[row.alert_rate].probability
        assert row.recall == pytest.approx(found[row.alert_rate].recall, abs=0.01)
        assert row.precision == pytest.approx(found[row.alert_rate].precision, abs=0.1)


def test_figures() -> None:
    p = (1 / (1 + np.exp(-MARGIN))).astype(np.float32)

    def figures(at: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
        outputs = Outputs(score=p[at], anomaly=p[at], probability=p[at])
        return measure(outputs, p[at].astype(np.float64), LABELS[at], weights)

    weighted, repeated = figures(np.arange(N), WEIGHTS), figures(TWICE, None)
    for name in set(weighted) - {"holdout_rows", "holdout_frauds"}:
        assert weighted[name] == pytest.approx(repeated[name], rel=1e-6), name


def test_weights_change_the_package_and_have_to_be_right(tmp_path) -> None:
    data = payments(8_000)
    heavy = replace(data, weights=np.where(data.labels == 1, 1.0, 5.0))
    once, more = (
        train(each, quick_settings(), tmp_path, lambda *_: None) for each in (data, heavy)
    )
    assert once.id != more.id
    assert more.thresholds.review < once.thresholds.review
    for wrong in (np.ones(7_999), np.zeros(8_000)):
        with pytest.raises(TrainingError, match="a weight each, above 0"):
            train(replace(data, weights=wrong), quick_settings(), tmp_path, lambda *_: None)
