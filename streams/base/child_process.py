"""Children that do not outlive their parent."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable


def die_with_parent() -> Callable[[], None] | None:
    """A ``preexec_fn`` that lets the kernel stop the child when this process ends, however it ends.

    None where that can't be had: only Linux can, and only for a start from the main thread.
    """
    # The kernel counts the starting *thread* as the parent, and only the main one lasts.
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    set_death_signal = ctypes.CDLL(None, use_errno=True).prctl
    pr_set_pdeathsig = 1
    parent = os.getpid()

    def in_child() -> None:
        set_death_signal(pr_set_pdeathsig, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
