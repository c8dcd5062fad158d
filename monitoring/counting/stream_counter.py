"""What is counted of the stream itself, whatever the model: who sends, and hints of adversaries.

It remembers what keys did lately, in memory alone: who is killed forgets that, or has it forgotten
where a transaction is taken back. So a hint may be missed, and nothing is counted twice.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from confluent_kafka import Message
from numpy.typing import NDArray

from monitoring.breakage.adversaries import Variations, sides
from monitoring.counting.cell_counts import ENCODE, SPAN_MS, StreamCounts, Tried
from monitoring.counting.model_bins import ANSWER
from streams.feature_log import feature_matrix, feature_names
from streams.features.hashing import Secret

PROBABILITY = f"{ANSWER}probability"
_POLICY_BOUNDS = (b"weir.review", b"weir.decline")
_WIDTH = 0.05
"""Of a bound's strip on either side, of what there is below it."""
_HOUR_MS = 3_600_000
_PLACES = 16_384
_MOST_PRODUCERS, _MOST_TRIED, _MOST_KNOWN = 32, 20, 100_000
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass
class _Counts:
    events: int = 0
    producers: Counter[str] = field(default_factory=Counter)
    below: Counter[str] = field(default_factory=Counter)
    above: Counter[str] = field(default_factory=Counter)
    tried: dict[str, Tried] = field(default_factory=dict)


@dataclass
class _Memory:
    """What is remembered of a partition's keys.

    Attributes:
        version: of the state that the partition's transactions change.
        fields: how many are compared.
        past: `near` and `pairs` of the hours before.
        places: of keys that were found, what names them.
        beside: in which cell a key was counted beside a bound.
    """

    version: Hashable
    fields: int
    hour: int
    table: Variations
    past: tuple[int, int] = (0, 0)
    places: dict[int, str] = field(default_factory=dict)
    beside: dict[tuple[str, int], int] = field(default_factory=dict)


