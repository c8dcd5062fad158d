"""The faults, and the seeded plan of them."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from confluent_kafka import KafkaException

from tests.chaos import configuration, snapshot_damage
from tests.chaos.configuration import SESSION_S, TRANSACTION_S
from tests.chaos.scorers import Scorer
from tests.chaos.stage import Stage
from tests.chaos.world import Habits

_CHANGED = "mean_3d"
_SNAPSHOTS = configuration.TOPICS["snapshots"]
_SOMEONE_S = 15.0
_ABORTED_S = 11.0
"""How often the broker looks for transactions that have outlived their time, and a second."""
_UNUSUAL_EVENTS = 1_000
_UNUSUAL_S = 30.0
_LIVELY_S = 60.0
_REFUSED_S = 60.0


@dataclass(frozen=True)
class Fault:
    """One fault of a plan: when, in seconds from the start, and of which kind."""

    at: float
    kind: str


def plan(rng: np.random.Generator, count: int, seconds: float, kinds: list[str]) -> list[Fault]:
    """`count` faults, spread over `seconds`: as many of each kind as its weight says."""
    deck = [kind for kind in kinds for _ in range(WEIGHTS[kind])]
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += [deck[place] for place in rng.permutation(len(deck))]
    gaps = rng.uniform(0.5, 1.5, count)
    times = np.cumsum(gaps) / gaps.sum() * seconds
    return [Fault(round(float(at), 2), kind) for at, kind in zip(times, drawn, strict=False)]


class NotNowError(Exception):
    """The fault has nobody to hit."""


def _someone(stage: Stage) -> Scorer:
    """A running scorer; it may not have come far."""
    if not stage.until(lambda: bool(stage.scorers.awake), _SOMEONE_S):
        raise NotNowError
    awake = stage.scorers.awake
    return awake[int(stage.rng.integers(len(awake)))]


def _answers_again(stage: Stage) -> bool:
    """Wait until something is answered; not for ever, and not if nothing is left to be."""
    before, sent = stage.taken(), stage.feeder.sent
    return stage.until(lambda: stage.taken() > before or before >= sent, _LIVELY_S)


def kill_scorer(stage: Stage) -> None:
    """SIGKILL."""
    _someone(stage).send(signal.SIGKILL)


def terminate_scorer(stage: Stage) -> None:
    """SIGTERM, most likely in the middle of a transaction."""
    _someone(stage).send(signal.SIGTERM)


def suspend_scorer(stage: Stage) -> None:
    """SIGSTOP for less than the session, then SIGCONT: it must go on as if nothing was."""
    scorer = _someone(stage)
    scorer.process.send_signal(signal.SIGSTOP)
    stage.pause(float(stage.rng.uniform(0.2, 0.6)) * SESSION_S)
    scorer.send(signal.SIGCONT)


def zombie(stage: Stage) -> None:
    """SIGSTOP beyond the session, then SIGCONT, with nobody in its place."""
    scorer = _someone(stage)
    scorer.process.send_signal(signal.SIGSTOP)
    stage.pause(SESSION_S * 1.5)
    scorer.send(signal.SIGCONT)


def outlived_transaction(stage: Stage) -> None:
    """SIGSTOP until the broker has aborted the open transaction by itself."""
    scorer = _someone(stage)
    scorer.process.send_signal(signal.SIGSTOP)
    stage.pause(TRANSACTION_S + _ABORTED_S)
    scorer.send(signal.SIGCONT)


def zombie_replaced(stage: Stage) -> None:
    """SIGSTOP beyond the session while another takes over, then SIGCONT: the first is fenced."""
    scorer = _someone(stage)
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
    if not _answers_again(stage):
        detail = f"nothing answered {_LIVELY_S:.0f} s after the last start: all wait for all"
        stage.found.add("livelock", detail)


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


def clock_jump(stage: Stage) -> None:
    """The scorers' clock is hours wrong for a while, ahead or behind, while partitions lag."""
    hours = float(stage.rng.uniform(1.0, 48.0)) * (1 if stage.rng.random() < 0.7 else -1)
    if not stage.feeder.is_alive():
        raise NotNowError
    stage.feeder.lagging = True
    stage.pause(0.5)
    stage.clock.jump(hours * 3_600)
    stage.pause(1.0)
    stage.feeder.lagging = False
    stage.pause(1.0)
    stage.clock.jump(0.0)


def lagging_partitions(stage: Stage) -> None:
    """Half of the partitions get nothing for a while, then all of it: the others wait."""
    if not stage.feeder.is_alive():
        raise NotNowError
    stage.feeder.lagging = True
    stage.pause(float(stage.rng.uniform(1.0, 4.0)))
    stage.feeder.lagging = False


