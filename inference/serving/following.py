"""Hearing commands while one before them is still being carried out."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from threading import Event
from typing import Protocol

from inference.control.commands import CHAMPION_KEY, COMMAND_KEYS, POLICY_KEY
from streams.base.bounded_calls import in_thread
from streams.kafka.records.control_topic import ControlRecord

_READ_S = 0.5


class Commands(Protocol):
    """Where commands come from."""

    def read(self, timeout_s: float) -> list[ControlRecord]:
        """Those that have come since."""


def follow(
    commands: Commands,
    carry_out: Callable[[Sequence[ControlRecord]], None],
    *,
    postponed: Callable[[], bool],
    trusted: Callable[[ControlRecord], bool],
    superseded: Event,
    show_life: Callable[[], None],
    stop: Event,
) -> None:
    """Let commands be carried out, in a thread beside, until `stop` is set.

    Args:
        postponed: whether some had to wait, and are to be looked at again.
        trusted: whether a command is of somebody who may give it: nobody else supersedes one.
        superseded: is set when such a command comes while others are carried out.
        show_life: called now and then.

    Raises:
        Exception: what `commands` and `carry_out` raise.
    """
    heard: list[ControlRecord] = []
    work: Future[None] | None = None
    while not stop.is_set():
        news = [record for record in commands.read(_READ_S) if record.key in COMMAND_KEYS]
        heard += news
        if work is not None and not work.done():
            if any(map(trusted, news)):
                superseded.set()
        else:
            if work is not None:
                work.result()
            work = None
            if heard or postponed():
                superseded.clear()
                work = in_thread(carry_out, heard)
            heard = []
        show_life()
    if work is not None:
        wait([work])  # it has been told, too


def in_turn(waiting: Sequence[ControlRecord], fits: Callable[[ControlRecord], bool]) -> list[str]:
    """The kinds of commands that wait, in the order of the latest of each.

    Args:
        fits: whether a policy can do with the model that serves, so that it need not wait for one
            that is not ready; then it goes first.
    """
    newest = {record.key: record for record in waiting}
    keys = sorted(newest, key=lambda key: newest[key].offset)
    if keys == [CHAMPION_KEY, POLICY_KEY] and fits(newest[POLICY_KEY]):
        keys.reverse()
    return keys
