"""A small task for the stateless loop: counts the records of each key, and says each count.

Run as a program, it is a worker in a process of its own, which can be killed.
"""

import json
import os
import signal
import sys
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import Message, Producer
from running_sum import _die_before_commit

from streams.kafka.client import KafkaSettings, connect
from streams.kafka.records.consuming import read_to_end
from streams.loop.stateless.keyed_state import KeyedState
from streams.loop.stateless.loop import Processed, StatelessLoop
from streams.loop.stateless.state_topic import ensure_state_topic
from streams.transactions.outcome import Outgoing

PARTITIONS = 4
MakeTopics = Callable[..., list[str]]


class CountingWorld:
    """Topics and a group of their own, workers who count, and a check of what they said."""

    def __init__(self, kafka: str, source: str, counts: str, letters: str, group: str) -> None:
        self.bootstrap_servers = kafka
        self.kafka = KafkaSettings(bootstrap_servers=kafka)
        self.source, self.counts, self.letters, self.group = source, counts, letters, group
        self.state_topic = f"{source}-state"
        self.producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
        self.sent = 0

    @classmethod
    def make(cls, kafka: str, make_topics: MakeTopics) -> "CountingWorld":
        topics = make_topics("source", "counts", "letters", partitions=PARTITIONS)
        world = cls(kafka, *topics, f"counters-{uuid.uuid4().hex[:8]}")
        ensure_state_topic(connect(world.kafka), world.state_topic, world.source)
        return world

    @property
    def arguments(self) -> list[str]:
        """What a process needs to work in this world."""
        return [self.bootstrap_servers, self.source, self.counts, self.letters, self.group]

    def send(self, count: int) -> None:
        """Send records of 12 keys; a key's go to one partition."""
        for number in range(self.sent, self.sent + count):
            key = number % 12
            self.producer.produce(self.source, b"%d" % number, b"%d" % key, key % PARTITIONS)
        assert self.producer.flush(30) == 0
        self.sent += count

    def worker(self, name: str, **settings: Any) -> StatelessLoop:
        """A worker with short timeouts."""
        state = KeyedState(kafka=self.kafka, topic=self.state_topic, source=self.source)
        defaults = {"session_timeout": 2_000, "transaction_timeout": 4_000, "max_batch": 50}
        more: dict[str, Any] = {"process": self.count_in(state)} | defaults | settings
        return StatelessLoop(
            kafka=more.pop("kafka", self.kafka),
            group=self.group,
            worker=name,
            topics=[self.source],
            dead_letters=self.letters,
            state=state,
            **more,
        )

    def count_in(self, state: KeyedState) -> Callable[[Sequence[Message]], Processed]:
        """The task; a record `fails` or is `huge` if it says so."""

        def process(messages: Sequence[Message]) -> Processed:
            values = []
            for message in messages:
                key, part = message.key(), state.of(message.partition())
                count = int(part.get(key) or 0) + 1
                part.put(key, b"%d" % count)
                if message.value() == b"fails":
                    raise ValueError("no answer to that")
                answer = {"key": key.decode(), "count": count, "offset": message.offset()}
                ballast = os.urandom(2_000).hex() if message.value() == b"huge" else ""
                values.append(json.dumps(answer | {"ballast": ballast}).encode())
            partitions = [message.partition() for message in messages]
            return Processed([Outgoing(self.counts, values, [None] * len(values), partitions)])

        return process

    def read(self, topic: str) -> list[Message]:
        return [message for batch in read_to_end(self.kafka, topic) for message in batch]

    def answered(self) -> int:
        return len(self.read(self.counts))

    def check(self) -> None:
        """Each input was answered once, and each key's counts are 1 to n, in that order."""
        answers = self.read(self.counts)
        said = Counter((each.partition(), json.loads(each.value())["offset"]) for each in answers)
        each_once = {
            (partition, offset): 1
            for partition in range(PARTITIONS)
            for offset in range(self.sent // PARTITIONS)
        }
        assert said == each_once
        counts: dict[str, list[int]] = defaultdict(list)
        for each in answers:
            answer = json.loads(each.value())
            counts[answer["key"]].append(answer["count"])
        for key, numbers in counts.items():
            assert numbers == list(range(1, len(numbers) + 1)), key


def main(arguments: Sequence[str]) -> None:
    """Run until SIGTERM; die in the middle of transaction number DIE_IN, where it is given."""
    name, *world = arguments
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if "DIE_IN" in os.environ:
        _die_before_commit(int(os.environ["DIE_IN"]))
    CountingWorld(*world).worker(name).run(stop)


if __name__ == "__main__":
    main(sys.argv[1:])
