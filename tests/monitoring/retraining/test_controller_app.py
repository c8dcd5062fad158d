"""The controller's loop on a real broker: no record of its sources goes missing."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from conftest import MakeTopics
from faust.transport.consumer import Consumer

from monitoring.episodes.episode import ENCODE_EPISODE, Episode
from monitoring.retraining.controller_app import ControllerApp
from monitoring.retraining.events import Command, Looked
from monitoring.retraining.kafka_login import kafka_login
from monitoring.retraining.readers import read_episode, read_verdict
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import ControllerState
from streams.kafka.client import KafkaSettings
from streams.kafka.records.publisher import Publisher

EPISODES = [f"units-{each}" for each in range(4)]


class Watching:
    """Hands that do nothing; they stop the controller once the open episodes are those."""

    def __init__(self, stop: Event) -> None:
        self.stop, self.expected = stop, set(EPISODES)
        self.seen: ControllerState | None = None

    def look(self, state: ControllerState) -> Looked | None:
        return None

    def carry_out(self, state: ControllerState, commands: Sequence[Command]) -> None: ...

    def at_work(self, state: ControllerState | None) -> None:
        if state is not None:
            self.seen = state
            if set(state.episodes) == self.expected:
                self.stop.set()


@pytest.fixture
def slow_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a second to have a state, and as long for Faust to go on after a seek."""

    def slowed(owner: type, name: str) -> None:
        do = getattr(owner, name)

        async def slow(*given: object) -> None:
            await do(*given)
            await asyncio.sleep(1)

        monkeypatch.setattr(owner, name, slow)

    slowed(Consumer, "perform_seek")
    slowed(ControllerApp, "_keep")


@pytest.mark.usefixtures("slow_broker")
def test_what_stands_on_its_topics_is_heard_at_each_start(
    kafka: str, make_topics: MakeTopics, tmp_path: Path
) -> None:
    drift, comparisons = make_topics("drift", "comparisons")
    (state,) = make_topics("retraining-state", config={"cleanup.policy": "compact"})
    cluster = KafkaSettings(bootstrap_servers=kafka)
    group = f"controller-{os.urandom(4).hex()}"

    def say(names: Sequence[str], standing: str) -> None:
        with Publisher(cluster) as publisher:
            for name in names:
                said = Episode(name, "all", "data_breakage", "page", standing, 1, 2, [])
                publisher.send(drift, ENCODE_EPISODE(said), key=name)
            publisher.flush()

    def run_until(expected: set[str]) -> set[str]:
        stop = Event()
        hands = Watching(stop)
        hands.expected = expected
        app = ControllerApp(
            kafka_login(cluster),
            RetrainingSettings(group=group, look="200ms"),
            sources={drift: read_episode, comparisons: read_verdict},
            table_topic=state,
            hands=hands,
            folder=tmp_path / "controller",
        )
        with ThreadPoolExecutor(1) as thread:
            running = thread.submit(app.run, stop)
            stop.wait(45)
            stop.set()
            running.result()
        assert hands.seen is not None, "it never was at work"
        return set(hands.seen.episodes)

    say(EPISODES, "open")
    assert run_until(set(EPISODES)) == set(EPISODES)
    say(EPISODES[1:], "closed")
    assert run_until(set(EPISODES[:1])) == set(EPISODES[:1])
    say(EPISODES[:1], "closed")
    assert run_until(set()) == set()
