"""Which features get an attribution: the package's rules.

Where candidates are as good as equal, the package's choice hangs on its rounding errors. Those are
then computed as it does, by one fit for each candidate; all else comes from moments.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import lars_path

from explain.exact.local_model import WeightedSamples
from explain.exact.settings import FeatureSelection

_FORWARD_AT_MOST = 6
"""Up to as many features, the package's "auto" is forward selection."""
_TIE = 1e-9
"""Scores that differ by less are a tie, and weights in units of the largest answer or weight."""
_REDUNDANT = 1e-10
"""A column of which other columns leave a smaller share of its variance adds nothing to them."""


def select_features(
    samples: WeightedSamples, rule: FeatureSelection, count: int
) -> NDArray[np.intp]:
    """Return the columns of the design that the local model is fitted on, at most `count`.

    ``"none"`` returns all. ``"lasso_path"`` may return more where columns are equal.
    """
    if rule == "auto":
        rule = "forward_selection" if count <= _FORWARD_AT_MOST else "highest_weights"
    if rule == "forward_selection":
        return _forward_selection(samples, count)
    if rule == "highest_weights":
        return _highest_weights(samples, count)
    if rule == "lasso_path":
        return _lasso_path(samples, count)
    return np.arange(samples.design.shape[1])


def _forward_selection(samples: WeightedSamples, count: int) -> NDArray[np.intp]:
    """Add, again and again, the feature with which a regression explains most.

    Taking a chosen column out of the others by a sweep of the moments (Goodnight, 1979) leaves
    what each would still explain: its squared covariance with the residual over its variance.
    """
    gram, cross = samples.gram.copy(), samples.cross.copy()
    own = gram.diagonal().copy()
    chosen: list[int] = []
    for _ in range(min(count, len(cross))):
        left = gram.diagonal()
        adds = (left > _REDUNDANT * own) & (samples.variation > 0)
        gains = np.zeros(len(cross))
        gains[adds] = cross[adds] ** 2 / left[adds] / samples.variation
        gains[chosen] = -np.inf
        ties = np.flatnonzero(gains >= gains.max() - _TIE)
        best = int(ties[0]) if len(ties) == 1 else _first_best(samples, chosen, ties)
        chosen.append(best)
        if adds[best]:
            shares = gram[best] / left[best]
            cross -= shares * cross[best]
            gram -= np.outer(shares, gram[best])
    return np.array(chosen)


def _first_best(samples: WeightedSamples, chosen: list[int], ties: NDArray[np.intp]) -> int:
    scores = [samples.ridge_by_sklearn([*chosen, feature], 0).score for feature in ties]
    return int(ties[np.argmax(scores)])


def _highest_weights(samples: WeightedSamples, count: int) -> NDArray[np.intp]:
    """Take those that do most to the event's local prediction in a regression on all."""
    everything = np.arange(samples.design.shape[1])
    effects = np.abs(samples.ridge(everything, 0.01).coefficients * samples.design[0])
    order = np.argsort(-effects, kind="stable")
    if count < len(order):
        scale = max(effects.max(), np.abs(samples.answers).max())
        if effects[order[count - 1]] - effects[order[count]] <= _TIE * scale:
            exact = samples.ridge_by_sklearn(slice(None), 0.01).coefficients
            order = np.argsort(-np.abs(exact * samples.design[0]), kind="stable")
    return order[:count]


def _lasso_path(samples: WeightedSamples, count: int) -> NDArray[np.intp]:
    """Take those that the lasso leaves at the smallest penalty at which they are few enough.

    By scikit-learn's path over the samples, as the package does: the path over their moments,
    though faster, is another one where two features enter at once.
    """
    weights = samples.weights
    roots = np.sqrt(weights)
    design = samples.design - np.average(samples.design, axis=0, weights=weights)
    answers = samples.answers - np.average(samples.answers, weights=weights)
    _, _, path = lars_path(design * roots[:, None], answers * roots, method="lasso")
    chosen = np.arange(len(path))
    for step in range(path.shape[1] - 1, 0, -1):
        chosen = np.flatnonzero(path[:, step])
        if len(chosen) <= count:
            break
    return chosen
