"""What moved in the same events is said of an episode, and the same whoever is killed."""

import numpy as np
from monitored import NAMES
from numpy.typing import NDArray
from watching import Watching

from monitoring.settings import MonitorSettings

SETTINGS = MonitorSettings()


def a_third(values: NDArray[np.float32], countries: NDArray[np.int64]) -> None:
    values[::3, 0] *= 20
    values[::3, 2] += 4


def test_features_that_moved_in_the_same_events_are_named_with_their_share() -> None:
    watching = Watching(SETTINGS)
    watching.pass_by(60, 1)
    watching.pass_by(120, 2, a_third)
    together = watching.said[-1].together
    assert together is not None
    assert {name for name, _ in together.features} == {NAMES[0], NAMES[2]}
    assert together.vectors == 1_000
    assert 0.25 < together.share < 0.4
    assert together.auc > 0.6
    vectors = [each.together.vectors for each in watching.said if each.together is not None]
    assert vectors == sorted(vectors)
    assert len(set(vectors)) <= 4, "it is asked anew with each doubling"


def test_kills_change_nothing() -> None:
    calm, killed = Watching(SETTINGS), Watching(SETTINGS)
    for each, kills in ((calm, False), (killed, True)):
        each.pass_by(20, 1, killed=kills)
        each.pass_by(60, 2, a_third, killed=kills)
    assert killed.said == calm.said
    assert calm.said[-1].together is not None
