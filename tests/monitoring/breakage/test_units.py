from collections.abc import Callable

import numpy as np
import pytest

from monitoring.breakage.magnitudes import magnitudes
from monitoring.breakage.units import UnitChange, unit_change

RNG = np.random.default_rng(3)
STREAMS: dict[str, Callable[[int], np.ndarray]] = {
    "amounts": lambda n: RNG.lognormal(4.3, 1.2, n),
    "wide": lambda n: RNG.lognormal(3, 2, n),
    "of both signs": lambda n: RNG.normal(0, 1, n),
    "narrow": lambda n: RNG.normal(10, 2, n),
    "waits": lambda n: RNG.exponential(3, n),
    "small counts": lambda n: RNG.poisson(3, n),
    "mostly zero": lambda n: np.where(RNG.random(n) < 0.7, 0, RNG.lognormal(2, 1, n)),
    "negative": lambda n: -RNG.lognormal(4, 1, n),
}


def found(past: np.ndarray, now: np.ndarray, **options: float) -> UnitChange | None:
    return unit_change(magnitudes(past), magnitudes(now), **options)


@pytest.mark.parametrize("name", STREAMS)
def test_a_known_factor_is_named(name: str) -> None:
    draw = STREAMS[name]
    past = draw(20_000)
    for factor in (100, 0.01, 1_000, 0.001, 60, 3_600, 24, 1 / 24):
        change = found(past, draw(500) * factor)
        assert change is not None, factor
        assert (change.factor, change.share, change.known) == (factor, 1.0, True)


@pytest.mark.parametrize("name", STREAMS)
def test_an_ordinary_shift_is_no_change_of_unit(name: str) -> None:
    """Of the mean by .25 to 1 standard deviations, of the spread by a half, of the logarithm."""
    draw = STREAMS[name]
    past = draw(20_000)
    mean, spread = past.mean(), past.std()
    for n in (100, 500, 3_000):
        assert found(past, draw(n)) is None
        for move in (0.25, 0.5, 1.0):
            assert found(past, draw(n) + move * spread) is None, move
        assert found(past, mean + 1.5 * (draw(n) - mean)) is None
        assert found(past, 1.5 * draw(n)) is None
    if past.min() > 0:
        logs = np.log(past)
        for move in (0.25, 0.5, 1.0):
            assert found(past, draw(1_000) * np.exp(move * logs.std())) is None


def test_groups_that_mix_otherwise_are_no_change_of_unit() -> None:
    def mixed(n: int, share: float) -> np.ndarray:
        large = RNG.random(n) < share
        return np.where(large, RNG.lognormal(7.6, 0.5, n), RNG.lognormal(3, 0.5, n))

    past = mixed(20_000, 0.1)
    for share in (0.02, 0.3, 0.5):
        assert found(past, mixed(5_000, share)) is None


@pytest.mark.parametrize("share", [0.2, 0.3, 0.6])
def test_the_share_of_a_part_is_estimated(share: float) -> None:
    for name in ("amounts", "of both signs", "waits"):
        past, values = STREAMS[name](20_000), STREAMS[name](8_000)
        change = found(past, np.where(RNG.random(8_000) < share, 100 * values, values))
        assert change is not None, name
        assert change.factor == 100
        assert change.share == pytest.approx(share, abs=0.04)


def test_an_unknown_factor_has_to_be_far_or_of_one_who_is_new() -> None:
    past = STREAMS["narrow"](20_000)
    change = found(past, STREAMS["narrow"](500) * 160)
    assert change is not None
    assert not change.known
    assert change.factor == pytest.approx(160, rel=0.1)
    assert found(past, STREAMS["narrow"](2_000) * 0.8) is None
    change = found(past, STREAMS["narrow"](2_000) * 0.8, least=0)
    assert change is not None
    assert change.factor == pytest.approx(0.8, rel=0.1)


def test_few_values_say_nothing() -> None:
    assert found(STREAMS["amounts"](1_000), STREAMS["amounts"](20) * 100) is None
    assert found(np.zeros(1_000), np.full(500, np.nan)) is None
