"""What another model would have said of the past."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from joined import SETTINGS, START, terms_of
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.packages.thresholds import ThresholdRow, Thresholds
from inference.policy.policy import DECISIONS, Policy, PolicySettings
from inference.shadow.comparison.rows import Between, NothingToCompareError
from inference.shadow.joining.past import Past
from streams.feature_log import Arm, FeatureLogWriter, ScoredEvents
from streams.kafka.client import KafkaSettings

EVENTS = 3
THRESHOLDS = Thresholds(
    rows=10,
    table=(ThresholdRow(alert_rate=0.1, probability=0.9, precision=1.0, recall=0.5),),
    review=0.9,
    decline=0.95,
)


def record(decisions: tuple[str, ...], amounts: list[Any], kind: str) -> bytes:
    """One record of the feature log."""
    writer = FeatureLogWriter(
        ["f"],
        pa.int64(),
        pa.string(),
        decisions,
        {"policy": "1"},
        arms=[Arm("champion", "a")],
        include={"amount": kind},  # type: ignore[dict-item]
    )
    same = np.full(EVENTS, 0.5, np.float32)
    events = ScoredEvents(
        ids=list(range(EVENTS)),
        keys=["k"] * EVENTS,
        times=START + np.arange(EVENTS),
        offsets=np.arange(EVENTS),
        features=np.zeros((EVENTS, 1), np.float32),
        score=same,
        probability=same,
        anomaly=same,
        decision=np.zeros(EVENTS, np.int8),
        late=np.zeros(EVENTS, np.bool_),
        approximate=np.zeros(EVENTS, np.bool_),
        fallback=np.zeros(EVENTS, np.bool_),
        arm=np.zeros(EVENTS, np.int8),
        share=np.ones(EVENTS, np.float32),
        propensity=np.ones(EVENTS, np.float32),
        context={"amount": amounts},
    )
    return writer.encode(events)


def infer(matrix: NDArray[np.float32]) -> Outputs:
    return Outputs(*np.full((3, len(matrix)), 0.9, np.float32))


def test_what_is_no_record_is_counted_and_no_number_is_no_amount(
    kafka: str, make_topics: Any
) -> None:
    topic, empty = make_topics("feature-log", "labels")
    producer = Producer({"bootstrap.servers": kafka})
    known = record(DECISIONS, [12.5, None, float("inf")], "float")
    for value in (b"noise", record(("perhaps",), [1.0] * EVENTS, "float"), known):
        producer.produce(topic, value)
    producer.produce(topic, record(DECISIONS, [True] * EVENTS, "bool"))
    assert producer.flush(30) == 0
    settings = KafkaSettings(bootstrap_servers=kafka)
    policy = Policy(PolicySettings(review_probability=0.8), THRESHOLDS)
    past = Past(terms_of(SETTINGS), infer=infer, names=["f"], model="b", policy=policy)
    past.ask(settings, topic)
    found = past.judge(settings, empty).tally
    assert found.between == Between("a", "b", "1")
    assert found.left_out == {"unreadable": 1, "error": EVENTS}
    assert found.similarity.decision_counts.tolist() == [[0, 2 * EVENTS, 0], [0] * 3, [0] * 3]
    assert found.similarity.without_amount == 2 * EVENTS - 1
    with pytest.raises(NothingToCompareError, match="nothing of that time stands on"):
        Past(terms_of(SETTINGS), infer=infer, names=["f"], model="b", policy=policy).ask(
            settings, topic, end_ms=START
        )
