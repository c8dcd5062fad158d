"""What a consumer hands out in place of a batch of records that can't be read."""

import re
from typing import Any

from confluent_kafka import KafkaError, Message

from streams.events.rejection import Reason, Rejected

UNREADABLE = {
    KafkaError._BAD_COMPRESSION,  # it can't be unpacked
    KafkaError._BAD_MSG,  # its checksum differs, where somebody wants checksums to be checked
    KafkaError._NOT_IMPLEMENTED,  # it is of no format or codec that the client knows
}
"""What the client calls a batch that it can't read; its error then has the batch's first offset."""

_CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_UNPACKING = re.compile(r"codec 0x(\d+)\) of message at \d+ of (\d+) bytes")
_CHECKSUM = re.compile(r"\((\d+) bytes\) failed CRC")


class BadBatch(Message):  # type: ignore[misc]
    """Stands where the batch stood: as a record without key and value, at its last offset.

    So whoever goes on behind the records that were handed out goes on behind the batch; whoever
    judges records gives it the reason of its own (`rejection_of`).

    Attributes:
        first: the batch's first offset; `offset` is its last one.
        said: what the client says is wrong with it.
    """

    def __init__(self, topic: str, partition: int, first: int, last: int, said: str) -> None:
        super().__init__(topic=topic, partition=partition, offset=last)
        self.first = first
        self.said = said

    @property
    def next_offset(self) -> int:
        """Of what stands behind it."""
        return (self.offset() or 0) + 1

    def rejected(self, position: int) -> Rejected:
        """Why it is a dead letter; `position` is that in what was read together."""
        detail = f"{self}: Kafka's client can't read it: {self.said}"
        return Rejected(position, Reason.BAD_BATCH, None, detail)

    def __str__(self) -> str:
        last, size = self.offset() or 0, _size(self.said)
        what = f"the batch at offsets {self.first} to {last}"
        return f"{what} ({size})" if size else what


def _size(said: str) -> str:
    """The codec, and how many bytes the batch takes in the topic, by what the client says."""
    if found := _UNPACKING.search(said):
        return f"{int(found[2]):,} bytes of {_CODECS.get(int(found[1]), 'an unknown codec')}"
    if found := _CHECKSUM.search(said):
        return f"{int(found[1]):,} bytes"
    return ""


def rejection_of(message: Any, rejected: Rejected) -> Rejected:
    """Why a message was rejected; of a batch that can't be read that is not what it passes for."""
    return message.rejected(rejected.position) if isinstance(message, BadBatch) else rejected
