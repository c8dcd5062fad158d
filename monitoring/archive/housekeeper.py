"""What the archive does beside archiving: compaction, retention, and erasure of people."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Event
from time import monotonic
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable

from monitoring.archive.errors import ArchiveAwayError, ArchiveError
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.archive.settings import ArchiveSettings
from monitoring.archive.table import EVENTS, LABELS, SCORES, ArchiveTable, said_plainly
from streams.features.erasures import Erasures

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOOK_S = 5.0
_HOUR_MS = 3_600_000
_AT_ONCE = 1_000
"""Values in one predicate."""


class Housekeeper:
    """Tidies tables up, one process at a time; two at once do no harm.

    Args:
        tables: by name.
        erasures: who is to be forgotten; another thread adds to it.
        key_field: the event's field that stands in the column ``key``.
        leads: whether it is ours to do.
    """

    def __init__(
        self,
        tables: Mapping[str, ArchiveTable],
        settings: ArchiveSettings,
        *,
        erasures: Erasures,
        key_field: str,
        leads: Callable[[], bool],
        metrics: ArchiveMetrics,
    ) -> None:
        self._tables = tables
        self._settings = settings
        self._erasures = erasures
        self._key_field = key_field
        self._leads = leads
        self._metrics = metrics
        self._erased = 0
        self._next = monotonic() + settings.compact_every / 1_000

    def run(self, stop: Event) -> None:
        """Tidy up what is due until `stop` is set."""
        while not stop.wait(_LOOK_S):
            if not self._leads():
                self._erased = 0  # who leads next begins anew, and so do we
                continue
            try:
                self._look()
            except (ArchiveAwayError, ArchiveError, OSError) as error:
                logger.warning("the archive can't be tidied up now, trying again: %s", error)

    def _look(self) -> None:
        every = self._settings.compact_every / 1_000
        due = bool(every) and monotonic() >= self._next
        if due or self._erased != self._erasures.number:
            number = self._erasures.number
            self.erase()
            self._erased = number
        if due:
            self._next = monotonic() + every
            self.tidy()

    def tidy(self) -> None:
        """Expire, compact, and let go of files that were replaced long ago.

        Raises:
            ArchiveAwayError, ArchiveError: see `ArchiveTable`.
        """
        before = self._expires()
        for name, archived in self._tables.items():
            table = archived.newest()
            if table is None:
                continue
            if before is not None:
                # Labels become known after their events: theirs is the date of that.
                expired = partial(table.delete, f"date < '{before}'")
                self._note(name, "expired", said_plainly(archived.url, expired)["num_deleted_rows"])
            compacted = said_plainly(archived.url, table.optimize.compact)
            self._note(name, "compacted", compacted["numFilesRemoved"])
            self._vacuum(archived, table, self._settings.undo, full=True)

    def erase(self) -> None:
        """Delete the rows of those who are to be forgotten, and at once the files that had them.

        Raises:
            ArchiveAwayError, ArchiveError: see `ArchiveTable`.
        """
        for ids in self._to_erase():
            # What leads to labels and scores goes last: who is killed on the way finds them again.
            for some in _chunks(sorted(map(_literal, ids)), _AT_ONCE):
                for name in (LABELS, SCORES, EVENTS):
                    self._delete(self._tables[name], f"event_id IN ({', '.join(some)})")

    def _to_erase(self) -> Iterator[list[int | str]]:
        """Ids of the events of those that the archive knows and is to forget."""
        events = self._tables[EVENTS].dataset()
        if events is None:
            return
        columns = {self._key_field: ds.field("key")}
        if "context" in events.schema.names:
            for each in events.schema.field("context").type:
                columns[each.name] = ds.field("context", each.name)
        for field, column in columns.items():
            cuts = self._erasures.of(field)
            for some in _chunks(list(cuts), _AT_ONCE):
                his = column.cast(pa.array(some).type).isin(some)
                rows = events.to_table(
                    {"id": ds.field("event_id"), "value": column, "time": ds.field("event_time")},
                    filter=his,
                )
                moments = [datetime.fromtimestamp(cuts[value] / 1_000, UTC) for value in some]
                before = dict(zip(some, moments, strict=True))
                ids = [row["id"] for row in rows.to_pylist() if row["time"] < before[row["value"]]]
                if ids:
                    yield ids

    def _delete(self, archived: ArchiveTable, predicate: str) -> None:
        table = archived.newest()
        if table is None:
            return
        done = said_plainly(archived.url, lambda: table.delete(predicate))
        if done["num_deleted_rows"]:
            self._note(archived.name, "erased", done["num_deleted_rows"])
            self._vacuum(archived, table, 0, full=False)

    def _vacuum(self, archived: ArchiveTable, table: DeltaTable, keep: int, *, full: bool) -> None:
        """Delete files that no version of the last `keep` ms needs.

        Args:
            full: also those that no commit knows: of a worker that was killed, or is at work.
        """
        gone = said_plainly(
            archived.url,
            lambda: table.vacuum(
                retention_hours=-(-keep // _HOUR_MS),
                dry_run=False,
                enforce_retention_duration=False,
                full=full and keep >= _HOUR_MS,
            ),
        )
        self._note(archived.name, "vacuumed", len(gone))

    def _expires(self) -> date | None:
        """Before which date rows expire; by event time, so that a replay of old events stays."""
        table = self._tables[EVENTS].newest() if self._settings.keep else None
        if table is None:
            return None
        dates = pa.table(table.get_add_actions(flatten=True))["partition.date"].to_pylist()
        if not dates:
            return None
        newest: date = min(max(dates), datetime.now(UTC).date())
        return newest - timedelta(milliseconds=self._settings.keep)

    def _note(self, name: str, action: str, count: int) -> None:
        if count:
            logger.info("archive, table %s: %s %d", name, action, count)
            self._metrics.tidied.labels(action).inc(count)


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _chunks(values: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
