"""Reading a snapshot back from its topic."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import KafkaException, TopicPartition

from streams.intake.position import Position
from streams.kafka.batches.consumer import PassingConsumer
from streams.kafka.message import Header, headers_of
from streams.kafka.records.consuming import is_end, read_ready
from streams.snapshots.parts import FORMAT, SNAPSHOT_HEADER, Manifest, hash_part, is_key_of, unframe
from streams.snapshots.pointer import Pointer

_BATCH = 200
_POLL_S = 0.5
_PATIENCE_S = 30.0


class SnapshotGoneError(Exception):
    """There is no whole snapshot where one should be."""


@dataclass(frozen=True)
class Snapshot:
    """State as it was at some positions.

    Attributes:
        buffers: what the task wrote.
        positions: how far each partition is contained in it.
    """

    buffers: list[memoryview]
    positions: Mapping[tuple[str, int], Position]


def read_snapshot(config: dict[str, Any], topic: str, pointer: Pointer, owner: str) -> Snapshot:
    """Read the snapshot that a pointer names.

    Args:
        config: settings of a consumer; it joins no group.
        owner: whose state it is.

    Raises:
        SnapshotGoneError: parts are missing or damaged; the message says which.
        KafkaException: the cluster failed.
    """
    parts: dict[str, list[bytes]] = {}
    manifest: Manifest | None = None
    # Whoever committed the pointer knew that the snapshot is whole; transactions of others that are
    # still open need not be waited for.
    ours = {
        "group.id": "weir-snapshots",
        "auto.offset.reset": "earliest",
        "isolation.level": "read_uncommitted",
    }
    consumer = PassingConsumer(config | ours)
    try:
        consumer.assign([TopicPartition(topic, pointer.partition, pointer.first)])
        reached = pointer.first - 1
        deadline = time.monotonic() + _PATIENCE_S
        while reached < pointer.last:
            for message in read_ready(consumer, _BATCH, _POLL_S):
                deadline = time.monotonic() + _PATIENCE_S
                error = message.error()
                if error is not None:
                    if is_end(message):
                        reached = max(reached, message.offset() - 1)
                        if reached < pointer.last:
                            raise SnapshotGoneError("its topic ends before its last part")
                        continue
                    raise KafkaException(error)
                reached = message.offset()
                value = message.value()
                if reached > pointer.last or value is None or not is_key_of(owner, message.key()):
                    continue
                if reached == pointer.last:
                    manifest = _manifest(value)
                else:
                    parts.setdefault(_snapshot_of(headers_of(message)), []).append(value)
            if time.monotonic() > deadline:
                raise SnapshotGoneError(
                    f"{topic}[{pointer.partition}] sent nothing for {_PATIENCE_S:.0f} s"
                )
    finally:
        consumer.close()
    if manifest is None:
        raise SnapshotGoneError("its manifest was compacted away")
    return _assemble(manifest, parts.get(manifest.snapshot, []))


def _snapshot_of(headers: list[Header] | None) -> str:
    found = dict(headers or []).get(SNAPSHOT_HEADER)
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else ""


def _manifest(value: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(value, type=Manifest)
    except msgspec.DecodeError as error:
        raise SnapshotGoneError(f"its manifest is damaged: {error}") from error
    if manifest.format != FORMAT:
        raise SnapshotGoneError(f"its format is {manifest.format}, and this version reads {FORMAT}")
    return manifest


def _assemble(manifest: Manifest, parts: list[bytes]) -> Snapshot:
    if len(parts) != len(manifest.hashes):
        raise SnapshotGoneError(f"only {len(parts)} of its {len(manifest.hashes)} parts are left")
    for number, (part, expected) in enumerate(zip(parts, manifest.hashes, strict=True)):
        if hash_part(part) != expected:
            raise SnapshotGoneError(f"the checksum of part {number} differs")
    try:
        buffers = unframe(b"".join(parts))
    except ValueError as error:
        raise SnapshotGoneError(str(error)) from error
    positions = {each.place: each for each in manifest.positions}
    return Snapshot(buffers, positions)
