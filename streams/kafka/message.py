"""What is read of a Kafka message, and its headers without a crash."""

from collections.abc import Sequence
from gc import get_referents
from typing import Protocol

from streams.kafka.partition import PartitionId

Header = tuple[str, bytes | None]


class Message(Protocol):
    """What Weir reads of a `confluent_kafka.Message`."""

    def topic(self) -> str | None: ...  # noqa: D102
    def partition(self) -> int | None: ...  # noqa: D102
    def offset(self) -> int | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
    def headers(self) -> Sequence[Header] | None: ...  # noqa: D102


def place_of(message: Message) -> PartitionId:
    """Which partition a message is of."""
    return message.topic() or "", message.partition() or 0


def headers_of(message: Message) -> list[Header] | None:
    """A message's headers; None if a name is no UTF-8, which Kafka's Python client can't read.

    Call it in place of ``message.headers()``. That returns a tuple that lacks its name, at whose
    touch the interpreter dies, and the first time leaves an error that surfaces somewhere later.
    """
    try:
        headers = list(message.headers() or ())
        whole = all(len(get_referents(header)) == 2 for header in headers)
    except (SystemError, UnicodeDecodeError):
        return None
    return headers if whole else None
