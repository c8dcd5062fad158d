"""Snapshots of state on a compacted topic, so that a start need not read all input again."""

from streams.snapshots.pointer import Pointer, newest_pointer
from streams.snapshots.reader import Snapshot, SnapshotGoneError, read_snapshot
from streams.snapshots.settings import SnapshotSettings
from streams.snapshots.taker import SnapshotTaker

__all__ = [
    "Pointer",
    "Snapshot",
    "SnapshotGoneError",
    "SnapshotSettings",
    "SnapshotTaker",
    "newest_pointer",
    "read_snapshot",
]
