"""Faults of the broker, its disk, and the network in front of it."""

import signal

from tests.chaos.configuration import SESSION_S
from tests.chaos.stage import Stage


def kill_broker(stage: Stage) -> None:
    """SIGKILL; started again after a moment."""
    stage.cluster.signal(signal.SIGKILL)
    stage.pause(float(stage.rng.uniform(0.2, 2.0)))
    stage.cluster.start()


def restart_broker(stage: Stage) -> None:
    """A stop in good order, and a start."""
    stage.cluster.stop()
    stage.cluster.start()


def suspend_broker(stage: Stage) -> None:
    """SIGSTOP, then SIGCONT: nobody is told, and sessions may run out."""
    stage.cluster.signal(signal.SIGSTOP)
    stage.pause(float(stage.rng.uniform(1.0, SESSION_S * 1.5)))
    stage.cluster.signal(signal.SIGCONT)


def full_disk(stage: Stage) -> None:
    """No byte is left for the broker; when it has died of it there is room again."""
    pid = stage.cluster.pid
    stage.cluster.disk.fill()
    stage.until(lambda: stage.cluster.pid != pid, 8.0)
    stage.cluster.disk.free()
    stage.cluster.start()


def cut_all(stage: Stage) -> None:
    """Every connection is reset."""
    stage.cluster.proxy("cut 1")


def cut_some(stage: Stage) -> None:
    """Some connections are reset."""
    stage.cluster.proxy(f"cut {stage.rng.uniform(0.2, 0.8):.2f}")


def tear(stage: Stage) -> None:
    """A connection ends in the middle of a message."""
    stage.cluster.proxy("tear")


def stall(stage: Stage) -> None:
    """Connections stay open, and nothing gets through."""
    stage.cluster.proxy(f"stall {stage.rng.uniform(0.5, SESSION_S * 1.5):.2f}")


def refuse(stage: Stage) -> None:
    """Connections are reset, and new ones refused, for a while."""
    stage.cluster.proxy(f"refuse {stage.rng.uniform(0.5, SESSION_S):.2f}")


def slow(stage: Stage) -> None:
    """Bytes trickle."""
    stage.cluster.proxy(f"slow {stage.rng.uniform(1.0, 4.0):.2f}")
