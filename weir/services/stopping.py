"""How a command that runs for long is told to stop."""

import signal
from queue import SimpleQueue
from threading import Event, Thread


def stop_on_signals() -> Event:
    """Return what SIGTERM and Ctrl-C set from now on, instead of ending the process at once.

    For the main thread, as is all of Python's handling of signals.
    """
    stop = Event()
    # A signal interrupts the main thread anywhere, also where it holds the event's own lock: in
    # the midst of `stop.wait`, or of handling the signal before. To set the event there would wait
    # for ever; to put something into such a queue never waits.
    told: SimpleQueue[int] = SimpleQueue()

    def set_once_told() -> None:
        told.get()
        stop.set()

    Thread(target=set_once_told, name="waiting for a signal", daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.put(number))
    return stop
