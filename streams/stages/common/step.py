"""What a stage hands to its loop: one transaction's records, and where its input goes on."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec
from confluent_kafka import TopicPartition

from streams.snapshots.pointer import Pointer
from streams.stages.common.messages import MessageError
from streams.transactions.outcome import Committed, Outgoing

MAX_METADATA = 4096
"""What Kafka's ``offset.metadata.max.bytes`` allows by default."""

_MOVED = "moved to: "  # no text that `pack` makes
_POINTER_BYTES = 128
"""What of it is left to the place of a snapshot: see `with_pointer`."""

T = TypeVar("T")


class StagePosition(NamedTuple):
    """What is committed for one input partition.

    Attributes:
        offset: of the first record that is not fully answered.
        metadata: what of it, and of those after it, was answered; ASCII.
    """

    offset: int
    metadata: str


def _nothing(committed: Committed) -> None:
    """Nobody is to be told."""


@dataclass(frozen=True)
class Step:
    """What one input partition has to say in one transaction.

    Attributes:
        when_visible: called once it is committed.
        rows: how many rows it takes into windows.
    """

    outgoing: list[Outgoing]
    position: StagePosition
    when_visible: Callable[[Committed], None] = _nothing
    rows: int = 0


def pack(value: Any) -> str:
    """Metadata of a committed offset.

    Raises:
        ValueError: it is larger than Kafka takes.
    """
    text = base64.b85encode(msgspec.msgpack.encode(value)).decode()
    if len(text) + _POINTER_BYTES > MAX_METADATA:
        raise ValueError(
            f"the metadata of a committed offset could take {len(text) + _POINTER_BYTES} bytes, "
            f"and Kafka takes {MAX_METADATA}"
        )
    return text


def moved_to(prefix: str) -> str:
    """Metadata of an offset behind which nobody is to go on: `unpack` refuses it."""
    return _MOVED + prefix


def with_pointer(position: StagePosition, pointer: Pointer | None) -> str:
    """The metadata of a committed offset: the stage's own, and where its last snapshot lies."""
    return position.metadata if pointer is None else f"{position.metadata} {pointer.metadata()}"


def position_of(committed: TopicPartition) -> tuple[StagePosition | None, Pointer | None]:
    """What is committed for a partition, and where its last snapshot lies; None for nothing."""
    if committed.offset < 0:
        return None, None
    metadata = committed.metadata or ""
    pointer = Pointer.found_in(metadata)
    own = metadata.removesuffix(f" {pointer.metadata()}") if pointer is not None else metadata
    return StagePosition(committed.offset, own), pointer


def unpack(metadata: str, kind: type[T]) -> T:
    """Read what `pack` wrote.

    Raises:
        MessageError: something else was committed for this group, or it went on elsewhere.
    """
    if metadata.startswith(_MOVED):
        raise MessageError(
            f"the group has gone on with stages.prefix = {metadata.removeprefix(_MOVED)!r}: start "
            "this worker with the settings of the others"
        )
    if not metadata:
        raise MessageError(
            "the group's committed offsets are not those of a staged scorer: give this scorer "
            "another loop.group"
        )
    try:
        return msgspec.msgpack.decode(base64.b85decode(metadata), type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise MessageError(
            f"the group's committed offset holds metadata of another program ({error}): "
            "give this scorer another loop.group"
        ) from error
