"""AUC and average precision, and the variance of their paired difference between two models.

Each curve comes with its influence function: how much an event moves the figure, times n. The
variance of the difference of two models' influences is that of their figures' difference, which
`asymptotic.radius` takes, with the number of labels; for such U-statistics it holds at all looks:
Cai, Hu and Li, arXiv 2605.14692. Bounded differences of blocks would need a hundred times as many
labels.

Where legitimate events are sampled by hash, each one kept has the weight 1 / (its probability to be
kept); frauds, of which all are kept, have 1. Equal scores are one threshold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Curve:
    """A figure, and each event's influence on it, (n,); ``NaN`` unless both classes are there."""

    value: float
    influence: NDArray[np.float64]


@dataclass(frozen=True)
class CurveDifference:
    """Candidate minus champion: the standard deviation is that of one label, for `labels` of them.

    `labels` counts events that sampling left out, too, by their weights.
    """

    value: float
    deviation: float
    labels: float


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> Curve:
    """Area under the ROC curve; ties count half.

    With π the share of frauds, V10 a fraud's share of legitimate events below it, and V01 a
    legitimate event's share of frauds above it:

        influence = (V10 - AUC) / π of a fraud, (V01 - AUC) / (1 - π) of the others

    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837-845. O(n log n).

    Args:
        labels: 0 or 1, (n,).
        scores: higher is more suspicious, (n,).
        weights: events that each one stands for, (n,); 1 where None.

    Raises:
        ValueError: shapes differ, a label is not 0 or 1, a score is ``NaN``, a weight is below 0.
    """
    fraud, score, weight = _columns(labels, scores, weights)
    frauds, others = weight[fraud].sum(), weight[~fraud].sum()
    if not frauds or not others:
        return Curve(float("nan"), np.full(len(score), np.nan))
    share = np.empty(len(score))
    share[fraud] = _share_below(score[fraud], score[~fraud], weight[~fraud])
    share[~fraud] = _share_below(-score[~fraud], -score[fraud], weight[fraud])
    value = float(np.average(share[fraud], weights=weight[fraud]))
    total = frauds + others
    return Curve(value, (share - value) * np.where(fraud, total / frauds, total / others))


def average_precision(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
) -> Curve:
    """Mean over frauds of the precision at their score.

    Of fraud j, k_j events score as high or higher, and prec_j is the share of frauds among them.
    With y the label, and π the share of frauds, an event of score s has

        influence = ( y (prec - AP) + Q ) / π
        Q = Σ (y - prec_j) / k_j, over frauds j at or below s

    (derived as the Gateaux derivative of AP in the direction of one more event; checked by Monte
    Carlo). O(n log n): the sums run over sorted scores.

    Args and errors are those of `auc`.
    """
    fraud, score, weight = _columns(labels, scores, weights)
    frauds, total = weight[fraud].sum(), weight.sum()
    if not frauds or frauds == total:
        return Curve(float("nan"), np.full(len(score), np.nan))
    levels, level = np.unique(score, return_inverse=True)
    everyone = np.bincount(level, weight, len(levels))
    caught = np.bincount(level, weight * fraud, len(levels))
    above = np.cumsum(everyone[::-1])[::-1]
    precision = np.cumsum(caught[::-1])[::-1] / above
    value = float((caught * precision).sum() / frauds)
    ones, precisions = np.cumsum(caught / above), np.cumsum(caught * precision / above)
    rest = fraud * ones[level] - precisions[level]
    return Curve(value, (fraud * (precision[level] - value) + rest) * (total / frauds))


def difference(
    champion: Curve, candidate: Curve, weights: ArrayLike | None = None
) -> CurveDifference:
    """Candidate minus champion, over the same events, with the weights that the curves had.

    The deviation is sqrt(Σ (w φ)² / Σ w), φ the difference of influences: a sampled event stands
    for w events and for their variance, w times over.
    """
    influence = candidate.influence - champion.influence
    weight = np.ones(len(influence)) if weights is None else np.asarray(weights, np.float64)
    total = float(weight.sum())
    deviation = float(np.sqrt(((weight * influence) ** 2).sum() / total)) if total else float("nan")
    return CurveDifference(candidate.value - champion.value, deviation, total)


def _share_below(
    scores: NDArray[np.float64], others: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of the others' weight below each score, ties half."""
    order = np.argsort(others, kind="stable")
    sums = np.append(0.0, np.cumsum(weights[order]))
    left, right = (np.searchsorted(others[order], scores, side) for side in ("left", "right"))
    return np.asarray((sums[left] + sums[right]) / (2 * sums[-1]))


def _columns(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    marks, score = np.asarray(labels), np.asarray(scores, np.float64)
    weight = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    if not marks.shape == score.shape == weight.shape:
        raise ValueError(
            f"labels {marks.shape}, scores {score.shape} and weights {weight.shape} must be (n,)"
        )
    if not np.isin(marks, (0, 1)).all():
        raise ValueError("labels must be 0 or 1: leave out events that have no label yet")
    if np.isnan(score).any() or not (weight >= 0).all():
        raise ValueError("scores must not be NaN, nor weights NaN or below 0")
    return marks == 1, score, weight
