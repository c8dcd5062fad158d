"""Features of a file of events: the same kernels in the same order as on the stream.

A label is applied where the stream applies it: before the first event whose time is at or after
the label's own, which is its event's time plus ``labels.delay``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray

from streams.base.atomic_file import atomic_file
from streams.features.feature_table import FeatureTable, metadata_of, said_of
from streams.features.label_batch import LabelBatch
from streams.features.plan import FeaturePlan, check_label_delays
from streams.features.repeat_filter import RepeatFilter
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.files.arrow_batch import ColumnBatch
from streams.files.columns import UNLABELLED
from streams.files.event_file import EventFile

Progress = Callable[[int, int], None]
"""Called with how many events are done, and how many there are."""

CHUNK = 65_536
"""Events per step: large enough that the kernels, and not Python, take the time."""


class FeaturedEvents(NamedTuple):
    """Features of m events that follow one another.

    Attributes:
        events: the events.
        matrix: float64, shape (m, len(plan.names)), NaN where missing.
        labels: 1, 0 or -1 (unknown), int8, shape (m,).
        late, approximate: as in `FeatureRows`, bool, shape (m,).
    """

    events: ColumnBatch
    matrix: NDArray[np.float64]
    labels: NDArray[np.int8]
    late: NDArray[np.bool_]
    approximate: NDArray[np.bool_]


@dataclass(frozen=True)
class TrainingMatrix:
    """Feature vectors of labelled events, as serving sees them.

    Attributes:
        matrix: float32, shape (n, len(plan.names)), NaN where missing.
        labels: 1 or 0, int8, shape (n,).
        times: event times, UTC milliseconds, ascending, shape (n,).
    """

    matrix: NDArray[np.float32]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]


def without_repeats(file: EventFile) -> EventFile:
    """A file's events without those that the stream would leave out as repeats.

    That is by ``event.deduplicate``, in the order of time, the whole file taken for one partition.
    """
    new = new_rows(file) if file.repeats is None else None
    if new is None:
        return file
    if new.all():
        return replace(file, repeats=0)
    kept = np.flatnonzero(new)
    return replace(
        file,
        events=file.events.take(kept),
        labels=None if file.labels is None else file.labels[kept],
        repeats=len(file) - kept.size,
    )


def new_rows(file: EventFile) -> NDArray[np.bool_] | None:
    """Which of a file's n events are no repeats, shape (n,); None where repeats count as events."""
    repeats = RepeatFilter.of(file.contract)
    if repeats is None:
        return None
    new = np.empty(len(file), np.bool_)
    for start in range(0, len(file), CHUNK):
        stop = min(start + CHUNK, len(file))
        batch = file.batch(start, stop)
        new[start:stop] = repeats.take_in(0, batch.ids, batch.times, np.arange(start, stop))
        repeats.settle(0, stop)
    return new


def compute_features(
    file: EventFile,
    plan: FeaturePlan,
    label_delay_ms: int,
    start_ms: int | None = None,
    stop_ms: int | None = None,
    *,
    windows: WindowSettings | None = None,
    chunk: int = CHUNK,
    progress: Progress | None = None,
) -> Iterator[FeaturedEvents]:
    """Yield the features of events with ``start_ms <= time < stop_ms``, in order.

    All events before `start_ms` are taken in too: they are the history that windows look at.

    Args:
        label_delay_ms: how long after its event a label becomes known.
        windows: as the scorer has them.
        chunk: events per step; the features do not depend on it.

    Raises:
        ValueError: a label feature's delay is shorter than `label_delay_ms`, or there is one and
            the file was opened without labels.
    """
    check_label_delays(plan, label_delay_ms)
    file = without_repeats(file)
    if plan.reads_labels and file.labels is None:
        raise ValueError(
            f"{file.path}: the features read labels, and the file was opened without a label "
            "column: name it in labels.field"
        )
    return _compute(file, plan, label_delay_ms, (start_ms, stop_ms), windows, chunk, progress)


