"""What a step of a canary touches, by the newest events that a real topic holds."""

from collections.abc import Callable

import numpy as np
import pytest
from canary_traffic import CHAMPION, START, arms_of, command, record
from confluent_kafka import Producer

from inference.canary.blast_radius import blast_radius
from inference.canary.recent_events import RecentEvents, read_recent
from inference.shadow.comparison.rows import NothingToCompareError
from streams.kafka.client import KafkaSettings

HOUR = 3_600_000


def recent(keys: list[int], **columns: list[float]) -> RecentEvents:
    """Events over six hours, of the champion unless told otherwise."""
    count = len(keys)
    return RecentEvents(
        keys=list(keys),
        times=np.linspace(START, START + 6 * HOUR, count).astype(np.int64),
        amounts=np.array(columns.get("amounts", [10.0] * count)),
        own=np.array(columns.get("own", [True] * count), np.bool_),
        decisions=np.array(columns.get("decisions", [0] * count), np.int8),
        features=np.zeros((count, 1), np.float32),
        left_out=0,
    )


def test_keys_events_and_amounts_are_those_that_the_hash_gives() -> None:
    keys = [*range(100), *range(50)]
    amounts = [float(key) for key in keys]
    amounts[0] = float("nan")
    found = blast_radius(recent(keys, amounts=amounts), command(0.4), 0.1, None, "why")
    arms, before = np.array(arms_of(keys, 0.4)), np.array(arms_of(keys, 0.1))
    assert 0 < before.sum() < arms.sum() < len(keys)
    assert (found.looked_at, found.all_keys) == (150, 100)
    assert found.keys == len({key for key, arm in zip(keys, arms, strict=True) if arm})
    assert found.new_keys == found.keys - sum(arms_of(range(100), 0.1))
    assert found.events == arms.sum() * 4
    assert found.amounts == np.nansum(np.array(amounts)[arms == 1]) * 4
    assert (found.asked, found.flips, found.no_flips) == (0, None, "why")
    assert found.as_dict()["flips"] is None


def test_flips_of_the_champion_s_events_are_scaled_to_the_canary_s_keys() -> None:
    keys = list(range(100))
    own = [float(key >= 20) for key in keys]
    decisions = [float(key % 2) for key in keys]  # approve, review, approve, …
    answers = np.array([2 if key % 4 == 1 else key % 2 for key in range(20, 100)], np.int8)
    seen = recent(keys, own=own, decisions=decisions, amounts=[5.0] * 100)
    found = blast_radius(seen, command(0.4), 0.4, answers)
    touched = sum(arms_of(keys, 0.4))
    assert (found.asked, found.new_keys) == (80, 0)
    told = found.as_dict()
    assert told["flips"]["review"] == {"approve": 0, "decline": pytest.approx(touched * 4 / 4)}
    assert sum(told["flips"]["approve"].values()) == sum(told["flips"]["decline"].values()) == 0
    assert told["flip_amounts"]["review"]["decline"] == pytest.approx(touched * 5)


def test_of_one_moment_and_without_amounts_nothing_is_made_up() -> None:
    found = blast_radius(recent([7]), command(1.0), 0.0, np.zeros(1, np.int8))
    assert (found.keys, found.events, found.amounts, found.flips) == (1, None, None, None)
    without = recent([1, 2], amounts=[float("nan")] * 2)
    assert blast_radius(without, command(1.0), 0.0, None).amounts is None


def test_the_newest_are_read_back_to_one_time_in_all_partitions(
    kafka: str, make_topics: Callable[..., list[str]]
) -> None:
    [topic] = make_topics("log", partitions=3)
    producer = Producer(
        {"bootstrap.servers": kafka, "transactional.id": topic, "linger.ms": 0, "acks": "all"}
    )
    producer.init_transactions(60)
    for minute in range(60):
        producer.begin_transaction()
        keys = list(range(20))
        first = START + minute * 60_000
        busy = record(keys, [0] * 20, [1] * 20, first_ms=first)
        producer.produce(topic, busy, partition=0)
        if minute % 10 == 0:
            quiet = record([99, 98], [1, 0], [0, 0], first_ms=first, stood_in=True)
            producer.produce(topic, quiet, partition=1)
            producer.produce(topic, b"noise", partition=1)
        producer.commit_transaction(60)

    def read(most: int) -> RecentEvents:
        return read_recent(
            KafkaSettings(bootstrap_servers=kafka),
            topic,
            names=["x"],
            champion=CHAMPION[:12],
            amount="amount",
            most=most,
        )

    whole = read(10_000)
    assert (len(whole.keys), whole.left_out) == (60 * 20 + 6 * 2, 6)
    assert whole.times.min() == START
    assert whole.own.sum() == 60 * 20 + 6, "an event of the canary's keys is none of the champion's"
    assert set(whole.decisions[whole.own].tolist()) == {0, 1}
    assert np.isnan(whole.amounts).all()
    few = read(150)
    assert len(few.keys) == 150
    assert few.times.min() >= np.sort(whole.times)[-150]
    part = read(165)
    assert len(part.keys) <= 165
    in_time = np.array([key >= 98 for key in whole.keys]) & (whole.times >= part.times.min())
    assert sum(key >= 98 for key in part.keys) == in_time.sum()
    with pytest.raises(NothingToCompareError, match="nothing that can be read"):
        read_recent(
            KafkaSettings(bootstrap_servers=kafka),
            make_topics("empty")[0],
            names=["x"],
            champion="",
            amount=None,
            most=10,
        )
