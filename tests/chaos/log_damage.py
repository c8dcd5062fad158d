"""Logs of Kafka, as a disk would have them that lost the last writes."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_HEADER = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, epoch, magic, checksum, attributes, last offset, times, producer, …"""
_LENGTH_AT = 12
_TRANSACTIONAL, _CONTROL = 0x10, 0x20


class _Batch(NamedTuple):
    end: int
    attributes: int
    producer: int


def cut_logs(broker: Path, share: float, topic: str = "__consumer_offsets") -> int:
    """Cut about this share off the end of each log of a topic; returns the bytes.

    The broker must not run. It is cut where no transaction is open: offsets of one whose marker is
    gone would be unstable for ever.
    """
    cut = 0
    for folder in sorted(broker.rglob(f"{topic}-*")):
        log = max(folder.glob("*.log"))
        data = log.read_bytes()
        end = max((each for each in _quiet(data) if each <= len(data) * (1 - share)), default=None)
        if end is not None:
            with log.open("r+b") as file:
                file.truncate(end)
            cut += len(data) - end
    return cut


def _quiet(data: bytes) -> Iterator[int]:
    """Where batches end behind which no transaction is open."""
    open_ones: set[int] = set()
    yield 0
    for batch in _batches(data):
        if batch.attributes & _CONTROL:
            open_ones.discard(batch.producer)
        elif batch.attributes & _TRANSACTIONAL:
            open_ones.add(batch.producer)
        if not open_ones:
            yield batch.end


def _batches(data: bytes) -> Iterator[_Batch]:
    place = 0
    while place + _HEADER.size <= len(data):
        _, length, _, magic, _, attributes, _, _, _, producer, *_ = _HEADER.unpack_from(data, place)
        place += _LENGTH_AT + length
        if magic != 2 or length <= 0 or place > len(data):
            return
        yield _Batch(place, attributes, producer)