def changed_meaning(stage: Stage) -> None:
    """A start with a feature that means something else than the model learned: it is refused."""
    features = [
        each | {"window": "2d"} if each["name"] == _CHANGED else each
        for each in stage.settings["features"]
    ]
    path = stage.folder / "changed.toml"
    configuration.write(path, stage.settings | {"features": features})
    scorer = stage.scorers.start(path)
    ended = stage.until(lambda: scorer.process.poll() is not None, _REFUSED_S)
    said = scorer.last_words()
    if not ended or scorer.process.returncode not in (1, 2) or f"{_CHANGED!r}" not in said:
        code = scorer.process.returncode
        stage.found.add("changed feature not refused", f"{scorer.log}: exit code {code}: {said}")
        scorer.send(signal.SIGKILL)


def more_features(stage: Stage) -> None:
    """A restart with other features declared beside the model's: state of them is rebuilt."""
    plain, wider = stage.folder / "weir.toml", stage.folder / "wider.toml"
    features = stage.settings["features"] + configuration.MORE_FEATURES
    configuration.write(wider, stage.settings | {"features": features})
    stage.scorers.config = plain if stage.scorers.config == wider else wider
    for scorer in stage.scorers.awake:
        scorer.send(signal.SIGTERM)
    _answers_again(stage)


def garbage_in_snapshots(stage: Stage) -> None:
    """Snapshots are written over, and the scorer that could go on without them is killed."""
    snapshot_damage.write_garbage(stage.cluster.bootstrap_servers, _SNAPSHOTS, stage.rng)
    kill_scorer(stage)
    _answers_again(stage)  # all input is read again: who is killed again before has done nothing


def snapshots_gone(stage: Stage) -> None:
    """All snapshots are deleted, and the scorer that could go on without them is killed."""
    snapshot_damage.remove_records(stage.cluster.bootstrap_servers, _SNAPSHOTS)
    kill_scorer(stage)
    _answers_again(stage)


def _habit(**changes: Any) -> Callable[[Stage], None]:
    """The next thousand events or so are unusual."""

    def fault(stage: Stage) -> None:
        feeder = stage.feeder
        until = feeder.sent + _UNUSUAL_EVENTS
        feeder.habits = replace(Habits(), **changes)
        stage.until(lambda: feeder.sent >= until or not feeder.is_alive(), _UNUSUAL_S)
        feeder.habits = Habits()
        if feeder.sent < until:
            raise NotNowError

    return fault


FAULTS: dict[str, tuple[int, Callable[[Stage], None]]] = {
    "kill scorer": (4, kill_scorer),
    "terminate scorer": (3, terminate_scorer),
    "suspend scorer": (2, suspend_scorer),
    "zombie": (1, zombie),
    "zombie, replaced": (1, zombie_replaced),
    "outlived transaction": (1, outlived_transaction),
    "second scorer": (2, second_scorer),
    "contention": (1, contention),
    "kill broker": (1, kill_broker),
    "restart broker": (1, restart_broker),
    "suspend broker": (1, suspend_broker),
    "full disk": (1, full_disk),
    "cut all connections": (2, cut_all),
    "cut some connections": (2, cut_some),
    "tear a message": (2, tear),
    "stall": (2, stall),
    "refuse connections": (1, refuse),
    "slow network": (1, slow),
    "clock jump": (1, clock_jump),
    "changed feature": (1, changed_meaning),
    "more features": (1, more_features),
    "lagging partitions": (1, lagging_partitions),
    "garbage in snapshots": (1, garbage_in_snapshots),
    "snapshots gone": (1, snapshots_gone),
    "malformed events": (2, _habit(malformed=0.3)),
    "duplicated events": (1, _habit(twice=0.5)),
    "disordered events": (1, _habit(late=0.5)),
    "late beyond allowance": (1, _habit(too_late=0.1)),
    "garbage on labels": (1, _habit(bad_labels=0.5)),
    "new event fields": (1, _habit(new_fields=1.0)),
    "clock behind": (1, _habit(record_time=1_500_000_000_000)),
    "clock of years ago": (1, _habit(record_time=1_600_000_000_000)),
}
"""Each kind's weight in a plan, and what does it."""

WEIGHTS = {kind: weight for kind, (weight, _) in FAULTS.items()}


def possible(stage: Stage) -> list[str]:
    """The kinds that this machine allows."""
    return [kind for kind in FAULTS if kind != "full disk" or stage.cluster.disk.can_fill]


def inject(fault: Fault, stage: Stage) -> bool:
    """Do it, and return when its own course is over; recovery may take longer.

    Returns whether it was done: one that needs a scorer or the broker may come while an earlier
    one has not healed.
    """
    try:
        FAULTS[fault.kind][1](stage)
    except (NotNowError, KafkaException):
        return False
    return True
