"""Processes of one kind, and the supervisor that starts another where one ended."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from streams.base.child_process import tied_to_us

FENCED = 4
_BACK_OFF_S = 1.0
_QUOTED = 20
_EXPECTED = {0, 1, 3, FENCED, -signal.SIGKILL, -signal.SIGTERM}
_RESTORED = re.compile(r"restored in [0-9.]+ s: (.+), [0-9]+ events read again")
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


@dataclass
class Scorer:
    """One `weir score`, or `weir shadow`.

    Attributes:
        stopped: suspended by SIGSTOP.
        ending: it was told to.
        extra: nobody counts on it.
    """

    process: subprocess.Popen[bytes]
    log: Path
    stopped: bool = False
    ending: bool = False
    extra: bool = False

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended takes none, and a second SIGTERM means: at once.

        So that one is not sent.
        """
        if self.process.poll() is None and not (self.ending and number == signal.SIGTERM):
            self.process.send_signal(number)
            self.stopped = number == signal.SIGSTOP or (self.stopped and number != signal.SIGCONT)
            self.ending |= number in (signal.SIGTERM, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-6:])


class Scorers:
    """As many scorers as are wanted, shadows or monitors; `step` is to be called often.

    Args:
        command: ``score``, ``shadow`` or ``monitor``.
        shared: whether they share the work, so that those beyond the wanted number must be told to
            end; else the last to start makes the others end.

    Attributes:
        config: the settings file that the next one gets.
        wanted: how many are kept running; more may run for a while.
        exits: exit codes and how often each came.
        last_words: of some that ended by themselves, by exit code.
        restored: how their state came back, such as ``"from a snapshot"``, as they tell in their
            logs.
        broken: what no scorer should ever do, in words.
    """

    def __init__(
        self,
        config: Path,
        folder: Path,
        environment: Mapping[str, str],
        *,
        command: str = "score",
        shared: bool = False,
    ) -> None:
        self.config = config
        self.wanted = 0
        self.running: list[Scorer] = []
        self.exits: Counter[int] = Counter()
        self.last_words: defaultdict[int, list[str]] = defaultdict(list)
        self.restored: Counter[str] = Counter()
        self.started = 0
        self.broken: list[str] = []
        self._folder = folder
        self._environment = {**os.environ, **_ENVIRONMENT, **environment}
        self._command = command
        self._shared = shared
        self._not_before = 0.0

    def start(self, config: Path | None = None) -> Scorer:
        """Start one now, beside those that run."""
        self.started += 1
        log = self._folder / f"{self._command}-{self.started}.log"
        command = [sys.executable, "-m", "weir", self._command, "-c", str(config or self.config)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                tied_to_us([*command, "--metrics-port", "0"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        scorer = Scorer(process, log, extra=config is not None)
        self.running.append(scorer)
        return scorer

    def step(self) -> None:
        """Take note of those that ended, and start another where one is missing."""
        for scorer in [each for each in self.running if each.process.poll() is not None]:
            self.running.remove(scorer)
            self._note_exit(scorer)
            self._not_before = max(self._not_before, monotonic() + _BACK_OFF_S)
        if len(self.awake) < self.wanted and monotonic() >= self._not_before:
            self._not_before = monotonic() + _BACK_OFF_S
            self.start()
        if self._shared:
            serving = [each for each in self.awake if not (each.ending or each.extra)]
            for scorer in serving[self.wanted :]:
                scorer.send(signal.SIGTERM)

    @property
    def awake(self) -> list[Scorer]:
        """Those that run and are not suspended, the elder first."""
        return [each for each in self.running if not each.stopped]

    def stop_all(self, patience_s: float = 30.0) -> None:
        """End all with SIGTERM; one that does not end is broken."""
        self.wanted = 0
        for scorer in self.running:
            scorer.send(signal.SIGCONT)
            scorer.send(signal.SIGTERM)
        for scorer in self.running:
            try:
                scorer.process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.broken.append(
                    f"{scorer.log}: did not end within {patience_s:.0f} s of SIGTERM"
                )
                scorer.process.kill()
                scorer.process.wait()
            self._note_exit(scorer)
        self.running = []

    def _note_exit(self, scorer: Scorer) -> None:
        code = scorer.process.returncode
        said = scorer.log.read_text(errors="replace")
        self.exits[code] += 1
        if code > 0 and len(self.last_words[code]) < _QUOTED:
            self.last_words[code].append(scorer.last_words())
        for how in _RESTORED.findall(said):
            self.restored["from all input" if how == "no snapshot" else "from a snapshot"] += 1
        if code not in _EXPECTED:
            self.broken.append(f"{scorer.log}: exit code {code}: {scorer.last_words()}")
        elif "Traceback (most recent call last)" in said:
            self.broken.append(f"{scorer.log}: a stack trace: {scorer.last_words()}")
