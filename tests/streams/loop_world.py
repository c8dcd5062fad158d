"""A stream of events, a loop that answers it, and a check of what came of both."""

import json
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any, Protocol

from confluent_kafka import Consumer, Producer, TopicPartition
from running_sum import RunningSum, make_loop

from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.loop.fused.loop import FusedLoop

START = 1_600_000_000_000
PARTITIONS = 4
MakeTopics = Callable[..., list[str]]


class World:
    """Topics and a group of their own, and a producer of events of 10 accounts."""

    def __init__(self, kafka: str, make_topics: MakeTopics) -> None:
        self.kafka = kafka
        self.events, self.answers = make_topics("events", "answers", partitions=PARTITIONS)
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
        self.sent = 0

    def send(self, count: int, partitions: Sequence[int] = range(PARTITIONS)) -> None:
        """Send events; an account's go to one partition."""
        for i in range(self.sent, self.sent + count):
            account = i % 10 * PARTITIONS + partitions[i % len(partitions)]
            event = {"id": i, "account": account, "amount": i * i % 97, "at": START + i * 250}
            self.producer.produce(self.events, json.dumps(event), partition=account % PARTITIONS)
        assert self.producer.flush(30) == 0
        self.sent += count

    def send_raw(self, *values: bytes | None, partition: int = 0) -> None:
        for value in values:
            self.producer.list_topics(self.events)  # it may have got partitions
            self.producer.produce(self.events, value, partition=partition)
        assert self.producer.flush(30) == 0

    def loop(self, task: RunningSum | None = None, **settings: Any) -> FusedLoop:
        task = task or RunningSum(self.answers)
        return make_loop(self.kafka, self.events, task, self.group, **settings)

    def read(self, topic: str) -> list[Any]:
        settings = KafkaSettings(bootstrap_servers=self.kafka)
        return [message for batch in read_to_end(settings, topic) for message in batch]

    def answered(self) -> int:
        return len(self.read(self.answers))

    def answers_read(self) -> list[dict[str, Any]]:
        return [json.loads(message.value()) for message in self.read(self.answers)]

    def check(self, sent: int | None = None) -> None:
        """Every event once, every sum right, in the order of the input's offsets."""
        answers = self.answers_read()
        assert sorted(a["id"] for a in answers) == list(range(self.sent if sent is None else sent))
        sums: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
        last: dict[int, int] = defaultdict(lambda: -1)
        for answer in answers:
            total, count = sums[answer["account"]]
            total, count = total + answer["id"] ** 2 % 97, count + 1
            sums[answer["account"]] = total, count
            assert (answer["sum"], answer["count"]) == (total, count)
            assert answer["offset"] > last[answer["account"]]
            last[answer["account"]] = answer["offset"]

    def committed(self) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.kafka, "group.id": self.group})
        try:
            places = [TopicPartition(self.events, partition) for partition in range(PARTITIONS)]
            return [place.offset for place in consumer.committed(places, timeout=10)]
        finally:
            consumer.close()


class Loop(Protocol):
    """One of `FusedLoop`, `StatelessLoop` and `StagedLoop`."""

    @property
    def ready(self) -> bool: ...

    def run(self, stop: threading.Event) -> None: ...


class Running:
    """A loop in a thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.loop.run(self._stop)
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(40)
        assert not self._thread.is_alive(), "the loop does not stop"

    def ended(self, within_s: float) -> bool:
        self._thread.join(within_s)
        return not self._thread.is_alive()


@contextmanager
def running(loop: Loop) -> Iterator[Running]:
    """Run a loop for the length of the block; it must not fail."""
    runner = Running(loop)
    try:
        yield runner
    except Exception as failure:
        failure.add_note(f"the loop's own error: {runner.error!r}")
        raise
    finally:
        runner.stop()
    if runner.error is not None:
        raise runner.error


def wait(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)
