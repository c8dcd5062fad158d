"""`weir monitor` beside the dead letters: a burst is said once, whoever is killed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest
from confluent_kafka import Producer
from front_door import Trained, weir
from running_scorer import Scorer, replay

from monitoring.counting.cell_counts import DECODE, CellCounts, LetterCounts
from monitoring.episodes.episode import DECODE_EPISODE, Episode
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.exhaustive]
COUNT = 3_000


def records(settings: Settings, topic: str) -> list[bytes]:
    return [
        message.value() or b"" for batch in read_to_end(settings.kafka, topic) for message in batch
    ]


def counted(settings: Settings) -> tuple[int, int]:
    """Events, and dead letters."""
    found = [DECODE(each) for each in records(settings, settings.topics.drift_counts)]
    letters = [each.letters for each in found if isinstance(each, LetterCounts)]
    return (
        sum(each.events for each in found if isinstance(each, CellCounts)),
        sum(sum(own.values()) for each in letters for own in each.values()),
    )


def burst(settings: Settings) -> list[Episode]:
    said = [DECODE_EPISODE(each) for each in records(settings, settings.topics.drift)]
    return [each for each in said if each.model == "all"]


def test_a_burst_of_dead_letters_is_said_once_and_whose_it_is(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer]
) -> None:
    header = "header:app-version"
    path = config(
        feature_log={"include": [header]},
        monitor={
            "group": f"monitor-{os.urandom(4).hex()}",
            "producer": header,
            "session_timeout": "6s",
            "transaction_timeout": "6s",
            "niceness": 1,
        },
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0
    start(path)
    replay(path, trained.events, COUNT)
    first = start(path, command="monitor")
    first.wait_for(lambda: counted(settings)[0] == COUNT, 120)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    sent = 0

    def misbehave() -> None:
        nonlocal sent
        for _ in range(10):
            producer.produce(
                settings.topics.events, b"no event", headers=[("app-version", b"4.2.0")]
            )
        producer.flush()
        replay(path, trained.events, 30)  # of others, whose events are as they were
        sent += 10
        sleep(0.5)

    def said() -> bool:
        misbehave()
        return bool(burst(settings))

    for _ in range(20):
        misbehave()
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    second = start(path, command="monitor")
    second.wait_for(said, 120)
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    third = start(path, command="monitor")
    third.wait_for(lambda: counted(settings)[1] == sent, 120)

    (episode,) = burst(settings)
    assert (episode.kind, episode.severity, episode.state) == ("data_breakage", "page", "open")
    (feature,) = episode.features
    assert (feature.kind, feature.producer) == ("dead_letters", "4.2.0")
    assert "are rejected as not_json" in feature.words
    assert weir("drift", "ack", episode.id, "--by", "ada", "-c", path).returncode == 0
    third.wait_for(lambda: burst(settings)[-1].acknowledged_by == "ada", 60)
    assert third.metrics()["weir_drift_episodes_open"] >= 1
    assert weir("drift", "close", episode.id, "--by", "ada", "-c", path).returncode == 0
    third.wait_for(lambda: burst(settings)[-1].state == "closed", 60)
    assert {each.id for each in burst(settings)} == {episode.id}
    assert third.end() == 0, third.log
    assert "Traceback" not in third.log
