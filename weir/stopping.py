"""How a command that runs for long is told to stop."""

import signal
from threading import Event


def stop_on_signals() -> Event:
    """Return what SIGTERM and Ctrl-C set from now on, instead of ending the process at once.

    For the main thread, as is all of Python's handling of signals.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
