"""A lock between processes, which the kernel frees if its holder dies."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

_AGAIN_S = 0.1


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing and stays.

    Args:
        path: the file.
        waiting: called ten times a second while another holds it; what it raises ends the wait.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                sleep(_AGAIN_S)
        try:
            yield
        finally:
            # Said, since a process forked meanwhile has the file open, too.
            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        os.close(file)
