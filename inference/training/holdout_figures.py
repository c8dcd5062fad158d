"""What a package says of its model: figures on held-out rows, frozen histograms, background."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.evaluation.metrics import (
    auc,
    average_precision,
    brier_score,
    expected_calibration_error,
)
from inference.packages.drift_reference import DriftReference, Histogram, fit_histogram
from inference.packages.hours import in_time
from inference.training.calibration import log_loss
from inference.training.training_set import TrainingSet


def measure(
    outputs: Outputs,
    uncalibrated: NDArray[np.float64],
    labels: NDArray[np.int8],
    weights: NDArray[np.float64] | None = None,
) -> dict[str, float]:
    """Measure on the hold-out rows (n,); the names are those on the card.

    Args:
        outputs: of the package's graph.
        uncalibrated: the fraud model's own probability; it ranks rows as ``outputs.score`` does,
            and may be more precise.
        labels: 1 for fraud and 0 for legitimate.
        weights: how many events each row stands for; 1 each where None.
    """
    before, after = uncalibrated, outputs.probability.astype(np.float64)
    metrics: dict[str, float] = {
        "roc_auc": auc(labels, outputs.score, weights),
        "average_precision": average_precision(labels, outputs.score, weights),
        "anomaly_roc_auc": auc(labels, outputs.anomaly, weights),
        "brier_uncalibrated": brier_score(labels, before, weights),
        "brier": brier_score(labels, after, weights),
        "log_loss_uncalibrated": log_loss(before, labels, weights),
        "log_loss": log_loss(after, labels, weights),
        "calibration_error_uncalibrated": expected_calibration_error(labels, before, 20, weights),
        "calibration_error": expected_calibration_error(labels, after, 20, weights),
        "holdout_rows": len(labels),
        "holdout_frauds": int(np.count_nonzero(labels)),
    }
    return {name: float(value) for name, value in metrics.items()}


def freeze_drift_reference(
    data: TrainingSet, outputs: Outputs, bins: int, timezone: str, importance: Sequence[float] = ()
) -> DriftReference:
    """Return histograms of all rows' features and of the outputs for the last, held-out rows.

    Args:
        importance: of each feature, see `DriftReference`; none where it is not known.
    """

    def frozen(values: NDArray[np.float32]) -> Histogram:
        times = data.times[len(data.times) - len(values) :]
        return in_time(fit_histogram(values, bins), values, times, timezone)

    return DriftReference(
        timezone=timezone,
        features={name: frozen(data.matrix[:, j]) for j, name in enumerate(data.feature_names)},
        outputs={name: frozen(values) for name, values in outputs._asdict().items()},
        importance=dict(zip(data.feature_names, importance, strict=False)),
    )


def sample_background(
    matrix: NDArray[np.float32], rows: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return at most `rows` of the rows (n, k), in their order."""
    chosen = np.sort(rng.choice(len(matrix), min(rows, len(matrix)), replace=False))
    return matrix[chosen]
