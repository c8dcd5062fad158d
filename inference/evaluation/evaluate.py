"""How good a model is, once it is known which events were fraud: every figure in one record."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inference.evaluation.metrics import (
    auc,
    average_precision,
    brier_score,
    card_precision_at_k,
    check_shapes,
    expected_calibration_error,
    precision_at_capacity,
    recall_at_capacity,
)
from streams.files.columns import UNLABELLED

__all__ = [
    "UNLABELLED",
    "DecisionCount",
    "Evaluation",
    "auc",
    "average_precision",
    "brier_score",
    "card_precision_at_k",
    "evaluate",
    "event_days",
    "expected_calibration_error",
    "precision_at_capacity",
    "recall_at_capacity",
]

DAY_MS = 86_400_000


def event_days(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC days since the epoch of event times in milliseconds, shape (n,)."""
    return np.asarray(times_ms, dtype=np.int64) // DAY_MS


@dataclass(frozen=True)
class DecisionCount:
    """What became of one decision: all events, those with a label, and the frauds of these."""

    events: int
    labelled: int
    frauds: int


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one set of events; figures are over the labelled ones.

    ``events`` counts all of them, ``days`` the UTC days that hold a labelled one. ``undefined``
    names each figure that is ``NaN``, and the reason.
    """

    events: int
    labelled: int
    frauds: int
    days: int
    k: int
    capacity_per_day: int
    auc: float
    average_precision: float
    card_precision: float
    recall_at_capacity: float
    precision_at_capacity: float
    brier: float
    calibration_error: float
    decisions: dict[str, DecisionCount] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a figure that is undefined is ``None``."""
        plain = asdict(self)
        return plain | dict.fromkeys(self.undefined)


def evaluate(
    *,
    times_ms: NDArray[np.int64],
    cards: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    probabilities: ArrayLike,
    decisions: ArrayLike | None = None,
    k: int = 100,
    capacity_per_day: int = 100,
) -> Evaluation:
    """Compute every figure of an `Evaluation` on columns of shape (n,).

    Events labelled `UNLABELLED` are counted, and left out of every figure: the review capacity
    goes to labelled events only.

    Args:
        times_ms: event times, UTC milliseconds.
        cards: whose card it was; whole numbers or strings.
        labels: 1 fraud, 0 genuine, `UNLABELLED` not known.
        scores: higher is more suspicious.
        probabilities: calibrated probability of fraud, in [0, 1].
        decisions: what the policy said, strings such as ``"review"``; optional.
        k: cards checked in a day, for the card precision.
        capacity_per_day: events reviewed in a day.

    Raises:
        ValueError: shapes differ, or a value lies outside its range.
    """
    marks = np.asarray(labels)
    columns = {
        "times_ms": np.asarray(times_ms),
        "cards": np.asarray(cards),
        "scores": np.asarray(scores),
        "probabilities": np.asarray(probabilities),
    }
    said = None if decisions is None else np.asarray(decisions)
    check_shapes(marks, **columns, **({} if said is None else {"decisions": said}))
    known = marks != UNLABELLED
    truth = marks[known]
    day = event_days(columns["times_ms"])[known]
    card, score, probability = (
        columns[name][known] for name in ("cards", "scores", "probabilities")
    )
    figures = {
        "auc": auc(truth, score),
        "average_precision": average_precision(truth, score),
        "card_precision": card_precision_at_k(day, card, truth, score, k),
        "recall_at_capacity": recall_at_capacity(truth, score, day, capacity_per_day),
        "precision_at_capacity": precision_at_capacity(truth, score, day, capacity_per_day),
        "brier": brier_score(truth, probability),
        "calibration_error": expected_calibration_error(truth, probability),
    }
    if not len(truth):
        reason = "no labelled events"
    elif not truth.any():
        reason = "no fraud among the labelled events"
    else:
        reason = "only fraud among the labelled events"
    return Evaluation(
        events=len(marks),
        labelled=len(truth),
        frauds=int(truth.sum()),
        days=len(np.unique(day)),
        k=k,
        capacity_per_day=capacity_per_day,
        **figures,
        decisions={} if said is None else _count_decisions(said, marks),
        undefined={name: reason for name, figure in figures.items() if np.isnan(figure)},
    )


def _count_decisions(decisions: NDArray[Any], labels: NDArray[Any]) -> dict[str, DecisionCount]:
    return {
        str(decision): DecisionCount(
            events=int(np.sum(decisions == decision)),
            labelled=int(np.sum(labels[decisions == decision] != UNLABELLED)),
            frauds=int(np.sum(labels[decisions == decision] == 1)),
        )
        for decision in np.unique(decisions)
    }
