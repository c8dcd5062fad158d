"""Weighted ridge regressions on one set of samples, all from the same moments."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

_NOISE = 1e-12
"""Answers whose variance is a smaller share of their mean square than this differ by rounding."""


class Fit(NamedTuple):
    """A linear model; `score` is the share of the answers' weighted variance that it explains."""

    coefficients: NDArray[np.floating]
    intercept: float
    score: float


class WeightedSamples:
    """Samples with the model's answers and weights, and their centred second moments.

    Attributes:
        design: (samples, k) what is regressed on.
        answers: (samples,) the model's.
        weights: (samples,) at or above zero, not all zero.
        gram: (k, k) weighted sums of products of two centred columns.
        cross: (k,) those of a centred column and the centred answers.
        variation: weighted sum of squares of the centred answers; 0 where it is only rounding.
    """

    def __init__(
        self,
        design: NDArray[np.float64],
        answers: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        self.design = design
        self.answers = answers
        self.weights = weights
        total = weights.sum()
        self._means = weights @ design / total
        self._mean = float(weights @ answers / total)
        roots = np.sqrt(weights)
        centred = design - self._means
        centred *= roots[:, None]
        centred_answers = (answers - self._mean) * roots
        self.gram: NDArray[np.float64] = centred.T @ centred
        self.cross: NDArray[np.float64] = centred.T @ centred_answers
        variation = float(centred_answers @ centred_answers)
        self.variation = variation if variation > _NOISE * (weights @ answers**2) else 0.0

    def ridge(self, features: NDArray[np.intp], alpha: float) -> Fit:
        """Fit the answers by some features, with a penalty above 0 on all but the intercept.

        Where the answers do not vary, the score is a quotient of rounding errors: then this asks
        scikit-learn, to err as the package does.
        """
        if self.variation == 0:
            return self.ridge_by_sklearn(features, alpha)
        gram = self.gram[np.ix_(features, features)]
        cross = self.cross[features]
        coefficients = np.linalg.solve(gram + alpha * np.eye(len(cross)), cross)
        residual = self.variation + coefficients @ (gram @ coefficients - 2 * cross)
        intercept = self._mean - self._means[features] @ coefficients
        return Fit(coefficients, float(intercept), float(1 - residual / self.variation))

    def ridge_by_sklearn(
        self, features: Sequence[int] | NDArray[np.intp] | slice, alpha: float
    ) -> Fit:
        """Fit as the package does, rounding errors and all; several times slower.

        How numpy lays out a choice of columns changes the rounding; all of them are a slice.
        """
        columns = self.design[:, features]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns that are equal: that is why it is asked
            model = Ridge(alpha=alpha).fit(columns, self.answers, sample_weight=self.weights)
        score = model.score(columns, self.answers, sample_weight=self.weights)
        return Fit(model.coef_, float(model.intercept_), float(score))
