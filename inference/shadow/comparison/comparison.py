"""All that is said of a candidate beside the champion, as it stands now."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from inference.evaluation.metrics import (
    brier_score,
    card_precision_at_k,
    expected_calibration_error,
)
from inference.policy.costs import CostSettings
from inference.shadow.comparison.evidence import CostEvidence, Range
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.sample import Sample
from inference.shadow.comparison.tally import Tally
from inference.shadow.statistics import asymptotic, curves
from inference.shadow.statistics.forecast import Forecast, date_of, labels_still_needed
from inference.shadow.statistics.several import alpha_of_candidate

_T_OPT_EVENTS = 20_000.0
_LEAST_FRAUDS = 50
_CURVE_POINTS = 64


class Verdict(StrEnum):
    """What the evidence says of a candidate's costs; `INCONCLUSIVE` is never a pass."""

    BETTER = "better"
    WORSE = "worse"
    NO_WORSE = "no_worse"
    INCONCLUSIVE = "inconclusive"
    NO_COSTS = "no_costs"


@dataclass(frozen=True)
class CensoredCosts:
    """What the verdict can say of events that the champion alone would decline.

    Attributes:
        events, let_through, only_bounded: see `Censored`.
        estimate: of the difference per event, doubly robust; its ends are apart where events are
            only bounded: these are at their least, and at their most.
        bounds: the same, without the chances: by what is known, and whatever is not.
    """

    events: int
    let_through: int
    only_bounded: int
    estimate: tuple[float, float]
    bounds: tuple[float, float]


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
        needed_by: when so many will be mature, UTC milliseconds of event time; None: not in sight.
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
    needed_by: int | None
    censored: CensoredCosts | None


