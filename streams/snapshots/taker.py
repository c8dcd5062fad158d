"""Taking snapshots beside the stream: a forked copy of the state, written by a thread."""

import logging
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from time import monotonic, sleep, time
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.kafka import KafkaSettings
from streams.position import Position
from streams.snapshots.fork import ForkedWriter
from streams.snapshots.parts import (
    FORMAT,
    SNAPSHOT_HEADER,
    Buffer,
    Manifest,
    frame,
    hash_part,
    part_key,
    read_parts,
)
from streams.snapshots.pointer import Pointer
from streams.snapshots.settings import SnapshotSettings

logger = logging.getLogger(__name__)

_IN_FLIGHT = 8
_FLUSH_S = 60.0


class SnapshotTaker:
    """Writes one snapshot at a time.

    Args:
        group: consumer group whose state it is.
        observe: told of each snapshot: ``(outcome, pause in s, duration in s, bytes)``, the outcome
            being ``"written"`` or ``"failed"``; called in the writing thread.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: SnapshotSettings,
        topic: str,
        group: str,
        observe: Callable[[str, float, float, int], None] = lambda *_: None,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._group = group
        self._observe = observe
        self._producer: Any = Producer(kafka.producer_config(linger_ms=0))
        partitions = self._producer.list_topics(topic, timeout=30).topics[topic].partitions
        self._partition = zlib.crc32(group.encode()) % len(partitions)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._sequence = 0
        self._written: Pointer | None = None
        self._events = 0
        self._due_at = self._next_due()

    def start_from(self, pointer: Pointer | None) -> None:
        """Go on after the snapshot that was found at the start."""
        self._sequence = pointer.sequence if pointer else 0
        self._written = None

    def note_events(self, count: int) -> None:
        """Count what has changed the state since the last snapshot."""
        self._events += count

    @property
    def due(self) -> bool:
        """Whether it is time for a snapshot, and none is being written."""
        settings = self._settings
        return (
            self._thread is None
            and self._events > 0
            and (self._events >= settings.every_events or monotonic() >= self._due_at)
        )

    def take(self, dump: Callable[[], Sequence[Buffer]], positions: list[Position]) -> None:
        """Fix the state of this moment, and write it while the stream goes on.

        Args:
            dump: gives the state's contents; called in a copy of this process.
            positions: the committed positions that the state belongs to.
        """
        self._events = 0
        self._due_at = self._next_due()
        start = monotonic()
        try:
            writer = ForkedWriter(lambda: frame(dump()))
        except OSError as error:  # no memory, or too many processes
            logger.warning("no snapshot this time: %s", error)
            self._observe("failed", monotonic() - start, 0.0, 0)
            return
        pause = monotonic() - start
        self._sequence += 1
        self._thread = threading.Thread(
            target=self._write, args=(writer, positions, pause), name="snapshot", daemon=True
        )
        self._thread.start()

    def finished(self) -> Pointer | None:
        """The snapshot that was completed since the last call; commits should carry it from now."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread.join()
        self._thread = None
        written, self._written = self._written, None
        return written

    def close(self) -> None:
        """Give up a snapshot that is being written."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _next_due(self) -> float:
        return monotonic() + self._settings.every / 1_000

    def _write(self, writer: ForkedWriter, positions: list[Position], pause: float) -> None:
        start = monotonic()
        size = 0
        outcome = "failed"
        try:
            size, self._written = self._produce(writer, positions)
            if self._written is not None:
                outcome = "written"
                logger.info("snapshot of %d bytes in %.1f s", size, monotonic() - start)
        except (KafkaException, BufferError, OSError) as error:
            logger.warning("no snapshot this time: %s", error)
        finally:
            writer.stream.close()
        if not self._stop.is_set():
            self._observe(outcome, pause, monotonic() - start, size)

    def _produce(
        self, writer: ForkedWriter, positions: list[Position]
    ) -> tuple[int, Pointer | None]:
        """Send parts and manifest; ``(bytes, where they are)``."""
        snapshot = uuid.uuid4().hex
        offsets: list[int] = []
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                offsets.append(message.offset())

        def send(part: int | None, value: Buffer) -> None:
            self._producer.produce(
                self._topic,
                bytes(value),
                part_key(self._group, self._sequence, part),
                self._partition,
                on_delivery=delivered,
                headers=[(SNAPSHOT_HEADER, snapshot)],
            )

        hashes: list[int] = []
        size = 0
        began = monotonic()
        for part in read_parts(writer.stream):
            send(len(hashes), part)
            hashes.append(hash_part(part))
            size += len(part)
            self._wait_for_room(began + size / self._settings.max_bytes_per_second)
            if self._stop.is_set():
                writer.close()
                return size, None
        if not writer.close():
            logger.warning("no snapshot this time: the copy of the state came to an early end")
            return size, None
        manifest = Manifest(
            format=FORMAT, snapshot=snapshot, group=self._group, taken=round(time() * 1_000),
            size=size, hashes=hashes, positions=positions,
        )  # fmt: skip
        # The manifest proves all before it, so it goes out only when they are there.
        self._flush(failures)
        first = min(offsets)
        send(None, msgspec.json.encode(manifest))
        self._flush(failures)
        return size, Pointer(self._sequence, self._partition, first, max(offsets))

    def _wait_for_room(self, not_before: float) -> None:
        while not self._stop.is_set():
            self._producer.poll(0.0)
            wait = not_before - monotonic()
            if wait <= 0 and len(self._producer) <= _IN_FLIGHT:
                return
            sleep(min(max(wait, 0.002), 0.1))

    def _flush(self, failures: list[KafkaError]) -> None:
        left = self._producer.flush(_FLUSH_S)
        if failures:
            raise KafkaException(failures[0])
        if left:
            raise BufferError(f"the cluster took no part of it for {_FLUSH_S:.0f} s")
