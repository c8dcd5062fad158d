"""Keeps a scorer's loop going while a model is made ready in a thread beside it."""

import gc
import os
import sys
from threading import get_native_id

_SWITCH_S = 0.0005
_YOUNG = 50_000
_NICER = 10
_NICEST = 19


def share_the_lock() -> None:
    """Let no thread keep Python's lock from the others for long.

    The loop gives the lock up for every batch's kernels, and gets it back after so long at most.
    """
    sys.setswitchinterval(_SWITCH_S)


def spare_the_collector() -> None:
    """Take all that was imported and made so far out of the garbage collector's passes.

    A pass over it takes 50 ms, in which all threads stand still; what is read of a model is enough
    to set one off. Of what is made from now on, thousands of messages live for one batch, and none
    is in a cycle: passes over the young are as rare as a few milliseconds each allow.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def give_way() -> None:
    """Let this thread have the processor when nobody else wants it, where the system can do that.

    Nobody waits for a model that is made ready, but for the answers of the one before.
    """
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        this = os.PRIO_PROCESS, get_native_id()
        os.setpriority(*this, min(os.getpriority(*this) + _NICER, _NICEST))
