"""What stands in the topics afterwards, read with nothing but Kafka's client and Arrow."""

import io
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from numpy.typing import NDArray

from tests.chaos.configuration import GROUP, TOPICS
from tests.chaos.repeats import Repeats
from tests.chaos.world import REASON_HEADER
from tests.raw_producer import PLACE_HEADER, UNREADABLE_RECORDS

_BATCH = 10_000
_POLL_S = 0.5
_ANSWER_S = 30.0

DECISIONS = ("approve", "review", "decline")

Headers = list[tuple[str, bytes | None]]
Ints: TypeAlias = "array[int]"
Floats: TypeAlias = "array[float]"


def _ints() -> Ints:
    return array("q")


def _flags() -> Ints:
    return array("b")


@dataclass
class InputPartition:
    """Committed records of one partition of the events topic, ascending in offset."""

    offsets: Ints = field(default_factory=_ints)
    ids: Ints = field(default_factory=_ints)
    times: Ints = field(default_factory=_ints)
    cards: Ints = field(default_factory=_ints)
    terminals: Ints = field(default_factory=_ints)
    amounts: Floats = field(default_factory=lambda: array("d"))
    devices: Ints = field(default_factory=_ints)


@dataclass
class Rejectable:
    """A record that must become a dead letter, for `reason`."""

    reason: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    last: int | None = None
    """The last offset, where it is a batch that can't be read."""


@dataclass
class Inputs:
    """Both input topics; bad records by their place ``(topic, partition, offset)``."""

    events: list[InputPartition]
    labels: list[list[tuple[int, int, int]]]
    """For each partition ``(time, event id, label)``."""
    bad: dict[tuple[str, int, int], Rejectable]
    cards: dict[str, int]
    count: dict[tuple[str, int], int]
    """Committed records of each partition; no progress marks, no batches that can't be read."""
    repeats: int = 0
    """Events that are left out."""


@dataclass
class Answers:
    """One partition of the scores or the feature log, in the order of the topic."""

    ids: Ints = field(default_factory=_ints)
    times: Ints = field(default_factory=_ints)
    keys: Ints = field(default_factory=_ints)
    scores: Floats = field(default_factory=lambda: array("f"))
    probabilities: Floats = field(default_factory=lambda: array("f"))
    anomalies: Floats = field(default_factory=lambda: array("f"))
    decisions: Ints = field(default_factory=_flags)
    """Places in `DECISIONS`."""
    served: list[tuple[str, str]] = field(default_factory=list)
    """Model and policy."""
    arms: list[tuple[str, float]] = field(default_factory=list)
    """Arm and its share."""
    stood_in: Ints = field(default_factory=_flags)
    """The champion answered in an arm's place; of the scores alone."""
    written: Ints = field(default_factory=_ints)
    """When the record was written, by the clock of Kafka's client, UTC milliseconds."""
    late: Ints = field(default_factory=_flags)
    approximate: Ints = field(default_factory=_flags)
    offsets: Ints = field(default_factory=_ints)
    features: list[tuple[tuple[str, ...], NDArray[np.float32]]] = field(default_factory=list)
    """Names of the columns and the vectors of each record of the feature log."""


