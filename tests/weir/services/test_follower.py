"""The thread that follows commands may outlive the scorer's loop: what it uses is left to it."""

import threading
from unittest.mock import Mock

import pytest

from streams.kafka.records.control_topic import ControlReader
from weir.services import scorer_process as scoring
from weir.services.scorer_process import ScorerProcess


class Reader:
    """Knows who closes it, and whether somebody was reading then."""

    def __init__(self) -> None:
        self.reading = False
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.closed: list[tuple[str, bool]] = []

    def follow(self, *_: object) -> None:
        self.reading = True
        self.begun.set()
        self.go_on.wait(30)
        self.reading = False

    def close(self) -> None:
        self.closed.append((threading.current_thread().name, self.reading))


@pytest.mark.parametrize("hangs", [True, False])
def test_nobody_closes_what_is_being_read(hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_FOLLOWER_ENDS_S", 0.1 if hangs else 30.0)
    reader, stop = Reader(), threading.Event()
    commands, hot_swap, loop = Mock(spec=ControlReader), Mock(), Mock()
    commands.close, hot_swap.follow = reader.close, reader.follow
    loop.run = lambda _: reader.begun.wait(30)
    if not hangs:
        reader.go_on.set()
    process = ScorerProcess(loop, Mock(), Mock(), Mock(), hot_swap, commands, Mock())
    process.run(stop)
    if hangs:
        assert reader.closed == []
        hot_swap.close.assert_not_called()
        reader.go_on.set()
        (follower,) = [each for each in threading.enumerate() if each.name == "hot-swap"]
        follower.join(30)
    else:
        hot_swap.close.assert_called_once()
    assert reader.closed == [("hot-swap", False)]


def test_it_ends_with_the_loop_whatever_ends_that() -> None:
    """Else a scorer that failed would stay, and answer nothing."""
    told: list[bool] = []
    hot_swap, arms, loop = Mock(), Mock(), Mock()
    hot_swap.follow = lambda commands, answering, stop: told.append(stop.wait(60))
    arms.run = lambda answering, stop: told.append(stop.wait(60))
    loop.run.side_effect = OSError("the loop failed")
    process = ScorerProcess(loop, Mock(), Mock(), Mock(), hot_swap, Mock(), Mock(), arms)
    with pytest.raises(OSError, match="the loop failed"):
        process.run(threading.Event())
    assert told == [True, True]
    assert not {"hot-swap", "arm-swap"} & {each.name for each in threading.enumerate()}


@pytest.mark.parametrize("who", ["hot swap", "arms"])
def test_the_loop_ends_with_it(who: str) -> None:
    """Else a scorer would go on that no command reaches any more."""
    told: list[bool] = []
    hot_swap, arms, loop, report = Mock(), Mock(), Mock(), Mock()
    fails = hot_swap.follow if who == "hot swap" else arms.run
    fails.side_effect = ValueError("the control topic is gone")
    loop.run = lambda stop: told.append(stop.wait(60))
    process = ScorerProcess(loop, Mock(), Mock(), Mock(), hot_swap, Mock(), report, arms)
    with pytest.raises(ValueError, match="the control topic is gone"):
        process.run(threading.Event())
    assert told == [True]
    report.assert_not_called()
