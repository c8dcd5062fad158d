"""Faults of commands: models and policies that change, well or badly, in the midst of others."""

import signal
from collections.abc import Callable

from tests.chaos.cluster_faults import kill_broker, restart_broker
from tests.chaos.stage import Stage

_BURST = 12


def model_swap(stage: Stage) -> None:
    """Another model becomes champion."""
    stage.commander.promote()


def rollback(stage: Stage) -> None:
    """The champion before becomes it again."""
    stage.commander.rollback()


def policy_change(stage: Stage) -> None:
    """Another policy, or that of the settings again."""
    if stage.rng.random() < 0.2:
        stage.commander.take_policy_back()
    else:
        stage.commander.decide()


def canary(stage: Stage) -> None:
    """A canary begins, has another share of the keys, goes, or a record of it says nothing."""
    commander = stage.commander
    kinds = [
        commander.begin_canary,
        commander.step_canary,
        commander.step_canary,
        commander.end_canary,
        commander.spoil_canary,
    ]
    kinds[int(stage.rng.integers(len(kinds)))]()


def canary_and_kill(stage: Stage) -> None:
    """SIGKILL for a scorer whose arms are changing."""
    stage.commander.step_canary()
    stage.pause(float(stage.rng.uniform(0.0, 1.5)))
    stage.someone().send(signal.SIGKILL)


def bad_model(stage: Stage) -> None:
    """A champion that is not there, is damaged, or can't be read: the old one goes on."""
    stage.commander.promote_badly()


def bad_policy(stage: Stage) -> None:
    """A policy that contradicts itself or can't be read, and noise: the old one goes on."""
    stage.commander.write_noise()
    stage.commander.decide_badly()


def burst(stage: Stage) -> None:
    """A dozen commands of all kinds, as fast as the cluster takes them."""
    commander = stage.commander
    kinds: list[Callable[[], None]] = [
        commander.promote,
        commander.promote,
        commander.rollback,
        commander.decide,
        commander.promote_badly,
        commander.decide_badly,
        commander.begin_canary,
        commander.step_canary,
        commander.end_canary,
    ]
    for _ in range(_BURST):
        kinds[int(stage.rng.integers(len(kinds)))]()


def swap_and_kill(stage: Stage) -> None:
    """SIGKILL for a scorer that is about to change its model and policy."""
    stage.commander.promote()
    stage.commander.decide()
    stage.pause(float(stage.rng.uniform(0.0, 1.5)))
    stage.someone().send(signal.SIGKILL)


def swap_and_suspend(stage: Stage) -> None:
    """SIGSTOP for a scorer that is changing its model, which changes again meanwhile."""
    stage.commander.promote()
    scorer = stage.someone()
    stage.pause(float(stage.rng.uniform(0.0, 0.8)))
    scorer.process.send_signal(signal.SIGSTOP)
    stage.commander.promote()
    stage.commander.decide()
    stage.pause(float(stage.rng.uniform(0.5, 6.0)))
    scorer.send(signal.SIGCONT)


def swap_and_lose_broker(stage: Stage) -> None:
    """The broker is killed or stops while scorers change their model and report it."""
    stage.commander.promote()
    stage.pause(float(stage.rng.uniform(0.0, 1.0)))
    (kill_broker if stage.rng.random() < 0.5 else restart_broker)(stage)
