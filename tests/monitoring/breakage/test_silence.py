import numpy as np
import pytest

from monitoring.breakage.silence import HOUR_MS, newcomers, silent, taken_over, usual

DAY = 1_440
DAY_MS = 24 * HOUR_MS


def minutes(rng: np.random.Generator, days: int, rate: float, bursts: float = 0) -> np.ndarray:
    """Nearly none at night, twice the rate at noon; bursts of 20 minutes of that variance."""
    hour = np.arange(days * DAY) / 60 % 24
    profile = np.maximum(0.02, 1 + np.sin((hour - 8) * 2 * np.pi / 24))
    burst = np.repeat(rng.gamma(1 / bursts, bursts, days * 72), 20) if bursts else 1.0
    return rng.poisson(rate * profile * burst)


@pytest.mark.parametrize("rate", [1.0, 50.0])
@pytest.mark.parametrize("bursts", [0.0, 1.0])
def test_nights_and_bursts_are_no_silence_and_a_silence_is_dated(
    rate: float, bursts: float
) -> None:
    alarms, off = 0, []
    for seed in range(6):
        counts = minutes(np.random.default_rng((seed, 1)), 24, rate, bursts)
        past = usual(counts[: 21 * DAY], 0)
        days, first = counts[21 * DAY :].copy(), 21 * DAY_MS
        alarms += sum(silent(days[:end], first, past) is not None for end in range(9, 3 * DAY, 30))
        noon = 2 * DAY + 12 * 60
        days[noon:] = 0
        found = silent(days[: noon + 360], first, past)
        assert found is not None
        assert found.expected > 5
        off.append(abs(found.since - first - noon * 60_000) / 60_000)
    assert alarms == 0
    assert np.median(off) <= (60 if bursts else 15)


def test_a_short_past_knows_its_own_nights() -> None:
    """One night is known as a gap: a second one is none, a day without events is."""
    counts = minutes(np.random.default_rng(5), 3, 20.0)
    past = usual(counts[: 2 * DAY], 0)
    assert silent(counts[2 * DAY : 2 * DAY + 600], 2 * DAY_MS, past) is None
    dead = np.zeros(DAY, np.int64)
    found = silent(dead, 2 * DAY_MS, past)
    assert found is not None
    assert found.since == 2 * DAY_MS


def test_a_slow_producer_needs_long_and_nobody_is_silent_who_never_spoke() -> None:
    counts = np.random.default_rng(6).poisson(1 / 60, 21 * DAY)
    past = usual(counts, 0)
    assert silent(np.zeros(8 * 60, np.int64), 21 * DAY_MS, past) is None
    assert silent(np.zeros(4 * DAY, np.int64), 21 * DAY_MS, past) is not None
    never = usual(np.zeros(DAY, np.int64), 0)
    assert silent(np.zeros(DAY, np.int64), DAY_MS, never) is None
    assert silent(np.zeros(0, np.int64), 0, past) is None
    with pytest.raises(ValueError, match="a block"):
        usual(np.zeros(0, np.int64), 0)


def test_a_version_that_is_rolled_out_takes_over() -> None:
    seen = {"4.1.0": 0, "4.2.0": 10 * HOUR_MS, "4.2.1": 10 * HOUR_MS + 60_000}
    assert newcomers(seen, 10 * HOUR_MS + 50_000) == ["4.2.1", "4.2.0"]
    assert newcomers(seen, 20 * HOUR_MS) == []
    assert taken_over(1_000, {"4.2.0": 700})
    assert not taken_over(1_000, {"4.2.0": 300})
    assert not taken_over(0, {})
