"""Runs jobs as processes of this machine, which outlive the controller that began them."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from monitoring.retraining.jobs.job import JobSpec, JobState, RunnerError
from streams.base.atomic_file import write_atomic

SPEC = "spec.json"
_LOCK, _PROCESS, _ASKED = "lock", "process", "asked-to-end"


class LocalRunner:
    """A folder for each job: what it is told, its log, and a lock that it holds while it lives.

    The lock is taken before the process is begun and handed to it, so of two controllers that begin
    the same job one does, and a job that is killed is known to have ended.

    Args:
        folder: of all jobs.
        command: runs a job, given its key and the file of its `JobSpec`.
    """

    def __init__(self, folder: Path, command: Callable[[str, Path], Sequence[str]]) -> None:
        self._folder = folder
        self._command = command
        self._children: list[subprocess.Popen[bytes]] = []

    def submit(self, key: str, spec: JobSpec, attempt: int) -> None:
        """Begin an attempt at a job, unless the job runs, or this attempt has run.

        Raises:
            RunnerError: the folder can't be written, or the process not begun.
        """
        self._reap()
        place, log = self._folder / key, self._log(key, attempt)
        try:
            place.mkdir(parents=True, exist_ok=True)
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if not _taken(lock) or log.exists():
                    return
                with suppress(FileNotFoundError):
                    (place / _ASKED).unlink()
                write_atomic(place / SPEC, msgspec.json.format(msgspec.json.encode(spec)))
                with log.open("xb") as output:
                    child = subprocess.Popen(
                        self._command(key, place / SPEC),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        pass_fds=[lock],
                        start_new_session=True,
                    )
                self._children.append(child)
                write_atomic(place / _PROCESS, str(child.pid).encode())
            finally:
                os.close(lock)
        except OSError as error:
            raise RunnerError(f"job {key} can't be begun in {place}: {error.strerror}") from error

    def state(self, key: str, attempt: int) -> JobState:
        """How an attempt at a job stands.

        Raises:
            RunnerError: its folder can't be read.
        """
        self._reap()
        if not self._log(key, attempt).exists():
            return "unknown"
        return "running" if self._runs(key) else "ended"

    def cancel(self, key: str) -> None:
        """Ask a job that runs to end; one that was asked before is killed.

        Raises:
            RunnerError: its folder can't be read, or the process is not ours.
        """
        self._reap()
        if not self._runs(key):
            return
        asked = self._folder / key / _ASKED
        try:
            # While the lock is held, the number is its holder's and nobody else's.
            process = int((self._folder / key / _PROCESS).read_text())
            os.killpg(process, signal.SIGKILL if asked.exists() else signal.SIGTERM)
            asked.touch()
        except ProcessLookupError:
            pass
        except (OSError, ValueError) as error:
            raise RunnerError(f"job {key} can't be ended: {error}") from error

    def _log(self, key: str, attempt: int) -> Path:
        return self._folder / key / f"attempt-{attempt}.log"

    def _runs(self, key: str) -> bool:
        try:
            lock = os.open(self._folder / key / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RunnerError(f"job {key}: {error}") from error
        try:
            return not _taken(lock)
        finally:
            os.close(lock)

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def _taken(lock: int) -> bool:
    """Take the lock of an open file, if nobody has it; whether we do."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
