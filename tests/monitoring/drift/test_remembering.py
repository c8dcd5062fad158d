"""A window that remembers broken data is not broken itself, once its field is whole again."""

import numpy as np
import pytest
from monitored import NAMES, reference
from msgspec.structs import replace
from numpy.typing import NDArray
from watching import Watching

from monitoring.counting.memory import Memory, memories
from monitoring.counting.model_bins import ModelBins
from monitoring.drift.remembering import with_memory
from monitoring.episodes.episode import Episode, MovedFeature, with_features
from monitoring.settings import MonitorSettings

DAY = 86_400_000
KNOWN = {
    "amount": Memory("amount", 0),
    "mean_1d": Memory("amount", DAY),
    "mean_30d": Memory("amount", 30 * DAY),
    "rate": Memory("rate", 0),
}


def broken(name: str, back: int | None = None, kind: str = "unit_change") -> MovedFeature:
    return MovedFeature(name, 1, 9.0, 0.3, 50, 1.0, 2.0, f"{name}: twice", kind, back=back)


def test_how_far_back_features_look_is_read_from_what_a_package_declares() -> None:
    definitions = {
        "features": [
            {"name": "amount", "kind": "field", "field": "amount"},
            {"name": "hour", "kind": "calendar", "part": "hour"},
            {"name": "mean_1d", "kind": "window", "field": "amount", "window": DAY, "delay": 7},
            {"name": "count_1d", "kind": "window", "field": None, "window": DAY},
        ]
    }
    assert memories(definitions) == {
        "amount": Memory("amount", 0),
        "mean_1d": Memory("amount", DAY + 7),
    }
    assert memories({}) == {}


@pytest.mark.parametrize(
    ("features", "now", "remembering"),
    [
        ([broken("amount"), broken("mean_30d")], 9, []),
        ([broken("amount", back=5), broken("mean_30d")], 9, ["mean_30d"]),
        ([broken("amount", back=5), broken("mean_30d", back=8)], 9, []),
        ([broken("amount", back=5), broken("mean_1d")], 5 + 2 * DAY, ["mean_1d"]),
        ([broken("amount", back=5), broken("mean_1d")], 6 + 2 * DAY, []),
        ([broken("mean_1d", back=5), broken("mean_30d")], 9, ["mean_30d"]),
        ([broken("mean_30d")], 9, []),
        ([broken("rate", back=5), broken("mean_30d")], 9, []),
        ([broken("amount", back=5), broken("mean_30d", kind="covariate_shift")], 9, []),
        ([broken("amount", back=5), broken("unknown")], 9, []),
    ],
)
def test_a_window_remembers_once_its_field_is_whole(
    features: list[MovedFeature], now: int, remembering: list[str]
) -> None:
    found = with_memory(features, KNOWN, now)
    assert [each.name for each in found if each.remembers == 5] == remembering
    assert [replace(each, remembers=None) for each in found] == features
    assert with_memory(found, KNOWN, now) == found


def test_an_episode_whose_windows_only_remember_is_mended() -> None:
    features = with_memory([broken("amount", back=5), broken("mean_30d")], KNOWN, 9)
    episode = Episode("b", "m", "data_breakage", "page", "open", 1, 1, features)
    assert (episode.mended, episode.retraining) == (5, None)
    assert episode.away == ["mean_30d"]
    over = [replace(each, back=each.back or 8) for each in features]
    closed = replace(episode, features=with_memory(over, KNOWN, 9), state="closed", ended=8)
    assert closed.breakages == [(1, 5)], "its window came back much later than its field"
    again = replace(episode, features=with_memory([broken("amount"), features[1]], KNOWN, 9))
    assert (again.mended, again.retraining) == (None, "blocked")


def test_a_field_that_breaks_once_more_breaks_its_windows_once_more() -> None:
    features = with_memory([broken("amount", back=5), broken("mean_30d")], KNOWN, 9)
    episode = Episode("b", "m", "data_breakage", "page", "open", 1, 1, features)
    twice = with_memory([replace(broken("amount"), since=20), features[1]], KNOWN, 25)
    assert [(each.since, each.remembers) for each in twice] == [(20, None), (20, None)]
    episode = with_features(episode, twice)
    assert episode.breakages == [(1, 5), (20, None)]
    whole = with_memory([replace(twice[0], back=30), twice[1]], KNOWN, 31)
    assert with_features(episode, whole).breakages == [(1, 5), (20, 30)]


def test_a_field_that_moves_to_another_world_breaks_nothing_that_only_remembers() -> None:
    features = with_memory([broken("amount", back=5), broken("mean_30d")], KNOWN, 9)
    moved = [replace(broken("amount", kind="covariate_shift"), since=20), features[1]]
    assert [each.remembers for each in with_memory(moved, KNOWN, 25)] == [None, 5]
    later = with_memory(moved, KNOWN, 6 + 60 * DAY)
    assert [each.remembers for each in later] == [None, None], "not for ever"


def cents(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[:, 0] *= 100
    afterwards(values, countries)


def afterwards(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[:, 2] = (values[:, 2] + 1) * 100


@pytest.mark.parametrize("field", ["amount", "another"])
def test_a_day_of_broken_data_blocks_no_retraining_for_a_month(field: str) -> None:
    known = {"amount": Memory("amount", 0), "count": Memory(field, 30 * DAY)}
    watching = Watching(MonitorSettings(), ModelBins(NAMES, reference(), memories=known))
    assert watching.pass_by(80, 1) == []
    watching.pass_by(30, 2, cents)
    assert watching.said[-1].retraining == "blocked"
    watching.pass_by(120, 3, afterwards)
    last = watching.said[-1]
    (count,) = [each for each in last.features if each.name == "count"]
    assert (last.state, count.is_broken, count.back) == ("open", True, None)
    assert (last.retraining is None) == (count.remembers is not None) == (field == "amount")