@dataclass(frozen=True)
class CurveVerdict:
    """A figure of the ranking: of both, the difference, and the interval of that, at all looks."""

    champion: float
    candidate: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are from how often it was fraud.

    Attributes:
        brier: mean squared distance from the label.
        error: see `expected_calibration_error`.
    """

    brier: float
    error: float


@dataclass(frozen=True)
class CardPrecision:
    """Of the keys that can be looked at in a day; see `card_precision_at_k`. It describes."""

    cards_per_day: int
    champion: float
    candidate: float


@dataclass(frozen=True)
class Comparison:
    """A candidate beside the champion; see docs/shadow.md."""

    gathered: Gathered
    cost: CostVerdict | None
    average_precision: CurveVerdict | None
    auc: CurveVerdict | None
    calibration: tuple[Calibration, Calibration] | None
    card_precision: CardPrecision | None

    @property
    def tally(self) -> Tally:
        """The counts."""
        return self.gathered.tally

    @property
    def verdict(self) -> Verdict:
        """On costs, which is the primary one."""
        return Verdict.NO_COSTS if self.cost is None else self.cost.verdict


def compare(
    gathered: Gathered,
    costs: CostSettings | None,
    *,
    overall_alpha: float,
    cards_per_day: int,
    maturity_ms: int,
    place: int,
    generator: np.random.Generator,
) -> Comparison:
    """Compare a candidate with the champion, by all that was gathered by now.

    Args:
        costs: what the verdict is about; None for none.
        cards_per_day: keys that can be looked at in a day.
        overall_alpha: the share of false verdicts, over all looks and candidates together.
        place: of the candidate among all that were tried against this champion, from 1: each later
            one has to show more, so that all together are seldom wrong.
        generator: for the bootstrap of the forecast.
    """
    alpha = alpha_of_candidate(place, overall_alpha)
    cost = None
    if costs is not None:
        cost = _cost_verdict(gathered, costs, maturity_ms, alpha, generator)
    return Comparison(
        gathered,
        cost,
        _curve_verdict(curves.average_precision, gathered, alpha),
        _curve_verdict(curves.auc, gathered, alpha),
        _calibration(gathered.sample),
        _card_precision(gathered.sample, cards_per_day),
    )


def _cost_verdict(
    gathered: Gathered,
    said: CostSettings,
    maturity_ms: int,
    alpha: float,
    generator: np.random.Generator,
) -> CostVerdict:
    found = gathered.tally.cost
    enough = asymptotic.burnt_in(found.discordant, found.frauds)
    bound = math.log(1 / alpha)
    if found.worse.log_e >= bound:
        verdict = Verdict.WORSE
    elif enough and found.better.log_e >= bound:
        verdict = Verdict.BETTER
    elif enough and said.margin and found.no_worse.log_e >= bound:
        verdict = Verdict.NO_WORSE
    else:
        verdict = Verdict.INCONCLUSIVE
    needed = _needed(gathered.tally, alpha, generator)
    return CostVerdict(
        verdict=verdict,
        alpha=alpha,
        costs=said,
        log_better=found.better.log_e,
        log_no_worse=found.no_worse.log_e,
        log_worse=found.worse.log_e,
        mean=sum(_means(found.estimate)) / 2,
        interval=_interval(found.estimate, alpha) if enough else None,
        events=found.events,
        discordant=found.discordant,
        without_amount=found.without_amount,
        needed=needed,
        needed_by=_needed_by(needed.labels, gathered, maturity_ms),
        censored=_censored(found),
    )


def _censored(found: CostEvidence) -> CensoredCosts | None:
    if not found.censored.events:
        return None
    return CensoredCosts(
        **vars(found.censored), estimate=_means(found.estimate), bounds=_means(found.bounds)
    )


def _means(found: Range) -> tuple[float, float]:
    return found.least.mean, found.most.mean


def _interval(found: Range, alpha: float) -> tuple[float, float]:
    low, high = (
        asymptotic.interval(each, alpha, _T_OPT_EVENTS) for each in (found.least, found.most)
    )
    return low[0], high[1]


def _needed(tally: Tally, alpha: float, generator: np.random.Generator) -> Forecast:
    blocks = tally.growth.in_order
    if not blocks:
        return Forecast(None, None, None)
    counts = [count for count, _ in blocks]
    gains = np.stack([capital.log_bets for _, capital in blocks])
    return labels_still_needed(counts, gains, alpha, generator)


def _needed_by(labels: int | None, gathered: Gathered, maturity_ms: int) -> int | None:
    """By when what waits will be mature, as far as it goes, and then at the same rate."""
    now, count = gathered.watermark, len(gathered.waiting)
    if now is None or not count:
        return now if labels == 0 else None
    at = np.unique(np.linspace(0, count - 1, min(count, _CURVE_POINTS)).astype(np.intp))
    times = gathered.waiting[at] + maturity_ms
    matured = np.cumsum(gathered.waiting_weights)[at]
    later = np.append(True, np.diff(times) > 0) & (times > now)
    if not later.any():
        return now if labels == 0 else None
    return date_of(labels, np.append(now, times[later]), np.append(0, matured[later]))


def _calibration(sample: Sample) -> tuple[Calibration, Calibration] | None:
    if not len(sample.frauds):
        return None
    first, second = (
        Calibration(
            brier_score(sample.frauds, each, sample.weights),
            expected_calibration_error(sample.frauds, each, weights=sample.weights),
        )
        for each in (sample.first, sample.second)
    )
    return first, second


def _card_precision(sample: Sample, cards_per_day: int) -> CardPrecision | None:
    """None without events, or where some were left out: then no day's first ones are known."""
    if not len(sample.frauds) or not sample.is_whole:
        return None
    first, second = (
        card_precision_at_k(sample.days, sample.keys, sample.frauds, each, cards_per_day)
        for each in (sample.first, sample.second)
    )
    return CardPrecision(cards_per_day, first, second)


def _curve_verdict(
    figure: Callable[..., curves.Curve], gathered: Gathered, alpha: float
) -> CurveVerdict | None:
    """None where one class is missing."""
    sample = gathered.sample
    labels = sample.frauds
    if not labels.any() or labels.all():
        return None
    champion = figure(labels, sample.first, sample.weights)
    candidate = figure(labels, sample.second, sample.weights)
    found = curves.difference(champion, candidate, sample.weights)
    interval = None
    if labels.sum() >= _LEAST_FRAUDS:
        half = float(asymptotic.radius(found.labels, found.deviation, alpha, _T_OPT_EVENTS))
        interval = found.value - half, found.value + half
    return CurveVerdict(champion.value, candidate.value, interval)
