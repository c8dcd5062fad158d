"""What people say of an episode, on its way to the monitor: from the command line and over HTTP."""

from typing import Literal

from monitoring.counting.cell_counts import ENCODE, EpisodeAct
from streams.kafka.client import KafkaSettings
from streams.kafka.records.publisher import Publisher

Deed = Literal["acknowledge", "snooze", "close"]


def say(kafka: KafkaSettings, topic: str, act: EpisodeAct, patience_s: float = 75.0) -> None:
    """Say something of an episode; returns when the cluster has it.

    Args:
        topic: of the counts, which the monitor reads.

    Raises:
        PublishError: the cluster did not take it.
    """
    with Publisher(kafka) as publisher:
        publisher.send(topic, ENCODE(act), partition=0)
        publisher.flush(patience_s)
