"""Commands are heard while one before them is carried out, until the process stops."""

import threading
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any
from unittest.mock import Mock

import pytest

from inference.control.commands import CHAMPION_KEY, POLICY_KEY, encode
from inference.control.erasures import ErasureBook, ErasureCommand, new_erasure_key
from inference.control.listener import ControlListener
from inference.control.signatures import CommandKeys
from inference.serving.following import follow
from streams.features.erasures import Erasures
from streams.kafka.records.control_topic import ControlRecord

CarryOut = Callable[[Sequence[ControlRecord]], None]
NOW = 1_800_000_000_000


class Topic:
    """Gives batch after batch, then stops who reads; a function in a batch's place is called."""

    def __init__(self, *batches: list[ControlRecord] | Callable[[], Any]) -> None:
        self.batches = list(batches)
        self.stop = threading.Event()

    def read(self, timeout_s: float) -> list[ControlRecord]:
        if not self.batches:
            self.stop.set()
            return []
        batch = self.batches.pop(0)
        return batch() or [] if callable(batch) else batch


def followed(commands: Any, carry_out: CarryOut, stop: threading.Event) -> None:
    follow(
        commands,
        carry_out,
        postponed=lambda: False,
        trusted=lambda record: True,
        superseded=threading.Event(),
        show_life=lambda: None,
        stop=stop,
    )


def command(key: str, offset: int) -> ControlRecord:
    return ControlRecord(key, b"", 0, offset)


def test_it_ends_when_it_is_told_to_and_what_it_began_is_over_then() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def carry_out(records: Sequence[ControlRecord]) -> None:
        begun.set()
        assert go_on.wait(60)
        done.extend(record.key for record in records)

    topic = Topic([command(CHAMPION_KEY, 1)], lambda: begun.wait(60) and [])
    follower = threading.Thread(target=followed, args=(topic, carry_out, topic.stop))
    follower.start()
    assert topic.stop.wait(60)
    follower.join(0.2)
    assert follower.is_alive(), "it left what it began to itself"
    go_on.set()
    follower.join(60)
    assert not follower.is_alive()
    assert done == [CHAMPION_KEY]


def test_what_goes_wrong_ends_it_and_is_told() -> None:
    batches, until = [[command(POLICY_KEY, 1)]], monotonic() + 60

    def read(timeout_s: float) -> list[ControlRecord]:
        assert monotonic() < until, "it goes on"
        return batches.pop() if batches else []

    carry_out = Mock(side_effect=MemoryError("no room for that"), __name__="carry_out")
    with pytest.raises(MemoryError, match="no room"):
        followed(Mock(read=read), carry_out, threading.Event())


@pytest.mark.parametrize("value", ["7", 2**63, 2**70])
def test_an_erasure_of_another_kind_does_not_end_it(value: int | str) -> None:
    """It is refused, and what comes behind it is heard."""
    said = ErasureCommand(field="card", value=value, before=NOW, until=None, by="ada", at=NOW)
    erasures, outcomes, carried = Erasures(), [], []
    book = ErasureBook(
        CommandKeys("control"), {"card": "int"}, erasures, lambda: NOW, outcomes.append
    )
    topic = Topic(
        [ControlRecord(new_erasure_key(), encode(said), 0, 1)], [command(CHAMPION_KEY, 2)]
    )
    followed(ControlListener(topic, book.hear), carried.extend, topic.stop)
    assert [record.key for record in carried] == [CHAMPION_KEY]
    assert (outcomes, len(erasures)) == (["refused"], 0)
