"""Precision, recall, average precision and cost of events whose truth is known."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from inference.shadow.statistics import curves
from inference.shadow.statistics.similarity import BINS
from monitoring.performance.cohorts.truth import Truth


class Measured(NamedTuple):
    """A figure, and the standard error of it; ``NaN`` where it does not exist."""

    value: float
    error: float


NOTHING = Measured(float("nan"), float("nan"))


@dataclass(frozen=True)
class Figures:
    """Of mature events.

    Attributes:
        precision: share of frauds among alerts.
        recall: share of alerts among frauds.
        average_precision: of binned probabilities, of which a bin is .094 of logit wide.
        cost: per event, in the currency of amounts.
    """

    precision: Measured
    recall: Measured
    average_precision: Measured
    cost: Measured

    @classmethod
    def of(cls, truth: Truth) -> "Figures":
        """The figures of what was counted."""
        cost, error = truth.cost, NOTHING.error
        if cost.count:
            error = float(np.sqrt(cost.variance / cost.count))
        return cls(
            share(truth.caught, truth.caught + truth.false_alerts),
            share(truth.caught, sum(truth.frauds)),
            average_precision(truth),
            Measured(cost.mean, error),
        )


def share(part: int, whole: int) -> Measured:
    """A share, and its error; that is never 0, since Agresti and Coull's two events are added."""
    if not whole:
        return NOTHING
    moderate = (part + 2) / (whole + 4)
    return Measured(part / whole, float(np.sqrt(moderate * (1 - moderate) / (whole + 4))))


def average_precision(truth: Truth) -> Measured:
    """By the counts in bins, whose error the influence function of `curves` tells."""
    counts = np.zeros((2, BINS))
    for row, cells in enumerate((truth.legitimate_scores, truth.fraud_scores)):
        counts[row, list(cells)] = list(cells.values())
    label, bins = counts.nonzero()
    weights = counts[label, bins]
    curve = curves.average_precision(label, bins, weights)
    total = float(weights.sum())
    if np.isnan(curve.value):
        return NOTHING
    return Measured(curve.value, float(np.sqrt((weights * curve.influence**2).sum()) / total))
