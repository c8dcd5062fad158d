"""What analysts' rules say of the events of a file, or of the archive that the settings name."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from inference.weak_labels.voted_rows import VotedRows
from inference.weak_labels.votes import votes
from monitoring.archive.rule_rows import read_votes
from monitoring.archive.training_rows import Span
from streams.features.offline import compute_features, without_repeats
from streams.files.arrow_batch import ColumnBatch
from streams.files.event_file import open_events
from weir.config.errors import SettingsError
from weir.config.settings import Settings
from weir.training.declared import archive_tables, declared_columns
from weir.training.registering import Progress


def check_there_are_rules(settings: Settings) -> None:
    """Refuse to go on without rules.

    Raises:
        SettingsError: there are none.
    """
    if not settings.labels.rules:
        raise SettingsError(
            'there are no [[labels.rules]]: add one, such as name = "large" and '
            'when = ["amount > 500"]; docs/weak-labels.md tells how'
        )


def votes_of_archive(
    settings: Settings, place: str | None, span: tuple[int | None, int | None]
) -> Iterator[VotedRows]:
    """See `read_votes`; labels are taken at an age of ``comparison.maturity``."""
    terms, tables = settings.terms(), archive_tables(settings, place)
    asked = Span(*span, terms.maturity, terms.unlabelled_count)
    return read_votes(tables, settings.labels.rules, declared_columns(settings), asked)


def votes_of_file(
    settings: Settings, path: Path, span: tuple[int | None, int | None], progress: Progress
) -> Iterator[VotedRows]:
    """Ask the rules about events whose features are computed by the scorer's own code.

    Labels are mature ``labels.delay`` before the last event of the span, as if it were now; those
    of later events count as unknown. Headers of records are missing: a file has none.

    Raises:
        EventFileError, ValueError: the file can't be read, or features not computed from it.
    """
    file = without_repeats(open_events(path, settings.event, settings.labels.field))
    rules, plan, (first, last) = settings.labels.rules, settings.plan(), span
    end = int(file.times[-1]) if last is None else min(int(file.times[-1]), last)
    mature_until = end - settings.labels.delay
    every = compute_features(
        file,
        plan,
        settings.labels.delay,
        first,
        last,
        windows=settings.windows,
        progress=lambda done, total: progress("computing features", done / total),
    )
    place = {name: at for at, name in enumerate(plan.names)}
    for rows in every:
        matrix = rows.matrix.astype(np.float32)

        def column(
            name: str, matrix: np.ndarray = matrix, events: ColumnBatch = rows.events
        ) -> pa.Array | pa.ChunkedArray:
            if name in place:
                return pa.array(matrix[:, place[name]])
            if name in settings.event.fields:
                return events.column(name)
            return pa.nulls(len(events), pa.string())

        found = votes(rules, column, len(matrix))
        edge = int(np.searchsorted(rows.events.times, mature_until, side="right"))
        for mature, here in ((True, slice(0, edge)), (False, slice(edge, None))):
            if len(found[here]):
                labels = rows.labels[here] if mature else np.full(len(found[here]), -1, np.int8)
                yield VotedRows(
                    mature=mature,
                    times=rows.events.times[here],
                    votes=found[here],
                    labels=labels,
                    weights=np.ones(len(labels)),
                    matrix=matrix[here],
                )
