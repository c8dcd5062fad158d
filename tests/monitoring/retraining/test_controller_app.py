"""The controller's loop on a real broker: no record of its sources goes missing."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Timer
from typing import Literal

import pytest
from faust.transport.consumer import Consumer

from monitoring.episodes.episode import ENCODE_EPISODE, Episode
from monitoring.retraining import controller_app
from monitoring.retraining.controller_app import ControllerApp, Reader, SuspendedError
from monitoring.retraining.events import Command, EpisodeHeard, Looked
from monitoring.retraining.kafka_login import kafka_login
from monitoring.retraining.readers import read_episode, read_verdict
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import ControllerState
from streams.kafka.client import KafkaSettings
from streams.kafka.records.publisher import Publisher
from tests.conftest import MakeTopics

EPISODES = [f"units-{each}" for each in range(4)]


class Watching:
    """Hands that do nothing; they stop the controller once the open episodes are those."""

    def __init__(self, stop: Event, expected: set[str]) -> None:
        self.stop, self.expected = stop, expected
        self.seen: ControllerState | None = None

    def look(self, state: ControllerState) -> Looked | None:
        return None

    def carry_out(self, state: ControllerState, commands: Sequence[Command]) -> None: ...

    def at_work(self, state: ControllerState | None) -> None:
        if state is not None:
            self.seen = state
            if set(state.episodes) == self.expected:
                self.stop.set()


class Controlled:
    """Topics of one controller, which is started as often as one likes."""

    def __init__(self, kafka: str, make_topics: MakeTopics, folder: Path) -> None:
        self.drift, self.comparisons = make_topics("drift", "comparisons")
        (self.state,) = make_topics("retraining-state", config={"cleanup.policy": "compact"})
        self.cluster = KafkaSettings(bootstrap_servers=kafka)
        self.group = f"controller-{os.urandom(4).hex()}"
        self.folder = folder / "controller"
        self.read: Reader = read_episode

    def say(self, names: Sequence[str], state: Literal["open", "closed"]) -> None:
        with Publisher(self.cluster) as publisher:
            for name in names:
                said = Episode(name, "all", "data_breakage", "page", state, 1, 2, [])
                publisher.send(self.drift, ENCODE_EPISODE(said), key=name)
            publisher.flush()

    def run_until(self, expected: set[str]) -> set[str]:
        """The episodes that a controller knows to be open, those expected at the latest."""
        stop = Event()
        hands = Watching(stop, expected)
        app = ControllerApp(
            kafka_login(self.cluster),
            RetrainingSettings(group=self.group, look="200ms"),
            sources={self.drift: self.read, self.comparisons: read_verdict},
            table_topic=self.state,
            hands=hands,
            folder=self.folder,
        )
        timer = Timer(45, stop.set)
        timer.start()
        app.run(stop)
        timer.cancel()
        assert hands.seen is not None, "it never was at work"
        return set(hands.seen.episodes)


@pytest.fixture
def controlled(kafka: str, make_topics: MakeTopics, tmp_path: Path) -> Controlled:
    return Controlled(kafka, make_topics, tmp_path)


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
def test_what_stands_on_its_topics_is_heard_at_each_start(controlled: Controlled) -> None:
    controlled.say(EPISODES, "open")
    assert controlled.run_until(set(EPISODES)) == set(EPISODES)
    controlled.say(EPISODES[1:], "closed")
    assert controlled.run_until(set(EPISODES[:1])) == set(EPISODES[:1])


def test_what_was_not_kept_is_heard_again(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*given: object) -> None:
        raise TimeoutError("the cluster does not say whether it has it")

    controlled.say(EPISODES, "open")
    with monkeypatch.context() as patch:
        patch.setattr(ControllerApp, "_keep", fail)
        with pytest.raises(TimeoutError):
            controlled.run_until(set(EPISODES))
    assert controlled.run_until(set(EPISODES)) == set(EPISODES)


def test_one_that_stood_still_ends_before_it_decides(
    controlled: Controlled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def still(key: bytes | None, value: bytes | None) -> EpisodeHeard | None:
        time.sleep(1)  # The loop stands still, as that of a suspended process.
        return read_episode(key, value)

    controlled.say(EPISODES, "open")
    with monkeypatch.context() as patch:
        patch.setattr(controller_app, "_STILL_S", 0.5)
        patch.setattr(controlled, "read", still)
        with pytest.raises(SuspendedError, match="another controller may be at work"):
            controlled.run_until(set(EPISODES))
    assert controlled.run_until(set(EPISODES)) == set(EPISODES)
