"""A domain classifier: what tells events of now from those of the reference, by all features.

Features that moved are each known by a test of their own. Whether they moved in the same events,
and what else did, takes a model of them together: gradient-boosted trees learn to tell the two
samples apart, and are asked about rows that they have not seen (Lopez-Paz and Oquab, "Revisiting
Classifier Two-Sample Tests", 2017). The contributions of features to their answers (TreeSHAP, by
LightGBM) say in which features the difference is.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.shadow.statistics.curves import Curve, auc

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
    halves = []
    for own in (0, 1):
        asked = half == own
        contributions = _contributions(rows[~asked], is_now[~asked], rows[asked])
        halves.append(_Half.of(contributions, is_now[asked]))
    gaps = np.array([each.gaps for each in halves])
    both = np.where((gaps > 0).all(axis=0), gaps.mean(axis=0), 0)
    parts = both / max(both.sum(), np.finfo(float).tiny)
    return Domains(
        float(np.mean([each.auc.value for each in halves])),
        float(np.sqrt(sum(_variance(each.auc) for each in halves)) / 2),
        float(np.clip(np.mean([each.share for each in halves]), 0, 1)),
        np.where(parts >= _PART, parts, 0),
    )


class _Half(NamedTuple):
    """What is found in one half: see `Domains`; `gaps` between mean contributions, (k,)."""

    auc: Curve
    share: float
    gaps: NDArray[np.float64]

    @classmethod
    def of(cls, contributions: NDArray[np.float64], is_now: NDArray[np.bool_]) -> "_Half":
        """Of contributions and the constant, (n, k + 1)."""
        said, each = contributions.sum(axis=1), contributions[:, :-1]
        recognised = said > np.quantile(said[~is_now], _RECOGNISED)
        here, there = each[is_now], each[~is_now]
        gaps = here.mean(axis=0) - there.mean(axis=0)
        errors = np.sqrt(here.var(axis=0) / len(here) + there.var(axis=0) / len(there))
        return cls(
            auc(is_now, said),
            float(recognised[is_now].mean() - recognised[~is_now].mean()),
            np.where(gaps > _ERRORS * errors, gaps, 0),
        )


def _variance(curve: Curve) -> float:
    return float(curve.influence.var() / len(curve.influence))


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
