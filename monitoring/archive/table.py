"""One table of the archive: Parquet files under Delta Lake's log.

Each commit says for each partition of its Kafka topic up to which offset rows are in. Rows and
positions are one commit, and of two commits that move the position of one partition, only one
succeeds: so each record is archived once, whoever is killed when and however many workers believe
that a partition is theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import (
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import (
    CommitFailedError,
    DeltaError,
    SchemaMismatchError,
    TableNotFoundError,
)

from monitoring.archive.errors import (
    ArchiveAwayError,
    ArchiveConflictError,
    ArchiveError,
    ChangedMeanwhileError,
)
from streams.base.masking import without_secrets

T = TypeVar("T")

_TRIES = 8
_MISFIT = "Cast error"
_WRITER = WriterProperties(compression="ZSTD")
EVENTS, SCORES, LABELS = "events", "scores", "labels"
TABLES = (EVENTS, SCORES, LABELS)
_FOLDERS: dict[str, Sequence[str]] = {
    EVENTS: ("feature_schema", "date"),
    SCORES: ("date",),
    LABELS: ("date",),
}


class ArchiveTable:
    """A table that may not be there yet. Any thread may use it.

    Args:
        place: of the archive; a folder or a URL.
        name: one of `TABLES`.
        options: how to reach an object store.
    """

    def __init__(self, place: str, name: str, options: Mapping[str, str]) -> None:
        self.name = name
        self.url = f"{place}/{name}"
        self._options = dict(options)
        self._lock = Lock()
        self._table: DeltaTable | None = None

    def position(self, source: str) -> int:
        """Up to which offset a source is in, as it stands now; 0 for nothing.

        Raises:
            ArchiveAwayError: the store does not answer.
        """

        def asked() -> int:
            self._renew()
            return self._known(source)

        return self._do(asked)

    def append(self, rows: pa.Table, moves: Mapping[str, tuple[int, int]]) -> None:
        """Add rows, and that these sources are in from one offset up to another.

        Args:
            moves: by source, such as a partition of a topic.

        Raises:
            ArchiveConflictError: a source is not in up to where we begin, or no more: somebody
                else has archived of it.
            ArchiveAwayError: the store does not answer, or is full; the rows may be in yet.
            ArchiveError: the rows do not fit the table.
        """
        said = [Transaction(source, end) for source, (_, end) in moves.items()]

        def commit() -> None:
            table = self._renew() or self._create(rows.schema)
            for source, (begin, _) in moves.items():
                if (known := self._known(source)) != begin:
                    raise ArchiveConflictError(f"{source} is in up to {known}, and not {begin}")
            # Of the state that was just looked at: a position that moves meanwhile is a conflict.
            write_deltalake(
                table,
                rows,
                mode="append",
                schema_mode="merge",
                writer_properties=_WRITER,
                commit_properties=CommitProperties(app_transactions=said),
            )

        for tries_left in reversed(range(_TRIES)):
            try:
                self._do(commit)
                return
            except ChangedMeanwhileError:
                if not tries_left:
                    raise

    def dataset(self) -> ds.Dataset | None:
        """What is in now; None where nothing was ever archived.

        Raises:
            ArchiveAwayError: the store does not answer.
        """
        table = self.newest()
        if table is None:
            return None
        return self._do(lambda: table.to_pyarrow_dataset())

    def newest(self) -> DeltaTable | None:
        """The table of Delta Lake, opened anew; None where nothing was ever archived.

        Raises:
            ArchiveAwayError: the store does not answer.
        """

        def opened() -> DeltaTable | None:
            try:
                return DeltaTable(self.url, storage_options=self._options)
            except TableNotFoundError:
                return None

        return self._do(opened)

    def _known(self, source: str) -> int:
        return (self._table.transaction_version(source) or 0) if self._table else 0

    def _renew(self) -> DeltaTable | None:
        try:
            if self._table is None:
                self._table = DeltaTable(self.url, storage_options=self._options)
            else:
                self._table.update_incremental()
        except TableNotFoundError:
            self._table = None
        return self._table

    def _create(self, schema: pa.Schema) -> DeltaTable:
        self._table = DeltaTable.create(
            self.url,
            Schema.from_arrow(schema),
            mode="ignore",  # somebody else may do so, too
            partition_by=list(_FOLDERS[self.name]),
            storage_options=self._options,
        )
        return self._table

    def _do(self, action: Callable[[], T]) -> T:
        with self._lock:
            return said_plainly(self.url, action)


def said_plainly(url: str, action: Callable[[], T]) -> T:
    """What an action on a table leads to; what goes wrong with it in our own words.

    Raises:
        ChangedMeanwhileError, ArchiveAwayError, ArchiveError: see there.
    """
    try:
        return action()
    except CommitFailedError as error:
        raise ChangedMeanwhileError(str(error)) from error
    except (DeltaError, OSError) as error:
        if isinstance(error, SchemaMismatchError) or _MISFIT in str(error):
            raise _misfit(url, error) from error
        raise ArchiveAwayError(
            f"table {url} of the archive can't be used: {_why(error)}"
        ) from error
    except (pa.ArrowException, ValueError) as error:
        raise _misfit(url, error) from error


def _misfit(url: str, error: Exception) -> ArchiveError:
    return ArchiveError(f"table {url} of the archive does not take these rows: {_why(error)}")


def _why(error: Exception) -> str:
    return without_secrets(" ".join(str(error).split()))


def open_tables(place: str, options: Mapping[str, str]) -> dict[str, ArchiveTable]:
    """All tables, by name."""
    return {name: ArchiveTable(place, name, options) for name in TABLES}
