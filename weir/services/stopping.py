"""How a command that runs for long is told to stop."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic
from types import FrameType
from typing import NoReturn

from weir.cli.console import STOPPED

logger = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""One request may come as several signals: from the terminal, and from a supervisor beside it."""


def stop_on_signals(stop: Event | None = None, *, leave_on_second: bool = False) -> Event:
    """Return what SIGTERM and Ctrl-C set from now on, instead of ending the process at once.

    For the main thread, as is all of Python's handling of signals.

    Args:
        stop: what they set; a new one by default.
        leave_on_second: whether a signal that comes a second after the first, or later, ends the
            process at once, with exit code 130: for what a kill does not harm.
    """
    stop = stop or Event()
    # A signal interrupts the main thread anywhere, also where it holds the event's own lock: in
    # the midst of `stop.wait`, or of handling the signal before. To set the event there would wait
    # for ever; to put something into such a queue never waits.
    told: SimpleQueue[int] = SimpleQueue()

    def set_once_told() -> None:
        told.get()
        first = monotonic()
        stop.set()
        while leave_on_second:
            told.get()
            if monotonic() - first >= _AGAIN_S:
                logger.warning(
                    "told to stop a second time: exiting at once; the next start cleans up what "
                    "is left open"
                )
                leave_now(STOPPED)

    Thread(target=set_once_told, name="waiting for a signal", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))
    return stop


@contextmanager
def interrupt_on_signals() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM raise KeyboardInterrupt, too, meanwhile; in the main thread.

    Yields a function that says whether a signal came: some libraries swallow what it raises.
    """
    came = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_now(code: int) -> NoReturn:
    """End the process with this exit code, whatever its threads are at; what was said is flushed.

    Python's own end would wait for some threads, and pull the ground from under others.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
