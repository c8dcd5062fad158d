"""Metrics of fraud detection: how well scores rank, and how true probabilities are.

All functions are pure and take columns of one shape (n,): ``labels`` 0 or 1, ``scores`` where
higher means more suspicious, ``days`` event-time UTC days as whole numbers. A figure that does
not exist for the data, such as the AUC where nothing was fraud, is ``NaN``.
"""

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve, ties counted half; ``NaN`` unless both classes are present.

    Args:
        labels, scores: (n,).
        weights: events that each one stands for, (n,); 1 where None.
    """
    labels, scores = _labels_and(labels, "scores", scores)
    if labels.all() or not labels.any():
        return float("nan")
    # Imported when needed: scikit-learn takes seconds, and every command would pay them.
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores, sample_weight=weights))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Σ (recall_i - recall_{i-1}) precision_i over the distinct scores; ``NaN`` without fraud.

    Args:
        labels, scores: (n,).
        weights: events that each one stands for, (n,); 1 where None.
    """
    labels, scores = _labels_and(labels, "scores", scores)
    if not labels.any():
        return float("nan")
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores, sample_weight=weights))


def card_precision_at_k(
    days: ArrayLike, cards: ArrayLike, labels: ArrayLike, scores: ArrayLike, k: int
) -> float:
    """Share of truly compromised cards among the ``k`` most suspicious of each day, on average.

    Each day, cards are ranked by their highest score of that day, cards that were caught on an
    earlier day left out; a card is caught when it is among the top ``k`` and one of its events
    of that day was fraud. The day's precision is the number of cards caught divided by ``k``,
    also where the day has fewer cards than that; the result is the mean over the days that have
    events, ``NaN`` where there is none. Cards of equal score rank by their id, the lowest first.

    This is the card precision top-k of Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible
    Machine Learning for Credit Card Fraud Detection - Practical Handbook" (ULB, 2022), chapter 4;
    it leaves the order of ties open.

    Args:
        days: UTC day of each event.
        cards: whose card it was; whole numbers or strings.
        labels: 0 or 1.
        scores: higher is more suspicious.
        k: cards that can be checked in a day.

    Raises:
        ValueError: shapes differ, a label is not 0 or 1, a score is ``NaN``, or ``k`` < 1.
    """
    _check_capacity("k", k)
    labels, scores = _labels_and(labels, "scores", scores)
    days, cards = np.asarray(days), np.asarray(cards)
    check_shapes(labels, days=days, cards=cards)
    if not len(labels):
        return float("nan")
    # Codes are in order of the ids, so that ties break the same way for numbers and strings.
    ids, card = np.unique(cards, return_inverse=True)
    order = np.lexsort((card, days))
    day, card, fraud, score = days[order], card[order], labels[order], scores[order]
    first = np.flatnonzero(np.r_[True, (np.diff(day) != 0) | (np.diff(card) != 0)])
    day, card = day[first], card[first]
    fraud = np.maximum.reduceat(fraud, first)
    score = np.maximum.reduceat(score, first)

    caught = np.zeros(len(ids), dtype=np.bool_)
    edges = np.append(np.flatnonzero(np.r_[True, np.diff(day) != 0]), len(day))
    precisions = []
    for begin, end in itertools.pairwise(edges):
        left = begin + np.flatnonzero(~caught[card[begin:end]])
        top = left[np.argsort(-score[left], kind="stable")[:k]]
        hits = card[top[fraud[top] == 1]]
        caught[hits] = True
        precisions.append(len(hits) / k)
    return float(np.mean(precisions))


def recall_at_capacity(
    labels: ArrayLike, scores: ArrayLike, days: ArrayLike, capacity_per_day: int
) -> float:
    """Share of all fraud that a team finds who reviews the day's highest-scored events.

    Frauds among each day's ``capacity_per_day`` highest-scored events, over all frauds; ``NaN``
    without fraud. Of equal scores, the event that comes first in the arrays is reviewed first.

    Raises:
        ValueError: shapes differ, a label is not 0 or 1, a score is ``NaN``, or capacity < 1.
    """
    found, _ = _review(labels, scores, days, capacity_per_day)
    frauds = int(np.sum(labels))
    return found / frauds if frauds else float("nan")