def read_topic(bootstrap_servers: str, topic: str) -> Iterator[Any]:
    """Yield all committed records of a topic."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "chaos-checker",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            # So it reads the batches that no scorer can.
            "receive.message.max.bytes": 2_000_000_000,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
        unread = set(partitions)
        while unread:
            for message in consumer.consume(_BATCH, _POLL_S):
                if message.error() is None:
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(message.error())
    finally:
        consumer.close()


def read_inputs(bootstrap_servers: str, repeats_left_out: bool = False) -> Inputs:
    """Read events and labels; headers say which are none."""
    count = partitions_of(bootstrap_servers)
    inputs = Inputs(
        [InputPartition() for _ in range(count)], [[] for _ in range(count)], {}, {}, {}
    )
    devices: dict[str, int] = {}
    repeats = [Repeats() for _ in range(count)]
    for topic in (TOPICS["events"], TOPICS["labels"]):
        for message in read_topic(bootstrap_servers, topic):
            headers: Headers = message.headers() or []
            named = dict(headers)
            partition, value = message.partition(), message.value()
            if "weir.progress" in named:
                continue
            if PLACE_HEADER in named:
                first = message.offset() - int(named[PLACE_HEADER] or b"")
                last = first + UNREADABLE_RECORDS - 1
                inputs.bad[topic, partition, first] = Rejectable("bad_batch", None, None, [], last)
                continue
            inputs.count[topic, partition] = inputs.count.get((topic, partition), 0) + 1
            if REASON_HEADER in named:
                reason = (named[REASON_HEADER] or b"").decode()
                bad = Rejectable(reason, message.key(), value, headers)
                inputs.bad[topic, partition, message.offset()] = bad
                continue
            body = json.loads(value)
            if topic == TOPICS["labels"]:
                label = (body["time"], body["event_id"], body["label"])
                inputs.labels[partition].append(label)
                continue
            if repeats_left_out and repeats[partition].is_one(body["id"], body["at"]):
                inputs.repeats += 1
                continue
            part = inputs.events[partition]
            part.offsets.append(message.offset())
            part.ids.append(body["id"])
            part.times.append(body["at"])
            part.cards.append(inputs.cards.setdefault(body["card"], len(inputs.cards)))
            part.terminals.append(body.get("terminal", -1))
            part.amounts.append(body["amount"])
            device = body.get("device")
            code = -1 if device is None else devices.setdefault(device, len(devices))
            part.devices.append(code)
    return inputs


def read_scores(bootstrap_servers: str, cards: dict[str, int]) -> list[Answers]:
    """The scores topic; a key that no event has is -1."""
    answers = [Answers() for _ in range(partitions_of(bootstrap_servers))]
    for message in read_topic(bootstrap_servers, TOPICS["scores"]):
        body, part = json.loads(message.value()), answers[message.partition()]
        part.ids.append(body["event_id"])
        part.times.append(body["event_time"])
        key = body["key"] if body["key"].encode() == message.key() else ""
        part.keys.append(cards.get(key, -1))
        part.scores.append(body["score"])
        part.probabilities.append(body["probability"])
        part.anomalies.append(body["anomaly"])
        part.decisions.append(DECISIONS.index(body["decision"]))
        part.served.append((body["model"], body["policy"]))
        part.arms.append((body["arm"], body["share"]))
        part.stood_in.append("stood_in" in body)
        part.written.append(message.timestamp()[1])
        part.late.append(body["late"])
        part.approximate.append(body["approximate"])
    return answers


def read_feature_log(bootstrap_servers: str, cards: dict[str, int]) -> list[Answers]:
    """The feature log: one Arrow stream per record."""
    answers = [Answers() for _ in range(partitions_of(bootstrap_servers))]
    for message in read_topic(bootstrap_servers, TOPICS["feature_log"]):
        part = answers[message.partition()]
        table = pa.ipc.open_stream(io.BytesIO(message.value())).read_all()
        metadata = {name.decode(): text.decode() for name, text in table.schema.metadata.items()}
        names = tuple(json.loads(metadata["weir.feature_names"]))
        part.ids.extend(table["event_id"].to_pylist())
        part.times.extend(table["event_time"].cast(pa.int64()).to_pylist())
        part.keys.extend(cards.get(key, -1) for key in table["key"].to_pylist())
        part.scores.extend(table["score"].to_pylist())
        part.probabilities.extend(table["probability"].to_pylist())
        part.anomalies.extend(table["anomaly"].to_pylist())
        part.decisions.extend(map(DECISIONS.index, table["decision"].to_pylist()))
        part.served.extend([(metadata["weir.model"], metadata["weir.policy"])] * len(table))
        part.arms.extend(zip(table["arm"].to_pylist(), table["share"].to_pylist(), strict=True))
        part.written.extend([message.timestamp()[1]] * len(table))
        part.late.extend(table["late"].to_pylist())
        part.approximate.extend(table["approximate"].to_pylist())
        part.offsets.extend(table["offset"].to_pylist())
        flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table["features"].chunks])
        part.features.append((names, flat.reshape(len(table), len(names))))
    return answers


def read_committed(bootstrap_servers: str) -> dict[tuple[str, int], int]:
    """The group's committed offsets; -1001 where it has none."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": GROUP})
    try:
        found = consumer.committed(_sources(bootstrap_servers), timeout=_ANSWER_S)
        return {(each.topic, each.partition): each.offset for each in found}
    finally:
        consumer.close()


def read_ends(bootstrap_servers: str) -> dict[tuple[str, int], int]:
    """Where each partition of events and labels ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "chaos-checker"})
    try:
        return {
            (each.topic, each.partition): consumer.get_watermark_offsets(each, _ANSWER_S)[1]
            for each in _sources(bootstrap_servers)
        }
    finally:
        consumer.close()


def read_open(bootstrap_servers: str) -> list[tuple[str, int, int, int]]:
    """Partitions with a transaction that nobody ends: topic, number, where it begins, and the end.

    Nobody who reads what was committed will ever get beyond it.
    """
    common = {"bootstrap.servers": bootstrap_servers, "group.id": "chaos-checker"}
    stable = Consumer(common | {"isolation.level": "read_committed"})
    whole = Consumer(common | {"isolation.level": "read_uncommitted"})
    found = []
    try:
        for topic, metadata in stable.list_topics(timeout=_ANSWER_S).topics.items():
            for partition in metadata.partitions:
                place = TopicPartition(topic, partition)
                begins, end = (
                    each.get_watermark_offsets(place, _ANSWER_S)[1] for each in (stable, whole)
                )
                if begins < end:
                    found.append((topic, partition, begins, end))
    finally:
        stable.close()
        whole.close()
    return found


def partitions_of(bootstrap_servers: str) -> int:
    """How many partitions the events have, and the labels."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    return len(admin.list_topics(timeout=_ANSWER_S).topics[TOPICS["events"]].partitions)


def _sources(bootstrap_servers: str) -> list[TopicPartition]:
    return [
        TopicPartition(TOPICS[role], partition)
        for role in ("events", "labels")
        for partition in range(partitions_of(bootstrap_servers))
    ]