def _compute(
    file: EventFile,
    plan: FeaturePlan,
    label_delay_ms: int,
    span: tuple[int | None, int | None],
    windows: WindowSettings | None,
    chunk: int,
    progress: Progress | None,
) -> Iterator[FeaturedEvents]:
    first, end = file.span(*span)
    labels = file.labels if file.labels is not None else np.full(len(file), UNLABELLED, np.int8)
    labelled = np.flatnonzero(labels != UNLABELLED) if plan.reads_labels else np.empty(0, np.intp)
    known = file.times[labelled] + label_delay_ms
    state = FeatureState(plan, windows)
    applied = 0
    for start in range(0, end, chunk):
        stop = min(start + chunk, end)
        batch = file.batch(start, stop)
        due = int(np.searchsorted(known, batch.times[-1], side="right"))
        which = labelled[applied:due]
        batch_labels = LabelBatch(
            ids=_ids(file, which),
            values=labels[which].astype(np.float64),
            before=np.searchsorted(batch.times, known[applied:due], side="left"),
        )
        applied = due
        rows = state.update(batch, batch_labels)
        if progress is not None:
            progress(stop, end)
        wanted = max(first - start, 0)
        if wanted < stop - start:
            yield FeaturedEvents(
                file.batch(start + wanted, stop),
                rows.matrix[wanted:],
                labels[start + wanted : stop],
                rows.late[wanted:],
                rows.approximate[wanted:],
            )


def _ids(file: EventFile, which: NDArray[np.intp]) -> list[Any]:
    if not which.size:
        return []
    # Labels come in runs: a slice and a pick within it, instead of a pick from the whole column.
    low = int(which[0])
    return file.batch(low, int(which[-1]) + 1).take(which - low).ids


def training_matrix(
    file: EventFile,
    plan: FeaturePlan,
    label_delay_ms: int,
    start_ms: int | None = None,
    stop_ms: int | None = None,
    *,
    windows: WindowSettings | None = None,
    progress: Progress | None = None,
) -> TrainingMatrix:
    """Feature vectors and labels of the labelled events with ``start_ms <= time < stop_ms``.

    Raises:
        ValueError: as `compute_features`, or the file was opened without labels.
    """
    if file.labels is None:
        raise ValueError(f"{file.path}: opened without a label column: name it in labels.field")
    file = without_repeats(file)
    assert file.labels is not None
    first, end = file.span(start_ms, stop_ms)
    wanted = file.labels[first:end] != UNLABELLED
    matrix = np.empty((int(wanted.sum()), len(plan.names)), np.float32)
    row = 0
    for rows in compute_features(
        file, plan, label_delay_ms, start_ms, stop_ms, windows=windows, progress=progress
    ):
        known = rows.labels != UNLABELLED
        count = int(known.sum())
        matrix[row : row + count] = rows.matrix[known]
        row += count
    return TrainingMatrix(matrix, file.labels[first:end][wanted], file.times[first:end][wanted])


def write_features(
    path: Path | str,
    file: EventFile,
    plan: FeaturePlan,
    label_delay_ms: int,
    start_ms: int | None = None,
    stop_ms: int | None = None,
    *,
    with_labels: bool = True,
    as_served: bool = False,
    windows: WindowSettings | None = None,
    progress: Progress | None = None,
) -> int:
    """Write features to a Parquet file and return the number of its rows.

    Columns: the event's id and time under their own names, the features under theirs, and the
    label (null where unknown) under its own if the file was opened with one. The metadata hold
    the feature schema hash, the SHA-256 of the file of events, the label delay, and how many rows
    are late and approximate. A file that was there is replaced once the new one is complete.

    Args:
        with_labels: write the label column too.
        as_served: features as float32, which is what a model gets; else float64.

    Raises:
        ValueError: as `compute_features`, or a feature has the name of another column.
        OSError: the file can't be written.
    """
    path = Path(path)
    file = without_repeats(file)
    written = FeatureTable(
        plan,
        file.label_field if with_labels else None,
        as_served,
        metadata_of(plan, file.sha256, label_delay_ms),
    )
    written.check_names()
    chunks = compute_features(
        file, plan, label_delay_ms, start_ms, stop_ms, windows=windows, progress=progress
    )
    count = late = approximate = 0
    with (
        atomic_file(path) as target,
        pyarrow.parquet.ParquetWriter(target, written.schema, compression="zstd") as writer,
    ):
        for rows in chunks:
            ids = rows.events.column(file.contract.id)
            writer.write_table(written.rows(ids, rows.events.times, rows.matrix, rows.labels))
            count += len(rows.events)
            late += int(rows.late.sum())
            approximate += int(rows.approximate.sum())
        writer.add_key_value_metadata(said_of(late, approximate))
    return count