class StreamCounter:
    """Counts records of the feature log, batch by batch.

    Args:
        interval: length of a cell, ms.
        fields: features that are fields of the event, as its sender chose them: those that are
            compared for variations, with the numbers of the record's context.
        bounds: of features or numbers of the context, which somebody may want to stay below. Those
            of the policy stand in the records.
        version: of a partition's state: another one where a transaction was taken back.
    """

    def __init__(
        self,
        interval: int,
        fields: Sequence[str],
        bounds: Mapping[str, Sequence[float]],
        version: Callable[[int], Hashable],
    ) -> None:
        self._interval = interval
        self._fields = fields
        self._bounds = bounds
        self._version = version
        self._secret = Secret.new()
        self._memories: dict[int, _Memory] = {}
        self._cells: dict[tuple[int, int, int], _Counts] = {}
        self._rested = 0

    def take(self, message: Message, table: pa.Table, producers: Sequence[str]) -> None:
        """Count the events of a record; `producers` say who sent each, and are empty if unknown.

        Raises:
            ValueError, KeyError, pa.ArrowException: it is not as Weir writes it.
        """
        if not table.num_rows:
            return
        partition = message.partition() or 0
        logged = message.timestamp()[1] // SPAN_MS * SPAN_MS
        times = table["event_time"].cast(pa.int64()).to_numpy()
        cells = times // self._interval * self._interval
        columns = _numbers(table)
        keys = self._hashed(table["key"].to_pylist())
        memory = self._memory(partition, columns, int(times.max()))
        starts, where, events = np.unique(cells, return_inverse=True, return_counts=True)
        own = [
            self._cells.setdefault((partition, start, logged), _Counts())
            for start in starts.tolist()
        ]
        for place, each in enumerate(own):
            each.events += int(events[place])
            if producers:
                each.producers.update(
                    producers[row] for row in np.flatnonzero(where == place).tolist()
                )
        self._beside(
            table, columns, keys, cells, memory, dict(zip(starts.tolist(), own, strict=True))
        )
        offsets = table["offset"].to_numpy()
        self._vary(columns, keys, times, offsets, memory, partition, own[-1])

    def records(self) -> list[bytes]:
        """Records of the counts since the last call."""
        found = []
        for (partition, start, logged), each in sorted(self._cells.items()):
            bounds = {
                name: (each.below[name], each.above[name]) for name in each.below | each.above
            }
            tried = list(each.tried.values())[:_MOST_TRIED]
            producers = dict(each.producers.most_common(_MOST_PRODUCERS))
            found.append(
                StreamCounts(partition, start, logged, each.events, producers, bounds, tried)
            )
        self._cells = {}
        return [ENCODE(each) for each in found]

    def at_rest(self, now: int) -> list[bytes]:
        """Say once in ten seconds that no events came up to now, ms, where all was read."""
        logged = now // SPAN_MS * SPAN_MS
        if logged <= self._rested:
            return []
        self._rested = logged
        return [ENCODE(StreamCounts(0, 0, logged, 0))]

    def begin(self) -> None:
        """Forget what a batch that failed has counted."""
        self._cells = {}

    def _memory(self, partition: int, columns: Mapping[str, object], latest: int) -> _Memory:
        version, hour = self._version(partition), latest // _HOUR_MS
        fields = len(self._compared(columns))
        memory = self._memories.get(partition)
        if memory is None or (memory.version, memory.fields) != (version, fields):
            memory = _Memory(version, fields, hour, Variations(fields, _PLACES))
            self._memories[partition] = memory
        if hour > memory.hour:
            near, pairs = memory.table.of_others
            memory.past = memory.past[0] + near, memory.past[1] + pairs
            memory.hour, memory.table = hour, Variations(fields, _PLACES)
        return memory

    def _compared(self, columns: Mapping[str, object]) -> list[str]:
        return [name for name in columns if name in self._fields or name.startswith("context:")]

    def _beside(
        self,
        table: pa.Table,
        columns: Mapping[str, NDArray[np.float32]],
        keys: NDArray[np.uint64],
        cells: NDArray[np.int64],
        memory: _Memory,
        counts: Mapping[int, _Counts],
    ) -> None:
        """Count keys beside bounds, each once a cell: many events of one key say little."""
        for name, values, bound, width in self._strips(table, columns):
            below, above = sides(values, bound, width)
            for row in np.flatnonzero(below | above).tolist():
                place, cell = (name, int(keys[row])), int(cells[row])
                if memory.beside.get(place) == cell:
                    continue
                if len(memory.beside) >= _MOST_KNOWN:
                    memory.beside.clear()
                memory.beside[place] = cell
                (counts[cell].below if below[row] else counts[cell].above)[name] += 1

    def _strips(
        self, table: pa.Table, columns: Mapping[str, NDArray[np.float32]]
    ) -> list[tuple[str, NDArray[np.float32], float, float]]:
        found = []
        for name, bounds in self._bounds.items():
            values = columns.get(name, columns.get(f"context:{name}"))
            if values is not None:
                found += [(f"{name} < {each:g}", values, each, _WIDTH * each) for each in bounds]
        metadata = table.schema.metadata or {}
        for bound in sorted({float(metadata.get(each, b"inf")) for each in _POLICY_BOUNDS}):
            if 0 < bound < 1:
                values = table["probability"].to_numpy()
                width = _WIDTH * min(bound, 1 - bound)
                found.append((f"{PROBABILITY} < {bound:g}", values, bound, width))
        return found

    def _vary(
        self,
        columns: Mapping[str, NDArray[np.float32]],
        keys: NDArray[np.uint64],
        times: NDArray[np.int64],
        offsets: NDArray[np.int64],
        memory: _Memory,
        partition: int,
        counts: _Counts,
    ) -> None:
        """Look for keys whose events are variations of each other."""
        if not memory.fields:
            return
        compared = [columns[name] for name in self._compared(columns)]
        memory.table.add(keys, np.column_stack(compared))
        near, pairs = memory.table.of_others
        found = memory.table.found((memory.past[0] + near, memory.past[1] + pairs))
        for key, (similar, total) in found.items():
            rows = np.flatnonzero(keys == np.uint64(key))
            if not len(rows):
                continue
            if len(memory.places) >= _MOST_KNOWN:
                memory.places.clear()
            place = memory.places.setdefault(key, f"{partition}/{offsets[rows[-1]]}")
            counts.tried[place] = Tried(place, int(times[rows].max()), similar, total)

    def _hashed(self, keys: list[int] | list[str]) -> NDArray[np.uint64]:
        """Numbers that stand for keys, none of them 0, (n,)."""
        hashes = self._secret.hash_ids(keys).view(np.uint64) * _SPREAD
        hashes[hashes == 0] = 1
        return hashes


def _numbers(table: pa.Table) -> dict[str, NDArray[np.float32]]:
    """Features, and what of the context is a number, by name."""
    found = dict(zip(feature_names(table), feature_matrix(table).T, strict=True))
    context = table["context"].combine_chunks()
    for each in context.type:
        if pa.types.is_integer(each.type) or pa.types.is_floating(each.type):
            values = context.field(each.name).cast(pa.float32(), safe=False)
            found[f"context:{each.name}"] = values.to_numpy(zero_copy_only=False)
    return found
