"""The processes of one schedule: controllers, and the job that one of them has begun."""

import asyncio
import os
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil

from streams.base.errors import UNAVAILABLE
from tests.retraining.stage import start
from tests.retraining.watcher import Watcher

_ENDS_S = 60.0


class Controllers:
    """So many controllers, whatever is done to them.

    Attributes:
        started, exits: how many were started, and how those ended that nobody killed.
        wrong: of those, what no supervisor would mend by starting them anew.
    """

    def __init__(self, config: Path, wanted: int) -> None:
        self._config, self._wanted = config, wanted
        self._running: list[subprocess.Popen[bytes]] = []
        self.started = 0
        self.exits: Counter[int] = Counter()
        self.wrong: list[str] = []

    def fill_up(self) -> None:
        """Start as many as are missing, as a supervisor does."""
        for each in list(self._running):
            if (code := each.poll()) is not None:
                self._running.remove(each)
                self.exits[code] += 1
                if code != UNAVAILABLE:
                    self.wrong.append(f"a controller ended by itself, exit code {code}")
        while len(self._running) < self._wanted:
            self.started += 1
            self._running.append(start(self._config, "controller", f"controller-{self.started}"))

    async def end(self, *, everyone: bool, gently: bool) -> int:
        """End the one that has run longest, or all of them; how many that were."""
        ended = self._running[: None if everyone else 1]
        self._running = self._running[len(ended) :]
        for each in ended:
            each.send_signal(signal.SIGTERM if gently else signal.SIGKILL)
        for each in ended:
            code = await asyncio.to_thread(each.wait, _ENDS_S)
            # One that is told to end before it listens ends by the signal.
            if gently and code not in (0, -signal.SIGTERM):
                self.wrong.append(f"a controller that was told to end did with exit code {code}")
        return len(ended)

    def kill(self) -> None:
        """End all of them."""
        for each in self._running:
            each.kill()
            each.wait()
        self._running = []


def kill_jobs(watcher: Watcher) -> int:
    """Kill the jobs that run; how many that were."""
    killed = 0
    for spec in watcher.specs():
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(spec.with_name("process").read_text()))
            if str(spec) in process.cmdline():  # else the number is somebody else's by now
                os.killpg(process.pid, signal.SIGKILL)
                killed += 1
    return killed
