"""Faults of the monitor's workers."""

import signal

from tests.chaos.configuration import SESSION_S
from tests.chaos.stage import Stage


def kill_monitor(stage: Stage) -> None:
    """SIGKILL: what it had begun is another's."""
    stage.someone(stage.monitors).send(signal.SIGKILL)


def suspend_monitor(stage: Stage) -> None:
    """SIGSTOP for less than its session or for more, then SIGCONT."""
    monitor = stage.someone(stage.monitors)
    stage.suspend(monitor, float(stage.rng.uniform(0.2, 2.0)) * SESSION_S)


def restart_monitor(stage: Stage) -> None:
    """SIGTERM: it commits what it has begun, and another one starts."""
    stage.someone(stage.monitors).send(signal.SIGTERM)
