"""The sink: from the topic of explanations into the store, each record once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from threading import Event
from time import monotonic
from typing import TypeVar

from confluent_kafka import KafkaException, Message, TopicPartition
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from explain.store.anchors import Anchor
from explain.store.appending import Appended, Appender, Refused
from explain.store.errors import StoreUnavailableError
from explain.store.witness import Witness
from explain.workers.kafka_witness import KafkaWitness
from explain.workers.witness_topic import WitnessTopic
from streams.base.bounded_calls import StoppedError
from streams.base.clock import now_ms
from streams.base.counted import counter_by
from streams.dead_letters.writer import publish_dead_letters
from streams.events.rejection import Reason, Rejected
from streams.kafka.authorization import is_denial
from streams.kafka.batches.bad_batch import rejection_of
from streams.kafka.client import KafkaSettings
from streams.kafka.lag_metric import LagCollector
from streams.kafka.partition import PartitionId
from streams.kafka.records.publisher import Publisher
from streams.loop.position_check import PositionCheck
from streams.loop.stateless.group_reader import GroupReader

logger = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_S = 0.5
_ANCHOR_S = 0.5
"""A person may be waiting for a signature."""
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_LEAVING_S = 60.0


class SinkMetrics:
    """All that the sink says of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = counter_by(
            "outcome",
            ("stored", "repeated", "refused"),
            "weir_store_records",
            "Explanations, by outcome",
            registry,
        )
        self.dead_letters = counter_by(
            "reason", Reason, "weir_dead_letters", "Records rejected, by reason", registry
        )
        self.anchors = Counter("weir_store_anchors", "Anchors signed", registry=registry)
        self.anchor_time = Gauge(
            "weir_store_anchor_timestamp_seconds",
            "When the last anchor was signed, UTC",
            unit="seconds",
            registry=registry,
        )
        self.up = Gauge(
            "weir_store_up", "1 when the database took the last records", registry=registry
        )
        self.seconds = Histogram(
            "weir_store_append_seconds",
            "Time of one transaction of the store",
            unit="seconds",
            registry=registry,
        )
        self.lag: Mapping[PartitionId, int] = {}
        registry.register(LagCollector("Records not stored yet", lambda: self.lag))


