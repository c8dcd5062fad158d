"""The `lime` package behind the interface of the exact mode, and how far the two are apart."""

from collections.abc import Callable

import numpy as np
from lime.lime_tabular import LimeTabularExplainer
from numpy.typing import NDArray

from explain.exact.explainer import ExactExplanation, Predict
from explain.exact.settings import ExactSettings

CONFIGURATIONS = {
    "quartiles, highest weights": ExactSettings(num_features=7),
    "deciles, categorical, forward selection": ExactSettings(
        discretizer="decile", categorical_features=(7, 4), num_features=3
    ),
    "continuous, categorical, forward selection": ExactSettings(
        discretizer="none", categorical_features=(7, 4), num_features=3
    ),
    "continuous around the event, lasso path": ExactSettings(
        discretizer="none",
        sample_around_instance=True,
        feature_selection="lasso_path",
        num_features=6,
    ),
}
"""For `made_up_payments`, whose columns 4 and 7 are codes."""


class PackageLime:
    """`explain.exact.explainer.ExactLime`, computed by the package."""

    def __init__(
        self,
        training: NDArray[np.float64],
        settings: ExactSettings,
        random_state: np.random.RandomState,
        labels: NDArray[np.int8] | None = None,
    ) -> None:
        discretized = settings.discretizer != "none"
        self._settings = settings
        self._explainer = LimeTabularExplainer(
            training,
            training_labels=labels,
            categorical_features=list(settings.categorical_features),
            kernel_width=settings.kernel_width,
            feature_selection=settings.feature_selection,
            discretize_continuous=discretized,
            discretizer=settings.discretizer if discretized else "quartile",
            sample_around_instance=settings.sample_around_instance,
            random_state=random_state,
        )

    def explain(self, row: NDArray[np.float64], predict: Predict) -> ExactExplanation:
        def both_classes(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
            fraud = predict(inputs)
            return np.column_stack((1 - fraud, fraud))

        found = self._explainer.explain_instance(
            row,
            both_classes,
            num_features=self._settings.num_features,
            num_samples=self._settings.num_samples,
        )
        features, weights = zip(*found.local_exp[1], strict=True)
        return ExactExplanation(
            features=tuple(int(feature) for feature in features),
            weights=tuple(float(weight) for weight in weights),
            intercept=float(found.intercept[1]),
            score=float(found.score),
            local_prediction=float(found.local_pred[0]),
            probability=float(found.predict_proba[1]),
            ess=float("nan"),  # it does not say
        )


def difference(one: ExactExplanation, other: ExactExplanation) -> float:
    """Return the largest difference of two explanations in any figure; who is left out has 0."""
    weights = dict(zip(one.features, one.weights, strict=True))
    others = dict(zip(other.features, other.weights, strict=True))
    pairs = [
        (one.intercept, other.intercept),
        (one.score, other.score),
        (one.local_prediction, other.local_prediction),
        (one.probability, other.probability),
        *((weights.get(key, 0.0), others.get(key, 0.0)) for key in weights | others),
    ]
    return max(abs(a - b) for a, b in pairs)


def made_up_payments(
    rng: np.random.Generator, rows: int, columns: int = 9
) -> tuple[NDArray[np.float64], Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Return (rows, columns) amounts, counts, codes, a constant; and a model of their risk."""
    matrix = rng.lognormal(0, 1, (rows, columns))
    matrix[:, 2] = rng.poisson(1, rows)
    matrix[:, 3] = 0.1
    matrix[:, 4] = rng.integers(0, 4, rows)
    matrix[:, 5] = np.where(rng.random(rows) < 0.9, 0, matrix[:, 5])
    matrix[:, 7] = rng.integers(0, 2, rows)
    slopes = rng.normal(0, 0.7, columns)
    cuts = np.median(matrix, axis=0)

    def risk(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        steps = np.sign(inputs[:, :3] - cuts[:3]) @ slopes[:3]
        return 1 / (1 + np.exp(1 - steps - np.tanh(inputs - cuts) @ slopes))

    return matrix, risk
