"""The latency model learns, and tells which events the model answers too late."""

import numpy as np
import pytest

from inference.routing.deadline import Deadlines, LatencyModel

BUCKETS = (1, 8, 32, 128)
NOW = 1_750_000_000_000


def test_it_learns_a_line_per_bucket() -> None:
    model = LatencyModel(BUCKETS)
    rng = np.random.default_rng(1)
    for rows in rng.integers(1, 129, 4_000):
        slope = 1e-5 if rows <= 8 else 3e-5
        model.observe(int(rows), 0.002 + slope * rows)
    for rows in (9, 20, 32, 100, 128):
        assert model.predict(rows) == pytest.approx(0.002 + 3e-5 * rows, rel=1e-3)
    assert model.predict(5) == pytest.approx(0.002 + 5e-5, rel=1e-3)


def test_more_rows_than_the_largest_bucket_take_as_long_as_their_parts() -> None:
    model = LatencyModel(BUCKETS)
    for _ in range(50):
        model.observe(128, 0.004)
        model.observe(8, 0.001)
    assert model.predict(256) == pytest.approx(0.008)
    assert model.predict(256 + 8) == pytest.approx(0.009)
    model.observe(1_280, 0.04)
    assert model.predict(128) == pytest.approx(0.004)


def test_noise_makes_it_careful() -> None:
    quiet, noisy = LatencyModel(BUCKETS), LatencyModel(BUCKETS)
    rng = np.random.default_rng(2)
    for _ in range(500):
        quiet.observe(32, 0.010)
        noisy.observe(32, max(0.0, 0.010 + 0.003 * rng.standard_normal()))
    assert quiet.predict(32) == pytest.approx(0.010)
    assert 0.014 < noisy.predict(32) < 0.018


def test_it_follows_a_machine_that_grows_slower_or_faster() -> None:
    model = LatencyModel(BUCKETS)
    for seconds in (0.001, 0.050, 0.002):
        for _ in range(400):
            model.observe(100, seconds)
        assert model.predict(100) == pytest.approx(seconds, rel=0.05)


def test_nothing_seen_predicts_nothing() -> None:
    model = LatencyModel(BUCKETS)
    model.observe(0, 5.0)
    assert (model.predict(0), model.predict(7), model.predict(1_000)) == (0.0, 0.0, 0.0)


def arrived(*ages_ms: int) -> np.ndarray:
    return NOW - np.array(ages_ms, np.int64)


def engine(seconds: float) -> LatencyModel:
    model = LatencyModel(BUCKETS)
    for size in BUCKETS:
        model.observe(size, seconds)
    return model


def test_the_oldest_are_missed_first() -> None:
    deadlines = Deadlines(live_within_ms=60_000)
    missed = deadlines.missed(arrived(10, 95, 79, 81, 200), 100, NOW, engine(0.020))
    assert missed.tolist() == [False, True, False, True, True]
    for _ in range(10):
        deadlines.rest.observe(5, 0.050)
    assert deadlines.missed(arrived(10, 31, 29), 100, NOW, engine(0.020)).tolist() == [
        False,
        True,
        False,
    ]


def test_history_is_the_models() -> None:
    missed = Deadlines(60_000).missed(arrived(61_000, 59_000, 10), 100, NOW, engine(0.001))
    assert missed.tolist() == [False, True, False]


def test_an_engine_that_was_slow_gets_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("inference.routing.deadline.monotonic", lambda: clock[0])
    deadlines, slow = Deadlines(60_000), engine(5.0)
    assert deadlines.missed(arrived(1, 2), 100, NOW, slow).all()
    clock[0] += 1.0
    assert not deadlines.missed(arrived(1, 2), 100, NOW, slow).any(), "now it is asked"
    assert deadlines.missed(arrived(1, 2), 100, NOW, slow).all()
    for _ in range(12):
        clock[0] += 1.0
        if not deadlines.missed(arrived(1, 2), 100, NOW, slow).any():
            slow.observe(2, 0.001)
    assert not deadlines.missed(arrived(1, 2), 100, NOW, slow).any(), "it has become fast"
