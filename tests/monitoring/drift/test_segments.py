"""Segments: each is watched against its own first days, and named where it moves by itself."""

import numpy as np
from numpy.typing import NDArray
from watching import COUNTRIES, Watching

from monitoring.settings import MonitorSettings

SETTINGS = MonitorSettings(promotion_span="1h", segments=("country",))
FOUND = 75
"""Minutes until countries are found, and their first days are over."""


def dearer(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[:, 0] *= 2


def dearer_in_italy(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[countries == COUNTRIES.index("IT"), 0] *= 3


def segments(watching: Watching) -> set[tuple[str, str | None]]:
    """Features and segments that were named."""
    found = {(each.name, each.segment) for said in watching.said for each in said.features}
    return {(name, segment) for name, segment in found if segment is not None}


def test_quiet_segments_that_differ_say_nothing() -> None:
    for seed in range(3):
        watching = Watching(SETTINGS)
        watching.pass_by(240, seed)
        assert segments(watching) == set()
        kept = [key for key in watching.state if b"/watched" in key and b"/segment/" in key]
        assert len(kept) == 3, "the others are none, so they are not watched"


def test_a_change_in_one_segment_is_named_with_it() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(FOUND, 1)
    watching.pass_by(60, 2, dearer_in_italy)
    named = segments(watching)
    assert ("amount in country=IT", "country=IT") in named
    assert {segment for _, segment in named} == {"country=IT"}
    (amount,) = [each for each in watching.said[-1].features if "amount in" in each.name]
    assert amount.references == ("promotion",)
    assert amount.words.startswith("amount in country=IT: its median went from")


def test_it_is_over_when_the_segment_is_back() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(FOUND, 1)
    watching.pass_by(30, 2, dearer_in_italy)
    watching.pass_by(150, 3)
    (amount,) = [each for each in watching.said[-1].features if "amount in" in each.name]
    assert amount.back is not None


def test_a_change_of_all_is_not_named_for_each_segment() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(FOUND, 1)
    watching.pass_by(60, 2, dearer)
    assert "amount" in {each.name for each in watching.said[-1].features}
    assert segments(watching) == set()


def test_another_mix_of_segments_is_no_change_in_them() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(FOUND, 1)
    watching.pass_by(90, 2, mix=(0.6, 0.2, 0.2))
    assert segments(watching) == set()


def test_a_value_that_was_not_there_counts_as_others() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(FOUND, 1, mix=(0.5, 0.5, 0.0))
    watching.pass_by(30, 2)
    assert any(b"country/stream/002/collected" in key for key in watching.state)


def test_kills_change_nothing() -> None:
    steady, killed = Watching(SETTINGS), Watching(SETTINGS)
    for watching, kills in ((steady, False), (killed, True)):
        watching.pass_by(FOUND, 1, killed=kills)
        watching.pass_by(20, 2, dearer_in_italy, killed=kills)
    assert killed.said == steady.said != []
    assert killed.state == steady.state
