import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.shadow.statistics.betting import BETS, log_factors
from inference.shadow.statistics.detectors import watch
from inference.shadow.statistics.guardrails import log_rate_factors


def test_the_recursion_is_the_sum_over_all_beginnings() -> None:
    """S_t = Σ_s e_s e_{s+1} ... e_t: an e-process begun at each event."""
    log_e = np.random.default_rng(1).normal(0, 0.7, (30, 4))
    _, evidence = watch(np.zeros(4), log_e)
    for end in range(30):
        begun = [np.exp(log_e[begin : end + 1].sum(axis=0)) for begin in range(end + 1)]
        assert evidence[end] == pytest.approx(np.log(np.mean(np.sum(begun, axis=0))), abs=1e-10)


@given(st.lists(st.integers(0, 40), max_size=5))
def test_batches_of_any_size_and_restarts_give_the_same_bits(cuts: list[int]) -> None:
    log_e = np.random.default_rng(2).normal(0, 0.5, (40, 3, 5))
    whole_state, whole = watch(np.zeros((3, 5)), log_e)
    state, seen = np.zeros((3, 5)), []
    for part in np.split(log_e, sorted(cuts)):
        state, evidence = watch(np.array(json.loads(json.dumps(state.tolist()))), part)
        seen.append(evidence)
    assert np.array_equal(state, whole_state)
    assert np.array_equal(np.concatenate(seen), whole)


def delay(generator: np.random.Generator, quiet: int, streams: int) -> tuple[float, float]:
    """Median delays, of the detector and of an e-process from the start, after a quiet time."""
    events = quiet + 700
    moved = np.arange(events) >= quiet
    # Standard normals cut at 4 deviations, scaled to [-1, 1]; then a shift of half a deviation.
    values = np.clip(generator.normal(0.5 * moved, 1, (streams, events)), -4, 4) / 4
    factors = log_factors(values.ravel(), 1.0).reshape(streams, events, BETS)
    _, evidence = watch(np.zeros((streams, BETS)), factors.swapaxes(0, 1))
    whole = np.logaddexp.reduce(np.cumsum(factors, axis=1), axis=2).T - np.log(BETS)
    alarms = []
    for path in (evidence, whole):
        raised = (path >= np.log(5_000)) & moved[:, None]
        alarms.append(np.where(raised.any(axis=0), raised.argmax(axis=0) - quiet, np.inf))
    return float(np.median(alarms[0])), float(np.median(alarms[1]))


def test_a_late_change_is_found_as_soon_as_an_early_one() -> None:
    generator = np.random.default_rng(3)
    early, _ = delay(generator, 0, 60)
    late, saved_up = delay(generator, 3_000, 60)
    assert late <= early
    assert saved_up > 2 * late


def test_false_alarms_are_as_far_apart_as_wanted() -> None:
    """Batches of 50 events at the limit; A = 200 batches between alarms, begun anew at each."""
    generator = np.random.default_rng(4)
    events = generator.binomial(50, 0.02, (1_000, 60))
    factors = log_rate_factors(events.ravel(), np.full(events.size, 50), 0.02)
    factors = factors.reshape(*events.shape, -1)
    state = np.zeros(factors.shape[1:])
    alarms = 0
    for each in factors:
        state, evidence = watch(state, each[None])
        raised = evidence[0] >= np.log(200)
        state[raised] = 0
        alarms += raised.sum()
    assert 0 < alarms <= events.size / 200


def test_shapes_must_match() -> None:
    with pytest.raises(ValueError, match="log e-values"):
        watch(np.zeros(3), np.zeros((5, 4)))
