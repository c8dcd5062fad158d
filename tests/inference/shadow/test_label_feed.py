"""What of the topic of labels is one."""

from confluent_kafka import Message
from joined import START, Joined

from inference.shadow.joining.label_feed import LabelFeed
from streams.kafka.client import KafkaSettings


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
