"""The population stability index, and the test of whether it matters."""

import numpy as np
import pytest

from monitoring.statistics.effect import log_p_small, psi


def test_psi_of_what_has_not_moved_is_nothing() -> None:
    share = np.array([0.2, 0.3, 0.5])
    assert psi(share * 1e9, share) == pytest.approx(0, abs=1e-9)
    moved = np.array([0.3, 0.3, 0.4])
    by_hand = 0.1 * np.log(0.3 / 0.2) - 0.1 * np.log(0.4 / 0.5)
    assert psi(moved * 1e9, share) == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("rows", [np.inf, 4_000])
@pytest.mark.parametrize("inflation", [1, 4])
def test_of_what_does_not_matter_few_windows_are_called(rows: float, inflation: int) -> None:
    """Shares that are 0.02 away, by PSI: one in twenty, at a level of one in twenty."""
    rng = np.random.default_rng(5)
    share = np.full(12, 1 / 12)
    tilt = np.linspace(-1, 1, 12)
    now = share * np.exp(0.224 * tilt)
    now /= now.sum()
    assert psi(now * 1e9, share) == pytest.approx(0.02, abs=0.002)
    called = 0
    for _ in range(600):
        known = share if rows == np.inf else rng.multinomial(rows, share) / rows
        counts = rng.multinomial(2_000, now) * inflation
        found = log_p_small(
            counts, known, delta=0.022, clusters=np.full(len(known), inflation), rows=rows
        )
        called += found <= np.log(0.05)
    assert called <= 0.07 * 600


def test_what_matters_is_called_in_windows_that_are_large_enough() -> None:
    share = np.full(12, 1 / 12)
    now = share * np.exp(np.linspace(-0.5, 0.5, 12))
    now /= now.sum()
    found = [
        log_p_small(now * events, share, delta=0.02, clusters=np.ones(len(share)), rows=np.inf)
        for events in (50, 500, 5_000)
    ]
    assert found[0] > found[1] > found[2]
    assert found[0] > np.log(0.05) > found[2]


def test_no_events_and_one_bin_say_nothing() -> None:
    share = np.array([1e-6, 1 - 2e-6, 1e-6])
    assert log_p_small([0, 0, 0], share, delta=0.02, clusters=np.ones(len(share)), rows=np.inf) == 0
    assert (
        log_p_small([0, 100, 0], share, delta=0.02, clusters=np.ones(len(share)), rows=np.inf) == 0
    )
