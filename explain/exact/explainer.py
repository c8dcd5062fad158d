"""LIME for tabular data, equal to the `lime` package's ``LimeTabularExplainer``."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances

from explain.errors import ExplainError
from explain.exact.local_model import WeightedSamples
from explain.exact.neighbourhood import ContinuousSampler, DiscretisedSampler, Sampler
from explain.exact.selection import select_features
from explain.exact.settings import ExactSettings

Predict = Callable[[NDArray[np.float64]], NDArray[np.floating]]
"""From (n, k) feature values to (n,) probabilities of fraud."""


@dataclass(frozen=True)
class ExactExplanation:
    """A local linear model of the probability of fraud.

    Attributes:
        features: columns with an attribution, by falling size of their weight.
        weights: the attribution of each: for a discretised or categorical feature, what being as in
            the event adds to the probability; for another, what one standard deviation adds.
        intercept: of the local model.
        score: R², the share of the weighted variance of the model's answers that it explains.
        local_prediction: what it says of the event.
        probability: what the model itself says.
        ess: effective number of samples that the weights leave, by Kish.
    """

    features: tuple[int, ...]
    weights: tuple[float, ...]
    intercept: float
    score: float
    local_prediction: float
    probability: float
    ess: float


class ExactLime:
    """Explains events as the `lime` package 0.2.0.1 does on the same random stream.

    M. T. Ribeiro, S. Singh and C. Guestrin, "Why Should I Trust You?", KDD 2016. The stream is
    used up as the package does it, so that explanations after each other agree, too.
    """

    def __init__(
        self,
        training: NDArray[np.float64],
        settings: ExactSettings,
        random_state: np.random.RandomState,
        labels: NDArray[np.int8] | None = None,
    ) -> None:
        """Learn from (n, k) rows what usual values are; only ``"entropy"`` needs (n,) labels.

        Raises:
            ExplainError: a value is missing or infinite, or the settings do not fit the rows.
        """
        training = np.ascontiguousarray(training, dtype=np.float64)
        if training.ndim != 2 or 0 in training.shape:
            raise ExplainError(f"training rows of shape {training.shape}: give a matrix (n, k)")
        _refuse_not_finite(training, "the training rows have")
        self._columns = training.shape[1]
        self._settings = settings
        self._random_state = random_state
        self._kernel_width = settings.kernel_width or np.sqrt(self._columns) * 0.75
        for feature in settings.categorical_features:
            if not 0 <= feature < self._columns:
                raise ExplainError(
                    f"categorical_features names column {feature}: there are 0 to "
                    f"{self._columns - 1}"
                )
        if settings.discretizer == "entropy" and (labels is None or len(labels) != len(training)):
            raise ExplainError('discretizer = "entropy" needs a label for each training row')
        self._sampler: Sampler = (
            ContinuousSampler(training, settings)
            if settings.discretizer == "none"
            else DiscretisedSampler(training, settings, labels, random_state)
        )

    def explain(
        self,
        row: NDArray[np.float64],
        predict: Predict,
        random_state: np.random.RandomState | None = None,
    ) -> ExactExplanation:
        """Explain what `predict` says of a (k,) event; it is asked once, about all samples.

        Args:
            random_state: of this event alone; None draws on from the explainer's own.

        Raises:
            ExplainError: the row has another length, or a value or an answer is missing or
                infinite, or no sample is near enough to have a weight.
        """
        row = np.asarray(row, dtype=np.float64)
        if row.shape != (self._columns,):
            raise ExplainError(f"an event of shape {row.shape}: give ({self._columns},) values")
        _refuse_not_finite(row[None], "the event has")
        settings = self._settings
        inputs, design = self._sampler.sample(
            row, settings.num_samples, random_state or self._random_state
        )
        answers = np.asarray(predict(inputs), dtype=np.float64)
        if answers.shape != (len(inputs),):
            raise ExplainError(
                f"the model's answers have shape {answers.shape}: give one probability of fraud "
                f"for each of {len(inputs)} rows"
            )
        if not np.isfinite(answers).all():
            raise ExplainError("the model's answer to a sample is no finite number")
        weights = self._weights(design)
        samples = WeightedSamples(design, answers, weights)
        features = select_features(samples, settings.feature_selection, settings.num_features)
        fit = samples.ridge(features, alpha=1.0)
        order = np.argsort(-np.abs(fit.coefficients), kind="stable")
        return ExactExplanation(
            features=tuple(features[order].tolist()),
            weights=tuple(fit.coefficients[order].tolist()),
            intercept=fit.intercept,
            score=fit.score,
            local_prediction=float(design[0, features] @ fit.coefficients + fit.intercept),
            probability=float(answers[0]),
            ess=float(weights.sum() ** 2 / np.square(weights).sum()),
        )

    def _weights(self, design: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each sample's weight: the root of a Gaussian of its distance from the event.

        By scikit-learn's distances: those of samples that are far away all the same hang on
        rounding, of which the package takes scikit-learn's.
        """
        weights: NDArray[np.float64] = np.zeros(len(design))
        if np.isfinite(design).all():
            with np.errstate(all="ignore"):
                distances = euclidean_distances(design, design[:1]).ravel()
                weights = np.sqrt(np.exp(-(distances**2) / self._kernel_width**2))
        if not weights.sum() > 0:
            raise ExplainError(
                "no sample has a weight: the event's values are too large, or kernel_width is too "
                "small"
            )
        return weights


def _refuse_not_finite(matrix: NDArray[np.float64], what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(bad):
        raise ExplainError(
            f"{what} a missing or infinite value in column {bad[0]}: fill it in first, "
            "the exact mode needs numbers everywhere"
        )
