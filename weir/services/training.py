"""From a file of events to a registered model."""

from collections.abc import Callable
from pathlib import Path

from inference.packages.registry import CHAMPION_ALIAS, RegisteredModel
from inference.training.train import train
from inference.training.training_set import TrainingError, TrainingSet
from streams.features.offline import training_matrix
from streams.files.event_file import EventFile
from weir.config.settings import Settings
from weir.services.wiring import open_registry

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is, 0 to 1."""


def train_and_register(
    settings: Settings,
    file: EventFile,
    start_ms: int | None,
    stop_ms: int | None,
    alias: str | None = CHAMPION_ALIAS,
    progress: Progress = lambda step, share: None,
) -> RegisteredModel:
    """Compute features of the labelled events in a span of time, train on them, register.

    Args:
        file: opened with its labels; events before `start_ms` are history for the windows.
        alias: what the registry calls the model; None leaves the aliases as they are.

    Raises:
        TrainingError: the data is too small, or has too few frauds.
        RegistryError: the registry can't be reached or written.
    """
    rows = training_set(settings, file, start_ms, stop_ms, progress)
    try:
        package = train(rows, settings.training, packages_folder(settings), progress)
    except TrainingError as error:
        raise TrainingError(f"{file.path}: {error}") from error
    return open_registry(settings).register(package, alias)


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
    )


def packages_folder(settings: Settings) -> Path:
    """Where trained packages lie."""
    return settings.data_dir / "packages"
