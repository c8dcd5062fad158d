"""Keeping a process running: start it again when it fails, later and later if it keeps failing."""

import logging
import signal
import subprocess
from collections.abc import Collection, Sequence
from threading import Event
from time import monotonic

from streams.base.child_process import die_with_parent

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_STOP_TIMEOUT_S = 60.0


class Supervisor:
    """Runs one command until it ends by itself for good, or is stopped.

    Args:
        command: the process and its arguments.
        final: exit codes after which a new start would be of no use.
        first_wait_s, longest_wait_s: the back-off doubles from one to the other.
        healthy_s: a process that lived for so long had started well, and the back-off begins anew.

    Attributes:
        starts: how often the command was started.
    """

    def __init__(
        self,
        command: Sequence[str],
        final: Collection[int],
        *,
        first_wait_s: float = 1.0,
        longest_wait_s: float = 60.0,
        healthy_s: float = 60.0,
    ) -> None:
        self._command = list(command)
        self._final = {0, *final}
        self._first_wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._healthy_s = healthy_s
        self.starts = 0

    def run(self, stop: Event) -> int:
        """Run until `stop` is set or the command ends for good; its last exit code."""
        wait_s = self._first_wait_s
        while True:
            started = monotonic()
            code = self._run_once(stop)
            if stop.is_set() or code in self._final:
                return code
            if monotonic() - started >= self._healthy_s:
                wait_s = self._first_wait_s
            logger.warning("it %s; starting again in %.0f s", _ending(code), wait_s)
            if stop.wait(wait_s):
                return code
            wait_s = min(2 * wait_s, self._longest_wait_s)

    def _run_once(self, stop: Event) -> int:
        self.starts += 1
        # A session of its own: Ctrl-C in the terminal comes to us, and we pass it on once.
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        logger.info("started process %d: %s", process.pid, " ".join(self._command[1:]))
        while process.poll() is None:
            if stop.wait(_POLL_S):
                return _end(process)
        return process.returncode


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        logger.warning("it did not end within %.0f s of SIGTERM: killed", _STOP_TIMEOUT_S)
        process.kill()
        return process.wait()


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
