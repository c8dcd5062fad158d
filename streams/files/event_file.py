"""Files of events: Parquet or CSV, read into columns under the event contract."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from streams.base.clock import now_ms as wall_clock_ms
from streams.base.errors import WeirError
from streams.events.contract import EventContract
from streams.files.arrow_batch import ColumnBatch
from streams.files.columns import explain, to_field, to_labels, to_times
from streams.files.row_checks import RejectedRows, RowChecks

_PARSING = pyarrow.csv.ParseOptions(newlines_in_values=True)


class EventFileError(WeirError):
    """A file can't be read as events; the message names the file, the column and the fix."""


@dataclass(frozen=True)
class EventFile:
    """The events of a file, in the order in which they count: by time, then by id.

    Attributes:
        path: where it is.
        sha256: of the file's bytes, hex.
        contract: what its events hold.
        events: all n events.
        labels: 1 for fraud, 0 for legitimate, -1 where nothing is known, shape (n,); None if no
            label column was asked for.
        label_field: the name of that column.
        rejected: the rows left out, because the stream would reject them too.
        absent: optional fields for which the file has no column; they are missing everywhere.
        repeats: how many rows were left out as repeats; None while nobody has looked.
    """

    path: Path
    sha256: str
    contract: EventContract
    events: ColumnBatch
    labels: NDArray[np.int8] | None
    label_field: str | None
    rejected: tuple[RejectedRows, ...]
    absent: tuple[str, ...]
    repeats: int | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def times(self) -> NDArray[np.int64]:
        """Event times, UTC milliseconds, ascending, shape (n,)."""
        return self.events.times

    @property
    def rows_rejected(self) -> int:
        """How many rows were left out."""
        return sum(each.count for each in self.rejected)

    def batch(self, start: int, stop: int) -> ColumnBatch:
        """The events from position `start` up to `stop`, without copying them."""
        return self.events.slice(start, stop)

    def span(self, start_ms: int | None = None, stop_ms: int | None = None) -> tuple[int, int]:
        """Positions of the first event at or after `start_ms`, and of the first at `stop_ms`."""
        start = 0 if start_ms is None else int(np.searchsorted(self.times, start_ms))
        stop = len(self) if stop_ms is None else int(np.searchsorted(self.times, stop_ms))
        return start, max(start, stop)


def open_events(
    path: Path | str,
    contract: EventContract,
    label_field: str | None = None,
    now_ms: int | None = None,
) -> EventFile:
    """Read a Parquet or CSV file (also ``.csv.gz``, ``.bz2``, ``.zst``) of events.

    A column is named as its field. Values are read by the rules of the stream (docs/events.md);
    times may also be timestamps or dates (naive ones are UTC). In a CSV an empty cell is missing,
    and ``""`` is text of no length. Rows that the stream would reject are left out and counted in
    `rejected`; only ``event.max_bytes``, which is about the record, is not looked at.

    Args:
        label_field: the column that holds the label: 1 or true for fraud, null for unknown.
        now_ms: the clock against which ``event.max_future`` holds; by default the machine's.

    Raises:
        EventFileError: the file, a column or its type is not what the contract says, or no row
            is an event.
    """
    path = Path(path)
    check_label_field(path, contract, label_field)
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        table, absent = _read(path, contract, label_field)
        if not table.num_rows:
            raise ValueError("holds no rows")
        clock = wall_clock_ms() if now_ms is None else now_ms
        checked = check_rows(table, contract, label_field, clock)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    del table
    if not len(checked.times):
        raise no_event(path, checked.rejected)
    times, columns, labels = checked.times, checked.columns, checked.labels
    order = event_order(times, columns[contract.id])
    events = ColumnBatch(contract, times, columns)
    if order is not None:
        events = events.take(order)
        labels = None if labels is None else labels[order]
    return EventFile(path, sha256, contract, events, labels, label_field, checked.rejected, absent)


def check_label_field(path: Path, contract: EventContract, label_field: str | None) -> None:
    """Refuse a label that is also a field.

    Raises:
        EventFileError: it is.
    """
    if label_field is not None and label_field in (contract.time, *contract.fields):
        raise EventFileError(
            f"{path}: labels.field = {label_field!r} is also a field of the event, where it would "
            "give the answer away: remove it from [event]"
        )


