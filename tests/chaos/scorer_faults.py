"""Faults of scorers: processes that are killed, suspended, replaced, added and taken away."""

import signal

from tests.chaos.configuration import SESSION_S, TRANSACTION_S
from tests.chaos.stage import LIVELY_S, Stage

_REPLACED_S = 15.0
_ABORTED_S = 11.0
"""How often the broker looks for transactions that have outlived their time, and a second."""


def kill_scorer(stage: Stage) -> None:
    """SIGKILL."""
    stage.someone().send(signal.SIGKILL)


def terminate_scorer(stage: Stage) -> None:
    """SIGTERM, most likely in the middle of a transaction."""
    stage.someone().send(signal.SIGTERM)


def suspend_scorer(stage: Stage) -> None:
    """SIGSTOP for less than the session, then SIGCONT: it must go on as if nothing was."""
    scorer = stage.someone()
    stage.suspend(scorer, float(stage.rng.uniform(0.2, 0.6)) * SESSION_S)


def zombie(stage: Stage) -> None:
    """SIGSTOP beyond the session, then SIGCONT, with nobody in its place."""
    scorer = stage.someone()
    stage.suspend(scorer, SESSION_S * 1.5)


def outlived_transaction(stage: Stage) -> None:
    """SIGSTOP until the broker has aborted the open transaction by itself."""
    scorer = stage.someone()
    stage.suspend(scorer, TRANSACTION_S + _ABORTED_S)


def zombie_replaced(stage: Stage) -> None:
    """SIGSTOP beyond the session while another takes over, then SIGCONT: the first is fenced."""
    scorer = stage.someone()
    scorer.send(signal.SIGSTOP)  # counts as missing: the supervisor starts another
    stage.pause(SESSION_S + 4.0)
    scorer.send(signal.SIGCONT)


def second_scorer(stage: Stage) -> None:
    """One more on the same group, which takes over; the elder ends by itself."""
    stage.scorers.start()


def contention(stage: Stage) -> None:
    """Up to four scorers, each of them restarted when it is fenced off, for a while."""
    stage.scorers.wanted = stage.workers + int(stage.rng.integers(1, 4))
    stage.pause(float(stage.rng.uniform(6.0, 12.0)))
    stage.scorers.wanted = stage.workers
    if not stage.answers_again():
        detail = f"nothing answered {LIVELY_S:.0f} s after the last start: all wait for all"
        stage.found.add("livelock", detail)


def kill_all(stage: Stage) -> None:
    """SIGKILL for all of them at once."""
    for scorer in stage.scorers.running:
        scorer.send(signal.SIGKILL)
    if not stage.answers_again():
        stage.found.add("stuck", f"all workers killed: nothing answered for {LIVELY_S:.0f} s")


def rolling_restart(stage: Stage) -> None:
    """SIGTERM for one after another, each when the one before has been replaced."""
    for scorer in stage.scorers.awake:
        started = stage.scorers.started
        scorer.send(signal.SIGTERM)
        stage.until(lambda started=started: stage.scorers.started > started, _REPLACED_S)


def fewer_workers(stage: Stage) -> None:
    """Some end in good order, and what was theirs goes to the others; then they come back."""
    _scale(stage, int(stage.rng.integers(1, max(2, stage.workers))))


def more_workers(stage: Stage) -> None:
    """One or two more come, take their share, and leave in good order."""
    _scale(stage, stage.workers + int(stage.rng.integers(1, 3)))


def _scale(stage: Stage, workers: int) -> None:
    stage.scorers.wanted = workers
    stage.pause(float(stage.rng.uniform(6.0, 12.0)))
    stage.scorers.wanted = stage.workers
    if not stage.answers_again():
        detail = (
            f"{workers} workers instead of {stage.workers}: nothing answered for {LIVELY_S:.0f} s"
        )
        stage.found.add("stuck after scaling", detail)
