"""Training rows from the archive that the settings name."""

from inference.packages.data_version import DataVersion
from inference.packages.package import FeatureColumns
from inference.training.training_set import TrainingSet
from monitoring.archive.errors import ArchiveError
from monitoring.archive.table import EVENTS, ArchiveTable, open_tables
from monitoring.archive.training_rows import Span, read_training_rows
from weir.config.settings import Settings
from weir.training.registering import Progress


def archived_rows(
    settings: Settings,
    place: str | None,
    span: tuple[int | None, int | None],
    label_delay: int | None,
    progress: Progress,
) -> TrainingSet:
    """Read what the archive has of the declared features.

    Args:
        place: of the archive; None for that of the settings.
        span: event times, UTC milliseconds, the last left out.
        label_delay: age in ms at which labels are taken; None for ``comparison.maturity``.

    Raises:
        TrainingError: there are no such rows.
        ArchiveAwayError, ArchiveError: the archive can't be read, or there is none.
    """
    terms, plan, tables = settings.terms(), settings.plan(), _tables(settings, place)
    if tables[EVENTS].newest() is None:
        raise ArchiveError(
            f"there is no archive at {tables[EVENTS].url} yet: name a file of events and labels by "
            "--data, or let `weir archive` begin one"
        )
    asked = Span(
        *span, terms.maturity if label_delay is None else label_delay, terms.unlabelled_count
    )
    columns = FeatureColumns(
        names=plan.names, schema_hash=plan.schema_hash, definitions=plan.schema()
    )
    return read_training_rows(tables, columns, asked, progress)


def archived_again(
    settings: Settings,
    place: str | None,
    columns: FeatureColumns,
    version: DataVersion,
    progress: Progress,
) -> TrainingSet:
    """Read the very rows that a package was trained on.

    Raises:
        TrainingError, ArchiveAwayError, ArchiveError: as `archived_rows`.
    """
    asked = Span(version.start, version.stop, version.label_delay, version.unlabelled_legitimate)
    return read_training_rows(_tables(settings, place), columns, asked, progress, version)


def _tables(settings: Settings, place: str | None) -> dict[str, ArchiveTable]:
    archive = settings.archive
    return open_tables(place or archive.place(settings.data_dir), archive.storage_options())
