"""Locks between processes, which the kernel frees if their holder dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

_AGAIN_S = 0.05

Waiting = Callable[[], None]
"""Called twenty times a second while another holds the lock; what it raises ends the wait."""


@contextmanager
def file_lock(path: Path, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and stays.

    Raises:
        OSError: the file can't be opened for writing, or is a link.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with hold_lock(file, waiting=waiting):
            yield
    finally:
        os.close(file)


@contextmanager
def hold_lock(file: int, *, shared: bool = False, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold the lock of an open file; a `shared` one keeps out only those who want it alone.

    A forked child has its parent's locks, and so do two threads that share a descriptor.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if waiting is None:
        fcntl.flock(file, how)
    else:
        while True:
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                sleep(_AGAIN_S)
    try:
        yield
    finally:
        # Said, since a process forked meanwhile has the file open, too.
        fcntl.flock(file, fcntl.LOCK_UN)
