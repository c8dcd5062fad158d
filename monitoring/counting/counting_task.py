"""From the feature log to counts: the task of the monitor's first stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from numpy.typing import NDArray

from monitoring.counting.cell_counts import ENCODE, CellCounts, outgoing_counts
from monitoring.counting.details import details_of
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.segments import (
    Segments,
    add_segments,
    coded,
    count_segments,
    pack_segments,
)
from monitoring.counting.stream_counter import StreamCounter
from monitoring.counting.unread_watch import UnreadWatch
from streams.base.clock import now_ms
from streams.events.rejection import Reason, Rejected
from streams.feature_log import read_feature_log
from streams.loop.stateless.loop import Processed

_LOOKED_AT = 500
"""Events of a cell and record, evenly taken, that details are of."""
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException)


@dataclass
class _Cell:
    """What is counted of a cell so far."""

    counts: NDArray[np.int64]
    events: int
    details: list[bytes]
    reached: int = 0
    segments: Segments = field(default_factory=dict)


class Also(Protocol):
    """What else is done with the records of the feature log; see `PerformanceTask`."""

    def take(self, partition: int, table: pa.Table) -> None:
        """Take in a record; ValueError or KeyError where it is not as Weir writes it."""

    def settle(self) -> tuple[list[bytes], Callable[[], None]]:
        """End a batch: what goes to the second stage, and what is called once it is committed."""


class CountingTask:
    """The task of a `StatelessLoop` over the feature log; it keeps nothing itself.

    Args:
        bins: of a model, by the first digits of its package's id; None where nothing is known.
        topic: of the counts.
        interval: length of a cell, ms.
        producer: the field of the feature log's context that names who sent an event; none if
            empty.
        segments: fields of the context by whose values it counts, too.
        uncounted: told how many events are of a model that nothing is known of.
        unread: tells the second stage what waits to be counted.
        also: what else is done with each record, in the same transaction.
        stream: counts what is of no model.
    """

    def __init__(
        self,
        bins: Callable[[str], ModelBins | None],
        *,
        topic: str,
        interval: int,
        producer: str,
        segments: Sequence[str] = (),
        uncounted: Callable[[int], None],
        unread: UnreadWatch,
        also: Also,
        stream: StreamCounter,
    ) -> None:
        self._bins = bins
        self._topic = topic
        self._interval = interval
        self._producer = producer
        self._segments = segments
        self._uncounted = uncounted
        self._unread = unread
        self._also = also
        self._stream = stream

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Count the events of some records."""
        cells: dict[tuple[str, int, int], _Cell] = {}
        bad: list[tuple[Message, Rejected]] = []
        unknown = 0
        self._stream.begin()
        for index, message in enumerate(messages):
            try:
                table = read_feature_log(message.value() or b"")
                producers = self._producers(table)
                found, without = self._counted(table, producers)
                self._also.take(message.partition() or 0, table)
                self._stream.take(message, table, producers)
            except _BROKEN as error:
                why = f"no record of the feature log as Weir writes it: {error}"
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, why)))
                continue
            unknown += without
            for (model, start), cell in found.items():
                place = model, message.partition() or 0, start
                if place in cells:
                    _add(cells[place], cell)
                else:
                    cells[place] = cell
        values, behind = self._unread.look(
            max((each.reached for each in cells.values()), default=0),
            {message.partition() or 0 for message in messages},
        )
        values += self._stream.records()
        values += [
            ENCODE(
                CellCounts(
                    model,
                    partition,
                    start,
                    cell.reached,
                    cell.events,
                    cell.counts.astype("<i4").tobytes(),
                    cell.details,
                    pack_segments(cell.segments),
                )
            )
            for (model, partition, start), cell in sorted(cells.items(), key=lambda each: each[0])
        ]
        told, settled = self._also.settle()
        values += behind + told
        return Processed(
            outgoing_counts(self._topic, values), bad, self._once_committed(settled, unknown)
        )

    def at_rest(self) -> Processed:
        """What there is to do while nothing comes."""
        told, settled = self._also.settle()
        told += self._stream.at_rest(now_ms())
        told += self._unread.at_rest()
        return Processed(outgoing_counts(self._topic, told), [], self._once_committed(settled))

    def _once_committed(self, settled: Callable[[], None], unknown: int = 0) -> Callable[[], None]:
        def once_committed() -> None:
            self._uncounted(unknown)
            self._unread.committed()
            settled()

        return once_committed

    def _counted(
        self, table: pa.Table, producers: Sequence[str]
    ) -> tuple[dict[tuple[str, int], _Cell], int]:
        """What a table says of each model and cell, and of how many events nothing is known."""
        found: dict[tuple[str, int], _Cell] = {}
        unknown = 0
        models = np.array(table["model"].to_pylist(), str)
        for model in np.unique(models).tolist():
            answered = models == model
            own = table.filter(pa.array(answered))
            bins = self._bins(model)
            if bins is None:
                unknown += own.num_rows
                continue
            times = own["event_time"].cast(pa.int64()).to_numpy()
            starts, cells = np.unique(times // self._interval, return_inverse=True)
            matrix = bins.matrix(own)
            counts = bins.count(matrix, cells, len(starts))
            who = [producers[row] for row in np.flatnonzero(answered).tolist()] if producers else []
            fields = coded(own, self._segments)
            for place, start in enumerate(starts.tolist()):
                rows = np.flatnonzero(cells == place)
                some = rows[:: -(-len(rows) // _LOOKED_AT)]
                whose = [who[row] for row in some] if who else []
                found[model, start * self._interval] = _Cell(
                    counts[place],
                    len(rows),
                    [details_of(matrix[some], whose)],
                    int(times[rows].max()),
                    count_segments(bins.binning, matrix, rows, fields) if fields else {},
                )
        return found, unknown

    def _producers(self, table: pa.Table) -> list[str]:
        if not self._producer:
            return []
        named = table["context"].combine_chunks().field(self._producer).to_pylist()
        return ["" if each is None else str(each) for each in named]


def _add(cell: _Cell, more: _Cell) -> None:
    cell.counts += more.counts
    cell.events += more.events
    cell.details += more.details
    cell.reached = max(cell.reached, more.reached)
    add_segments(cell.segments, more.segments)
