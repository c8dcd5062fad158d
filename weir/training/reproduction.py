"""Training a model again, from its own card: the same package bit for bit, or what differs."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from inference.packages.data_version import DataVersion
from inference.packages.package import Card, ModelPackage
from inference.training.settings import TrainingSettings
from inference.training.train import train
from inference.training.training_set import TrainingError, TrainingSet
from streams.files.event_file import EventFile
from weir.config.settings import Settings
from weir.training.archived import archived_again
from weir.training.registering import Progress, training_set

_SHOWN = 12


def reproduce(
    settings: Settings,
    package: ModelPackage,
    file: EventFile | None,
    archive: str | None,
    progress: Progress,
) -> list[str]:
    """Train a package again and say what differs; nothing does if it is the same, bit for bit.

    The card says with which settings, and of which data. What was built is thrown away.

    Args:
        file: the data, opened with their labels, where the package was trained on a file.
        archive: where the archive is; None for that of the settings.

    Raises:
        TrainingError: the package does not say enough, or nothing can be trained from the data.
        ArchiveAwayError, ArchiveError: the archive can't be read, or there is none.
    """
    card = package.card
    version = _said(package)
    if version.of_archive:
        rows = archived_again(settings, archive, package.features, version, progress)
    else:
        rows = _of_file(settings, package, file, version, progress)
    differences = _data(card, rows)
    with tempfile.TemporaryDirectory(prefix="weir-reproduce-") as folder:
        again = train(
            replace(rows, version=version),
            _settings(settings, card),
            Path(folder),
            progress,
            card.searched,
        )
        differences += _environment(card, again.card)
        if again.id != package.id:
            differences += _content(package, again)
    return differences


def _said(package: ModelPackage) -> DataVersion:
    card = package.card
    if card.source is not None:
        raise TrainingError(
            f"model {package.short_id} was imported from {card.source.file}: Weir has not trained "
            "it, and cannot do so again"
        )
    if card.data.version is None:
        raise TrainingError(
            f"the card of model {package.short_id} does not say which span of which data it was "
            "trained on: it was written before Weir noted that. Train a new one"
        )
    return card.data.version


def _settings(settings: Settings, card: Card) -> TrainingSettings:
    more = {"seed": card.seed, "threads": settings.training.threads}
    try:
        return TrainingSettings.model_validate(card.parameters | more)
    except ValidationError as error:
        raise TrainingError(
            f"this version of Weir does not know the model's settings; it was trained by Weir "
            f"{card.code_version}: {error}"
        ) from error


def _of_file(
    settings: Settings,
    package: ModelPackage,
    file: EventFile | None,
    version: DataVersion,
    progress: Progress,
) -> TrainingSet:
    if file is None:
        raise TrainingError(
            f"model {package.short_id} was trained on a file of SHA-256 "
            f"{package.card.data.sha256}: name it by --data"
        )
    if settings.plan().schema_hash != package.features.schema_hash:
        raise TrainingError(
            f"the settings declare features {settings.plan().schema_hash[:12]}, and model "
            f"{package.short_id} was trained on {package.features.schema_hash[:12]}: use the "
            "settings of then (its features.json has what was declared)"
        )
    then = settings.labels.model_copy(update={"delay": version.label_delay})
    return training_set(
        settings.model_copy(update={"labels": then}), file, version.start, version.stop, progress
    )


def _data(card: Card, rows: TrainingSet) -> list[str]:
    versions = card.data.version, rows.version
    weak = [each.weak for each in versions if each is not None and each.weak is not None]
    if len({each.sha256 for each in weak}) > 1:
        return [
            f"weak labels: {weak[0].events:,} young events then, {weak[1].events:,} now, or other "
            "chances of fraud"
        ]
    if rows.data_sha256 == card.data.sha256:
        return []
    found = [f"data: SHA-256 {card.data.sha256[:12]} then, {rows.data_sha256[:12]} now"]
    then, now = card.data.rows, len(rows.labels)
    if then != now:
        why = ": expired or erased since?" if now < then else ""
        found.append(f"data: {then:,} rows then, {now:,} now{why}")
    frauds = int((rows.labels == 1).sum())
    if frauds != card.data.frauds:
        found.append(f"data: {card.data.frauds:,} frauds then, {frauds:,} now")
    return found


def _environment(then: Card, now: Card) -> list[str]:
    found = []
    if then.code_version != now.code_version:
        found.append(f"Weir: {then.code_version} then, {now.code_version} now")
    return found + _changes(then.libraries, now.libraries)


def _content(then: ModelPackage, now: ModelPackage) -> list[str]:
    found = []
    for name in sorted(then.card.files | now.card.files):
        if then.card.files.get(name) != now.card.files.get(name):
            found.append(f"{name} differs")
    found += _changes(then.card.metrics, now.card.metrics)
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"and {len(found) - _SHOWN} more"]
    return found or ["card.json differs"]


def _changes(then: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What stands under each name that has not the same then and now."""
    return [
        f"{name}: {then.get(name, 'none')} then, {now.get(name, 'none')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
