"""A comparison, for programs."""

import math
from typing import Any

from inference.policy.policy import DECISIONS
from inference.shadow.comparison.comparison import Comparison, CostVerdict
from inference.shadow.comparison.evidence import ClassEvidence
from inference.shadow.comparison.gathered import RECENT_DAYS
from inference.shadow.comparison.slices import worst_first
from inference.shadow.statistics import mcnemar
from inference.shadow.statistics.moments import STEP
from inference.shadow.statistics.similarity import Similarity, flips_at_rate, rank_correlations

_MOST_SLICES = 50
_MATCHED_RATES = (0.001, 0.005, 0.01, 0.05)
_PARTS = ("costs", "needed", "censored")


def as_dict(compared: Comparison) -> dict[str, Any]:
    """For programs, such as `weir shadow compare --json`."""
    gathered, tally, cost = compared.gathered, compared.tally, compared.cost
    precision, auc = compared.average_precision, compared.auc
    return {
        "verdict": compared.verdict.value,
        **tally.between._asdict(),
        "events": tally.events,
        "left_out": tally.left_out,
        "shed": round(tally.shed * STEP),
        **_alike(tally.similarity),
        "recent": {"days": RECENT_DAYS, **_alike(gathered.recent)},
        "mature": tally.mature,
        "waiting": int(gathered.waiting_weights.sum()),
        "watermark": gathered.watermark,
        "unlabelled": tally.unlabelled,
        "corrected": tally.corrected,
        "recall": _class_dict(tally.frauds),
        "friction": _class_dict(tally.legitimate),
        "cost": None if cost is None else _cost_dict(cost),
        "average_precision": None if precision is None else vars(precision),
        "auc": None if auc is None else vars(auc),
        "calibration": None
        if compared.calibration is None
        else dict(zip(("champion", "candidate"), map(vars, compared.calibration), strict=True)),
        "card_precision": None
        if compared.card_precision is None
        else vars(compared.card_precision),
        "slices": {
            name: [
                each.as_dict(with_costs=cost is not None)
                for each in worst_first(found, with_costs=cost is not None)[:_MOST_SLICES]
            ]
            for name, found in sorted(tally.slices.items())
        },
    }


def _alike(similarity: Similarity) -> dict[str, Any]:
    scores = similarity.score_counts
    scored = int(scores.sum())
    spearman, kendall = rank_correlations(scores) if scored else (math.nan, math.nan)
    both = (("review", similarity.flips(1)), ("decline", similarity.flips(2)))
    return {
        "decisions": _table(similarity.decision_counts.tolist()),
        "amounts": _table(similarity.decision_amounts.tolist()),
        "flips": {
            name: dict(zip(("champion_only", "candidate_only"), pair, strict=True))
            for name, pair in both
        },
        "flips_at_rate": [vars(flips_at_rate(scores, rate)) for rate in _MATCHED_RATES if scored],
        "not_scored": similarity.not_scored,
        "spearman": spearman,
        "kendall": kendall,
    }


def _table(values: list[list[Any]]) -> dict[str, dict[str, Any]]:
    """Champion's decision to candidate's."""
    return {
        first: dict(zip(DECISIONS, row, strict=True))
        for first, row in zip(DECISIONS, values, strict=True)
    }


def _class_dict(found: ClassEvidence) -> dict[str, Any]:
    low, high = mcnemar.win_rate_interval(found.only_candidate, found.only_champion, 0.05)
    return {
        "events": found.events,
        "champion": found.champion_right / found.events if found.events else None,
        "candidate": found.candidate_right / found.events if found.events else None,
        "only_champion_right": found.only_champion,
        "only_candidate_right": found.only_candidate,
        "log_better": float(mcnemar.log_e_better(found.only_candidate, found.only_champion)),
        "log_worse": float(mcnemar.log_e_better(found.only_champion, found.only_candidate)),
        "win_rate_interval": [float(low), float(high)],
    }


def _cost_dict(found: CostVerdict) -> dict[str, Any]:
    return {
        **{name: value for name, value in vars(found).items() if name not in _PARTS},
        "verdict": found.verdict.value,
        "costs": found.costs.model_dump(mode="json"),
        "labels_needed": vars(found.needed),
        "censored": None if found.censored is None else vars(found.censored),
    }
