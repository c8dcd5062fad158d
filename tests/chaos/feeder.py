"""Publishes a world: half of the partitions idempotently, half in transactions, some aborted."""

import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.kafka.partition import PartitionId
from tests.chaos.configuration import PARTITIONS, TOPICS
from tests.chaos.repeats import Repeats
from tests.chaos.world import Habits, Record, World

IN_TRANSACTIONS = range(PARTITIONS // 2, PARTITIONS)
_TICK_S = 0.1
_LARGEST_TICK = 1_500
_GHOSTS_EVERY = 25
_LAST = 400
_TRICKLE = 10
_CALL_S = 5.0
PROGRESS_HEADER = "weir.progress"
_GHOST = b'{"id": -1, "at": 1, "card": "ghost", "amount": 1}'


class Feeder(threading.Thread):
    """Sends `events` events within `seconds`, then a few until it may send the last ones.

    Attributes:
        usual: habits where no fault says otherwise; with repeats, the scorer leaves them out.
        habits: how unusual the records are now; faults replace it for a while.
        lagging: while it is set, nothing goes to the partitions written in transactions.
        held: while it is set, nothing is sent.
        wanted_partitions: how many are written to from the next events on.
        sent: events so far, closing ones not counted.
        delivered: records that the broker acknowledged (and, in a transaction, committed).
        answerable: events among them, by partition, closing ones not counted.
        last_offset: of the last record of each place that is to be answered or rejected.
        failure: what ended it early.
        waiting: `events` are sent.
        may_end: set it to have the last few sent, and the closing events, one per partition.
        first_of_last: id of the first of the last few.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        world: World,
        events: int,
        seconds: float,
        usual: Habits | None = None,
    ) -> None:
        super().__init__(name="feeder", daemon=True)
        self.habits = self.usual = usual or Habits()
        self._repeats: dict[int, Repeats] = defaultdict(Repeats)
        self.sent = 0
        self.delivered: Counter[PartitionId] = Counter()
        self.answerable = Counter(dict.fromkeys(range(PARTITIONS), 0))
        self.last_offset: dict[PartitionId, int] = {}
        self.failure: str | None = None
        self.last_offset_before_closing: dict[PartitionId, int] = {}
        self.aborted = 0
        self.resent = 0
        self.lagging = False
        self.held = False
        self.wanted_partitions = PARTITIONS
        self._withheld: list[tuple[Record, bool]] = []
        self._world = world
        self._events = events
        self._rate = events / seconds
        self.waiting = threading.Event()
        self.may_end = threading.Event()
        self.first_of_last = 0
        self._ending = threading.Event()
        self._common = common = {
            "bootstrap.servers": bootstrap_servers,
            "compression.type": "lz4",
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._steady: Any = Producer(
            common | {"enable.idempotence": True, "message.timeout.ms": 0, "linger.ms": 5}
        )
        self._transactional = common | {
            "transactional.id": "chaos-feeder",
            "transaction.timeout.ms": 60_000,
            "message.timeout.ms": 60_000,
        }
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Number records from the first: see `Transactor.settle`."""
        self._atomic: Any = Producer(self._transactional)

    def stop(self) -> None:
        """Send the closing events now."""
        self._ending.set()
        self.may_end.set()

    def run(self) -> None:
        """Send all."""
        try:
            self._patiently(self._atomic.init_transactions)
            start, ticks = monotonic(), 0
            while self.sent < self._events and not self._ending.is_set():
                if self.held:
                    sleep(_TICK_S)
                    continue
                due = min(self._events, int(self._rate * (monotonic() - start))) - self.sent
                if due > 0:
                    count = min(due, _LARGEST_TICK)
                    self._send(self._world.tick(count, self.habits))
                    self.sent += count
                    ticks += 1
                    if ticks % _GHOSTS_EVERY == 0:
                        self._send_ghosts()
                if due < _LARGEST_TICK:
                    sleep(_TICK_S)
            self.waiting.set()
            # Partitions wait for each other: without another event the latest have no answer.
            while not self.may_end.wait(_TICK_S):
                if self.held:
                    continue
                self._send(self._world.tick(_TRICKLE, self.habits))
                self.sent += _TRICKLE
            self.lagging = False
            self.first_of_last = self._world.next_id
            self._send(self._world.tick(_LAST, Habits()))
            self._settle()
            self.last_offset_before_closing = dict(self.last_offset)
            answerable = self.answerable.copy()
            self._send(self._world.closing())
            self._settle()
            self.answerable = answerable
        except KafkaException as error:
            self.failure = f"the feeder failed: {error.args[0].str()}"

    def _settle(self) -> None:
        while self._steady.flush(1.0):
            pass

    def _send(self, tick: Any) -> None:
        """Events first: the labels' progress lets them go."""
        events, labels = TOPICS["events"], TOPICS["labels"]
        self._world.partitions = self.wanted_partitions  # for the next tick
        for record, answerable in [(each, self._is_answerable(each)) for each in tick.events]:
            if record.partition in IN_TRANSACTIONS:
                self._withheld.append((record, answerable))
            else:
                note = self._note_answerable if answerable else self._note
                self._produce(self._steady, events, record, note)
        if not self.lagging:
            withheld, self._withheld = self._withheld, []
            self._transact(events, withheld)
        for record in tick.labels:
            self._produce(self._steady, labels, record, self._note)
        complete = [(PROGRESS_HEADER, str(tick.complete_to).encode())]
        for partition in range(self._world.partitions):
            mark = Record(partition, None, None, complete)
            self._produce(self._steady, labels, mark, _ignore)
        self._steady.poll(0)

    def _transact(self, topic: str, records: Sequence[tuple[Record, bool]]) -> None:
        while records:
            reports: list[tuple[int, int]] = []

            def note(error: Any, message: Any, reports: list[tuple[int, int]] = reports) -> None:
                if error is None:
                    reports.append((message.partition(), message.offset()))

            try:
                self._atomic.begin_transaction()
                for record, _ in records:
                    self._produce(self._atomic, topic, record, note)
                self._patiently(self._atomic.commit_transaction)
            except KafkaException as error:
                if error.args[0].txn_requires_abort():
                    self._patiently(self._atomic.abort_transaction)
                elif not error.args[0].fatal():
                    raise
                # The next one of the id ends what a fatal error left, well or badly.
                self._begin_anew()
                self._patiently(self._atomic.init_transactions)
                if not reports or not self._is_visible(topic, *reports[0]):
                    self.resent += 1
                    continue
            for partition, offset in reports:
                self._count(topic, partition, offset)
            for record, answerable in records:
                self.answerable[record.partition] += answerable
            return

    def _is_visible(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record at a place was committed: it is the next one that is read there."""
        consumer = Consumer(
            self._common
            | {"group.id": "chaos-feeder", "enable.partition.eof": True}
            | {"isolation.level": "read_committed", "receive.message.max.bytes": 2_000_000_000}
        )
        try:
            consumer.assign([TopicPartition(topic, partition, offset)])
            while True:
                message = consumer.poll(_CALL_S)
                if message is None:
                    continue
                if message.error() is None:
                    return message.offset() == offset
                if message.error().code() == KafkaError._PARTITION_EOF:
                    return False
        finally:
            consumer.close()

    def _send_ghosts(self) -> None:
        """Events that nobody must ever answer: their transaction is aborted."""
        self._atomic.begin_transaction()
        for partition in IN_TRANSACTIONS:
            ghost = Record(
                partition, b'{"id": -1, "at": 1, "card": "ghost", "amount": 1}', None, []
            )
            self._produce(self._atomic, TOPICS["events"], ghost, _ignore)
        self._atomic.flush(_CALL_S)
        with suppress(KafkaException):  # the next one of the id aborts it, too
            self._patiently(self._atomic.abort_transaction)
        self._begin_anew()
        self._patiently(self._atomic.init_transactions)
        self.aborted += 1

    def _produce(self, producer: Any, topic: str, record: Record, report: Any) -> None:
        while True:
            try:
                producer.produce(
                    topic,
                    record.value,
                    record.key,
                    record.partition,
                    timestamp=record.timestamp,
                    headers=record.headers,
                    on_delivery=report,
                )
                return
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                producer.list_topics(topic, timeout=_CALL_S)  # it was added just now

    def _is_answerable(self, record: Record) -> bool:
        """Whether it is an event, and no repeat where these are left out."""
        if record.event is None or not self.usual.repeated:
            return record.event is not None
        return not self._repeats[record.partition].is_one(*record.event)

    def _note_answerable(self, error: Any, message: Any) -> None:
        self._note(error, message)
        self.answerable[message.partition()] += error is None

    def _note(self, error: Any, message: Any) -> None:
        if error is not None:
            self.failure = f"the feeder lost a record: {error.str()}"
        else:
            self._count(message.topic(), message.partition(), message.offset())

    def _count(self, topic: str, partition: int, offset: int) -> None:
        self.delivered[topic, partition] += 1
        last = self.last_offset.get((topic, partition), -1)
        self.last_offset[topic, partition] = max(last, offset)

    def _patiently(self, call: Any) -> None:
        while True:
            try:
                call(_CALL_S)
                return
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise


def _ignore(error: Any, message: Any) -> None:
    pass
