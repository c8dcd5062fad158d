"""Records that are no shadow scores as Weir writes them, or no labels: who may write may err."""

from typing import Any

import msgspec
import pytest
from confluent_kafka import Message
from joined import SETTINGS, START, Joined, score, terms_of
from prometheus_client import CollectorRegistry

from inference.shadow.joining.join_task import JoinTask
from inference.shadow.joining.label_feed import LabelFeed
from inference.shadow.joining.metrics import JoinMetrics
from inference.shadow.shadow_record import CandidateScore
from streams.kafka.client import KafkaSettings
from streams.loop.stateless.keyed_state import KeyedState

NESTED = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
SAID = CandidateScore("b", "1", 0.5, 0.5, 0.1, "review")


@pytest.mark.parametrize(
    "more",
    [
        {"kept": 0.0},
        {"kept": 1.5},
        {"kept": 1e-300},
        {"candidates": {"new": SAID, "new/x": SAID}},
        {"candidates": {"": SAID}},
        {"context": {"amount": NESTED}},
        {"candidates": {"n" * 61: SAID}},
    ],
)
def test_what_no_shadow_writes_goes_to_the_dead_letters(more: dict[str, Any]) -> None:
    kafka = KafkaSettings(bootstrap_servers="localhost:1")
    state = KeyedState(kafka=kafka, topic="evidence", source="scores")
    with LabelFeed(kafka, "labels") as labels:
        task = JoinTask(
            state,
            labels,
            terms_of(SETTINGS),
            partitions=lambda: 1,
            sources=lambda: 1,
            metrics=JoinMetrics(CollectorRegistry()),
        )
        value = msgspec.json.encode(score(1, **more))
        processed = task([Message(topic="scores", partition=0, offset=0, value=value)])
    [(_, rejected)] = processed.rejected
    assert "no shadow score as Weir writes it" in (rejected.detail or "")


def test_what_is_no_label_is_passed() -> None:
    """Whoever labels may write anything, and must not stop those who read it."""
    values = [
        b'{"event_id": 1, "label": 1, "time": %d}' % START,
        b'{"event_id": 2, "label": 1, "time": %d}' % (2**63),
        b'{"event_id": 3, "label": 1, "time": %d}' % (-(2**70)),
        b'{"event_id": %d, "label": 1, "time": %d}' % (10**30, START),
        b'{"event_id": 1%s, "label": 1, "time": 0}' % (b"0" * 5_000),
        b'{"event_id": 4, "label": 2, "time": 0}',
        b'{"event_id": 4, "label": true, "time": 0}',
        b'{"event_id": "", "label": 0, "time": %d}' % START,
        b"no label",
        b'{"event_id": 1, "label": 1, "time": 0, "x": ' + b"[" * 100_000,
        b"",
    ]
    messages = [
        Message(topic="labels", partition=0, offset=offset, value=value)
        for offset, value in enumerate(values)
    ]
    joined = Joined()
    with LabelFeed(KafkaSettings(bootstrap_servers="localhost:1"), "labels") as feed:
        feed._next = {0: 0}
        feed._tell(messages, {0: joined.join})
    assert len(joined.join.labels) == 3
    assert joined.join.progress.labels == {0: len(values)}
