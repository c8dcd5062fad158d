"""What weak labels were worth, once the true ones have come."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm  # type: ignore[import-untyped]

from inference.shadow.statistics.curves import average_precision, difference
from inference.training.fraud_model import fit_fraud_model
from inference.training.settings import TrainingSettings
from inference.training.training_set import Rows, TrainingError, WeakRows
from inference.weak_labels.dawid_skene import fit_rates
from inference.weak_labels.pattern_counts import PatternCounts
from inference.weak_labels.young import certainty

_LEAST_FRAUDS = 10


@dataclass(frozen=True)
class LabelledPast:
    """Events whose true labels have all come.

    Attributes:
        matrix: float32 (n, k).
        votes: of each rule, int8 (n, r).
        labels: 1 for fraud and 0 for legitimate, (n,).
        times: UTC milliseconds, never falling, (n,).
        weights: how many events each stands for, (n,).
    """

    matrix: NDArray[np.float32]
    votes: NDArray[np.int8]
    labels: NDArray[np.int8]
    times: NDArray[np.int64]
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class Worth:
    """Average precision on later events of three models, as they could be trained at one moment.

    Attributes:
        without: of true labels alone.
        with_weak: of these, and of young events by what rules said of them.
        all_known: of the same events, had all labels been known.
        gain: with weak labels minus without.
        low, high: 95 % interval of the gain, for other events of this time; the models as they are.
        trained, young, tested, frauds: how many events; frauds are of the tested ones.
    """

    without: float
    with_weak: float
    all_known: float
    gain: float
    low: float
    high: float
    trained: int
    young: int
    tested: int
    frauds: int


def weak_label_worth(
    past: LabelledPast,
    now: int,
    delay: int,
    settings: TrainingSettings,
    progress: Callable[[str, float], None] = lambda step, share: None,
) -> Worth:
    """Go back to a moment: train on what was known then, with and without weak labels; test after.

    Args:
        now: that moment, UTC milliseconds; events from then on are tested.
        delay: of labels, in ms: at that moment, younger events had none.

    Raises:
        TrainingError: there are too few frauds to train on, or to test.
        WeakLabelError: too little was known to judge the rules by.
    """
    old, end = (int(np.searchsorted(past.times, time)) for time in (now - delay, now))
    known, young, later = slice(0, old), slice(old, end), slice(end, None)
    for name, here in (("known then", known), ("to test", later)):
        frauds = int(np.count_nonzero(past.labels[here]))
        if frauds < _LEAST_FRAUDS:
            raise TrainingError(
                f"{frauds} frauds {name} are too few to say what weak labels were worth; "
                f"{_LEAST_FRAUDS} are needed: take a longer span, or another --test-span"
            )
    labels = np.where(past.times[:end] < now - delay, past.labels[:end], -1).astype(np.int8)
    counts = PatternCounts.of(past.votes[:end], labels, past.weights[:end])
    chance = fit_rates(counts).chance[counts.place_of(past.votes[young])]
    weak = WeakRows(past.matrix[young], chance, certainty(chance))
    true = Rows(past.matrix[known], past.labels[known], past.weights[known])
    every = Rows(past.matrix[:end], past.labels[:end], past.weights[:end])
    curves = []
    for place, (name, rows) in enumerate(
        (("without", true), ("with", weak.beside(true)), ("with all labels", every))
    ):
        progress(f"training {name}" if place == 2 else f"training {name} weak labels", place / 3)
        model = fit_fraud_model(*rows[:2], settings, rows.weights, lambda share: None)
        margin = model.margin(past.matrix[later])
        curves.append(average_precision(past.labels[later], margin, past.weights[later]))
    gain = difference(curves[0], curves[1], past.weights[later])
    radius = float(norm.ppf(0.975) * gain.deviation / np.sqrt(gain.labels))
    return Worth(
        without=curves[0].value,
        with_weak=curves[1].value,
        all_known=curves[2].value,
        gain=gain.value,
        low=gain.value - radius,
        high=gain.value + radius,
        trained=old,
        young=end - old,
        tested=len(past.labels) - end,
        frauds=int(np.count_nonzero(past.labels[later])),
    )
