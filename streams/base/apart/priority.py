"""How far processes stand back for others who want the processors.

Linux may share these out by session before it looks at processes (autogroup). Between sessions a
process's niceness then counts for nothing, and that of its session does.
"""

import os
from time import sleep

_TRIES, _AGAIN_S = 3, 0.1


def stand_back(nice: int) -> None:
    """Be nicer by so much; also as a session, where we lead one.

    On Linux each thread has a niceness of its own, and those that are there keep theirs.
    """
    if not nice:
        return
    niceness = os.nice(nice)
    if os.getsid(0) == os.getpid():
        stand_back_as_session(os.getpid(), niceness)


def stand_back_as_session(leader: int, niceness: int) -> None:
    """Give a session this niceness; nothing happens on a kernel that looks at processes alone.

    Args:
        leader: process id.
    """
    for _ in range(_TRIES):
        try:
            with open(f"/proc/{leader}/autogroup", "w", encoding="ascii") as stream:
                stream.write(str(niceness))
        except BlockingIOError:  # the kernel takes ten of these a second, of all processes
            sleep(_AGAIN_S)
        except OSError:
            return
        else:
            return
