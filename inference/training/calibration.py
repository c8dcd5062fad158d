"""Platt scaling, and how far probabilities are from frequencies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError


class CalibrationError(InferenceError):
    """The model does not rank the rows that it should be calibrated on."""


@dataclass(frozen=True)
class PlattScaling:
    """Calibrated probability = sigmoid(slope * margin + intercept); the slope is positive."""

    slope: float
    intercept: float

    def __call__(self, margin: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return calibrated probabilities of margins (n,)."""
        return sigmoid(self.slope * margin + self.intercept)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + e^-x), without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def fit_platt(
    margin: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64] | None = None,
) -> PlattScaling:
    """Fit Platt scaling to the margins (log-odds) of rows (n,) that the model was not fitted on.

    Maximum likelihood with Platt's smoothed targets, by Newton's method with backtracking: Lin,
    Lin and Weng, "A note on Platt's probabilistic outputs for support vector machines", 2007.

    Args:
        weights: how many events each row stands for, (n,); 1 each where None.

    Raises:
        CalibrationError: higher margins do not go with more fraud (slope <= 0).
    """
    # Scores of any unit and zero point: far from 0, Newton's steps would go nowhere.
    centre, spread = float(np.mean(margin)), float(np.std(margin)) or 1.0
    positive = labels == 1
    each = np.ones(len(labels)) if weights is None else weights
    n_positive = float(each[positive].sum())
    n_negative = float(each[~positive].sum())
    target = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    design = np.column_stack([(margin - centre) / spread, np.ones_like(margin)])
    line = np.array([1.0, np.log((n_positive + 1) / (n_negative + 1))])

    def loss(line: NDArray[np.float64]) -> float:
        z = design @ line
        return float(np.sum(each * (np.logaddexp(0.0, z) - target * z)))

    current = loss(line)
    for _ in range(100):
        p = sigmoid(design @ line)
        gradient = design.T @ (each * (p - target))
        if np.max(np.abs(gradient)) < 1e-7 * len(labels):
            break
        hessian = (design.T * (each * p * (1 - p))) @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10 and loss(line - size * step) > current - 1e-4 * size * (gradient @ step):
            size /= 2
        line = line - size * step
        current = loss(line)
    slope = float(line[0]) / spread
    intercept = float(line[1]) - slope * centre
    if slope <= 0:
        raise CalibrationError(
            f"on the {len(labels)} hold-out rows a higher score does not mean more fraud (slope "
            f"{slope:.3g}): the model learned nothing that lasts. Train on more events or on other "
            "features"
        )
    return PlattScaling(slope, intercept)


def log_loss(
    probability: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64] | None = None,
) -> float:
    """Return the mean negative log-likelihood of the labels (n,), in nats."""
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    likelihood = np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    return float(-np.average(likelihood, weights=weights))
