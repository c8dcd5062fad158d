"""One start at a time per data folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.base.file_lock import file_lock
from weir.broker.errors import BrokerError


@contextmanager
def exclusive(path: Path, timeout: float) -> Iterator[None]:
    """Hold a lock on the file, waiting for another holder; the kernel frees it if we die.

    Raises:
        BrokerError: another process still holds it after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout

    def waiting() -> None:
        if time.monotonic() >= deadline:
            raise BrokerError(
                f"another start of the broker in {path.parent} has not ended "
                f"after {timeout:.0f} s: see `weir broker status`"
            )

    with file_lock(path, waiting):
        yield
