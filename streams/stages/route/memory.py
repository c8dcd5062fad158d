"""What the router of an events partition remembers beside its offset: the ids that came lately."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.events.json_decoder import Decoded
from streams.features.dump_format import Buffer, CorruptStateError, DumpMismatchError
from streams.features.repeat_filter import RepeatFilter
from streams.intake.repeats import new_among
from streams.kafka.message import Message
from streams.loop.fused.task import StateMismatchError
from streams.stages.route.routing import offset_of


class _Header(msgspec.Struct):
    """The first buffer of a dump: up to where what follows is contained in it."""

    route_partition: int
    next_offset: int


class PartitionMemory:
    """The ids of one partition's events, as of where it was routed to.

    Attributes:
        restored: events that were taken in again since `begin`.
        began_at: event time (ms) of the first of these; None before.
    """

    def __init__(self, repeats: RepeatFilter, partition: int) -> None:
        self._repeats = repeats
        self._partition = partition
        self.begin(0)

    @property
    def within_ms(self) -> int:
        """For how long of event time an id is remembered."""
        return self._repeats.within_ms

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self._repeats.nbytes

    def begin(self, routed_to: int, dumped: Sequence[Buffer] | None = None) -> None:
        """Begin anew for a router that goes on at an offset.

        Raises:
            StateMismatchError: what was dumped is another's, or of a later position.
        """
        self._repeats.reset()
        self.restored = 0
        self.began_at: int | None = None
        self.routed_to = self._settled = routed_to
        self.next_offset = self._read(dumped) if dumped is not None else 0
        if self.next_offset > routed_to:
            raise StateMismatchError("it is of a later position than the committed one")

    @property
    def complete(self) -> bool:
        """Whether it holds all that was routed."""
        return self.next_offset >= self.routed_to

    def complete_now(self) -> None:
        """There is nothing more to be read of what was routed."""
        self.next_offset = max(self.next_offset, self.routed_to)

    def restore(
        self, decoded: Decoded, offsets: NDArray[np.int64], messages: Sequence[Message]
    ) -> None:
        """Take in what was routed before."""
        self.new_among(decoded, offsets, messages)
        if self.began_at is None and len(decoded.events):
            self.began_at = int(decoded.events.times[0])
        self.restored += len(decoded.events)
        self.next_offset = offset_of(messages[-1]) + 1
        self._repeats.settle(self._partition, self.next_offset)

    def new_among(
        self, decoded: Decoded, offsets: NDArray[np.int64], messages: Sequence[Message]
    ) -> Decoded:
        """Without the events that are repeats.

        Args:
            offsets: of the records.
        """
        if not len(decoded.events):
            return decoded
        at = decoded.positions
        new = new_among(self._repeats, self._partition, decoded.events, offsets[at], messages, at)
        if new.all():
            return decoded
        kept = np.flatnonzero(new)
        return replace(decoded, events=decoded.events.take(kept), positions=at[kept])

    def commit(self, routed_to: int) -> int:
        """What lies before an offset is committed; see `RecentIds.settle`."""
        self._settled = routed_to
        return self._repeats.settle(self._partition, routed_to)

    def go_back(self, offset: int) -> None:
        """What lies behind it was not committed."""
        self._repeats.go_back(self._partition, offset)

    def dump(self) -> list[Buffer]:
        """What is committed; as for `FeatureState.dump`, the buffers hold for this moment."""
        header = _Header(self._partition, self._settled)
        return [msgspec.msgpack.encode(header), *self._repeats.dump()]

    def _read(self, dumped: Sequence[Buffer]) -> int:
        try:
            header = msgspec.msgpack.decode(dumped[0], type=_Header)
            self._repeats.load(dumped[1:])
        except (IndexError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StateMismatchError(f"it has no header of a router: {error}") from error
        except (DumpMismatchError, CorruptStateError) as error:
            raise StateMismatchError(str(error)) from error
        if header.route_partition != self._partition:
            raise StateMismatchError("it is of another partition")
        return header.next_offset
