"""Trains a model package from a file of feature vectors and labels."""

import contextlib
import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.engine.onnx_session import load_session, run_session
from inference.forest.graph_forms import tensor_form_or_why_not
from inference.packages.package import (
    FORMAT,
    Card,
    FeatureColumns,
    ModelPackage,
    TrainingData,
    write_package,
)
from inference.packages.search_record import SearchRecord
from inference.packages.thresholds import fit_thresholds
from inference.training.autoencoder import fit_autoencoder
from inference.training.calibration import fit_platt, sigmoid
from inference.training.curves import HeldOut
from inference.training.fraud_model import FraudModel, fit_fraud_model
from inference.training.holdout_figures import freeze_drift_reference, measure, sample_background
from inference.training.package_graph import build_graph
from inference.training.settings import TrainingSettings
from inference.training.training_set import (
    Rows,
    TrainingError,
    TrainingSet,
    checked_labels,
    split_by_time,
)

Progress = Callable[[str, float], None]
"""Called with what is being done, and the share of the whole that is done, 0 to 1."""

_LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxruntime", "scikit-learn")
_OF_TREES = ("lightgbm", "xgboost")
_XGBOOST = ("xgboost-cpu", "xgboost")
"""Two distributions of one library; the card of one of its models names that which is there."""


def train(
    data: TrainingSet,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress,
    searched: SearchRecord | None = None,
    observe: Callable[[HeldOut], None] = lambda rows: None,
) -> ModelPackage:
    """Train a model and write its package into `folder`, under its short id.

    1. Split by time: the latest `holdout_fraction` of the rows is held out.
    2. Fit the fraud model (`training.family`) on the earlier rows, and the autoencoder on the
       legitimate ones among them.
    3. On the held-out rows, fit the calibration, read the thresholds and the anomaly's quantiles,
       and measure: the figures on the card are from rows that the model never saw. (Those of the
       calibrated probability are from the rows that its two parameters were fitted on.)
    4. With `refit`, fit the served model again on all rows, so that they know the latest frauds,
       and on those of `data.weak`: they have a chance of fraud for a label, so nothing is measured
       or calibrated by them.
       Calibration and thresholds stay: fitted on rows of their own training, they would be far too
       sure. They assume that the added rows leave the margins' distribution as it was.

    The same data and settings give the same bytes, hence the same package id, with the same
    versions of the libraries (they are on the card).

    Args:
        searched: how these settings were found, for the card.
        observe: is shown the held-out rows and the model that was measured on them.

    Raises:
        TrainingError: the data is malformed, too small, or has too few frauds on either side.
        TreeError, CalibrationError, ThresholdError: nothing could be learned from it.
        OSError: `folder` cannot be written to.
    """
    labels = checked_labels(data)
    if data.weak is not None and not settings.refit:
        raise TrainingError(
            "training.refit = false leaves no place for weak labels, which only the last fit has: "
            "set it to true, or train without --weak-labels"
        )
    split = split_by_time(data, labels, settings.holdout_fraction)
    early, late = slice(0, split), slice(split, None)
    rng = np.random.default_rng(settings.seed)
    fits = 2 if settings.refit else 1

    def fit(rows: Rows, message: str, start: float) -> FraudModel:
        return fit_fraud_model(
            rows.matrix,
            rows.labels,
            settings,
            rows.weights,
            lambda share: progress(message, start + share * 0.7 / fits),
        )

    kind = "trees" if settings.family in _OF_TREES else f"the {settings.family} model"
    known = Rows(data.matrix[early], labels[early], data.weights_of(early))
    fraud = fit(known, f"fitting {kind}", 0.0)
    progress("fitting the autoencoder", 0.7 / fits)
    legitimate = labels == 0
    weights = data.weights_of(late)
    autoencoder = fit_autoencoder(
        data.matrix[early][legitimate[early]],
        data.matrix[late][legitimate[late]],
        settings.autoencoder,
        rng,
    )
    progress("calibrating", 0.7 / fits + 0.2)
    margin = fraud.margin(data.matrix[late])
    calibration = fit_platt(margin, labels[late], weights)
    metadata = {
        "feature_names": ",".join(data.feature_names),
        "feature_schema_hash": data.feature_schema_hash,
    }
    model = build_graph(fraud, calibration, autoencoder, metadata)
    # From the graph itself: thresholds are compared with what serving computes, to the last bit.
    outputs = run_session(
        load_session(model, "the trained model"), np.ascontiguousarray(data.matrix[late])
    )
    thresholds = fit_thresholds(
        outputs.probability,
        labels[late],
        settings.review_alert_rate,
        settings.decline_alert_rate,
        weights,
    )
    uncalibrated = sigmoid(margin)
    metrics = measure(outputs, uncalibrated, labels[late], weights)
    observe(
        HeldOut(
            fraud,
            data.matrix[late],
            labels[late],
            weights,
            outputs.probability,
            uncalibrated,
            None if data.stakes is None else data.stakes[late],
        )
    )
    if settings.refit:
        every = Rows(data.matrix, labels, data.weights)
        every = every if data.weak is None else data.weak.beside(every)
        fraud = fit(every, f"fitting {kind} on all rows", 0.55)
        model = build_graph(fraud, calibration, autoencoder, metadata)
    progress("writing the package", 0.9)
    tensors, left_out = tensor_form_or_why_not(model)
    package = write_package(
        folder,
        card=_card(data, labels, settings, metrics, left_out, searched),
        model=model,
        tensors=tensors,
        features=FeatureColumns(
            names=data.feature_names,
            schema_hash=data.feature_schema_hash,
            definitions=data.feature_definitions,
        ),
        thresholds=thresholds,
        drift_reference=freeze_drift_reference(
            data,
            outputs,
            settings.drift_bins,
            settings.drift_timezone,
            fraud.importance(data.matrix[late]),
        ),
        background=sample_background(data.matrix, settings.background_rows, rng),
    )
    progress("done", 1.0)
    return package


def _card(
    data: TrainingSet,
    labels: NDArray[np.int8],
    settings: TrainingSettings,
    metrics: dict[str, float],
    tensors_left_out: str | None,
    searched: SearchRecord | None,
) -> Card:
    return Card(
        format=FORMAT,
        data=TrainingData(
            sha256=data.data_sha256,
            rows=len(labels),
            frauds=int(np.count_nonzero(labels)),
            first_time=int(data.times[0]),
            last_time=int(data.times[-1]),
            version=data.version,
        ),
        code_version=importlib.metadata.version("weir"),
        libraries=_libraries(settings.family),
        parameters=settings.model_dump(mode="json", exclude={"seed", "threads", "search"}),
        searched=searched,
        seed=settings.seed,
        metrics=metrics,
        feature_schema_hash=data.feature_schema_hash,
        tensors_left_out=tensors_left_out,
    )


def _libraries(family: str) -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    if family == "xgboost":
        for name in _XGBOOST:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[name] = importlib.metadata.version(name)
    return found
