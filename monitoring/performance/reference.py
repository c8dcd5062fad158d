"""What a model's figures are compared with: how it did at first, with the error that this has."""

import math
from dataclasses import dataclass

from monitoring.performance.cohorts.figures import Figures, Measured
from monitoring.performance.cohorts.truth import Truth

_ERRORS = 2.0
"""A reference is a guess too: it is taken to be so many standard errors worse."""


@dataclass(frozen=True)
class Reference:
    """Up to where figures are no loss; None where nothing is compared.

    Attributes:
        cost: per event, at most.
        recall, average_precision: at least.
    """

    cost: float | None = None
    recall: float | None = None
    average_precision: float | None = None

    @classmethod
    def of(cls, truth: Truth, tolerance: float) -> "Reference":
        """By the first mature days of a model.

        Args:
            tolerance: the share by which figures may be worse, such as 0.1.
        """
        figures = Figures.of(truth)
        return cls(
            _limit(figures.cost, 1 + tolerance, _ERRORS),
            _limit(figures.recall, 1 - tolerance, -_ERRORS),
            _limit(figures.average_precision, 1 - tolerance, -_ERRORS),
        )


def _limit(measured: Measured, factor: float, errors: float) -> float | None:
    limit = factor * (measured.value + errors * measured.error)
    return None if math.isnan(limit) or limit <= 0 else limit