class ExplanationSink:
    """Reads explanations in a consumer group of its own, and appends them to the store.

    Offsets are committed after the database has committed, and the store passes over what it has:
    so whatever is killed when, each record is stored once. While the database is away, the sink
    waits and keeps its place in the group. What is no record, or has the id of another, goes to the
    dead letters with the reason; after a crash it may go there twice.

    Args:
        topic: of the explanations.
        max_batch: records in one transaction.
        tolerant: see `PositionCheck`.
        accepted_by, anchors: see `KafkaWitness`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        topic: str,
        dead_letters: str,
        group: str,
        max_batch: int,
        appender: Appender,
        metrics: SinkMetrics,
        tolerant: bool = False,
        accepted_by: str = "",
        anchors: WitnessTopic | None = None,
    ) -> None:
        self._kafka = kafka
        self._tolerant = tolerant
        self._topic = topic
        self._dead_letters = dead_letters
        self._group = group
        self._max_batch = max_batch
        self._appender = appender
        self._metrics = metrics
        self._witness = KafkaWitness(
            kafka,
            group=group,
            topic=topic,
            appender=appender,
            accepted_by=accepted_by,
            anchors=anchors,
        )
        self._came: list[Message] = []
        self._looked_at = 0.0
        self._reader: GroupReader | None = None  # from `run` on
        self._away = "it was not asked yet"

    def waits_for(self) -> list[str]:
        """Why nothing is stored now, in words; nothing where it is. Any thread may ask.

        A sink without partitions waits for nothing as soon as it has reached the database.
        """
        away = [f"the database does not take records: {self._away}"] if self._away else []
        reader = self._reader
        reads = reader is not None and reader.ready
        return away if reads else [*away, "joining the group of sinks, or reading is not possible"]

    def run(self, stop: Event) -> None:
        """Store what comes until `stop` is set; then sign for all of it.

        Raises:
            TamperedError: the store is not as it was, or behind what Kafka witnesses of it.
            StoreError: it can't be written to.
            StoppedError: the database is away; the next start signs for the last records.
            PublishError: a dead letter did not arrive.
            PositionLostError: where the group was is no place in the topic any more.
            AuthorizationError, KafkaException: the cluster refuses us.
        """
        check = PositionCheck(
            self._kafka,
            group=self._group,
            topics=[self._topic],
            log_topic="",  # where the group's offsets are gone, the store knows what it has
            tolerant=self._tolerant,
        )
        check.run(stop, _LEAVING_S)
        try:
            self._witness.hear(stop)
            with (
                GroupReader(
                    kafka=self._kafka,
                    group=self._group,
                    topics=[self._topic],
                    worker="weir-sink",
                    check=check,
                ) as self._reader,
                Publisher(self._kafka) as letters,
            ):
                self._run(self._reader, letters, stop)
        finally:
            self._reader = None
            self._witness.close()

    def _run(self, reader: GroupReader, letters: Publisher, stop: Event) -> None:
        while not stop.is_set():
            self._came += reader.poll(self._max_batch, _POLL_S)
            if self._came:
                self._store(reader, letters, stop)
            self._look_around(reader, stop)
        self._sign_all(reader)

    def _store(self, reader: GroupReader, letters: Publisher, stop: Event) -> None:
        """Take in what came; if we are stopped first, it comes again at the next start."""
        # Some may have come while the database was away, and their partition has gone since.
        messages, self._came = [each for each in self._came if reader.reads(each)], []
        bodies = [message.value() or b"" for message in messages]

        def append() -> Appended:
            with self._metrics.seconds.time():
                return self._appender.append(bodies)

        done = self._insist(append, reader, stop)
        if done is None:
            return
        self._note_anchor(done.anchor)
        for outcome, count in (
            ("stored", done.stored),
            ("repeated", done.repeated),
            ("refused", len(done.refused)),
        ):
            self._metrics.records.labels(outcome).inc(count)
        self._reject(letters, messages, done.refused)
        self._commit(reader, reader.positions(messages), done.witness)

    def _insist(self, action: Callable[[], T], reader: GroupReader, stop: Event) -> T | None:
        """Do it as soon as the database lets us; None if we are stopped before."""
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                result = action()
            except StoreUnavailableError as error:
                self._note_up(str(error))
                logger.warning("%s; trying again in %.0f s, records wait in Kafka", error, wait_s)
                if self._wait(reader, wait_s, stop):
                    return None
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                self._note_up("")
                return result

    def _note_up(self, away: str) -> None:
        self._away = away
        self._metrics.up.set(not away)

    def _wait(self, reader: GroupReader, wait_s: float, stop: Event) -> bool:
        """Stay in the group without reading on; whether we were stopped."""
        until = monotonic() + wait_s
        with suppress(KafkaException):  # whoever waits reads nothing, and so learns of no new end
            self._metrics.lag = reader.uncommitted()
        while not stop.is_set() and monotonic() < until:
            self._came += reader.wait(min(_POLL_S, wait_s))
        return stop.is_set()

    def _reject(
        self, letters: Publisher, messages: Sequence[Message], refused: Sequence[Refused]
    ) -> None:
        bad = []
        for each in refused:
            message = messages[each.position]
            if not message.value():
                reason = Reason.EMPTY
            else:
                reason = Reason.FAILED if each.conflict else Reason.BREAKS_SCHEMA
            rejected = Rejected(each.position, reason, None, each.detail)
            bad.append((message, rejection_of(message, rejected)))
            self._metrics.dead_letters.labels(bad[-1][1].reason.value).inc()
        publish_dead_letters(letters, self._dead_letters, bad, now_ms())

    def _note_witness(self, reader: GroupReader, witness: Witness) -> None:
        """See that Kafka knows how far the store is, and which partitions are drained."""
        due = [*self._witness.due(reader, witness), *reader.drained()]
        ends = {(each.topic, each.partition): each for each in due}
        self._commit(reader, list(ends.values()), witness)

    def _commit(
        self, reader: GroupReader, positions: list[TopicPartition], witness: Witness
    ) -> None:
        if not positions:
            return
        try:
            self._witness.commit(reader, positions, witness)
        except KafkaException as error:
            if is_denial(error.args[0]):
                raise
            # A rebalance, most often: whoever reads them again finds the records stored.
            logger.warning(
                "can't commit offsets, reading these records again: %s", error.args[0].str()
            )
            reader.read_again([(each.topic, each.partition) for each in positions])

    def _look_around(self, reader: GroupReader, stop: Event) -> None:
        """What is due even where nothing comes."""
        if monotonic() - self._looked_at < _ANCHOR_S:
            return
        self._looked_at = monotonic()
        self._note_anchor(self._insist(self._appender.anchor, reader, stop))
        witness = self._insist(self._appender.witness, reader, stop)
        if witness is not None:
            self._note_witness(reader, witness)
        self._insist(self._witness.pass_on, reader, stop)
        self._metrics.lag = reader.lag

    def _sign_all(self, reader: GroupReader) -> None:
        try:
            self._note_anchor(self._appender.anchor(now=True))
            self._note_witness(reader, self._appender.witness())
            self._witness.pass_on()
        except StoreUnavailableError as error:
            raise StoppedError(f"{error}; the next start signs for the last records") from error

    def _note_anchor(self, anchor: Anchor | None) -> None:
        if anchor is not None:
            self._metrics.anchors.inc()
            self._metrics.anchor_time.set(anchor.time / 1_000)
