"""A file of events cut into splits, which executors read, check and lay down, each by itself."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from streams.base import compiled_code
from streams.events.contract import EventContract
from streams.files.columns import UNLABELLED
from streams.files.event_file import (
    check_label_field,
    check_rows,
    find_columns,
    is_csv,
    no_event,
    stream_text,
    unreadable,
    with_absent,
)
from streams.files.row_checks import RejectedRows
from streams.spark.columns import event_table

_CSV_BLOCK = 1 << 25
_TIMES_PER_SPLIT = 256
_ROWS_NAMED = 5


@dataclass(frozen=True)
class Reading:
    """How a file is read.

    Attributes:
        path: of the file, the same on all machines.
        columns: which are read.
        absent: optional fields without one.
        now_ms: the clock against which ``event.max_future`` holds.
        staging: a folder that all machines share, for what was read.
        compiled: where compiled code is kept, as `compiled_code.keep_in` has it.
    """

    path: Path
    contract: EventContract
    label_field: str | None
    columns: list[str]
    absent: tuple[str, ...]
    now_ms: int
    staging: Path
    compiled: Path


@dataclass(frozen=True)
class SplitSummary:
    """What came of a split.

    Attributes:
        events: how many of its rows are.
        rejected: the others; rows are counted in the whole file.
        times: some event times, evenly taken, UTC milliseconds.
    """

    events: int
    rejected: tuple[RejectedRows, ...]
    times: NDArray[np.int64]


def plan_reading(
    path: Path,
    contract: EventContract,
    label_field: str | None,
    now_ms: int,
    staging: Path,
    compiled: Path,
) -> Reading:
    """Look at a file's columns.

    Raises:
        EventFileError: it is no file of events.
    """
    check_label_field(path, contract, label_field)
    try:
        path.open("rb").close()  # for a plain word where it is not there
        columns, absent = find_columns(path, contract, label_field)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    path = path.absolute()
    return Reading(path, contract, label_field, columns, absent, now_ms, staging, compiled)


def splits_of(reading: Reading) -> list[tuple[int, int]]:
    """Row groups of a Parquet file, each with its first row; a CSV is one split.

    A CSV can't be cut: only who reads it from its beginning knows which line ends are in quotes.
    """
    if is_csv(reading.path):
        return [(0, 0)]
    found, row = [], 0
    with pyarrow.parquet.ParquetFile(reading.path) as file:
        for group in range(file.num_row_groups):
            found.append((group, row))
            row += file.metadata.row_group(group).num_rows
    return found


def stage_split(reading: Reading, split: tuple[int, int]) -> SplitSummary:
    """Read a split, leave out what is no event, and lay down the others in the staging folder.

    Raises:
        EventFileError: a column does not hold what the contract says.
    """
    number, row = split
    compiled_code.keep_in(reading.compiled)
    target = reading.staging / f"events-{number:06d}.parquet"
    half = target.with_suffix(f".{os.getpid()}.half")
    writer = None
    events, rejected, times = 0, [], []
    try:
        for table in _tables(reading, number):
            checked = check_rows(
                with_absent(table, reading.contract, reading.absent),
                reading.contract,
                reading.label_field,
                reading.now_ms,
            )
            labels = checked.labels
            if labels is None:
                labels = np.full(len(checked.times), UNLABELLED, np.int8)
            found = event_table(
                reading.contract, checked.rows + row, checked.times, checked.columns, labels
            )
            writer = writer or pyarrow.parquet.ParquetWriter(half, found.schema)
            writer.write_table(found)
            events += found.num_rows
            times.append(checked.times)
            rejected += [_moved(each, row) for each in checked.rejected]
            row += table.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(reading.path, error) from error
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        os.replace(half, target)
    return SplitSummary(events, _merged(rejected), _some(times))


def rejected_of(reading: Reading, summaries: list[SplitSummary]) -> tuple[RejectedRows, ...]:
    """What was left out of the whole file.

    Raises:
        EventFileError: all of it.
    """
    rejected = _merged([each for summary in summaries for each in summary.rejected])
    if not sum(summary.events for summary in summaries):
        if not rejected:
            raise unreadable(reading.path, ValueError("holds no rows"))
        raise no_event(reading.path, rejected)
    return rejected


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _tables(reading: Reading, number: int) -> Iterator[Any]:
    if is_csv(reading.path):
        yield from stream_text(reading.path, reading.columns, _CSV_BLOCK)
        return
    with pyarrow.parquet.ParquetFile(reading.path) as file:
        yield file.read_row_group(number, columns=reading.columns)


def _moved(rejected: RejectedRows, by: int) -> RejectedRows:
    return replace(rejected, rows=tuple(row + by for row in rejected.rows))


def _merged(parts: list[RejectedRows]) -> tuple[RejectedRows, ...]:
    """Of one reason and column one, with the first rows and what is wrong with the first."""
    found: dict[tuple[str, str], RejectedRows] = {}
    for part in parts:
        known = found.get((part.reason, part.field))
        if known is not None:
            rows = (*known.rows, *part.rows)[:_ROWS_NAMED]
            part = replace(known, count=known.count + part.count, rows=rows)
        found[part.reason, part.field] = part
    return tuple(found.values())


def _some(times: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    every = np.sort(np.concatenate(times)) if times else np.empty(0, np.int64)
    if not every.size:
        return every
    return every[np.linspace(0, every.size - 1, min(every.size, _TIMES_PER_SPLIT)).astype(np.int64)]
