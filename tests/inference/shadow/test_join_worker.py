"""The second stage of the shadow on a real cluster: killed, restarted, shared; each pair once."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import msgspec
import numpy as np
import pytest
from confluent_kafka import Producer
from joined import DAY, SETTINGS, START, Joined, Labels, scores_of
from prometheus_client import CollectorRegistry
from test_comparison import stream

from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.rows import NothingToCompareError
from inference.shadow.event_hash import id_hashes, partitions_of_ids
from inference.shadow.joining.gathering import gather, read_evidence
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.joining.worker import JoinWorker
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.settings import ShadowSettings
from inference.shadow.shadow_record import ShadowScore
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import TopicSettings

COUNT = 6_000
PARTITIONS = 3
TERMS = Joined(SETTINGS, 7 * DAY).terms
TIMES = [START + each * DAY // 100 for each in range(COUNT)]


class World:
    """Topics of their own, what is sent there, and what comes of it."""

    def __init__(self, bootstrap_servers: str, names: list[str], group: str) -> None:
        self.own = bootstrap_servers, names, group
        self.kafka = KafkaSettings(bootstrap_servers=bootstrap_servers)
        roles = ("shadow_scores", "labels", "shadow_evidence", "dead_letters", "positions")
        self.topics = TopicSettings.model_validate(dict(zip(roles, names, strict=True)))
        self.group = group
        self.producer = Producer({"bootstrap.servers": bootstrap_servers})

    def start(self) -> "subprocess.Popen[bytes]":
        """A worker in a process of its own."""
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen([sys.executable, __file__, json.dumps(self.own)], env=environment)

    def dead_letters(self) -> int:
        return sum(map(len, read_to_end(self.kafka, self.topics.dead_letters)))

    def send(self, scores: list[ShadowScore]) -> None:
        places = partitions_of_ids(id_hashes([each.event_id for each in scores]), PARTITIONS)
        for each, place in zip(scores, places.tolist(), strict=True):
            key = str(each.event_id).encode()
            self.producer.produce(
                self.topics.shadow_scores, msgspec.json.encode(each), key, partition=place
            )
        assert self.producer.flush(30) == 0

    def label(self, labels: Labels) -> None:
        """In whatever partition: who sends labels may choose it otherwise than we do."""
        for event_id, said in labels.items():
            for time, label in said:
                value = json.dumps({"event_id": event_id, "label": label, "time": time})
                self.producer.produce(self.topics.labels, value, partition=event_id % PARTITIONS)
        for noise in (b"noise", b'{"event_id": 8, "label": 7, "time": 1}', None):
            self.producer.produce(self.topics.labels, noise, b"key")
        assert self.producer.flush(30) == 0

    def worker(self, name: str) -> JoinWorker:
        registry = CollectorRegistry()
        return JoinWorker(
            self.kafka,
            ShadowSettings(group=self.group, worker=name, session_timeout="6s"),
            topics=self.topics,
            terms=TERMS,
            partitions=lambda: PARTITIONS,
            sources=lambda: 1,
            metrics=ShadowMetrics(registry),
            registry=registry,
            tolerant=False,
            widen=lambda: None,
        )

    def gathered(self) -> Gathered | None:
        parts = read_evidence(self.kafka, self.topics.shadow_evidence)
        try:
            return gather("new", parts, TERMS)
        except NothingToCompareError:
            return None

    def until_more_than(self, events: int) -> None:
        self.until(lambda found: found.tally.events > events)

    def until(self, wanted: Callable[[Gathered], bool]) -> Gathered:
        give_up_at = monotonic() + 120
        while True:
            found = self.gathered()
            if found is not None and wanted(found):
                return found
            assert monotonic() < give_up_at, found
            sleep(0.3)


@pytest.fixture
def world(kafka: str, make_topics: Any) -> World:
    names = make_topics("shadow-scores", "labels", "evidence", "letters", partitions=PARTITIONS)
    names += make_topics("positions", partitions=1)
    return World(kafka, names, f"shadow-{uuid.uuid4().hex[:8]}")


@contextmanager
def running(worker: JoinWorker) -> Iterator[None]:
    stop = Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            worker.run(stop)
        except BaseException as error:
            failures.append(error)

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not failures, failures


def stream_of_events() -> tuple[list[ShadowScore], Labels]:
    champion, candidate, all_labels, _ = stream(COUNT, 0.6)
    labels = {row: [(TIMES[row] + DAY, said[0][1])] for row, said in all_labels.items()}
    return scores_of(champion, candidate, TIMES), labels


def expected(scores: list[ShadowScore], labels: Labels) -> Gathered:
    """What the partitions lead to where each is read at once."""
    places = partitions_of_ids(id_hashes([each.event_id for each in scores]), PARTITIONS)
    states = []
    for number in range(PARTITIONS):
        part = Joined(SETTINGS, 7 * DAY)
        part.join = PartitionJoin(part.state, number, PARTITIONS, TERMS)
        own = [each for each, place in zip(scores, places.tolist(), strict=True) if place == number]
        states.append(part.take(own, labels).state.items())
    return gather("new", states, TERMS)


def test_workers_who_are_killed_lead_to_the_same_evidence_to_the_bit(world: World) -> None:
    scores, labels = stream_of_events()
    world.label(labels)
    process = world.start()
    try:
        for part in np.array_split(np.arange(COUNT), 4):
            world.send([scores[each] for each in part.tolist()])
            # In the midst of them: some are in, and the others are not.
            world.until_more_than(int(part[0]))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = world.start()
        found = world.until(lambda found: found.tally.events >= COUNT)
    finally:
        process.kill()
        process.wait()
    whole = expected(scores, labels)
    assert whole.tally.frauds.events > 400
    assert found.tally == whole.tally
    assert found.recent == whole.recent
    assert found.watermark == whole.watermark
    for name in ("frauds", "first", "second", "weights"):
        assert (getattr(found.sample, name) == getattr(whole.sample, name)).all()
    assert (found.waiting == whole.waiting).all()


def test_workers_share_partitions_and_hear_labels_while_no_events_come(world: World) -> None:
    scores, _ = stream_of_events()
    with running(world.worker("a")), running(world.worker("b")):
        world.send(scores)
        found = world.until(lambda found: found.tally.events == COUNT)
        assert found.tally.unlabelled == found.tally.mature > COUNT - 800
        world.label({1: [(TIMES[-1], 1)], 2: [(TIMES[-1], 0)]})
        with running(world.worker("c")):
            world.until(lambda found: found.tally.corrected == 1)
    assert world.dead_letters() == 0
    world.producer.produce(world.topics.shadow_scores, b'{"event_id": 9}', b"9", 0)
    world.producer.flush(30)
    with running(world.worker("a")):
        give_up_at = monotonic() + 60
        while not world.dead_letters():
            assert monotonic() < give_up_at
            sleep(0.2)


def main(arguments: list[str]) -> None:
    """One worker, until it is killed."""
    World(*json.loads(arguments[0])).worker("one").run(Event())


if __name__ == "__main__":
    main(sys.argv[1:])
