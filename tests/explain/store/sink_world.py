"""A sink on a real Kafka, for tests."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

from confluent_kafka import Consumer, TopicPartition
from group_lag import group_lag
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from store_world import SIGNER

from explain.store.appending import Appender
from explain.store.database import Database
from explain.store.tables import records
from explain.workers.sink import ExplanationSink, SinkMetrics
from explain.workers.witness_topic import WitnessTopic
from streams.dead_letters.reader import DeadLetterReader, StoredDeadLetter
from streams.kafka.client import KafkaSettings
from streams.kafka.records.publisher import Publisher


class World:
    """Topics, and a sink that reads them into a database."""

    def __init__(self, kafka: str, topics: list[str]) -> None:
        self.kafka = KafkaSettings(bootstrap_servers=kafka)
        self.topic, self.dead_letters = topics
        self.group = f"sink-{uuid.uuid4().hex}"
        self.registry = CollectorRegistry()
        self.metrics = SinkMetrics(self.registry)
        self._last: ExplanationSink | None = None

    def publish(self, *values: bytes | None) -> None:
        with Publisher(self.kafka) as publisher:
            for value in values:
                publisher.send(self.topic, value, "token")
            publisher.flush()

    def sink(
        self, database: Database, accepted_by: str = "", anchors: WitnessTopic | None = None
    ) -> ExplanationSink:
        appender = Appender(database, SIGNER, anchor_every=1_000, anchor_after_ms=10**13)
        return ExplanationSink(
            self.kafka,
            topic=self.topic,
            dead_letters=self.dead_letters,
            group=self.group,
            max_batch=100,
            appender=appender,
            metrics=self.metrics,
            accepted_by=accepted_by,
            anchors=anchors,
        )

    @contextmanager
    def sinking(
        self, database: Database, sink: ExplanationSink | None = None
    ) -> Iterator[list[Exception]]:
        sink = self._last = sink or self.sink(database)
        stop = threading.Event()
        failed: list[Exception] = []

        def run() -> None:
            try:
                sink.run(stop)
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield failed
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()
        if failed:
            raise failed[0]

    @property
    def waits(self) -> list[str]:
        """What the sink that was started last waits for."""
        assert self._last is not None
        return self._last.waits_for()

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def committed(self) -> int:
        consumer = Consumer(self.kafka.consumer_config(group_id=self.group))
        (place,) = consumer.committed([TopicPartition(self.topic, 0)], timeout=30)
        consumer.close()
        return place.offset

    def lag(self) -> dict[int, int | None]:
        return group_lag(self.kafka.bootstrap_servers, self.group, self.topic)

    def letters(self) -> list[StoredDeadLetter]:
        return list(DeadLetterReader(self.kafka, self.dead_letters).letters({}))


def stored(database: Database) -> list[bytes]:
    with database.reading() as connection:
        return list(
            connection.execute(select(records.c.body).order_by(records.c.sequence)).scalars()
        )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 180
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.05)
