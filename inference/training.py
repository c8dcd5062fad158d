"""Trains a model package from a file of feature vectors and labels."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from inference.autoencoder import AutoencoderSettings, fit_autoencoder
from inference.boosting import TreeSettings, fit_trees, margin
from inference.calibration import (
    fit_platt,
    log_loss,
    sigmoid,
)
from inference.detection_metrics import (
    auc,
    average_precision,
    brier_score,
    expected_calibration_error,
)
from inference.drift_reference import DriftReference, fit_histogram
from inference.engine import Outputs
from inference.errors import InferenceError
from inference.graph import build_graph
from inference.onnxruntime_engine import load_session, run_session
from inference.package import (
    FORMAT,
    Card,
    FeatureColumns,
    ModelPackage,
    TrainingData,
    write_package,
)
from inference.thresholds import fit_thresholds
from inference.trees import tree_attributes
from streams.section import Section

Progress = Callable[[str, float], None]
"""Called with what is being done, and the share of the whole that is done, 0 to 1."""

_LEAST_FRAUDS = 10
_LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn")


class TrainingError(InferenceError):
    """The data cannot train a model; the message says what to change."""


class TrainingSettings(Section):
    """The ``[training]`` section."""

    seed: int = Field(default=7, ge=0, lt=2**31 - 1000)
    threads: int = Field(
        default=2, ge=1, description="changes how long training takes, and nothing else"
    )
    holdout_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="of the rows: the latest ones"
    )
    refit: bool = Field(
        default=True, description="fit the served trees on all rows, hold-out included"
    )
    review_alert_rate: float = Field(default=0.01, gt=0, lt=1)
    decline_alert_rate: float = Field(default=0.002, gt=0, lt=1)
    drift_bins: int = Field(default=20, ge=2)
    background_rows: int = Field(default=500, ge=1)
    trees: TreeSettings = TreeSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()

    @model_validator(mode="after")
    def _declines_fewer_than_it_reviews(self) -> "TrainingSettings":
        if self.decline_alert_rate > self.review_alert_rate:
            raise ValueError("decline_alert_rate must not be above review_alert_rate")
        return self


@dataclass(frozen=True)
class TrainingSet:
    """Labelled feature vectors in order of time.

    Attributes:
        matrix: float32 (n, k), ``NaN`` where missing.
        labels: 1 for fraud and 0 for legitimate, (n,).
        times: event times, UTC milliseconds, never falling, (n,).
        feature_names: names of the columns, k of them.
        feature_definitions: the declarations that the columns were computed from.
        feature_schema_hash: their hash.
        data_sha256: names the data that this was computed from.
    """

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]
    feature_names: tuple[str, ...]
    feature_definitions: dict[str, Any]
    feature_schema_hash: str
    data_sha256: str


def train(
    data: TrainingSet, settings: TrainingSettings, folder: Path, progress: Progress
) -> ModelPackage:
    """Train a model and write its package into `folder`, under its short id.

    1. Split by time: the latest `holdout_fraction` of the rows is held out.
    2. Fit the trees on the earlier rows, and the autoencoder on the legitimate ones among them.
    3. On the held-out rows, fit the calibration, read the thresholds and the anomaly's quantiles,
       and measure: the figures on the card are from rows that the trees never saw. (Those of the
       calibrated probability are from the rows that its two parameters were fitted on.)
    4. With `refit`, fit the served trees again on all rows, so that they know the latest frauds.
       Calibration and thresholds stay: fitted on rows of their own training, they would be far too
       sure. They assume that the added rows leave the margins' distribution as it was.

    The same data and settings give the same bytes, hence the same package id, with the same
    versions of the libraries (they are on the card).

    Raises:
        TrainingError: the data is malformed, too small, or has too few frauds on either side.
        TreeError, CalibrationError, ThresholdError: nothing could be learned from it.
        OSError: `folder` cannot be written to.
    """
    labels = _checked_labels(data)
    split = _split(data, labels, settings.holdout_fraction)
    early, late = slice(0, split), slice(split, None)
    rng = np.random.default_rng(settings.seed)
    fits = 2 if settings.refit else 1

    def fit(rows: slice, message: str, start: float) -> list[Any]:
        return fit_trees(
            data.matrix[rows],
            labels[rows],
            settings.trees,
            seed=settings.seed,
            threads=settings.threads,
            progress=lambda share: progress(message, start + share * 0.7 / fits),
        )

    boosters = fit(early, "fitting trees", 0.0)
    progress("fitting the autoencoder", 0.7 / fits)
    legitimate = labels == 0
    autoencoder = fit_autoencoder(
        data.matrix[early][legitimate[early]],
        data.matrix[late][legitimate[late]],
        settings.autoencoder,
        rng,
    )
    progress("calibrating", 0.7 / fits + 0.2)
    calibration = fit_platt(margin(boosters, data.matrix[late]), labels[late])
    metadata = {
        "feature_names": ",".join(data.feature_names),
        "feature_schema_hash": data.feature_schema_hash,
    }
    model = build_graph(_attributes(boosters), calibration, autoencoder, metadata)
    # From the graph itself: thresholds are compared with what serving computes, to the last bit.
    outputs = run_session(
        load_session(model, "the trained model"), np.ascontiguousarray(data.matrix[late])
    )
    thresholds = fit_thresholds(
        outputs.probability,
        labels[late],
        settings.review_alert_rate,
        settings.decline_alert_rate,
    )
    metrics = _metrics(outputs, margin(boosters, data.matrix[late]), labels[late])
    if settings.refit:
        boosters = fit(slice(None), "fitting trees on all rows", 0.55)
        model = build_graph(_attributes(boosters), calibration, autoencoder, metadata)
    progress("writing the package", 0.9)
    package = write_package(
        folder,
        card=_card(data, labels, settings, metrics),
        model=model,
        features=FeatureColumns(
            names=data.feature_names,
            schema_hash=data.feature_schema_hash,
            definitions=data.feature_definitions,
        ),
        thresholds=thresholds,
        drift_reference=_drift_reference(data, outputs, settings.drift_bins),
        background=_background(data.matrix, settings.background_rows, rng),
    )
    progress("done", 1.0)
    return package


def _attributes(boosters: list[Any]) -> dict[str, Any]:
    return tree_attributes([booster.dump_model() for booster in boosters])


def _checked_labels(data: TrainingSet) -> NDArray[np.int8]:
    n, width = data.matrix.shape
    if data.matrix.dtype != np.float32:
        raise TrainingError(f"the matrix is {data.matrix.dtype}, not float32, as serving computes")
    if width != len(data.feature_names) or len(set(data.feature_names)) != width:
        raise TrainingError(
            f"{width} columns need as many different feature names; got {len(data.feature_names)}"
        )
    if len(data.labels) != n or len(data.times) != n:
        raise TrainingError(
            f"{n} rows, {len(data.labels)} labels and {len(data.times)} times do not match"
        )
    unknown = ~np.isin(data.labels, (0, 1))
    if unknown.any():
        raise TrainingError(
            f"{np.count_nonzero(unknown)} labels are neither 0 nor 1, the first in row "
            f"{np.argmax(unknown)}: leave out events whose label is not known yet"
        )
    if (np.diff(data.times) < 0).any():
        raise TrainingError("rows are not in order of time: sort them by event time")
    return np.asarray(data.labels, dtype=np.int8)


def _split(data: TrainingSet, labels: NDArray[np.int8], fraction: float) -> int:
    """Return the first held-out row; rows of one time are on the same side."""
    n = len(labels)
    at = int(np.searchsorted(data.times, data.times[int(n * (1 - fraction))])) if n else 0
    for name, part in (("earlier", labels[:at]), ("held-out", labels[at:])):
        frauds = int(np.count_nonzero(part))
        if frauds < _LEAST_FRAUDS or len(part) - frauds < _LEAST_FRAUDS:
            day = f" from {_day(data.times[at])} on" if name == "held-out" and n else ""
            raise TrainingError(
                f"the {len(part)} {name} rows{day} have {frauds} frauds and {len(part) - frauds} "
                f"legitimate events; {_LEAST_FRAUDS} of each are needed. Train on a longer period, "
                "or change training.holdout_fraction"
            )
    return at


def _metrics(
    outputs: Outputs, margins: NDArray[np.float64], labels: NDArray[np.int8]
) -> dict[str, float]:
    """Measure on the hold-out rows (n,); the names are those on the card."""
    before, after = sigmoid(margins), outputs.probability.astype(np.float64)
    metrics: dict[str, float] = {
        "roc_auc": auc(labels, outputs.score),
        "average_precision": average_precision(labels, outputs.score),
        "anomaly_roc_auc": auc(labels, outputs.anomaly),
        "brier_uncalibrated": brier_score(labels, before),
        "brier": brier_score(labels, after),
        "log_loss_uncalibrated": log_loss(before, labels),
        "log_loss": log_loss(after, labels),
        "calibration_error_uncalibrated": expected_calibration_error(labels, before, bins=20),
        "calibration_error": expected_calibration_error(labels, after, bins=20),
        "holdout_rows": len(labels),
        "holdout_frauds": int(np.count_nonzero(labels)),
    }
    return {name: float(value) for name, value in metrics.items()}


def _card(
    data: TrainingSet,
    labels: NDArray[np.int8],
    settings: TrainingSettings,
    metrics: dict[str, float],
) -> Card:
    return Card(
        format=FORMAT,
        data=TrainingData(
            sha256=data.data_sha256,
            rows=len(labels),
            frauds=int(np.count_nonzero(labels)),
            first_time=int(data.times[0]),
            last_time=int(data.times[-1]),
        ),
        code_version=importlib.metadata.version("weir"),
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        parameters=settings.model_dump(mode="json", exclude={"seed", "threads"}),
        seed=settings.seed,
        metrics=metrics,
        feature_schema_hash=data.feature_schema_hash,
    )


def _drift_reference(data: TrainingSet, outputs: Outputs, bins: int) -> DriftReference:
    return DriftReference(
        features={
            name: fit_histogram(data.matrix[:, j], bins)
            for j, name in enumerate(data.feature_names)
        },
        outputs={name: fit_histogram(values, bins) for name, values in outputs._asdict().items()},
    )


def _background(
    matrix: NDArray[np.float32], rows: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    chosen = np.sort(rng.choice(len(matrix), min(rows, len(matrix)), replace=False))
    return matrix[chosen]


def _day(time: np.int64) -> str:
    return datetime.fromtimestamp(int(time) / 1000, UTC).date().isoformat()
