"""A domain classifier: what tells events of now from those of the reference, by all features.

Features that moved are each known by a test of their own. Whether they moved in the same events,
and what else did, takes a model of them together: gradient-boosted trees learn to tell the two
samples apart, and are asked about rows that they have not seen (Lopez-Paz and Oquab, "Revisiting
Classifier Two-Sample Tests", 2017). The contributions of features to their answers (TreeSHAP, by
LightGBM) say in which features the difference is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.curves import auc

_TREES, _LEAVES, _LEAST = 40, 8, 20
_RECOGNISED = 0.95
"""Of the reference's rows, so many look less new than an event that is recognised."""
_ERRORS = 4.0
"""Standard errors above nothing from which a contribution counts."""
_PART = 0.02
"""Of all contributions, from which a feature is named."""


@dataclass(frozen=True)
class Domains:
    """How rows of now differ from those of the reference.

    Attributes:
        auc: of the classifier, on rows that it has not seen: .5 where they do not differ.
        error: its standard error.
        share: of the rows of now that are recognised, beyond those of the reference that would be.
        parts: of each feature, its part in telling them apart, (k,); 0 where there is none.
    """

    auc: float
    error: float
    share: float
    parts: NDArray[np.float64]


def tell_apart(
    before: NDArray[np.float32], now: NDArray[np.float32], rng: np.random.Generator
) -> Domains:
    """Learn to tell rows (b, k) from rows of now (n, k), in the order of time; NaN is missing.

    Each half of them is judged by the classifier of the other. The halves of now are those of time:
    events of one card, which come in bursts, would otherwise be in both.
    """
    rows = np.concatenate([before, now])
    is_now = np.arange(len(rows)) >= len(before)
    half = np.concatenate(
        [rng.permutation(len(before)) % 2, np.arange(len(now)) * 2 // max(len(now), 1)]
    )
    contributions = np.zeros((len(rows), rows.shape[1] + 1))
    for own in (0, 1):
        learns = half != own
        contributions[~learns] = _contributions(rows[learns], is_now[learns], rows[~learns])
    said = contributions.sum(axis=1)
    shares = []
    found = np.zeros((2, rows.shape[1]))
    for own in (0, 1):
        ours = half == own
        bound = np.quantile(said[ours & ~is_now], _RECOGNISED)
        shares.append((said[ours & is_now] > bound).mean() - (said[ours & ~is_now] > bound).mean())
        each = contributions[ours, :-1]
        here, there = each[is_now[ours]], each[~is_now[ours]]
        gap = here.mean(axis=0) - there.mean(axis=0)
        error = np.sqrt(here.var(axis=0) / len(here) + there.var(axis=0) / len(there))
        found[own] = np.where(gap > _ERRORS * error, gap, 0)
    gaps = np.where((found > 0).all(axis=0), found.mean(axis=0), 0)
    parts = gaps / max(gaps.sum(), np.finfo(float).tiny)
    curves = [auc(is_now[half == own], said[half == own]) for own in (0, 1)]
    return Domains(
        float(np.mean([each.value for each in curves])),
        float(np.sqrt(sum(each.influence.var() / len(each.influence) for each in curves)) / 2),
        float(np.clip(np.mean(shares), 0, 1)),
        np.where(parts >= _PART, parts, 0),
    )


def _contributions(
    rows: NDArray[np.float32], is_now: NDArray[np.bool_], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    """What each feature adds to the log-odds of being of now, and the constant, (n, k + 1)."""
    import lightgbm  # here: it takes a second, and only a monitor that has found something needs it

    parameters = {
        "objective": "binary",
        "num_leaves": _LEAVES,
        "min_data_in_leaf": _LEAST,
        "feature_fraction_bynode": 0.5,  # features that say the same are all heard
        "is_unbalance": True,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
        "seed": 1,
    }
    learned = lightgbm.Dataset(rows, is_now.astype(np.int32), params=parameters)
    booster = lightgbm.train(parameters, learned, _TREES)
    return np.asarray(booster.predict(asked, pred_contrib=True, num_threads=1), np.float64)
