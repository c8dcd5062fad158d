"""Faults of the shadow: its workers, the processes of its candidates, and what names them."""

import signal
from contextlib import suppress

import psutil

from tests.chaos.configuration import SESSION_S
from tests.chaos.scorers import Scorer
from tests.chaos.stage import NotNowError, Stage

_GONE_S = 20.0
"""A candidate has the lowest priority: it takes time until it gets some to die in."""


def kill_shadow(stage: Stage) -> None:
    """SIGKILL: its candidates end with it, and what it had begun is another's."""
    shadow = stage.someone(stage.shadows)
    candidates = _candidates_of(shadow)
    shadow.send(signal.SIGKILL)
    if not stage.until(lambda: not any(map(_runs, candidates)), _GONE_S):
        stage.found.add("candidate outlives its shadow", f"{shadow.log}: {candidates}")


def suspend_shadow(stage: Stage) -> None:
    """SIGSTOP for less than its session or for more, then SIGCONT."""
    shadow = stage.someone(stage.shadows)
    stage.suspend(shadow, float(stage.rng.uniform(0.2, 2.0)) * SESSION_S)


def restart_shadow(stage: Stage) -> None:
    """SIGTERM: it commits what it has begun, and another one starts."""
    stage.someone(stage.shadows).send(signal.SIGTERM)


def hit_candidate(stage: Stage) -> None:
    """SIGKILL for a candidate's process, or SIGSTOP: it crashes, or never answers."""
    candidates = _candidates_of(stage.someone(stage.shadows))
    if not candidates:
        raise NotNowError
    number = signal.SIGKILL if stage.rng.random() < 0.5 else signal.SIGSTOP
    with suppress(psutil.Error):
        candidates[int(stage.rng.integers(len(candidates)))].send_signal(number)


def candidate(stage: Stage) -> None:
    """A candidate comes, changes or goes, or a record of one says nothing."""
    stage.candidates.change()


def candidate_and_kill(stage: Stage) -> None:
    """SIGKILL for a shadow whose candidates change."""
    stage.candidates.change()
    stage.pause(float(stage.rng.uniform(0.0, 3.0)))
    kill_shadow(stage)


def _candidates_of(shadow: Scorer) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(shadow.process.pid).children()
    return []


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
