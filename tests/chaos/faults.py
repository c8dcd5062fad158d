"""The kinds of faults, and the seeded plan of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from confluent_kafka import KafkaException

from tests.chaos.cluster_faults import (
    cut_all,
    cut_some,
    full_disk,
    kill_broker,
    refuse,
    restart_broker,
    slow,
    stall,
    suspend_broker,
    tear,
)
from tests.chaos.content_faults import (
    changed_meaning,
    clock_jump,
    garbage_in_snapshots,
    lagging_partitions,
    more_features,
    snapshots_gone,
    unreadable_batches,
    unusual,
)
from tests.chaos.control_faults import (
    bad_model,
    bad_policy,
    burst,
    canary,
    canary_and_kill,
    model_swap,
    policy_change,
    rollback,
    swap_and_kill,
    swap_and_lose_broker,
    swap_and_suspend,
)
from tests.chaos.position_faults import (
    added_partitions,
    forgetful_coordinator,
    lost_offsets,
    old_offsets,
)
from tests.chaos.scorer_faults import (
    contention,
    fewer_workers,
    kill_all,
    kill_scorer,
    more_workers,
    outlived_transaction,
    rolling_restart,
    second_scorer,
    suspend_scorer,
    terminate_scorer,
    zombie,
    zombie_replaced,
)
from tests.chaos.shadow.faults import (
    candidate,
    candidate_and_kill,
    hit_candidate,
    kill_shadow,
    restart_shadow,
    suspend_shadow,
)
from tests.chaos.stage import NotNowError, Stage
from tests.chaos.watch.faults import kill_monitor, restart_monitor, suspend_monitor


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


FAULTS: dict[str, tuple[int, Callable[[Stage], None]]] = {
    "kill scorer": (4, kill_scorer),
    "terminate scorer": (3, terminate_scorer),
    "suspend scorer": (2, suspend_scorer),
    "zombie": (1, zombie),
    "zombie, replaced": (1, zombie_replaced),
    "outlived transaction": (1, outlived_transaction),
    "second scorer": (2, second_scorer),
    "contention": (1, contention),
    "kill all scorers": (1, kill_all),
    "rolling restart": (1, rolling_restart),
    "fewer workers": (2, fewer_workers),
    "more workers": (2, more_workers),
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
    "lost offsets": (2, lost_offsets),
    "old offsets": (1, old_offsets),
    "forgetful coordinator": (2, forgetful_coordinator),
    "added partitions": (1, added_partitions),
    "model swap": (4, model_swap),
    "rollback": (1, rollback),
    "policy change": (2, policy_change),
    "canary": (4, canary),
    "canary and kill": (1, canary_and_kill),
    "kill shadow": (3, kill_shadow),
    "suspend shadow": (2, suspend_shadow),
    "restart shadow": (2, restart_shadow),
    "hit candidate": (2, hit_candidate),
    "candidate": (4, candidate),
    "candidate and kill": (1, candidate_and_kill),
    "kill monitor": (3, kill_monitor),
    "suspend monitor": (1, suspend_monitor),
    "restart monitor": (1, restart_monitor),
    "bad model": (2, bad_model),
    "bad policy": (1, bad_policy),
    "burst of commands": (1, burst),
    "swap and kill": (2, swap_and_kill),
    "swap and suspend": (1, swap_and_suspend),
    "swap and lose broker": (1, swap_and_lose_broker),
    "unreadable batches": (2, unreadable_batches),
    "malformed events": (2, unusual(malformed=0.3)),
    "duplicated events": (1, unusual(twice=0.5)),
    "disordered events": (1, unusual(late=0.5)),
    "late beyond allowance": (1, unusual(too_late=0.1)),
    "garbage on labels": (1, unusual(bad_labels=0.5)),
    "new event fields": (1, unusual(new_fields=1.0)),
    "clock behind": (1, unusual(record_time=1_500_000_000_000)),
    "clock of years ago": (1, unusual(record_time=1_600_000_000_000)),
}
"""Each kind's weight in a plan, and what does it."""

WEIGHTS = {kind: weight for kind, (weight, _) in FAULTS.items()}

OF_FUSED = {"second scorer", "contention", "more features"}
"""Staged workers do not fence each other off, and begin anew with features."""
OF_STAGED = {"kill all scorers", "rolling restart", "fewer workers", "more workers"}
"""One that is alone is killed and ended anyway."""


def kinds_of(topology: str) -> list[str]:
    """The kinds that a topology knows."""
    other = OF_STAGED if topology == "fused" else OF_FUSED
    return [kind for kind in FAULTS if kind not in other]


def possible(stage: Stage) -> list[str]:
    """The kinds that this topology knows and this machine allows."""
    kinds = kinds_of("staged" if stage.staged else "fused")
    if not stage.cluster.disk.can_fill:
        kinds.remove("full disk")
    if stage.staged and stage.settings["stages"]["keyed"]:
        kinds.remove("added partitions")  # it would end the workers, and leave the choice to us
    return kinds


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
