"""Waiting for a call that may never come back, as some of Kafka's client do."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

FOREVER = "a call of "
"""So begin the names of threads in which a call may never come back."""

# Longer than a cluster that works takes, shorter than who stops processes usually waits (30 s).
_FAREWELL_S = 10.0
_LOOK_S = 0.1


class StoppedError(Exception):
    """We were told to stop while we waited for something that does not come."""


def in_thread(call: Callable[..., T], *args: Any) -> "Future[T]":
    """Call in a thread for which nobody waits when the process ends, since the call may hang."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name=f"{FOREVER}{call.__name__}", daemon=True).start()
    return future


def comes_back(future: "Future[T]", within_s: float, stop: Event) -> bool:
    """Wait until a call has come back, well or badly, and say whether it has.

    Once `stop` is set, a few seconds are enough.
    """
    deadline = monotonic() + within_s
    stopped = False
    while not future.done() and (left := deadline - monotonic()) > 0:
        if not stopped and stop.is_set():
            stopped, deadline = True, min(deadline, monotonic() + _FAREWELL_S)
        wait_for([future], min(left, _LOOK_S))
    return future.done()
