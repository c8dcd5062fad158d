"""A copy of this process's memory, for free: a forked child writes down what the parent goes on to
change.

The kernel copies a page only when one of the two writes to it, so the parent stands still for a
millisecond or two, whatever the size. The child does nothing but write to a pipe: the threads of
the Kafka client exist in the parent only, so the child must neither use nor free anything of
theirs, and ends without any clean-up.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import BinaryIO

from streams.base.safe_text import safe_text
from streams.snapshots.parts import Buffer

_AT_ONCE = 1 << 20


class ForkedWriter:
    """A child process that writes buffers of this very moment.

    Attributes:
        stream: what it writes; ends early where the child did.

    Raises:
        OSError: no memory for it, or too many processes.
    """

    def __init__(self, contents: Callable[[], Iterable[Buffer]]) -> None:
        readable, writable = os.pipe()
        self._pid = -1
        collects = gc.isenabled()
        # Finalizers of client objects would wait for threads that the child does not have, and
        # libraries run code in it before we do.
        gc.disable()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(readable)
            os.close(writable)
            raise
        finally:
            if collects and self._pid != 0:
                gc.enable()
        if self._pid == 0:
            _write_and_exit(contents, readable, writable)
        os.close(writable)
        self.stream: BinaryIO = open(readable, "rb", buffering=0)  # noqa: SIM115 (see close)
        self._exit_code: int | None = None

    def close(self) -> bool:
        """End the child, if it has not; whether it wrote all there was."""
        self.stream.close()  # a child that still writes gets EPIPE
        if self._exit_code is None:
            _, status = os.waitpid(self._pid, 0)
            self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code == 0


def _write_and_exit(contents: Callable[[], Iterable[Buffer]], readable: int, writable: int) -> None:
    """In the child: write everything, then vanish."""
    try:
        # Handlers of the parent's would set flags that nobody looks at.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.close(readable)
        for buffer in contents():
            view = memoryview(buffer).cast("B")
            start = 0
            while start < len(view):
                start += os.write(writable, view[start : start + _AT_ONCE])
        os._exit(0)
    except BrokenPipeError:
        os._exit(1)  # nobody wants it any more
    except BaseException as error:
        os.write(sys.stderr.fileno(), f"snapshot child: {safe_text(repr(error))}\n".encode())
        os._exit(1)
