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
