"""Training rows from the archive that the settings name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inference.packages.data_version import DataVersion
from inference.packages.package import FeatureColumns
from inference.training.training_set import TrainingSet
from inference.training.weak_rows import weak_rows
from monitoring.archive.errors import ArchiveError
from monitoring.archive.rule_rows import read_votes
from monitoring.archive.table import EVENTS, ArchiveTable
from monitoring.archive.training_rows import Span, bounds_of, read_training_rows
from streams.events.label_rules import LabelRule
from weir.config.settings import Settings
from weir.training.declared import archive_tables, declared_columns, declared_stake
from weir.training.registering import Progress
from weir.training.rule_votes import check_there_are_rules


def archived_rows(
    settings: Settings,
    place: str | None,
    span: tuple[int | None, int | None],
    label_delay: int | None,
    progress: Progress,
    weak: bool = False,
) -> TrainingSet:
    """Read what the archive has of the declared features.

    Args:
        place: of the archive; None for that of the settings.
        span: event times, UTC milliseconds, the last left out.
        label_delay: age in ms at which labels are taken; None for ``comparison.maturity``.
        weak: read young events, too, with what ``labels.rules`` say of them.

    Raises:
        TrainingError: there are no such rows.
        WeakLabelError: too little is known to judge the rules by.
        SettingsError: weak labels are asked for, and there are no rules.
        ArchiveAwayError, ArchiveError: the archive can't be read, or there is none.
    """
    if weak:
        check_there_are_rules(settings)
    terms, tables = settings.terms(), archive_tables(settings, place)
    if tables[EVENTS].newest() is None:
        raise ArchiveError(
            f"there is no archive at {tables[EVENTS].url} yet: name a file of events and labels by "
            "--data, or let `weir archive` begin one"
        )
    asked = Span(
        *span, terms.maturity if label_delay is None else label_delay, terms.unlabelled_count
    )
    columns = declared_columns(settings)
    rows = read_training_rows(tables, columns, asked, progress, stake=declared_stake(settings))
    rules = settings.labels.rules if weak else ()
    return _with_weak(tables, rows, columns, asked, rules, progress)


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
    asked = Span(
        version.start,
        version.stop,
        version.label_delay,
        version.unlabelled_legitimate,
        version.left_out,
    )
    tables = archive_tables(settings, place)
    rows = read_training_rows(tables, columns, asked, progress, version)
    rules = version.weak.rules if version.weak is not None else ()
    return _with_weak(tables, rows, columns, asked, rules, progress)


def _with_weak(
    tables: Mapping[str, ArchiveTable],
    rows: TrainingSet,
    columns: FeatureColumns,
    span: Span,
    rules: Sequence[LabelRule],
    progress: Progress,
) -> TrainingSet:
    """The same rows with young ones beside them, of the same state of the archive."""
    if not rules or rows.version is None:
        return rows
    progress("asking the rules", 0.0)
    voted = read_votes(tables, rules, columns, span, bounds_of(rows.version.until))
    weak, said = weak_rows(voted, rules)
    return replace(rows, weak=weak, version=rows.version.model_copy(update={"weak": said}))
