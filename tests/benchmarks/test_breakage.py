"""What the benchmark of breakage says, of fewer windows: right kinds, and calm where none is."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.breakage import dead_letters, judged, quiet_windows, silences
from benchmarks.drift_worlds.feature_streams import real, simulated

STREAMS = {stream.name: stream for stream in simulated()}


def test_quiet_windows_are_not_called_broken() -> None:
    """2,000 in all, of AR(1), lognormal, zero-inflated, seasonal streams and others: .5 %."""
    rng = np.random.default_rng(21)
    wrong, windows = [], 0
    for stream in STREAMS.values():
        usual = {n: stream.usual(n) for n in (300, 1_000)}
        count, alarms = quiet_windows(stream, 223, list(usual), usual, rng)
        windows, wrong = windows + count, wrong + alarms
    assert windows >= 2_000
    assert len(wrong) <= 0.005 * windows, wrong


@pytest.mark.parametrize("name", ["lognormal", "zero_inflated", "seasonal", "categories"])
def test_faults_get_the_right_kind_and_version(name: str) -> None:
    found = judged(STREAMS[name], 3, 3)
    assert np.mean(list(found["right"].values())) >= 0.95, found["wrong"]
    assert found["version_named"] >= 0.9


def test_silence_is_found_within_a_day() -> None:
    found = silences(4)
    assert found["found"] == 1
    assert found["false"] == 0


def test_bursts_of_dead_letters_are_found_and_noise_is_none() -> None:
    found = dead_letters(200)
    assert found["found"] >= 0.95
    assert found["false"] == 0


def test_data_that_are_not_there_are_named(tmp_path: Path) -> None:
    skipped: list[str] = []
    assert list(real(tmp_path, skipped)) == []
    assert any("handbook/transactions.parquet" in each for each in skipped)
