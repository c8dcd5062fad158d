"""From labelled rows to a registered model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference.evaluation.evaluate import DAY_MS
from inference.packages.data_version import DataVersion
from inference.packages.mlflow_run import RunDetails
from inference.packages.package import ModelPackage
from inference.packages.registry import CHAMPION_ALIAS, RegisteredModel, Registry
from inference.packages.search_record import Trial
from inference.training.curves import HeldOut, by_threshold, calibration, learning
from inference.training.search.search import Chosen
from inference.training.settings import TrainingSettings
from inference.training.train import train
from inference.training.training_set import (
    TrainingError,
    TrainingSet,
    checked_labels,
    split_by_time,
)
from streams.features.offline import training_matrix
from streams.files.columns import UNLABELLED
from streams.files.event_file import EventFile
from weir.config.errors import SettingsError
from weir.config.settings import Settings
from weir.services.wiring import open_registry
from weir.training.declared import declared_stake

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is, 0 to 1."""

Choose = Callable[[TrainingSet, int], Chosen]
"""Searches settings on those rows that are before a time, UTC milliseconds."""


def train_and_register(
    settings: Settings,
    file: EventFile,
    start_ms: int | None,
    stop_ms: int | None,
    alias: str | None = None,
    progress: Progress = lambda step, share: None,
    choose: Choose | None = None,
) -> RegisteredModel:
    """Compute features of the labelled events in a span of time, train on them, register.

    Args:
        file: opened with its labels; events before `start_ms` are history for the windows.
        alias, choose: see `train_on`.

    Raises:
        TrainingError: the data is too small, or has too few frauds.
        RegistryError: the registry can't be reached or written.
        SettingsError: models have to be signed here, and we can't.
    """

    def rows() -> TrainingSet:
        return training_set(settings, file, start_ms, stop_ms, progress)

    return train_on(settings, rows, str(file.path), alias, progress, choose)


def train_on(
    settings: Settings,
    rows: Callable[[], TrainingSet],
    source: str,
    alias: str | None,
    progress: Progress,
    choose: Choose | None = None,
) -> RegisteredModel:
    """Train on rows and register the model.

    Args:
        rows: reads them.
        source: what errors call them.
        alias: see `register_model`.
        choose: searches the settings on rows before the held-out ones; None to take them as set.

    Raises:
        TrainingError: the data is too small, or has too few frauds.
        RegistryError: the registry can't be reached or written.
        SettingsError: models have to be signed here, and we can't.
    """
    registry = open_registry(settings, signing=True)  # before the work: we may have no key
    data = rows()
    held_out: list[HeldOut] = []
    try:
        chosen = None if choose is None else choose(data, _hold_out(data, settings.training))
        package = train(
            data,
            settings.training if chosen is None else chosen.settings,
            packages_folder(settings),
            progress,
            None if chosen is None else chosen.record,
            held_out.append,
        )
    except TrainingError as error:
        raise TrainingError(f"{source}: {error}") from error
    trials = () if chosen is None else chosen.trials
    return register_model(
        registry, package, alias, run_details(settings, package, held_out[0], trials)
    )


def run_details(
    settings: Settings, package: ModelPackage, rows: HeldOut, trials: tuple[Trial, ...] = ()
) -> RunDetails:
    """What a run shows of a package, by the held-out rows of its training."""
    shares = package.drift_reference.importance
    return RunDetails(
        trials=trials,
        tables={
            "by_threshold": by_threshold(rows, settings.policy.costs),
            "calibration": calibration(rows),
            "importance": pa.table({"feature": list(shares), "share": list(shares.values())}),
        },
        steps=list(learning(rows)),
    )


def _hold_out(data: TrainingSet, settings: TrainingSettings) -> int:
    """The day, UTC milliseconds, in which the first held-out row lies."""
    split = split_by_time(data, checked_labels(data), settings.holdout_fraction)
    return int(data.times[split]) // DAY_MS * DAY_MS


def register_model(
    registry: Registry,
    package: ModelPackage,
    alias: str | None = None,
    details: RunDetails | None = None,
) -> RegisteredModel:
    """Register a package: as the champion where there is none yet, else as a candidate.

    The control topic makes a candidate champion (`weir models promote`); the registry's word counts
    only until then.

    Args:
        alias: what the registry calls it besides; None for nothing.
        details: what its run in MLflow shows besides.

    Raises:
        RegistryError: the registry can't be reached or written.
    """
    model = registry.register(package, alias, details)
    if CHAMPION_ALIAS in registry.aliases():
        return model
    registry.set_alias(CHAMPION_ALIAS, model.version)
    return registry.get(model.version)


def check_alias(alias: str | None) -> None:
    """Refuse to call a new model champion by the registry's word alone.

    Raises:
        SettingsError: that is what was asked for.
    """
    if alias == CHAMPION_ALIAS:
        raise SettingsError(
            "--alias champion: scorers go by the control topic; --promote makes the new model "
            "champion there, and the registry's alias follows"
        )


def training_set(
    settings: Settings,
    file: EventFile,
    start_ms: int | None,
    stop_ms: int | None,
    progress: Progress,
) -> TrainingSet:
    """Compute the features of a file's labelled events in a span of time.

    Args:
        file: opened with its labels; events before `start_ms` are history for the windows.

    Raises:
        ValueError: the features cannot be computed from this file.
    """
    plan = settings.plan()
    data = training_matrix(
        file,
        plan,
        settings.labels.delay,
        start_ms,
        stop_ms,
        windows=settings.windows,
        progress=lambda done, total: progress("computing features", done / total),
    )
    return TrainingSet(
        matrix=data.matrix,
        labels=data.labels,
        times=data.times,
        feature_names=plan.names,
        feature_definitions=plan.schema(),
        feature_schema_hash=plan.schema_hash,
        data_sha256=file.sha256,
        version=DataVersion(
            files={"events": file.sha256},
            start=start_ms,
            stop=stop_ms,
            label_delay=settings.labels.delay,
        ),
        keys=key_codes(_labelled(file, settings.event.key, start_ms, stop_ms)),
        stakes=_stakes(file, declared_stake(settings), start_ms, stop_ms),
    )


def _stakes(
    file: EventFile, field: str | None, start_ms: int | None, stop_ms: int | None
) -> NDArray[np.float64] | None:
    if field is None:
        return None
    column = _labelled(file, field, start_ms, stop_ms).cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _labelled(file: EventFile, field: str, start_ms: int | None, stop_ms: int | None) -> pa.Array:
    """A column of the events in a span that have a label."""
    first, last = file.span(start_ms, stop_ms)
    assert file.labels is not None
    known = pa.array(file.labels[first:last] != UNLABELLED)
    return file.events.column(field).slice(first, last - first).filter(known)


def key_codes(keys: pa.Array) -> NDArray[np.int64]:
    """Keys as numbers that are in order as they are, (n,)."""
    # A rank for each that is distinct: sorting all events would take longer than their features.
    codes = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    ranks = pc.rank(codes.dictionary, tiebreaker="dense").to_numpy().astype(np.int64)
    found: NDArray[np.int64] = ranks[codes.indices.to_numpy()]
    return found


def packages_folder(settings: Settings) -> Path:
    """Where trained packages lie."""
    return settings.data_dir / "packages"
