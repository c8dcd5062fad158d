"""One worker of the shadow: its candidates last as long as there are batches for them."""

import threading
from unittest.mock import Mock

import pytest

from inference.shadow import worker as module
from inference.shadow.settings import ShadowSettings
from inference.shadow.worker import ShadowWorker
from streams.kafka.topics.weir_topics import TopicSettings


class Desk:
    """A worker whose loop does what `run` says, and whose candidates are asked nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop, self.commands, self.candidates = Mock(lag={}), Mock(), Mock()
        self.commands.read.return_value = []
        self.candidates.states.return_value = {}
        monkeypatch.setattr(module, "StatelessLoop", lambda **_: self.loop)
        monkeypatch.setattr(module, "ControlReader", lambda *_: self.commands)
        self.worker = ShadowWorker(
            Mock(),
            ShadowSettings(),
            topics=TopicSettings(),
            names=[],
            book=Mock(wanted={}),
            candidates=self.candidates,
            metrics=Mock(),
            tolerant=False,
            partitions=lambda: 1,
            widen=lambda: None,
        )

    def looks_again(self) -> None:
        """Candidates are looked after, still."""
        looked = threading.Event()
        self.candidates.follow.side_effect = lambda _: looked.set()
        assert looked.wait(60)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


def test_candidates_are_there_until_the_last_batch_is_through(desk: Desk) -> None:
    """Their processes end with the thread that starts them."""

    def run(stop: threading.Event) -> None:
        stop.set()  # the service is told to end; the loop commits what it has begun
        for _ in range(3):
            desk.looks_again()
        desk.candidates.close.assert_not_called()

    desk.loop.run = run
    assert desk.worker.run(threading.Event()) == "the last transaction is committed"
    desk.candidates.close.assert_called_once()
    desk.commands.close.assert_called_once()
    assert "candidates" not in {each.name for each in threading.enumerate()}


def test_a_loop_that_fails_ends_who_looks_after_candidates(desk: Desk) -> None:
    desk.loop.run.side_effect = OSError("the loop failed")
    with pytest.raises(OSError, match="the loop failed"):
        desk.worker.run(threading.Event())
    desk.candidates.close.assert_called_once()
    assert "candidates" not in {each.name for each in threading.enumerate()}


def test_whoever_can_not_follow_commands_any_more_ends_the_loop(desk: Desk) -> None:
    desk.commands.read.side_effect = ValueError("the control topic is gone")
    told: list[bool] = []
    desk.loop.run = lambda stop: told.append(stop.wait(60))
    with pytest.raises(ValueError, match="the control topic is gone"):
        desk.worker.run(threading.Event())
    assert told == [True]
    desk.candidates.close.assert_called_once()
