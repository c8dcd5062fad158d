"""Which events are repeats of ones that were taken in before: `event.deduplicate`."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.base.section import format_duration
from streams.events.contract import EventContract
from streams.features.dump_format import Buffer, CorruptStateError, DumpMismatchError, view
from streams.features.hashing import Secret
from streams.features.limit_warnings import LimitWarnings
from streams.features.recent_ids import RecentIds

_LAYOUT = 2


class _Header(msgspec.Struct, tag="repeats"):
    """The first buffer of a dump; four more follow for each partition.

    Attributes:
        repeats_layout: raised with every change of these buffers.
        within: for how long ids are remembered, ms.
        event_ids: their type.
        partitions: by partition, the rows of its first two buffers, and of the others.
        secret: what their hashes depend on; older layouts have none.
    """

    repeats_layout: int
    within: int
    event_ids: str
    partitions: dict[int, tuple[int, int]]
    secret: bytes = b""


class RepeatFilter:
    """The recent event ids of each events partition.

    Each partition is a matter of its own, since state is cut along them in the staged topology:
    the same id in two partitions is two events, and `most` ids of each are remembered.

    What is read is ahead of what is taken, and that of what is committed. So a reader goes back
    (`go_back`) when it reads again; `savepoint` and `commit` say what need not come back.
    """

    def __init__(
        self, within_ms: int, most: int, *, texts: bool, secret: Secret | None = None
    ) -> None:
        self._within = within_ms
        self._most = most
        self._secret = secret or Secret.new()
        self._texts = texts
        self._forgotten: dict[str, int] = {}
        self._warnings = LimitWarnings()
        self.reset()

    @classmethod
    def of(cls, contract: EventContract) -> Self | None:
        """The filter that a contract asks for, None if it asks for none."""
        if contract.deduplicate is None:
            return None
        texts = contract.fields[contract.id].type == "string"
        return cls(contract.deduplicate, contract.max_remembered_ids, texts=texts)

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    @property
    def within_ms(self) -> int:
        """For how long of event time an id is remembered."""
        return self._within

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return sum(ids.nbytes for ids in self._ids.values())

    def reset(self) -> None:
        """Forget everything."""
        self._ids: dict[int, RecentIds] = {}
        self._taken: dict[int, int] = {}
        self._savepoints: list[dict[int, int]] = []

    def warm_up(self) -> None:
        """Compile what is used, which takes seconds on a new machine."""
        ids: list[Any] = ["1", "2"] if self._texts else [1, 2]
        other = type(self)(self._within, self._most, texts=self._texts)
        at = np.arange(2)
        other.take_in(0, ids, at, at)
        other.go_back(0, 1)
        other.settle(0, 1)
        other.load([memoryview(buffer) for buffer in other.dump()])
        recent = other._ids[0]
        recent.take_in([ids[1]] * 1_000, np.zeros(1_000, np.int64), np.arange(1_000))

    def take_in(
        self, partition: int, ids: list[Any], times: NDArray[np.int64], offsets: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which of n events of a partition are no repeats; see `RecentIds.take_in`."""
        if partition not in self._ids:
            self._ids[partition] = RecentIds(
                self._within, self._most, self._secret, texts=self._texts
            )
        return self._ids[partition].take_in(ids, times, offsets)

    def go_back(self, partition: int, offset: int) -> None:
        """Reading of a partition goes on at an offset, perhaps again."""
        if partition in self._ids:
            self._ids[partition].go_back(offset)
        self._taken[partition] = offset

    def settle(self, partition: int, offset: int) -> int:
        """What lies before the offset is committed; see `RecentIds.settle`."""
        ids = self._ids.get(partition)
        displaced = ids.settle(offset) if ids is not None else 0
        if displaced:
            name = f"partition {partition}"
            self._forgotten[name] = self._forgotten.get(name, 0) + displaced
            self._warnings.look(
                "event.max_remembered_ids",
                self._most,
                "event ids",
                self._forgotten,
                "An event with one of them is answered again",
            )
        return displaced

    def note_taken(self, partition: int, offset: int) -> None:
        """What lies before the offset was taken from what was read, to be committed."""
        self._taken[partition] = offset

    def settle_taken(self) -> None:
        """All that was taken is committed."""
        for partition, offset in self._taken.items():
            self.settle(partition, offset)

    def savepoint(self) -> None:
        """The next `commit` is of what was taken so far."""
        self._savepoints.append(dict(self._taken))

    def commit(self) -> int:
        """What the oldest savepoint is of is committed; see `RecentIds.settle`."""
        return sum(self.settle(*each) for each in self._savepoints.pop(0).items())

    def rollback(self) -> None:
        """No savepoint will be committed; whoever reads again says from where."""
        self._savepoints.clear()

    def dump(self) -> list[Buffer]:
        """A header, and the ids of what is committed, as views: they hold for this moment."""
        parts = {partition: ids.dump() for partition, ids in self._ids.items()}
        header = _Header(
            _LAYOUT,
            self._within,
            _type_of(self._texts),
            {partition: (len(part[0]), len(part[2])) for partition, part in parts.items()},
            self._secret.key,
        )
        buffers = [view(array) for part in parts.values() for array in part]
        return [msgspec.msgpack.encode(header), *buffers]

    def load(self, buffers: Sequence[Buffer]) -> Sequence[Buffer]:
        """Take up what was dumped, and return the buffers behind it.

        Of more ids than are remembered now, the oldest are forgotten.

        Raises:
            DumpMismatchError: nothing was dumped here, or with another setting.
            CorruptStateError: not what `dump` returned.
        """
        header = _header_of(buffers)
        _refuse_unlike(header, self._within, _type_of(self._texts))
        assert header is not None
        words = 2 if self._texts else 1
        end = 1 + 4 * len(header.partitions)
        own, rest = buffers[1:end], buffers[end:]
        sizes = [
            size
            for first, second in header.partitions.values()
            for size in (8 * words * first, 8 * first, 8 * words * second, 8 * second)
        ]
        if [memoryview(buffer).nbytes for buffer in own] != sizes:
            raise CorruptStateError("the dumped event ids are cut or out of place")
        arrays = [np.frombuffer(buffer, np.int64) for buffer in own]
        self.reset()
        self._secret = Secret(header.secret)
        for number, partition in enumerate(header.partitions):
            keys, clocks, more_keys, more_clocks = arrays[4 * number : 4 * number + 4]
            self._ids[partition] = RecentIds.load(
                self._within,
                self._most,
                self._secret,
                np.concatenate([keys, more_keys]).reshape(-1, words),
                np.concatenate([clocks, more_clocks]),
            )
        return rest


def refuse_ids(buffers: Sequence[Buffer]) -> None:
    """Refuse a dump that begins with event ids, where none are to be remembered.

    Raises:
        DumpMismatchError: it does.
    """
    _refuse_unlike(_header_of(buffers), None, "")


def _type_of(texts: bool) -> str:
    return "string" if texts else "int"


def _header_of(buffers: Sequence[Buffer]) -> _Header | None:
    try:
        return msgspec.msgpack.decode(buffers[0], type=_Header)
    except (IndexError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _refuse_unlike(header: _Header | None, within: int | None, event_ids: str) -> None:
    if header is not None and header.repeats_layout != _LAYOUT:
        raise DumpMismatchError(
            f"the event ids were dumped in layout version {header.repeats_layout}, this program "
            f"reads version {_LAYOUT}"
        )
    found = header.within if header is not None else None
    if found != within:
        raise DumpMismatchError(
            f"the state was dumped with event.deduplicate {_said(found)}, wanted {_said(within)}"
        )
    if header is not None and header.event_ids != event_ids:
        raise DumpMismatchError(
            f"the state was dumped with event ids of type {header.event_ids}, wanted {event_ids}"
        )


def _said(within: int | None) -> str:
    return "off" if within is None else format_duration(within)
