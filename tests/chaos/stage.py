"""What faults are done to: the cluster, processes and feeder of one campaign."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from tests.chaos.clock import Clock
from tests.chaos.cluster import Cluster
from tests.chaos.commander import Commander
from tests.chaos.feeder import Feeder
from tests.chaos.scorers import Scorer, Scorers
from tests.chaos.shadow.candidates import Candidates
from tests.chaos.violations import Violations

_STEP_S = 0.05
_SOMEONE_S = 15.0
LIVELY_S = 90.0
"""Within this time after a fault something has to be answered."""


class NotNowError(Exception):
    """The fault has nobody to hit."""


@dataclass
class Stage:
    """The players of a campaign.

    Attributes:
        folder: settings files and logs.
        settings: what the settings file of the campaign holds.
        clock: the scorers' wall clock.
        workers: how many scorers are wanted when nothing else is said.
        staged: whether all of them share the work; else the last to start takes over.
        found: faults note here what breaks a promise at once, such as a refusal that is none.
        answered: how many answers are visible.
        on_step: called often while time passes.
    """

    folder: Path
    settings: dict[str, Any]
    cluster: Cluster
    scorers: Scorers
    shadows: Scorers
    monitors: Scorers
    feeder: Feeder
    commander: Commander
    candidates: Candidates
    clock: Clock
    workers: int
    staged: bool
    rng: np.random.Generator
    found: Violations
    answered: Callable[[], int]
    on_step: Callable[[], None]

    def pause(self, seconds: float) -> None:
        """Let time pass; the supervisor goes on."""
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            self.step()
            sleep(_STEP_S)

    def step(self) -> None:
        """One look at the scorers, the shadows, the monitors and the screen."""
        for each in (self.scorers, self.shadows, self.monitors):
            each.step()
        self.on_step()

    def until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Let time pass until `done`; whether that came within `seconds`."""
        deadline = monotonic() + seconds
        while not done():
            if monotonic() > deadline:
                return False
            self.step()
            sleep(_STEP_S)
        return True

    def someone(self, among: Scorers | None = None) -> Scorer:
        """A running scorer, or one of others; it may not have come far.

        Raises:
            NotNowError: there is none, and none comes.
        """
        scorers = self.scorers if among is None else among
        if not self.until(lambda: bool(scorers.awake), _SOMEONE_S):
            raise NotNowError
        awake = scorers.awake
        return awake[int(self.rng.integers(len(awake)))]

    def suspend(self, process: Scorer, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long; nobody takes its place meanwhile."""
        process.process.send_signal(signal.SIGSTOP)
        self.pause(seconds)
        process.send(signal.SIGCONT)

    def answers_again(self) -> bool:
        """Wait until something is answered; not for ever, and not if nothing is left to be."""
        before, sent = self.answered(), self.feeder.answerable.total()
        return self.until(lambda: self.answered() > before or before >= sent, LIVELY_S)
