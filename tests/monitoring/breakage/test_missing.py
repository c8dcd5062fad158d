import numpy as np

from monitoring.breakage.magnitudes import BUCKETS, NAN
from monitoring.breakage.missing import missing_change


def counts(missing: int, there: int) -> np.ndarray:
    found = np.zeros(BUCKETS, np.int64)
    found[NAN], found[1_000] = missing, there
    return found


def test_nulls_that_appear_are_found_within_a_few_events() -> None:
    change = missing_change(counts(0, 20_000), counts(8, 0))
    assert change is not None
    assert (change.share, change.before) == (1.0, 0.0)
    assert missing_change(counts(0, 20_000), counts(2, 0)) is None
    assert missing_change(counts(0, 20_000), counts(30, 970)) is not None


def test_a_feature_that_used_to_be_missing_is_there_now() -> None:
    change = missing_change(counts(19_000, 1_000), counts(10, 190))
    assert change is not None
    assert change.share == 0.05
    assert missing_change(counts(19_000, 1_000), counts(185, 15)) is None


def test_quiet_shares_that_vary_by_the_hour_are_none() -> None:
    """Odds up to twice those of the reference, 2,000 windows."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(2_000):
        share = rng.choice([0.0005, 0.02, 0.3, 0.9])
        past, n = rng.binomial(5_000, share), int(rng.integers(10, 2_000))
        odds = share / (1 - share) * rng.uniform(0.5, 2)
        now = rng.binomial(n, odds / (1 + odds))
        wrong += missing_change(counts(past, 5_000 - past), counts(now, n - now)) is not None
    assert wrong == 0
    assert missing_change(counts(1, 1), counts(0, 0)) is None
