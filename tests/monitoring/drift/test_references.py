"""Two references: what the model was trained on, and what its stream was like after promotion."""

import numpy as np
import pytest
from monitored import NAMES, reference
from numpy.typing import NDArray
from watching import Watching

from monitoring.counting.model_bins import ModelBins
from monitoring.episodes.episode import MovedFeature
from monitoring.settings import MonitorSettings

SETTINGS = MonitorSettings(promotion_span="1h")


def larger(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[:, 0] *= 1.6


def amounts(watching: Watching) -> list[MovedFeature]:
    """What was said of the amount, in order."""
    return [each for said in watching.said for each in said.features if each.name == "amount"]


def test_a_quiet_stream_says_nothing_against_both_references() -> None:
    for seed in range(3):
        watching = Watching(SETTINGS)
        assert watching.pass_by(240, seed) == []
        assert any(b"/promotion/watched" in key for key in watching.state)


def test_a_stream_that_differs_from_the_training_has_not_moved_since_promotion() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(180, 1, larger)
    assert {each.references for each in amounts(watching)} == {("training",)}
    assert amounts(watching)[-1].back is None


def test_back_to_the_training_is_a_change_since_promotion() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(80, 1, larger)
    watching.pass_by(80, 2)
    found = amounts(watching)
    assert found[0].references == ("training",)
    assert found[-1].references == ("promotion",)
    assert "against the model's first days" in found[-1].words
    assert watching.said[-1].state == "open"


def test_what_moves_against_both_is_said_in_one_episode_that_ends() -> None:
    watching = Watching(SETTINGS)
    assert watching.pass_by(80, 1) == []
    watching.pass_by(30, 2, larger)
    watching.pass_by(120, 3)
    assert ("training", "promotion") in {each.references for each in amounts(watching)}
    assert watching.said[-1].state == "closed"
    assert len({each.id for each in watching.said}) == 1


def test_kills_change_nothing() -> None:
    steady, killed = Watching(SETTINGS), Watching(SETTINGS)
    for watching, kills in ((steady, False), (killed, True)):
        watching.pass_by(70, 1, killed=kills)
        watching.pass_by(20, 2, larger, killed=kills)
    assert killed.said == steady.said != []
    assert killed.state == steady.state


def test_without_a_span_there_is_one_reference() -> None:
    watching = Watching(MonitorSettings(promotion_span="0s"))
    watching.pass_by(10, 1)
    assert not any(b"promotion" in key for key in watching.state)


@pytest.mark.parametrize("first", ["hour", "count"])
def test_of_what_has_moved_as_much_the_more_important_comes_first(first: str) -> None:
    shares = dict.fromkeys(NAMES, 0.1) | {first: 0.8}
    bins = ModelBins(NAMES, reference().model_copy(update={"importance": shares}))
    watching = Watching(SETTINGS, bins)

    def missing(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
        half = len(values) // 2
        values[:half, 1] = np.nan
        values[half:, 2] = np.nan

    watching.pass_by(20, 1, missing)
    features = watching.said[-1].features
    assert features[0].name == first
    assert features[0].importance == pytest.approx(2.4)
    assert {each.importance for each in features if each.name.startswith("answer:")} <= {1.0}
