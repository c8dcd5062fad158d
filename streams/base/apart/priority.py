"""How far this process stands back for others who want the processors."""

import os
from contextlib import suppress
from time import sleep

_LEAST = 19
_TRIES, _AGAIN_S = 20, 0.1


def stand_back(nice: int) -> None:
    """Be nicer by so much, also as a session where we have one of our own.

    Linux may share the processors out by session before it looks at processes (autogroup). Between
    sessions a process's niceness then counts for nothing, and that of the session does. For a
    process without threads: what counts beside it is each thread's own.
    """
    niceness = os.nice(nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # this kernel looks at processes alone
            _as_session(min(niceness, _LEAST))


def _as_session(niceness: int) -> None:
    for _ in range(_TRIES):
        with suppress(BlockingIOError):  # the kernel takes ten of these a second, of all processes
            with open("/proc/self/autogroup", "w", encoding="ascii") as stream:
                stream.write(str(niceness))
            return
        sleep(_AGAIN_S)
