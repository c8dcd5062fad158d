"""What goes into a scorer and what comes out, while the broker is there and while it is not."""

import itertools
import threading
from time import monotonic

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from streams.events.json_encoder import EventEncoder
from streams.files.event_file import EventFile
from weir.config.settings import Settings

_POLL_S = 0.05
_BATCH = 5_000


class Sender:
    """Sends the events of a file, each once; what the broker does not take now, it gets later."""

    def __init__(self, settings: Settings, file: EventFile) -> None:
        self.ids = file.events.ids
        self._values = EventEncoder(settings.event).encode(file.events)
        self._keys = file.events.keys
        self._topic = settings.topics.events
        self._producer = Producer(settings.kafka.producer_config())
        self._lock = threading.Lock()
        self.sent = 0

    def send(self, count: int) -> None:
        """Send the next `count` events; returns before they are there."""
        with self._lock:
            for row in range(self.sent, self.sent + count):
                self._producer.produce(self._topic, self._values[row], str(self._keys[row]))
            self.sent += count
        self._producer.poll(0)

    def stream(self, per_second: float, stop: threading.Event) -> None:
        """Send events one by one until `stop` is set."""
        start = monotonic()
        for number in itertools.count(1):
            if stop.wait(max(0.0, start + number / per_second - monotonic())):
                return
            self.send(1)

    def flush(self, seconds: float) -> int:
        """Wait until all is with the broker; returns how many are not."""
        return self._producer.flush(seconds)


class Answers:
    """Counts the answers that are visible to a consumer, in a thread, until it is closed.

    Attributes:
        seen: ids of the events that were answered.
        twice: how many answers were second ones.
        last_at: when the last one came; seconds of `monotonic`.
    """

    def __init__(self, settings: Settings) -> None:
        self.seen: set[int] = set()
        self.twice = 0
        self.last_at = 0.0
        self._stop = threading.Event()
        self._consumer = Consumer(settings.kafka.consumer_config(group_id="weir-restarts"))
        topic = settings.topics.scores
        partitions = self._consumer.list_topics(topic, timeout=30).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, each, 0) for each in partitions])
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        decode = msgspec.json.decode
        while not self._stop.is_set():
            for message in self._consumer.consume(_BATCH, _POLL_S):
                if message.error() is None:
                    event_id = decode(message.value())["event_id"]
                    self.twice += event_id in self.seen
                    self.seen.add(event_id)
                    self.last_at = monotonic()
