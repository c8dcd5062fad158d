"""From an exported model and labelled data to a package with every yardstick."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.evaluation.metrics import auc
from inference.importing.build.finishing import (
    AnomalyLevels,
    finish_graph,
    fit_anomaly_levels,
    margins,
    probabilities,
)
from inference.importing.build.packaging import make_card, tensor_form
from inference.importing.build.scaling import fit_medians, fit_scaling, read_scaling
from inference.importing.sandbox.inspection import Inspection, Request
from inference.importing.sandbox.options import ImportOptions
from inference.importing.sandbox.sandbox import inspect_apart, run_apart
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.packages.package import FeatureColumns, ModelPackage, write_package
from inference.packages.thresholds import fit_thresholds
from inference.training.autoencoder import Autoencoder, fit_autoencoder
from inference.training.calibration import fit_platt
from inference.training.holdout_figures import freeze_drift_reference, measure, sample_background
from inference.training.settings import TrainingSettings
from inference.training.training_set import TrainingSet, checked_labels, split_by_time

Progress = Callable[[str, float], None]
"""Called with what is being done, and the share of the whole that is done, 0 to 1."""


def check_model(
    path: Path,
    declared: tuple[str, ...],
    options: ImportOptions,
    limits: Limits,
    rows: NDArray[np.float32] | None = None,
) -> Inspection:
    """Check a file and run its golden batch, also on rows (n, len(declared)) where there are some.

    Raises:
        ImportRefusedError: it can be no package.
    """
    request = _request(path, declared, options, limits, rows)
    return inspect_apart(path, request, rows)[1]


def import_model(
    path: Path,
    data: TrainingSet,
    *,
    settings: TrainingSettings,
    options: ImportOptions,
    limits: Limits,
    folder: Path,
    progress: Progress,
) -> ModelPackage:
    """Make a package of an exported model, and write it into `folder` under its short id.

    The data are split by time, as in training: medians, scaling and the anomaly model are fitted
    on the earlier rows; calibration, thresholds and figures come from the later ones. Whether the
    model was fitted on those too, only its owner knows.

    Args:
        data: with all declared features as columns.
        settings: the hold-out, the alert rates, the anomaly model.

    Raises:
        ImportRefusedError: the file can be no package.
        TrainingError, CalibrationError, ThresholdError: the data do not do.
        OSError: `folder` cannot be written to.
    """
    labels = checked_labels(data)
    split = split_by_time(data, labels, settings.holdout_fraction)
    progress("checking the file", 0.0)
    request = _request(path, data.feature_names, options, limits, data.matrix[:split])
    core, found = inspect_apart(path, request, data.matrix)
    data = _with_columns(data, found.features)
    late = data.matrix[split:]
    progress("asking the model", 0.2)
    raw = {n: v[split:] for n, v in _raw_answers(path, core, data.matrix, options, limits).items()}
    score = raw["model_score"].astype(np.float64)
    _check_ranking(path, score, labels[split:], found, options)
    calibration = (
        fit_platt(margins(score, found.kind), labels[split:]) if options.calibrate else None
    )
    progress("fitting the anomaly model", 0.3)
    rng = np.random.default_rng(settings.seed)
    anomaly = _anomaly(data, labels, split, raw, settings, options, rng)
    metadata = {
        "feature_names": ",".join(found.features),
        "feature_schema_hash": data.feature_schema_hash,
    }
    model = finish_graph(core, found.kind, calibration, anomaly, metadata)
    progress("measuring", 0.8)
    answers = Outputs(**run_apart(model, late, Outputs._fields, limits, str(path)))
    tensors, left_out = tensor_form(path, model, late, answers, limits)
    progress("writing the package", 0.9)
    package = write_package(
        folder,
        card=make_card(
            path.name,
            data,
            settings,
            options,
            found,
            metrics=measure(answers, probabilities(score, found.kind), labels[split:]),
            tensors_left_out=left_out,
        ),
        model=model,
        tensors=tensors,
        features=FeatureColumns(
            names=found.features,
            schema_hash=data.feature_schema_hash,
            definitions=data.feature_definitions,
        ),
        thresholds=fit_thresholds(
            answers.probability,
            labels[split:],
            settings.review_alert_rate,
            settings.decline_alert_rate,
        ),
        drift_reference=freeze_drift_reference(
            data, answers, settings.drift_bins, settings.drift_timezone
        ),
        background=sample_background(data.matrix, settings.background_rows, rng),
    )
    progress("done", 1.0)
    return package


def _request(
    path: Path,
    declared: tuple[str, ...],
    options: ImportOptions,
    limits: Limits,
    rows: NDArray[np.float32] | None,
) -> Request:
    fill = mean = scale = None
    if options.impute is not None:
        fill = _fill(path, options.impute, len(declared), rows)
    if options.scale == "data":
        if rows is None:
            raise _needs_data(path, "--scale data")
        mean, scale = fit_scaling(rows)
    elif options.scale is not None:
        mean, scale = read_scaling(Path(options.scale), declared)
    return Request(
        declared=declared,
        features=options.features,
        score=options.score,
        kind=options.kind,
        fraud_class=options.fraud_class,
        anomaly=options.anomaly,
        fill=fill,
        mean=mean,
        scale=scale,
        limits=limits,
    )


def _fill(
    path: Path, impute: str, width: int, rows: NDArray[np.float32] | None
) -> tuple[float, ...]:
    if impute != "median":
        return (float(impute),) * width
    if rows is None:
        raise _needs_data(path, "--impute median")
    return fit_medians(rows)


def _needs_data(path: Path, option: str) -> ImportRefusedError:
    return ImportRefusedError(option, "it needs data", "Name them with --data", str(path))


def _with_columns(data: TrainingSet, features: tuple[str, ...]) -> TrainingSet:
    columns = [data.feature_names.index(name) for name in features]
    matrix = np.ascontiguousarray(data.matrix[:, columns])
    return replace(data, matrix=matrix, feature_names=features)


def _raw_answers(
    path: Path, core: bytes, rows: NDArray[np.float32], options: ImportOptions, limits: Limits
) -> dict[str, NDArray[np.float32]]:
    names = ["model_score", *(["model_anomaly"] if options.anomaly else [])]
    raw = run_apart(core, rows, names, limits, str(path))
    for name, values in raw.items():
        unanswered = ~np.isfinite(values).reshape(len(rows), -1).all(axis=1)
        if unanswered.any():
            missing = int(np.isnan(rows[unanswered]).any(axis=1).sum())
            raise ImportRefusedError(
                "answers" if name == "model_score" else f"output {options.anomaly!r}",
                f"{np.count_nonzero(unanswered):,} of {len(rows):,} events have none, "
                f"{missing:,} of these with missing features",
                "Say what stands for a missing value: --impute median, or --impute 0"
                if missing
                else "Export a model that answers every event with a finite number",
                str(path),
            )
    return raw


def _check_ranking(
    path: Path,
    score: NDArray[np.float64],
    labels: NDArray[np.int8],
    found: Inspection,
    options: ImportOptions,
) -> None:
    """Refuse a score that is higher for legitimate events: it is that of the other class."""
    area = auc(labels, score)
    if area < 0.5:
        raise ImportRefusedError(
            f"output {found.score!r}",
            f"it ranks the {np.count_nonzero(labels)} held-out frauds below other events (AUC "
            f"{area:.3f})",
            "It may be the score of the other class (--fraud-class), another output (--score), or "
            "read other columns (--features" + (", --scale)" if options.scale is None else ")"),
            str(path),
        )


def _anomaly(
    data: TrainingSet,
    labels: NDArray[np.int8],
    split: int,
    raw: dict[str, NDArray[np.float32]],
    settings: TrainingSettings,
    options: ImportOptions,
    rng: np.random.Generator,
) -> Autoencoder | AnomalyLevels:
    legitimate = labels == 0
    if options.anomaly is not None:
        values = raw["model_anomaly"][:, 0][legitimate[split:]]
        return fit_anomaly_levels(values, options.anomaly_low)
    return fit_autoencoder(
        data.matrix[:split][legitimate[:split]],
        data.matrix[split:][legitimate[split:]],
        settings.autoencoder,
        rng,
    )
