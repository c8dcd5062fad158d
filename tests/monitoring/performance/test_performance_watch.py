"""Loss of performance: found soon where it is, and seldom where it is not."""

import numpy as np
import pytest
from cohort_world import COSTS, FIRST, day_of, truth_of
from pydantic import TypeAdapter

from monitoring.performance.cohorts.truth import Truth
from monitoring.performance.watch import PerformanceWatch, WatchTerms

TERMS = WatchTerms(baseline_frauds=100, baseline_days=5)
EVENTS = 2_000


def days_of(seed: int, days: int, new: float = 0.0) -> list[Truth]:
    rng = np.random.default_rng(seed)
    return [truth_of(day_of(rng, EVENTS, new=new)) for _ in range(days)]


def run(truths: list[Truth], watch: PerformanceWatch | None = None) -> PerformanceWatch:
    watch = PerformanceWatch(COSTS.worst_difference) if watch is None else watch
    for truth in truths:
        watch = watch.step(max(watch.last, FIRST - 1) + 1, truth, TERMS)
    return watch


def test_a_model_that_does_as_well_as_ever_is_not_called_worse() -> None:
    """240 days: at one in 365, one would be as many as promised."""
    alarms = 0
    for seed in range(4):
        watch = PerformanceWatch(COSTS.worst_difference)
        said = False
        for day, truth in enumerate(days_of(seed, 60)):
            watch = watch.step(FIRST + day, truth, TERMS)
            said |= bool(watch.losses(TERMS))
        alarms += said
    assert alarms <= 1


@pytest.mark.parametrize("quiet", [20, 120])
def test_a_loss_is_found_within_days_however_long_all_was_well(quiet: int) -> None:
    watch = run(days_of(1, quiet))
    assert watch.reference is not None
    assert watch.losses(TERMS) == []
    changed, first = FIRST + quiet, {}
    for truth in days_of(2, 30, new=0.6):
        watch = run([truth], watch)
        for loss in watch.losses(TERMS):
            first.setdefault(loss.figure, watch.last - changed + 1)
    assert set(first) == {"cost", "recall", "average_precision"}
    assert max(first["recall"], first["average_precision"]) <= 12
    for loss in watch.losses(TERMS):
        assert abs(loss.since - changed) <= 15
        assert loss.evidence >= loss.enough
        assert (loss.found > loss.limit) == (loss.figure == "cost")


def test_the_same_days_lead_to_the_same_bytes_however_they_are_stored() -> None:
    truths, stored = days_of(3, 40), TypeAdapter(PerformanceWatch)
    whole, parts = run(truths), PerformanceWatch(COSTS.worst_difference)
    for truth in truths:
        parts = stored.validate_json(stored.dump_json(run([truth], parts)))
    assert stored.dump_json(parts) == stored.dump_json(whole)
    assert len(stored.dump_json(whole)) < 20_000
    assert run([], whole).step(whole.last, truths[0], TERMS) == whole, "a day counts once"
