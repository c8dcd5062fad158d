"""What a stage hands to its loop: one transaction's records, and where its input goes on."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec

from streams.stages.messages import MessageError
from streams.transactor import Committed, Outgoing

MAX_METADATA = 4096
"""What Kafka's ``offset.metadata.max.bytes`` allows by default."""

_MOVED = "moved to: "  # no text that `pack` makes

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
    """

    outgoing: list[Outgoing]
    position: StagePosition
    when_visible: Callable[[Committed], None] = _nothing


def pack(value: Any) -> str:
    """Metadata of a committed offset.

    Raises:
        ValueError: it is larger than Kafka takes.
    """
    text = base64.b85encode(msgspec.msgpack.encode(value)).decode()
    if len(text) > MAX_METADATA:
        raise ValueError(
            f"the metadata of an offset would take {len(text)} bytes, and Kafka takes "
            f"{MAX_METADATA}: read fewer partitions with one staged scorer"
        )
    return text


def moved_to(prefix: str) -> str:
    """Metadata of an offset behind which nobody is to go on: `unpack` refuses it."""
    return _MOVED + prefix


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
