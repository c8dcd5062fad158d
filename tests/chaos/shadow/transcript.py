"""What stands in the shadow scores afterwards, and how far the shadow's group has come."""

import json
from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from confluent_kafka import Consumer, TopicPartition

from tests.chaos.configuration import TOPICS
from tests.chaos.transcript import DECISIONS, Answers, Floats, Ints, partitions_of, read_topic

_ANSWER_S = 30.0


@dataclass
class Said:
    """What a candidate said, by one model and one policy, of some events of a partition."""

    offsets: Ints = field(default_factory=lambda: array("q"))
    """Of the events."""
    written: Ints = field(default_factory=lambda: array("q"))
    """As `Answers.written`."""
    outputs: tuple[Floats, Floats, Floats] = field(
        default_factory=lambda: (array("f"), array("f"), array("f"))
    )
    """Score, probability, anomaly."""
    decisions: Ints = field(default_factory=lambda: array("b"))


@dataclass
class Shadowed(Answers):
    """The shadow scores of one partition of events: what each says of the champion, and more."""

    kept: Floats = field(default_factory=lambda: array("d"))
    """The share of events that were asked about."""
    candidates: dict[tuple[str, str, str], Said] = field(default_factory=dict)
    """By name, model and policy."""
    asked_nobody: int = 0
    """Events for which no candidate was ready."""
    errors: Counter[str] = field(default_factory=Counter)
    """Events without an answer, by the candidate's name."""


def read_shadow_scores(bootstrap_servers: str, cards: dict[str, int]) -> list[Shadowed]:
    """The shadow scores; a key that no event has is -1, and so is an id that the key is not of."""
    parts = [Shadowed() for _ in range(partitions_of(bootstrap_servers))]
    for message in read_topic(bootstrap_servers, TOPICS["shadow_scores"]):
        body = json.loads(message.value())
        part, offset, written = parts[body["partition"]], body["offset"], message.timestamp()[1]
        event_id = body["event_id"]
        part.ids.append(event_id if message.key() == str(event_id).encode() else -1)
        part.times.append(body["event_time"])
        part.keys.append(cards.get(body["key"], -1))
        part.scores.append(body["score"])
        part.probabilities.append(body["probability"])
        part.anomalies.append(body["anomaly"])
        part.decisions.append(DECISIONS.index(body["decision"]))
        part.served.append((body["model"], body["policy"]))
        part.arms.append((body["arm"], body["share"]))
        part.written.append(written)
        part.offsets.append(offset)
        part.kept.append(body["kept"])
        part.asked_nobody += not body["candidates"]
        for name, answer in body["candidates"].items():
            if "error" in answer:
                part.errors[name] += 1
                continue
            said = part.candidates.setdefault((name, answer["model"], answer["policy"]), Said())
            said.offsets.append(offset)
            said.written.append(written)
            for column, output in zip(
                said.outputs, ("score", "probability", "anomaly"), strict=True
            ):
                column.append(np.nan if answer[output] is None else answer[output])
            said.decisions.append(DECISIONS.index(answer["decision"]))
    return parts


def records_behind(bootstrap_servers: str, group: str, role: str) -> int:
    """How many offsets of a topic the group has not committed yet."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "isolation.level": "read_committed",
        }
    )
    try:
        topic = TOPICS[role]
        partitions = consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic].partitions
        places = [TopicPartition(topic, each) for each in partitions]
        return sum(
            consumer.get_watermark_offsets(each, _ANSWER_S)[1] - max(0, each.offset)
            for each in consumer.committed(places, timeout=_ANSWER_S)
        )
    finally:
        consumer.close()
