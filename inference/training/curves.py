"""Curves of a model on its held-out rows, as tables for whoever compares runs."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.evaluation.metrics import average_precision
from inference.policy.costs import CostSettings
from inference.training.calibration import log_loss, sigmoid
from inference.training.fraud_model import FraudModel

_POINTS = 500
_BINS = 20


class HeldOut(NamedTuple):
    """The held-out rows of a training, and what the model that never saw them says of them.

    Attributes:
        model: as it was before it was fitted again on all rows.
        matrix: float32 (n, k).
        labels: 1 for fraud and 0 for legitimate, (n,).
        weights: how many events each row stands for, (n,); 1 each where None.
        probability, uncalibrated: with and without the calibration, (n,).
        stakes: what each event is about, in the currency of costs, (n,); None where nobody says.
    """

    model: FraudModel
    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    weights: NDArray[np.float64] | None
    probability: NDArray[np.float32]
    uncalibrated: NDArray[np.float64]
    stakes: NDArray[np.float64] | None


def by_threshold(rows: HeldOut, costs: CostSettings | None) -> pa.Table:
    """What it means to decline from a probability on: precision-recall, ROC and costs in one.

    Columns are ``threshold``, ``flagged`` (share of events), ``precision``, ``recall`` (also the
    true positive rate) and ``false_positive_rate``, and with costs and stakes
    ``cost_per_1000_events``: what missed frauds lose, each at most the cap, and the friction of
    declined legitimate events. Events without a stake cost nothing. Of more than 500 thresholds
    these are kept that lie close where few events are flagged.
    """
    order = np.argsort(-rows.probability, kind="stable")
    probability, fraud = rows.probability[order], rows.labels[order] == 1
    weight = np.ones(len(order)) if rows.weights is None else rows.weights[order]
    last = np.flatnonzero(np.append(np.diff(probability) != 0, True))
    flagged, caught = np.cumsum(weight)[last], np.cumsum(weight * fraud)[last]
    wrong = flagged - caught
    columns = {
        "threshold": probability[last],
        "flagged": flagged / flagged[-1],
        "precision": caught / flagged,
        "recall": caught / caught[-1],
        "false_positive_rate": wrong / wrong[-1],
    }
    if costs is not None and rows.stakes is not None:
        lost = np.where(fraud, np.clip(np.nan_to_num(rows.stakes[order]), 0, costs.cap), 0) * weight
        missed = lost.sum() - np.cumsum(lost)[last]
        columns["cost_per_1000_events"] = (missed + costs.friction * wrong) * 1_000 / flagged[-1]
    kept = np.unique(np.geomspace(1, len(last), _POINTS).astype(np.intp)) - 1
    return pa.table({name: values[kept] for name, values in columns.items()})


def calibration(rows: HeldOut) -> pa.Table:
    """The reliability curve, in at most 20 bins of about as many events each.

    Columns are ``events`` (by weight), ``probability`` (mean, calibrated), ``uncalibrated`` (mean)
    and ``fraud_rate``. Equal probabilities share a bin.
    """
    weight = np.ones(len(rows.labels)) if rows.weights is None else rows.weights
    order = np.argsort(rows.probability, kind="stable")
    sums = np.append(0.0, np.cumsum(weight[order]))
    below = sums[np.searchsorted(rows.probability[order], rows.probability, side="left")]
    _, bins = np.unique((below * _BINS / sums[-1]).astype(np.intp), return_inverse=True)
    events = np.bincount(bins, weight)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(bins, weight * values) / events

    return pa.table(
        {
            "events": events,
            "probability": mean(rows.probability.astype(np.float64)),
            "uncalibrated": mean(rows.uncalibrated),
            "fraud_rate": mean(rows.labels.astype(np.float64)),
        }
    )


def learning(rows: HeldOut) -> Iterator[tuple[int, dict[str, float]]]:
    """By the number of boosting rounds, how good the model was on these rows; none of a network."""
    for rounds, margin in rows.model.stages(rows.matrix):
        yield (
            rounds,
            {
                "average_precision_by_round": average_precision(rows.labels, margin, rows.weights),
                "log_loss_by_round": log_loss(sigmoid(margin), rows.labels, rows.weights),
            },
        )
