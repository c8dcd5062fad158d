"""Keeping processes running: what fails is started again, later and later if it keeps failing."""

import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from threading import Event, Thread
from time import monotonic

from streams.base.child_process import tied_to_us, without_relative_imports
from weir.services.endings import Ending, ending_of
from weir.services.process_output import ProcessOutput

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_STOP_TIMEOUT_S = 60.0
_LAST_LINES_S = 1.0
"""How long to wait for them: a copy of the process that writes a snapshot may hold the pipe."""


class SupervisedProcess:
    """One process, and when it is due to be started.

    Args:
        wait_s: the first pause before a new start; it doubles up to `longest_wait_s`.
        healthy_s: a process that lived for so long had started well, and the pauses begin anew.

    Attributes:
        starts: how often it was started.
        code: how it ended last; 0 before.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        output: ProcessOutput,
        *,
        first_wait_s: float,
        longest_wait_s: float,
        healthy_s: float,
    ) -> None:
        self.name = name
        self.starts = 0
        self.code = 0
        self._command = command
        self._output = output
        self._first_wait_s = self._wait_s = first_wait_s
        self._longest_wait_s = longest_wait_s
        self._healthy_s = healthy_s
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: Thread | None = None
        self._due_at = self._started_at = 0.0

    def step(self) -> Ending | None:
        """Start it when it is due, or take note of its end, which is returned."""
        if self._process is None:
            if monotonic() >= self._due_at:
                self._start()
            return None
        if self._process.poll() is None:
            return None
        return self._note_end(self._process)

    def await_next_start(self, ending: Ending) -> None:
        """Let it be due again after a pause."""
        if monotonic() - self._started_at >= self._healthy_s:
            self._wait_s = self._first_wait_s
        logger.warning("%s %s; starting it again in %.0f s", self.name, ending.what, self._wait_s)
        self._due_at = monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, self._longest_wait_s)

    def end(self) -> None:
        """Stop it, by force after a minute, and wait for its end."""
        process = self._process
        if process is None:
            return
        logger.info("stopping %s", self.name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            logger.warning(
                "%s did not end within %.0f s of SIGTERM: killed", self.name, _STOP_TIMEOUT_S
            )
            process.kill()
            process.wait()
        self._note_end(process)
        if self.code == -signal.SIGTERM:  # it had not got so far as to stop in its own way
            self.code = 0

    def _start(self) -> None:
        self.starts += 1
        self._started_at = monotonic()
        # A session of its own: Ctrl-C in the terminal comes to us, and we pass it on once.
        process = subprocess.Popen(
            tied_to_us(self._command),
            env=without_relative_imports(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        self._process = process
        self._reader = Thread(
            target=self._output.copy,
            args=(self.name, process.stdout),
            name=f"output of {self.name}",
            daemon=True,
        )
        self._reader.start()
        logger.info("started %s as process %d", self.name, process.pid)

    def _note_end(self, process: "subprocess.Popen[bytes]") -> Ending:
        self.code, self._process = process.returncode, None
        if self._reader is not None:
            self._reader.join(_LAST_LINES_S)
        return ending_of(self.code)


class Supervisor:
    """Runs a set of processes until it is stopped, or one of them ends for good.

    They are started in the order given and stopped in the reverse order, one after the other. One
    that a new start can't fix takes the others along: a part that is missing in silence is
    worse than an end that whoever watches us sees.

    Args:
        commands: the processes by name, with their arguments.
        output: where what they say goes.
        first_wait_s, longest_wait_s, healthy_s: see `SupervisedProcess`.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        output: ProcessOutput,
        *,
        first_wait_s: float = 1.0,
        longest_wait_s: float = 60.0,
        healthy_s: float = 60.0,
    ) -> None:
        self.processes = [
            SupervisedProcess(
                name,
                command,
                output,
                first_wait_s=first_wait_s,
                longest_wait_s=longest_wait_s,
                healthy_s=healthy_s,
            )
            for name, command in commands.items()
        ]

    def run(self, stop: Event) -> int:
        """Run until `stop` is set or one ends for good; none is left running.

        Returns:
            The exit code of the one that ended for good; after a stop 0, or that of the first one
            that did not end in good order. For one that a signal ended it is 128 more than that.

        Raises:
            OSError: a process can't be started.
        """
        try:
            code = self._watch(stop)
        finally:
            for process in reversed(self.processes):
                process.end()
        if code is None:
            code = next((each.code for each in self.processes if each.code), 0)
        return code if code >= 0 else 128 - code

    def _watch(self, stop: Event) -> int | None:
        while not stop.is_set():
            for process in self.processes:
                ending = process.step()
                if ending is None:
                    continue
                if ending.final:
                    self._say_farewell(process, ending)
                    return process.code
                process.await_next_start(ending)
            stop.wait(_POLL_S)
        return None

    def _say_farewell(self, process: SupervisedProcess, ending: Ending) -> None:
        others = " and ".join(each.name for each in self.processes if each is not process)
        logger.log(
            logging.ERROR if process.code else logging.INFO,
            "%s %s. %s%s",
            process.name,
            ending.what,
            f"{ending.advice}. " if ending.advice else "",
            f"Stopping {others} as well" if others else "There is nothing else to keep running",
        )
