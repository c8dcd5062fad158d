"""From records of the feature log and of labels, on a real cluster, to rows of the store."""

import json
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from joined_answers import START, TERMS
from prometheus_client import CollectorRegistry

from inference.policy.policy import DECISIONS
from inference.shadow.event_hash import id_hashes
from inference.shadow.joining.label_feed import LabelFeed
from monitoring.counting.cell_counts import DECODE, CohortDays
from monitoring.performance.cohort_writer import CohortWriter
from monitoring.performance.cohorts.cohort import DAY, Group
from monitoring.performance.metrics import PerformanceMetrics
from monitoring.performance.scored_rows import scored_rows
from monitoring.performance.settings import PerformanceSettings
from monitoring.performance.task import PerformanceTask
from streams.feature_log import Arm, FeatureLogWriter, ScoredEvents, read_feature_log
from streams.kafka.client import KafkaSettings
from streams.loop.stateless.keyed_state import KeyedState

EVENTS = 400
TOPIC = "weir.feature-log"


def table(
    amounts: list[Any], kind: str = "float", decisions: tuple[str, ...] = DECISIONS
) -> pa.Table:
    """A record of the feature log: n events an hour apart, of two models."""
    count = len(amounts)
    place = np.arange(count)
    writer = FeatureLogWriter(
        ["f"],
        pa.int64(),
        pa.string(),
        decisions,
        {"policy": "1"},
        arms=[Arm("champion", "a"), Arm("canary", "b")],
        include={"amount": kind},  # type: ignore[dict-item]
        approve_through=True,
    )
    probability = np.linspace(0, 1, count).astype(np.float32)
    probability[0], probability[1:2] = np.nan, 1.5
    events = ScoredEvents(
        ids=place.tolist(),
        keys=["k"] * count,
        times=START + place * DAY // 24,
        offsets=place,
        features=np.zeros((count, 1), np.float32),
        score=probability,
        probability=probability,
        anomaly=np.linspace(0, 1, count).astype(np.float32),
        decision=(place % 3).astype(np.int8),
        late=np.zeros(count, np.bool_),
        approximate=np.zeros(count, np.bool_),
        fallback=place == 0,
        arm=(place % 2).astype(np.int8),
        share=np.ones(count, np.float32),
        propensity=np.ones(count, np.float32),
        approve_through=np.where(place == 3, 0.2, np.nan),
        context={"amount": amounts},
    )
    return read_feature_log(writer.encode(events))


def test_rows_are_what_the_feature_log_says() -> None:
    groups: list[Group] = []

    def code_of(group: Group) -> int:
        if group not in groups:
            groups.append(group)
        return groups.index(group)

    rows = scored_rows(table([1.0, None, float("inf"), 4.0, 5.0]), "amount", code_of)
    assert rows["hash"].tolist() == id_hashes([0, 1, 2, 3, 4]).tolist()
    assert rows["time"].tolist() == [START + each * DAY // 24 for each in range(5)]
    assert np.isnan(rows["probability"]).tolist() == [True, True, False, False, False]
    assert np.isnan(rows["amount"]).tolist() == [False, True, True, False, False]
    assert rows["decision"].tolist() == [0, 1, 2, 2, 1], "what would be declined is declined here"
    assert rows["let_through"].tolist() == [False, False, False, True, False]
    assert [groups[each].model for each in rows["group"].tolist()] == ["a", "b", "a", "b", "a"]
    for other in ("bool", "string"):
        amounts = [True, False] if other == "bool" else ["1", "2"]
        assert np.isnan(scored_rows(table(amounts, other), "amount", code_of)["amount"]).all()
    assert scored_rows(table([7, 8], "int"), "amount", code_of)["amount"].tolist() == [7, 8]
    assert np.isnan(scored_rows(table([7.0, 8.0]), None, code_of)["amount"]).all()
    beyond = pa.chunked_array([pa.array([10**14], pa.timestamp("ms", "UTC"))])
    one = table([1.0])
    one = one.set_column(one.column_names.index("event_time"), "event_time", beyond)
    with pytest.raises(ValueError, match="beyond all calendars"):
        scored_rows(one, "amount", code_of)
    with pytest.raises(KeyError, match="perhaps"):
        scored_rows(table([1.0], decisions=("perhaps",)), "amount", code_of)


def test_answers_and_labels_lead_to_rows_of_the_store(
    kafka: str, make_topics: Any, tmp_path: Path
) -> None:
    (labels,) = make_topics("labels", partitions=2)
    producer = Producer({"bootstrap.servers": kafka})
    for event in range(0, EVENTS, 5):
        label = {"event_id": event, "label": 1, "time": START + event * DAY // 24 + DAY}
        producer.produce(labels, json.dumps(label), partition=event % 2)
    assert producer.flush(30) == 0
    settings = PerformanceSettings(url=f"sqlite:///{tmp_path / 'performance.db'}")
    writer, stop = CohortWriter(lambda: settings.open_store(tmp_path)), Event()
    state = KeyedState(kafka=KafkaSettings(), topic="state", source=TOPIC)
    registry = CollectorRegistry()
    thread = Thread(target=writer.run, args=(stop,))
    thread.start()
    with LabelFeed(KafkaSettings(bootstrap_servers=kafka), labels) as feed:
        task = PerformanceTask(
            state,
            feed,
            TERMS,
            settings,
            source=TOPIC,
            anomaly=0.9,
            writer=writer,
            metrics=PerformanceMetrics(registry),
        )
        assert task.settle()[0] == [], "nothing is ours yet"
        state.load((TOPIC, 3), {})
        task.take(3, table([10.0] * EVENTS))
        task.settle()  # not committed: nothing may be told of it
        state.rollback()
        assert writer.waiting == 0
        with pytest.raises(KeyError):
            task.take(3, table([1.0], decisions=("perhaps",)))
        task.take(3, table([10.0] * EVENTS))
        told, once_committed = task.settle()
        assert task.settle()[0] == [], "a day is told once"
        state.commit()
        once_committed()
    *days, last = [DECODE(each) for each in told]
    assert isinstance(last, CohortDays)
    first = START // DAY
    assert (last.partition, last.over, last.mature) == (3, first + 16, first + 9)
    cohorts = [part for each in days for part in each.cohorts]  # type: ignore[union-attr]
    assert sorted((part.mature, part.day, part.model) for part in cohorts) == sorted(
        (mature, first + day, model)
        for mature, count in ((False, 16), (True, 9))
        for day in range(count)
        for model in "ab"
    )
    give_up_at = monotonic() + 60
    while writer.waiting:
        assert monotonic() < give_up_at
        sleep(0.05)
    stop.set()
    thread.join(20)
    with settings.open_store(tmp_path) as store:
        found = store.read()
    assert {key.model for key in found} == {"a", "b"}
    assert len(found) == 2 * 17, "400 hours"
    events = sum(kept.cohort.events for kept in found.values())
    mature = EVENTS - 7 * 24
    assert events == EVENTS
    assert sum(kept.cohort.truth.events for kept in found.values()) == mature
    assert sum(sum(kept.cohort.truth.frauds) for kept in found.values()) == -(-mature // 5)
    assert sum(kept.cohort.anomalous for kept in found.values()) == 40
    assert registry.get_sample_value("weir_performance_waiting_events") == EVENTS - mature
    assert registry.get_sample_value("weir_performance_waiting_ratio") == 1
