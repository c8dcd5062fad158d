"""What a snapshot is made of on its topic: numbered parts, then a manifest that proves them whole.

The keys of two snapshots of an owner alternate, so compaction removes each one only when the one
after the next is written; the one in between stays whole. An owner is a group, or of a group in
stages one partition.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec
import xxhash

from streams.intake.position import Position

PART_BYTES = 900_000
"""Below what a topic takes by Kafka's defaults."""

_SLOTS = 2
_LENGTH_BYTES = 8

Buffer = bytes | bytearray | memoryview


class Manifest(msgspec.Struct, frozen=True):
    """The record that makes a snapshot complete.

    Attributes:
        snapshot: its id; all its parts carry it.
        group: whose state it is: the owner.
        taken: UTC milliseconds.
        hashes: xxh3_64 of each part, in order.
    """

    format: int
    snapshot: str
    group: str
    taken: int
    size: int
    hashes: list[int]
    positions: list[Position]


FORMAT = 1
SNAPSHOT_HEADER = "weir.snapshot"


def part_key(owner: str, sequence: int, part: int | None) -> bytes:
    """Key of a part, or of the manifest."""
    name = "manifest" if part is None else f"{part:06d}"
    return f"{owner}/{sequence % _SLOTS}/{name}".encode()


def is_key_of(owner: str, key: bytes | None) -> bool:
    """Whether this is the key of a record of the owner's snapshots."""
    return key is not None and key.rsplit(b"/", 2)[0] == owner.encode()


def hash_part(part: Buffer) -> int:
    """Checksum of a part."""
    return xxhash.xxh3_64_intdigest(part)


def frame(buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """One stream of bytes from which `unframe` makes the same buffers: count, lengths, contents."""
    sizes = [memoryview(buffer).nbytes for buffer in buffers]
    for number in (len(buffers), *sizes):
        yield number.to_bytes(_LENGTH_BYTES, "little")
    yield from (memoryview(buffer).cast("B") for buffer in buffers)


def unframe(stream: Buffer) -> list[memoryview]:
    """The buffers, as views of the stream.

    Raises:
        ValueError: the lengths contradict the stream's own.
    """
    view = memoryview(stream)
    numbers: list[int] = []

    def number_at(index: int) -> int:
        return int.from_bytes(view[index * _LENGTH_BYTES :][:_LENGTH_BYTES], "little")

    count = number_at(0)
    if count * _LENGTH_BYTES > len(view):
        raise ValueError("it is shorter than its own table of contents")
    numbers = [number_at(1 + i) for i in range(count)]
    start = (1 + count) * _LENGTH_BYTES
    if start + sum(numbers) != len(view):
        raise ValueError("its length is not what its table of contents says")
    buffers = []
    for size in numbers:
        buffers.append(view[start : start + size])
        start += size
    return buffers


def read_parts(stream: BinaryIO) -> Iterator[bytearray]:
    """Cut a stream into parts of `PART_BYTES`; the last one may be shorter."""
    while True:
        part = bytearray(PART_BYTES)
        filled = 0
        while filled < PART_BYTES:
            count = stream.readinto(memoryview(part)[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        if filled:
            yield part[:filled] if filled < PART_BYTES else part
        if filled < PART_BYTES:
            return
