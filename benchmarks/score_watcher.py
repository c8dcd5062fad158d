"""What a consumer of scores sees, and when; for `swaps.py`."""

import multiprocessing
import os
import sys
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, TopicPartition

from streams.kafka.client import KafkaSettings
from weir.demo.scorer_process import DemoScorer

_PATIENCE_S = 120.0
_EVENTS_AT_ONCE = 4_000


class _Score(msgspec.Struct):
    event_id: int
    model: str
    arrived: int


def watch(
    config: dict[str, Any], topic: str, partitions: int, path: str, ready: Any, stop: Any, seen: Any
) -> None:
    """Note each score's event, model, Kafka timestamp and when it was seen, until `stop`."""
    consumer = Consumer(config)
    consumer.assign([TopicPartition(topic, each, 0) for each in range(partitions)])
    decode = msgspec.json.Decoder(_Score).decode
    names: dict[str, int] = {}
    rows: list[tuple[int, int, int, float]] = []
    parent = os.getppid()
    ready.set()
    while not stop.is_set() and os.getppid() == parent:
        messages = consumer.consume(_EVENTS_AT_ONCE, 0.01)
        now = time() * 1e3
        for message in messages:
            if message.error() is None:
                score = decode(message.value())
                name = names.setdefault(score.model, len(names))
                rows.append((score.event_id, name, score.arrived, now))
        seen.value = len(rows)
    ids, models, arrived, seen_at = zip(*rows, strict=True)
    np.savez(path, ids=ids, models=models, arrived=arrived, seen=seen_at, names=list(names))
    consumer.close()


class Scores:
    """The scores topic, watched by another process for the length of a ``with`` block."""

    def __init__(self, kafka: KafkaSettings, topic: str, partitions: int, path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._path = path
        self._ready, self._stop = context.Event(), context.Event()
        self._seen = context.Value("q", 0)
        config = kafka.consumer_config(group_id="swaps-watcher", enable_partition_eof=False)
        self._process = context.Process(
            target=watch,
            args=(config, topic, partitions, str(path), self._ready, self._stop, self._seen),
            daemon=True,
        )

    def __enter__(self) -> "Scores":
        self._process.start()
        self._ready.wait(_PATIENCE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(_PATIENCE_S)

    @property
    def seen(self) -> int:
        """How many scores have come."""
        return int(self._seen.value)

    def wait_for(self, count: int, scorer: DemoScorer) -> None:
        """Until so many scores are there, or no more come for long."""
        last, since = -1, monotonic()
        while (now := int(self._seen.value)) < count:
            scorer.check()
            if now != last:
                last, since = now, monotonic()
            if monotonic() - since > _PATIENCE_S:
                print(f"only {now:,} of {count:,} scores came", file=sys.stderr)
                return
            sleep(0.005)
