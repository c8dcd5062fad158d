"""All that is said of a candidate beside the champion, as it stands now."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.shadow.comparison.censored import Censored, Judged, judge
from inference.shadow.comparison.evidence import ClassEvidence, CostEvidence
from inference.shadow.comparison.maturity import KnownLabels, Mature, mature_events
from inference.shadow.comparison.pairs import Pairs, ReadPairs
from inference.shadow.comparison.settings import ComparisonSettings, CostSettings
from inference.shadow.statistics import asymptotic, curves
from inference.shadow.statistics.betting import log_factors
from inference.shadow.statistics.forecast import Forecast, labels_still_needed
from inference.shadow.statistics.several import alpha_of_candidate
from inference.shadow.statistics.similarity import Similarity

_T_OPT_EVENTS = 20_000.0
_BLOCKS = 40
_LEAST_FRAUDS = 50


class Verdict(StrEnum):
    """What the evidence says of a candidate's costs; `INCONCLUSIVE` is never a pass."""

    BETTER = "better"
    WORSE = "worse"
    NO_WORSE = "no_worse"
    INCONCLUSIVE = "inconclusive"
    NO_COSTS = "no_costs"


@dataclass(frozen=True)
class CostVerdict:
    """The verdict on costs, and what it rests on.

    Attributes:
        alpha: the share of false verdicts of this kind that is put up with, over all looks.
        log_better, log_no_worse, log_worse: evidence; a verdict from ``ln(1 / alpha)`` on.
        mean: the champion's loss minus the candidate's, per event; positive: the candidate costs
            less. Where declines hide the truth, the middle of what it can be.
        interval: of it, at all looks; None before there is enough for one.
        discordant: mature events with other decisions.
        needed: labels still needed for ``better``.
        censored: what declines hide; None where they hide nothing.
    """

    verdict: Verdict
    alpha: float
    costs: CostSettings
    log_better: float
    log_no_worse: float
    log_worse: float
    mean: float
    interval: tuple[float, float] | None
    events: int
    discordant: int
    without_amount: int
    needed: Forecast
    censored: Censored | None = None


@dataclass(frozen=True)
class CurveVerdict:
    """A figure of the ranking: of both, the difference, and the interval of that, at all looks."""

    champion: float
    candidate: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the champion; see docs/shadow.md."""

    read: ReadPairs
    similarity: Similarity
    mature: Mature
    frauds: ClassEvidence
    legitimate: ClassEvidence
    cost: CostVerdict | None
    average_precision: CurveVerdict | None
    auc: CurveVerdict | None

    @property
    def verdict(self) -> Verdict:
        """On costs, which is the primary one."""
        return Verdict.NO_COSTS if self.cost is None else self.cost.verdict


def compare(
    read: ReadPairs,
    labels: KnownLabels,
    settings: ComparisonSettings,
    *,
    maturity_ms: int,
    place: int,
    generator: np.random.Generator,
) -> Comparison:
    """Compare a candidate with the champion, by all that is known now.

    Args:
        place: of the candidate among all that were tried against this champion, from 1: each later
            one has to show more, so that all together are seldom wrong.
        generator: for the bootstrap of the forecast.
    """
    pairs = read.pairs
    similarity = Similarity.of(
        pairs.champion,
        pairs.candidate,
        pairs.champion_probability,
        pairs.candidate_probability,
        pairs.amounts,
    )
    mature = mature_events(
        pairs, labels, maturity_ms, unlabelled_count=settings.unlabelled == "legitimate"
    )
    rows, fraud = mature.rows, mature.frauds
    champion, candidate = pairs.champion[rows], pairs.candidate[rows]
    alpha = alpha_of_candidate(place, settings.alpha)
    cost = None
    if settings.costs is not None:
        cost = _cost_verdict(pairs, mature, settings.costs, alpha, generator)
    return Comparison(
        read,
        similarity,
        mature,
        ClassEvidence.of(champion[fraud], candidate[fraud], frauds=True),
        ClassEvidence.of(champion[~fraud], candidate[~fraud], frauds=False),
        cost,
        _curve_verdict(curves.average_precision, pairs, mature, alpha),
        _curve_verdict(curves.auc, pairs, mature, alpha),
    )


def _cost_verdict(
    pairs: Pairs, mature: Mature, said: CostSettings, alpha: float, generator: np.random.Generator
) -> CostVerdict:
    costs = said.costs()
    judged = judge(pairs, mature, costs)
    found = CostEvidence.of(
        judged.least, judged.most, judged.discordant, costs.worst_difference, said.margin
    )
    known = ~np.isnan(judged.least)
    enough = asymptotic.burnt_in(found.discordant, int((judged.frauds & known).sum()))
    bound = math.log(1 / alpha)
    if found.worse.log_e >= bound:
        verdict = Verdict.WORSE
    elif enough and found.better.log_e >= bound:
        verdict = Verdict.BETTER
    elif enough and said.margin and found.no_worse.log_e >= bound:
        verdict = Verdict.NO_WORSE
    else:
        verdict = Verdict.INCONCLUSIVE
    return CostVerdict(
        verdict=verdict,
        alpha=alpha,
        costs=said,
        log_better=found.better.log_e,
        log_no_worse=found.no_worse.log_e,
        log_worse=found.worse.log_e,
        mean=sum(each.mean for each in judged.estimate) / 2,
        interval=_interval(judged, alpha) if enough else None,
        events=found.events,
        discordant=found.discordant,
        without_amount=found.without_amount,
        needed=_needed(judged.least[known], costs.worst_difference, alpha, generator),
        censored=judged.censored,
    )


def _interval(judged: Judged, alpha: float) -> tuple[float, float]:
    low, high = (asymptotic.interval(each, alpha, _T_OPT_EVENTS) for each in judged.estimate)
    return low[0], high[1]


def _needed(
    differences: NDArray[np.float64], worst: float, alpha: float, generator: np.random.Generator
) -> Forecast:
    blocks = [each for each in np.array_split(differences, _BLOCKS) if each.size]
    counts = [each.size for each in blocks]
    gains = [log_factors(each[each != 0], worst).sum(axis=0) for each in blocks]
    if not gains:
        return Forecast(None, None, None)
    return labels_still_needed(counts, np.stack(gains), alpha, generator)


def _curve_verdict(figure: Any, pairs: Pairs, mature: Mature, alpha: float) -> CurveVerdict | None:
    """None where one class is missing."""
    first = pairs.champion_probability[mature.rows]
    second = pairs.candidate_probability[mature.rows]
    scored = ~np.isnan(first) & ~np.isnan(second)
    labels = mature.frauds[scored]
    if not labels.any() or labels.all():
        return None
    champion = figure(labels, first[scored])
    candidate = figure(labels, second[scored])
    found = curves.difference(champion, candidate)
    interval = None
    if labels.sum() >= _LEAST_FRAUDS:
        half = float(asymptotic.radius(found.labels, found.deviation, alpha, _T_OPT_EVENTS))
        interval = found.value - half, found.value + half
    return CurveVerdict(champion.value, candidate.value, interval)
