"""A seed fixes plan and world, and a plan of a full campaign has faults of every kind."""

import numpy as np

from tests.chaos.faults import FAULTS, OF_FUSED, OF_STAGED, WEIGHTS, kinds_of, plan
from tests.chaos.world import Habits, Tick, World


def test_a_full_plan_has_every_kind_as_often_as_its_weight_says() -> None:
    planned = plan(np.random.default_rng(3), 220, 1_200.0, list(FAULTS))
    times = [fault.at for fault in planned]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] <= 1_200.0
    rounds = 220 // sum(WEIGHTS.values())
    assert rounds >= 1
    for kind, weight in WEIGHTS.items():
        count = sum(fault.kind == kind for fault in planned)
        assert rounds * weight <= count <= (rounds + 1) * weight


def test_a_topology_has_faults_of_its_own() -> None:
    fused, staged = set(kinds_of("fused")), set(kinds_of("staged"))
    assert fused | staged == set(FAULTS)
    assert fused - staged == OF_FUSED
    assert staged - fused == OF_STAGED


def test_a_seed_replays_the_plan() -> None:
    first, again, other = (
        plan(np.random.default_rng(seed), 50, 300.0, list(FAULTS)) for seed in (5, 5, 6)
    )
    assert first == again
    assert first != other


def first_ticks(seed: int) -> list[Tick]:
    world = World(seed, 5_000)
    return [world.tick(500, Habits(malformed=0.1)) for _ in range(3)]


def test_a_seed_replays_the_world() -> None:
    assert first_ticks(5) == first_ticks(5)
    assert first_ticks(5) != first_ticks(6)
