"""From raw Kafka values to a batch of events, and a reason for each record that is none."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import astuple
from numpy.typing import NDArray

from streams.base import clock
from streams.events.contract import EventContract, Field
from streams.events.json_diagnosis import UNREADABLE, second_look, undecodable
from streams.events.record_batch import RecordBatch
from streams.events.rejection import Finding, Reason, Rejected
from streams.events.times import EARLIEST_MS, LATEST_MS, time_bounds, times_ms

time_of = attrgetter("time")
"""The time of a record that a decoder made, as the record gave it."""


class TryAgainLaterError(Exception):
    """A record can't be decoded now, for a reason that is not in it and will pass.

    Attributes:
        position: of the first such record in the batch.
        decoded: what became of those before it.
    """

    def __init__(self, position: int, why: str, decoded: "Decoded") -> None:
        super().__init__(why)
        self.position = position
        self.decoded = decoded


@dataclass(frozen=True, slots=True)
class Decoded:
    """What became of a batch of n records; every record is in exactly one of the two parts.

    Attributes:
        events: the good ones, in the order of the batch.
        positions: the index of each of ``events`` in the batch, ascending.
        rejected: the others, by ascending position.
    """

    events: RecordBatch
    positions: NDArray[np.intp]
    rejected: list[Rejected]


class Records(NamedTuple):
    """What was read of a batch.

    Attributes:
        records: those that keep the contract, in order.
        times: theirs, UTC milliseconds.
        rejected: the others, in order.
        later: why the rest can't be read yet; None if there is no rest.
    """

    records: list[Any]
    times: NDArray[np.int64]
    rejected: list[Rejected]
    later: Exception | None = None


class Decoder:
    """Decodes JSON records, one object each, as an event contract says.

    Each record is parsed by itself, so that no record, however malformed, can change how another
    is read or counted. In one JSON array joined from all records, ``{"a":[1`` would swallow the
    record after it; benchmarks/decode.py measures how little that would save.

    Bounds, lengths and types are checked by the parser, and times in one go afterwards. What the
    parser does not take is looked at once more, by itself: a number may be written as text.
    A record depends on nothing but its own bytes and the clock, also in the reason it is rejected
    for.

    Args:
        contract: what a record must hold.
        now_ms: the clock, UTC milliseconds; read once per batch that comes without times.
        headers: names, as `headers_among`, of headers that whoever has the Kafka records is to
            bring `with_headers`.

    Attributes:
        headers: these.
    """

    def __init__(
        self,
        contract: EventContract,
        now_ms: Callable[[], int] | None = None,
        *,
        headers: Sequence[str] = (),
    ) -> None:
        self.headers = headers
        self._contract = contract
        self._now_ms = now_ms or clock.now_ms
        brought = {name: f"h{index}" for index, name in enumerate(headers)}
        self._attributes = attributes(contract) | brought
        # A type of its own: of the parsed one, a record could name every field.
        self._with_headers = msgspec.defstruct(
            "EventWithHeaders", ["time", *self._attributes.values()], gc=False
        )
        self._type = record_type(contract)
        self._decode_one = msgspec.json.Decoder(self._type).decode

    def batch(self, records: Sequence[Any], times: NDArray[np.int64]) -> RecordBatch:
        """Return records that this decoder made, from one batch or many, as a batch."""
        return RecordBatch(self._contract, records, times, self._attributes)

    def with_headers(
        self, events: RecordBatch, texts: Iterable[Sequence[str | None]]
    ) -> RecordBatch:
        """Return n events as a batch that has `headers`, too, given the text of each for each."""
        new = self._with_headers
        records = [
            new(*astuple(record), *row) for record, row in zip(events.records, texts, strict=True)
        ]
        return self.batch(records, events.times)

    def getter(self, field: str) -> Callable[[Any], Any]:
        """Return a function that reads a field from a record that this decoder made."""
        return attrgetter(self._attributes[field])

    def decode(
        self, values: Sequence[bytes | None], arrived_ms: NDArray[np.int64] | None = None
    ) -> Decoded:
        """Decode a batch of record values, ``None`` for a tombstone.

        Never raises for what a record holds: what is wrong with one is in ``rejected``. Plain JSON
        can always be decoded.

        Args:
            values: the records.
            arrived_ms: when each arrived; an event is in the future if it is later than that.
                Told by the clock instead, a record that is read a second time could be judged
                otherwise than the first time.

        Raises:
            TryAgainLaterError: a record's schema can't be had yet; those before it are decoded.
        """
        contract = self._contract
        if arrived_ms is None:
            arrived_ms = np.full(len(values), self._now_ms(), np.int64)
        # A producer may stamp a record with any int64; a year that no calendar has is one too far.
        arrived_ms = np.clip(arrived_ms, EARLIEST_MS, LATEST_MS)
        records, times, rejected, later = self._read(values, arrived_ms)
        count = len(records) + len(rejected)
        positions = np.arange(count, dtype=np.intp)
        if rejected:
            positions = np.delete(positions, [bad.position for bad in rejected])
        events = self.batch(records, times)
        wrong = (times > arrived_ms[positions] + contract.max_future) | (times < contract.min_time)
        if wrong.any():
            rejected += self._rejected(values, positions[wrong], arrived_ms)
            rejected.sort(key=attrgetter("position"))
            positions = positions[~wrong]
            events = events.take(np.flatnonzero(~wrong))
        decoded = Decoded(events, positions, rejected)
        if later is not None:
            raise TryAgainLaterError(count, str(later), decoded) from later
        return decoded

    def _read(self, values: Sequence[bytes | None], arrived_ms: NDArray[np.int64]) -> Records:

        def settled(position: int, error: Exception) -> Any:
            found = self._second_look(values[position], int(arrived_ms[position]))
            return settle(self._contract, self._type, found, error)

        readable = self._without_unreadable(values)
        records, rejected = read_each(
            self._decode_one, readable, range(len(values)), UNREADABLE, settled
        )
        times, wrong = times_ms(list(map(time_of, records)), self._contract.time_format)
        if wrong.any():
            places = np.delete(np.arange(len(values)), [bad.position for bad in rejected])
            rejected += self._rejected(values, places[wrong], arrived_ms)
            rejected.sort(key=attrgetter("position"))
            records = list(compress(records, ~wrong))
            times = times[~wrong]
        return Records(records, times, rejected)

    def _rejected(
        self,
        values: Sequence[bytes | None],
        positions: NDArray[np.intp],
        arrived_ms: NDArray[np.int64],
    ) -> list[Rejected]:
        """What is wrong with records of which it is known that something is."""
        rejected = []
        for position in positions.tolist():
            found = self._second_look(values[position], int(arrived_ms[position]))
            if not isinstance(found, Finding):
                found = Finding(Reason.WRONG_TYPE, None, "the record breaks the contract")
            rejected.append(Rejected(position, *found))
        return rejected

    def _second_look(self, value: bytes | None, now_ms: int) -> dict[str, Any] | Finding:
        return second_look(self._contract, value, now_ms)

    def _without_unreadable(self, values: Sequence[bytes | None]) -> Sequence[bytes]:
        """Return the values, with an empty one for each that must not reach the parser."""
        limit = self._contract.max_bytes
        try:
            if max(map(len, values), default=0) <= limit:  # type: ignore[arg-type]
                return values  # type: ignore[return-value]
        except TypeError:
            pass  # a tombstone has no length
        return [b"" if value is None or len(value) > limit else value for value in values]


def read_each(
    read: Callable[[Any], Any],
    values: Iterable[Any],
    positions: Sequence[int],
    unreadable: type[Exception] | tuple[type[Exception], ...],
    settled: Callable[[int, Exception], Any],
) -> tuple[list[Any], list[Rejected]]:
    """What `read` makes of each value, and why the others are none; both in order.

    Args:
        positions: of the values.
        unreadable: what `read` raises for a value.
        settled: of a position and what was raised: a record after all, or a `Finding`.
    """
    records: list[Any] = []
    rejected: list[Rejected] = []
    remaining = iter(values)
    while True:
        try:
            # On an error the list keeps what was read before it, and the iterator stands behind the
            # bad value: so a bad one costs no more than itself.
            records.extend(map(read, remaining))
            return records, rejected
        except unreadable as error:
            position = positions[len(records) + len(rejected)]
            outcome = settled(position, error)
            if isinstance(outcome, Finding):
                rejected.append(Rejected(position, *outcome))
            else:
                records.append(outcome)


def attributes(contract: EventContract) -> dict[str, str]:
    """The attribute of a record that holds each field: names need not be Python identifiers."""
    return {name: f"f{index}" for index, name in enumerate(contract.fields)}


def settle(
    contract: EventContract, kind: Any, found: dict[str, Any] | Finding, error: Exception
) -> Any:
    """Return a record of a `record_type` with what a second look found, or the finding.

    Args:
        error: what the parser said. Where it is no JSON to it, it is none, whatever Python's own
            parser makes of it.
    """
    if isinstance(found, Finding):
        return found
    if not isinstance(error, msgspec.ValidationError):
        return undecodable(error)
    values = {attribute: found[name] for name, attribute in attributes(contract).items()}
    return kind(time=found[contract.time], **values)


def record_type(contract: EventContract, names: Mapping[str, str] | None = None) -> Any:
    """Return the `msgspec` struct of a record that keeps a contract.

    Args:
        contract: gives types and bounds.
        names: what the record calls a field, where not as the contract does.
    """
    names = names or {}
    own = attributes(contract)
    # Untracked by the garbage collector: records hold only plain values, so no cycles.
    return msgspec.defstruct(
        "Event",
        [
            (
                "time",
                _time_type(contract),
                msgspec.field(name=names.get(contract.time, contract.time)),
            ),
            *(
                _attribute(own[name], names.get(name, name), field)
                for name, field in contract.fields.items()
            ),
        ],
        kw_only=True,
        gc=False,
    )


def _time_type(contract: EventContract) -> Any:
    if contract.time_format == "iso":
        return str
    low, high = time_bounds(contract.time_format)
    return Annotated[int, Meta(ge=low, le=high)]


def _attribute(attribute: str, name: str, field: Field) -> tuple[str, Any, Any]:
    kind = _value_type(field)
    if field.required:
        return attribute, kind, msgspec.field(name=name)
    return attribute, kind | None, msgspec.field(name=name, default=None)


def _value_type(field: Field) -> Any:
    match field.type:
        case "bool":
            return bool
        case "int":
            low, high = field.int_bounds
            return Annotated[int, Meta(ge=low, le=high)]
        case "float":
            return Annotated[float, Meta(ge=field.min, le=field.max)]
        case "string":
            return Annotated[str, Meta(max_length=field.max_length)]
