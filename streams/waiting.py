"""Waiting for a call that may never come back, as some of Kafka's client do."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def in_thread(call: Callable[..., T], *args: Any) -> "Future[T]":
    """Call in a thread for which nobody waits when the process ends, since the call may hang."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call(*args))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name=f"waiting for {call.__name__}", daemon=True).start()
    return future


def comes_back(future: "Future[T]", within_s: float) -> bool:
    """Wait until a call has come back, well or badly, and say whether it has."""
    wait_for([future], max(0.0, within_s))
    return future.done()
