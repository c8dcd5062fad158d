"""Simulated fraud can be learnt from window features, though not perfectly."""

import numpy as np
from lightgbm import LGBMClassifier
from numpy.typing import NDArray

from inference.evaluation.evaluate import auc
from weir.simulator import FraudPattern, SimulatorSettings, simulate

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def window(
    entity: NDArray[np.int64],
    time: NDArray[np.int64],
    values: NDArray[np.float64],
    width: int,
    delay: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count and sum of an entity's events in (time - delay - width, time - delay]."""
    # Entities lie further apart than any window reaches, so that one search serves all.
    place = entity * (1 << 42) + time + 100 * DAY_MS
    order = np.argsort(place, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(values[order])])
    last = np.searchsorted(place[order], place - delay, side="right")
    first = np.searchsorted(place[order], place - delay - width, side="right")
    return last - first, total[last] - total[first]


def test_trees_find_most_fraud_and_amount_and_hour_alone_do_not():
    table = simulate(SimulatorSettings.for_events(200_000, seed=3))
    customer, terminal, amount, fraud, pattern = (
        table[name].to_numpy()
        for name in ("customer_id", "terminal_id", "amount", "is_fraud", "fraud_pattern")
    )
    time = table["time"].cast("int64").to_numpy()
    time = time - time[0] // DAY_MS * DAY_MS
    features = [amount, time % DAY_MS / HOUR_MS]
    for width in (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS):
        count, total = window(customer, time, amount, width)
        features += [count, total / count]
    features.append(amount / features[-1])
    for days in (1, 7, 30):
        count, bad = window(terminal, time, fraud.astype(float), days * DAY_MS, 7 * DAY_MS)
        features += [count, bad / np.maximum(count, 1)]
    matrix = np.column_stack(features)
    day = time // DAY_MS
    train, test = (day >= 30) & (day < 60), day >= 67

    def scores(columns: slice) -> NDArray[np.float64]:
        model = LGBMClassifier(
            n_estimators=80, learning_rate=0.08, min_child_samples=50, n_jobs=1, verbose=-1
        )
        model.fit(matrix[train, columns], fraud[train])
        return model.predict_proba(matrix[test, columns])[:, 1]

    fraud_then, pattern_then = fraud[test], pattern[test]
    by_all, by_amount_and_hour = scores(slice(None)), scores(slice(0, 2))
    assert 0.85 < auc(fraud_then, by_all) < 0.97
    assert 0.6 < auc(fraud_then, by_amount_and_hour) < 0.8
    for each in list(FraudPattern)[1:]:
        rows = (pattern_then == each) | (fraud_then == 0)
        assert auc(fraud_then[rows], by_all[rows]) > 0.75