class CheckedRows(NamedTuple):
    """The rows of a table that are events, in their order there.

    Attributes:
        rows: which rows of the table they are, counted from 0, shape (n,).
        times: UTC milliseconds, shape (n,).
        columns: an Arrow array of each field.
        labels: as in `EventFile`, shape (n,).
        rejected: the other rows.
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    columns: dict[str, Any]
    labels: NDArray[np.int8] | None
    rejected: tuple[RejectedRows, ...]


def check_rows(
    table: Any, contract: EventContract, label_field: str | None, now_ms: int
) -> CheckedRows:
    """Read a table's cells by the rules of the stream.

    Raises:
        ValueError: a column's type is not what the contract says.
    """
    checks = RowChecks(table.num_rows)
    times = to_times(table[contract.time], contract, now_ms, checks)
    columns = {
        name: to_field(name, field, table[name], checks) for name, field in contract.fields.items()
    }
    labels = None if label_field is None else to_labels(label_field, table[label_field])
    rejected = checks.summary(partial(explain, contract, table, now_ms))
    good = checks.good
    if rejected:
        mask = pa.array(good)
        columns = {name: column.filter(mask) for name, column in columns.items()}
        times = times[good]
        labels = None if labels is None else labels[good]
    return CheckedRows(np.flatnonzero(good), times, columns, labels, rejected)


def unreadable(path: Path, error: Exception) -> EventFileError:
    """What to raise for a file that can't be read."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return EventFileError(f"{path}: {reason}")


def no_event(path: Path, rejected: Iterable[RejectedRows]) -> EventFileError:
    """What to raise for a file of which no row is an event."""
    found = "; ".join(map(str, rejected))
    return EventFileError(f"{path}: no row is an event under the contract: {found}")


def read_text(path: Path, columns: list[str], header: bool = True) -> Any:
    """Columns of a CSV as text, whatever it looks like; an empty cell without quotes is null.

    Args:
        header: whether its first row has the columns' names; else they are ``f0``, ``f1``, ...
    """
    read = pyarrow.csv.ReadOptions(autogenerate_column_names=not header)
    return pyarrow.csv.read_csv(path, read, _PARSING, _as_text(columns))


def stream_text(path: Path, columns: list[str], block_bytes: int) -> Iterator[Any]:
    """The same in tables, one after another, each of about so many bytes of the file."""
    read = pyarrow.csv.ReadOptions(block_size=block_bytes)
    with pyarrow.csv.open_csv(path, read, _PARSING, _as_text(columns)) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _as_text(columns: list[str]) -> Any:
    return pyarrow.csv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(columns, pa.large_string()),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )


def is_csv(path: Path) -> bool:
    """Whether a file is a CSV, perhaps a compressed one, by its name."""
    return ".csv" in [suffix.lower() for suffix in path.suffixes[-2:]]


def _read(
    path: Path, contract: EventContract, label_field: str | None
) -> tuple[Any, tuple[str, ...]]:
    """The columns that are needed, and the optional fields that have none."""
    wanted, absent = find_columns(path, contract, label_field)
    if is_csv(path):
        return with_absent(read_text(path, wanted), contract, absent), absent
    return with_absent(pyarrow.parquet.read_table(path, columns=wanted), contract, absent), absent


def find_columns(
    path: Path, contract: EventContract, label_field: str | None
) -> tuple[list[str], tuple[str, ...]]:
    """The columns to read, and the optional fields that have none.

    Raises:
        ValueError: it is no file of events, or a column is not there, or twice.
    """
    if is_csv(path):
        # Only to learn the header: types are not left to a guess over the first rows.
        with pyarrow.csv.open_csv(path, parse_options=_PARSING) as reader:
            present = reader.schema.names
    elif path.suffix.lower() in (".parquet", ".pq"):
        present = pyarrow.parquet.read_schema(path).names
    else:
        raise ValueError("is neither .parquet nor .csv: name it for what it is")
    absent = tuple(
        name
        for name, field in contract.fields.items()
        if name not in present and not field.required
    )
    wanted = [contract.time, *contract.fields]
    if label_field is not None:
        wanted.append(label_field)
    for name in wanted:
        if present.count(name) > 1:
            raise ValueError(f"has {present.count(name)} columns named {name!r}: rename them")
        if name not in present and name not in absent:
            section = "labels.field" if name == label_field else "[event]"
            raise ValueError(
                f"has no column {name!r}, which {section} names; it has {', '.join(present)}"
            )
    return [name for name in wanted if name not in absent], absent


def with_absent(table: Any, contract: EventContract, absent: tuple[str, ...]) -> Any:
    """A table with columns of nulls for the fields that have none."""
    for name in absent:
        empty = pa.nulls(table.num_rows, _EMPTY[contract.fields[name].type])
        table = table.append_column(name, empty)
    return table


_EMPTY = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "string": pa.large_string()}


def event_order(times: NDArray[np.int64], ids: Any) -> NDArray[np.int64] | None:
    """The stable order by time and id, shape (n,), or None if the rows are in it already."""
    ascending = times[1:] > times[:-1]
    ties = times[1:] == times[:-1]
    # Arrow compares text by its UTF-8 bytes, which is the order of code points.
    follows = pc.less_equal(ids.slice(0, len(ids) - 1), ids.slice(1))
    if (ascending | (ties & follows.to_numpy(zero_copy_only=False))).all():
        return None
    keys = [("time", "ascending"), ("id", "ascending")]
    order: NDArray[np.int64] = pc.sort_indices(
        pa.table({"time": times, "id": ids}), sort_keys=keys
    ).to_numpy()
    return order.astype(np.int64)
