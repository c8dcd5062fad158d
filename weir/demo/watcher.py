"""A downstream consumer: sees answers as a user's own program would, and counts them."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import time

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaException, TopicPartition

from inference.serving.score_record import Score
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.message import headers_of
from streams.kafka.records.consuming import is_end

_BATCH = 5_000
_POLL_S = 0.02


@dataclass
class Seen:
    """What has been seen so far.

    Attributes:
        answered: distinct event ids.
        duplicated: answers to an event that had one.
        arms: events by the arm that their key belongs to.
        dead_letters: rejected records, by reason.
        latencies_ms: from an event's Kafka timestamp to its answer's arrival here, for events
            that were sent after `Watcher.measure`.
        reviewed: the latest events that were not approved.
    """

    answered: set[int | str] = field(default_factory=set)
    duplicated: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    arms: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    flagged: list[Score] = field(default_factory=list)
    last_answer: float = 0.0

    @property
    def total(self) -> int:
        """Events answered once or more, and records rejected."""
        return len(self.answered) + self.dead_letters.total()

    def latency_percentiles(self, percentiles: Sequence[float]) -> dict[str, float | None]:
        """``{"p50": …}`` in milliseconds; None before the first."""
        if not self.latencies_ms:
            return {f"p{percentile:g}": None for percentile in percentiles}
        values = np.percentile(np.array(self.latencies_ms), percentiles)
        return {f"p{p:g}": round(float(v), 2) for p, v in zip(percentiles, values, strict=True)}


class Watcher:
    """Reads scores and dead letters from their beginning, in a thread, until it is closed."""

    def __init__(self, kafka: KafkaSettings, scores_topic: str, dead_letters_topic: str) -> None:
        self.seen = Seen()
        self._scores_topic = scores_topic
        self._measured_from: int | None = None
        self._stop = threading.Event()
        self._failure: KafkaException | None = None
        self._consumer = Consumer(kafka.consumer_config(group_id="weir-demo", fetch_wait_max_ms=10))
        partitions = [
            TopicPartition(topic, partition, 0)
            for topic in (scores_topic, dead_letters_topic)
            for partition in self._consumer.list_topics(topic, timeout=15).topics[topic].partitions
        ]
        self._consumer.assign(partitions)
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def measure(self) -> None:
        """Measure the latency of events that are sent from now on."""
        self._measured_from = now_ms()

    def check(self) -> None:
        """Raise what stopped the thread, if anything did."""
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        decode = msgspec.json.Decoder(Score).decode
        try:
            while not self._stop.is_set():
                messages = self._consumer.consume(1, _POLL_S)
                if messages:
                    messages += self._consumer.consume(_BATCH, 0.0)
                now = time()
                for message in messages:
                    if message.error() is not None:
                        if not is_end(message):
                            raise KafkaException(message.error())
                    elif message.topic() == self._scores_topic:
                        self._see(decode(message.value()), now)
                    else:
                        reason = dict(headers_of(message) or ()).get("weir.reason")
                        if isinstance(reason, bytes):  # else it marks letters as sent back
                            self.seen.dead_letters[reason.decode()] += 1
                            self.seen.last_answer = now
        except KafkaException as error:
            self._failure = error

    def _see(self, score: Score, now: float) -> None:
        seen = self.seen
        if score.event_id in seen.answered:
            seen.duplicated += 1
            return
        seen.answered.add(score.event_id)
        seen.decisions[score.decision] += 1
        seen.arms[score.arm] += 1
        seen.last_answer = now
        if self._measured_from is not None and score.arrived >= self._measured_from:
            seen.latencies_ms.append(max(0.0, now * 1_000 - score.arrived))
        if score.decision != "approve":
            seen.flagged = [*seen.flagged[-4:], score]