def precision_at_capacity(
    labels: ArrayLike, scores: ArrayLike, days: ArrayLike, capacity_per_day: int
) -> float:
    """Share of fraud among the events that such a team reviews; ``NaN`` without events.

    Days with fewer events than capacity count with the events that they have: other than in
    `card_precision_at_k`, an idle reviewer is no false alarm.

    Raises:
        ValueError: as for `recall_at_capacity`.
    """
    found, reviewed = _review(labels, scores, days, capacity_per_day)
    return found / reviewed if reviewed else float("nan")


def brier_score(
    labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """Mean of (probability - label)² (Brier, 1950); ``NaN`` without events.

    Args:
        labels, probabilities: (n,).
        weights: events that each one stands for, (n,); 1 where None.
    """
    labels, probabilities = _labels_and(labels, "probabilities", probabilities)
    _check_unit_interval(probabilities)
    squares = (probabilities - labels) ** 2
    weight = None if weights is None else np.asarray(weights, np.float64)
    return float(np.average(squares, weights=weight)) if len(labels) else float("nan")


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 10, weights: ArrayLike | None = None
) -> float:
    """Mean over events of |mean probability - share of fraud| in the event's bin.

    Bins hold about equally many events (adaptive binning: Nguyen and O'Connor, 2015), since of
    bins of equal width one would hold nearly all events where fraud is rare. Equal probabilities
    share a bin, so that the order of events does not matter. ``NaN`` without events.

    Args:
        labels, probabilities: (n,).
        weights: events that each one stands for, (n,); 1 where None.
    """
    _check_capacity("bins", bins)
    labels, probabilities = _labels_and(labels, "probabilities", probabilities)
    _check_unit_interval(probabilities)
    weight = np.ones(len(labels), np.int64) if weights is None else np.asarray(weights)
    n = weight.sum()
    if not n:
        return float("nan")
    order = np.argsort(probabilities, kind="stable")
    sums = np.append(weight.dtype.type(0), np.cumsum(weight[order]))
    below = sums[np.searchsorted(probabilities[order], probabilities, side="left")]
    bin_ = (below * bins // n).astype(np.intp)
    # |mean p - mean y| of a bin times its share of events is |Σ (p - y)| / n.
    gaps = np.bincount(bin_, weights=weight * (probabilities - labels))
    return float(np.abs(gaps).sum() / n)


def _review(
    labels: ArrayLike, scores: ArrayLike, days: ArrayLike, capacity: int
) -> tuple[int, int]:
    """Frauds and events among each day's ``capacity`` highest-scored events."""
    _check_capacity("capacity_per_day", capacity)
    labels, scores = _labels_and(labels, "scores", scores)
    days = np.asarray(days)
    check_shapes(labels, days=days)
    order = np.lexsort((-scores, days))
    day = days[order]
    rank = np.arange(len(day)) - np.searchsorted(day, day, side="left")
    reviewed = order[rank < capacity]
    return int(labels[reviewed].sum()), len(reviewed)


def _labels_and(
    labels: ArrayLike, name: str, numbers: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Both columns as arrays, once they are seen to be usable."""
    marks = np.asarray(labels)
    values = np.asarray(numbers, dtype=np.float64)
    check_shapes(marks, **{name: values})
    if not np.isin(marks, (0, 1)).all():
        raise ValueError("labels must be 0 or 1: leave out events that have no label yet")
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise ValueError(f"{name} are NaN at {len(missing)} events, the first at {missing[0]}")
    return marks.astype(np.int64), values


def check_shapes(labels: NDArray[Any], **columns: NDArray[Any]) -> None:
    """Raise ``ValueError`` unless every column has the shape of ``labels``, (n,)."""
    for name, column in {"labels": labels, **columns}.items():
        if column.ndim != 1 or len(column) != len(labels):
            raise ValueError(
                f"{name} has shape {column.shape}, labels {labels.shape}: all must be (n,)"
            )


def _check_capacity(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} = {value} must be at least 1")


def _check_unit_interval(probabilities: NDArray[np.float64]) -> None:
    if len(probabilities) and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError("probabilities must lie in [0, 1]")
