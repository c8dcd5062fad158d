"""Writing a snapshot beside the stream: a forked copy of the state, sent by a thread."""

import logging
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic, sleep

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.base.clock import now_ms
from streams.intake.position import Position
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
from streams.snapshots.senders import Sender

logger = logging.getLogger(__name__)

_IN_FLIGHT = 8
_FLUSH_S = 60.0
_CLOSE_S = 5.0

Observe = Callable[[str, float, float, int], None]
"""Told of each snapshot: ``(outcome, pause in s, duration in s, bytes)``, the outcome being
``"written"`` or ``"failed"``; called in the writing thread."""


def observe_nothing(*_: object) -> None:
    """Nobody is told."""


class SnapshotWriter:
    """Writes one snapshot at a time.

    Args:
        partitions: how many the snapshot topic has.
        max_bytes_per_second: see `SnapshotSettings`.
    """

    def __init__(
        self, topic: str, partitions: int, max_bytes_per_second: int, observe: Observe
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._rate = max_bytes_per_second
        self._observe = observe
        self._job: _Job | None = None

    @property
    def busy(self) -> bool:
        """Whether one is being written, or is there to be collected with `finished`."""
        return self._job is not None

    def begin(
        self,
        owner: str,
        sequence: int,
        dump: Callable[[], Sequence[Buffer]],
        positions: list[Position],
        new_sender: Callable[[], Sender],
        patience_s: float = inf,
    ) -> None:
        """Fix the state of this moment, and write it while the stream goes on.

        Args:
            owner: whose state it is: of the snapshots of one owner, the newest two are kept.
            sequence: this one's number among them: one more than that of the last whole one, so
                that it takes the place of the one before that.
            dump: gives the state's contents; called in a copy of this process.
            positions: the committed positions that the state belongs to.
            new_sender: called in the writing thread.
            patience_s: after this nobody waits for it any more.

        If the process can't be copied, that is logged, and there is none this time.
        """
        start = monotonic()
        try:
            copy = ForkedWriter(lambda: frame(dump()))
        except OSError as error:  # no memory, or too many processes
            logger.warning("no snapshot this time: %s", error)
            self._observe("failed", monotonic() - start, 0.0, 0)
            return
        partition = zlib.crc32(owner.encode()) % self._partitions
        place = TopicPartition(self._topic, partition)
        self._job = _Job(copy, owner, sequence, positions, place, new_sender, self._rate)
        self._job.pause_s = monotonic() - start
        self._job.overdue_at = monotonic() + patience_s
        self._job.start(self._observe)

    def finished(self) -> tuple[bool, Pointer | None]:
        """Whether the snapshot at hand has come to its end; and if it is whole, where it lies."""
        job = self._job
        if job is None:
            return False, None
        if job.running and monotonic() < job.overdue_at:
            return False, None
        self._job = None
        if job.running:
            logger.warning("no snapshot this time: the cluster does not answer")
            job.stop.set()
        return True, None if job.stop.is_set() else job.written

    def give_up(self) -> None:
        """Let a snapshot that is being written come to nothing."""
        if self._job is not None:
            self._job.stop.set()

    def close(self) -> None:
        """Give up what is being written, and wait a little for its end."""
        self.give_up()
        if self._job is not None:
            self._job.join(_CLOSE_S)
            self._job = None


class _Job:
    """One snapshot on its way."""

    def __init__(
        self,
        copy: ForkedWriter,
        owner: str,
        sequence: int,
        positions: list[Position],
        place: TopicPartition,
        new_sender: Callable[[], Sender],
        rate: int,
    ) -> None:
        self._copy = copy
        self._owner = owner
        self._sequence = sequence
        self._positions = positions
        self._place = place
        self._new_sender = new_sender
        self._rate = rate
        self._snapshot = uuid.uuid4().hex
        self._offsets: list[int] = []
        self._failures: list[KafkaError] = []
        self.stop = threading.Event()
        self.pause_s = 0.0
        self.overdue_at = inf
        self.written: Pointer | None = None

    def start(self, observe: Observe) -> None:
        """Write it in a thread of its own."""
        self._thread = threading.Thread(
            target=self._run, args=(observe,), name="snapshot", daemon=True
        )
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread; a call of the client may hang."""
        self._thread.join(timeout_s)

    @property
    def running(self) -> bool:
        """Whether it is still being written."""
        return self._thread.is_alive()

    def _run(self, observe: Observe) -> None:
        start = monotonic()
        size, written = 0, None
        try:
            sender = self._new_sender()
            sender.begin()
            try:
                size, written = self._send_all(sender)
            finally:
                if written is None:
                    sender.abandon()
        except (KafkaException, BufferError, OSError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else error
            logger.warning("no snapshot this time: %s", reason)
        finally:
            self._copy.close()
        if written is not None:
            logger.info(
                "snapshot of %s: %d bytes in %.1f s", self._owner, size, monotonic() - start
            )
        if not self.stop.is_set():
            observe(
                "failed" if written is None else "written", self.pause_s, monotonic() - start, size
            )
            self.written = written

    def _send_all(self, sender: Sender) -> tuple[int, Pointer | None]:
        """Send parts and manifest; ``(bytes, where they are)``."""
        hashes: list[int] = []
        size = 0
        began = monotonic()
        for part in read_parts(self._copy.stream):
            self._send(sender, len(hashes), part)
            hashes.append(hash_part(part))
            size += len(part)
            self._wait_for_room(sender, began + size / self._rate)
            if self.stop.is_set():
                return size, None
        if not self._copy.close():
            logger.warning("no snapshot this time: the forked copy of the state ended too early")
            return size, None
        manifest = Manifest(
            format=FORMAT,
            snapshot=self._snapshot,
            group=self._owner,
            taken=now_ms(),
            size=size,
            hashes=hashes,
            positions=self._positions,
        )
        # The manifest proves all before it, so it goes out only when they are there.
        self._flush(sender)
        first = min(self._offsets)
        self._send(sender, None, msgspec.json.encode(manifest))
        self._flush(sender)
        last = max(self._offsets)
        sender.complete(TopicPartition(self._place.topic, self._place.partition, last + 1))
        return size, Pointer(self._sequence, self._place.partition, first, last)

    def _send(self, sender: Sender, part: int | None, value: Buffer) -> None:
        sender.producer.produce(
            self._place.topic,
            bytes(value),
            part_key(self._owner, self._sequence, part),
            self._place.partition,
            on_delivery=self._delivered,
            headers=[(SNAPSHOT_HEADER, self._snapshot)],
        )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
        else:
            self._offsets.append(message.offset() or 0)

    def _wait_for_room(self, sender: Sender, not_before: float) -> None:
        while not self.stop.is_set():
            sender.producer.poll(0.0)
            wait = not_before - monotonic()
            if self._failures or (wait <= 0 and len(sender.producer) <= _IN_FLIGHT):
                return
            sleep(min(max(wait, 0.002), 0.1))

    def _flush(self, sender: Sender) -> None:
        left = sender.producer.flush(_FLUSH_S)
        if self._failures:
            raise KafkaException(self._failures[0])
        if left:
            raise BufferError(f"the cluster took no part of it for {_FLUSH_S:.0f} s")
