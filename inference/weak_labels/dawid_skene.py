"""Two rates of each rule, and the chance of fraud behind each pattern of votes.

Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm",
Applied Statistics 28 (1979): each rule fires with one rate for frauds and another for legitimate
events. At 0.5 % fraud nothing less will do: a model of one error rate for each rule holds a rule
that never fires for an excellent one.

Theirs takes rules for independent within a class. Analysts' rules never are (two of them look at
one terminal), and without a check the many events without a label then teach what fits the model,
and not what is true: on the Fraud Detection Handbook a true-positive rate is off by .18. So the
known labels have a say in every pattern: the chance behind it is theirs, drawn towards the model's
as if that were `concentration` labels more. How many is read from them: by the beta-binomial
likelihood of the frauds known in each pattern. Where rules are independent it grows without bound,
and this is plain Dawid-Skene.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln  # type: ignore[import-untyped]

from inference.weak_labels.errors import WeakLabelError
from inference.weak_labels.pattern_counts import FRAUD, LEGITIMATE, PatternCounts

CONCENTRATIONS = (1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e6)
INDEPENDENT = (float("inf"),)
_PSEUDO = 0.5
"""Of an event that fired and one that did not, in each class: rates are never 0 or 1."""
_MOST_STEPS, _STILL = 5_000, 1e-8


@dataclass(frozen=True, eq=False)
class RuleRates:
    """What was learnt of r rules and m patterns.

    Attributes:
        true_positive, false_positive: share of frauds, and of legitimate events, for which each
            rule fires, (r,).
        true_positive_se, false_positive_se: their standard errors, (r,), had only the known labels
            taught them; the others can but make them smaller, as long as the known ones have their
            say in every pattern.
        chance: of fraud, behind each pattern of the counts, (m,).
        prior: share of frauds that was assumed.
        concentration: how many known labels the model's word on a pattern is worth.
    """

    true_positive: NDArray[np.float64]
    false_positive: NDArray[np.float64]
    true_positive_se: NDArray[np.float64]
    false_positive_se: NDArray[np.float64]
    chance: NDArray[np.float64]
    prior: float
    concentration: float


def fit_rates(
    counts: PatternCounts,
    prior: float | None = None,
    concentrations: tuple[float, ...] = CONCENTRATIONS,
) -> RuleRates:
    """Fit the rates to all events, by expectation and maximisation over patterns.

    Args:
        counts: known are those of mature events only: of a young one a fraud is known at times,
            but never that it is legitimate.
        prior: share of frauds among all events; None for that among the known ones.
        concentrations: of which the likeliest is taken; `INDEPENDENT` for plain Dawid-Skene.

    Raises:
        WeakLabelError: no fraud, or no legitimate event, is known.
    """
    legitimate, frauds = counts.known
    if not legitimate or not frauds:
        raise WeakLabelError(
            f"{frauds:,.0f} frauds and {legitimate:,.0f} legitimate events are known among those "
            "that rules were asked about: there is no telling rules apart before both are. Wait "
            "until labels are mature, or take a longer span"
        )
    share = frauds / (frauds + legitimate) if prior is None else prior
    fits = [_fit(counts, share, each) for each in concentrations]
    likelihood = [_likelihood(counts, fit) for fit in fits]
    return fits[int(np.argmax(likelihood))]


def _fit(counts: PatternCounts, prior: float, concentration: float) -> RuleRates:
    unknown, legitimate, frauds = counts.counts.T
    rates = _rates(counts.patterns, frauds), _rates(counts.patterns, legitimate)
    for _ in range(_MOST_STEPS):
        chance = _chance(counts, rates, prior, concentration)
        former = rates
        rates = (
            _rates(counts.patterns, frauds + unknown * chance),
            _rates(counts.patterns, legitimate + unknown * (1 - chance)),
        )
        if max(np.abs(a - b).max() for a, b in zip(rates, former, strict=True)) < _STILL:
            break
    chance = _chance(counts, rates, prior, concentration)
    errors = [
        np.sqrt(rate * (1 - rate) / weight.sum())
        for rate, weight in zip(rates, (frauds, legitimate), strict=True)
    ]
    return RuleRates(*rates, errors[0], errors[1], chance, prior, concentration)


def _rates(patterns: NDArray[np.int8], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often each rule fires where it does not abstain, of events that weigh so much."""
    fired, asked = weight @ (patterns == 1), weight @ (patterns >= 0)
    return np.asarray((fired + _PSEUDO) / (asked + 2 * _PSEUDO))


def _chance(
    counts: PatternCounts,
    rates: tuple[NDArray[np.float64], NDArray[np.float64]],
    prior: float,
    concentration: float,
) -> NDArray[np.float64]:
    chance = _model_chance(counts.patterns, *rates, prior)
    if np.isinf(concentration):
        return chance
    legitimate, frauds = counts.counts[:, LEGITIMATE], counts.counts[:, FRAUD]
    return np.asarray((frauds + concentration * chance) / (frauds + legitimate + concentration))


def _model_chance(
    patterns: NDArray[np.int8],
    true_positive: NDArray[np.float64],
    false_positive: NDArray[np.float64],
    prior: float,
) -> NDArray[np.float64]:
    """By Bayes' rule, were the rules independent; who abstains says nothing."""
    fires, silent = patterns == 1, patterns == 0
    odds = np.log(prior) - np.log1p(-prior)
    odds = odds + fires @ (np.log(true_positive) - np.log(false_positive))
    odds = odds + silent @ (np.log1p(-true_positive) - np.log1p(-false_positive))
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))


def _likelihood(counts: PatternCounts, fit: RuleRates) -> float:
    """Log-likelihood of each pattern's known frauds: beta-binomial about the model's chance."""
    if np.isinf(fit.concentration):
        return 0.0  # the only one there is
    chance = _model_chance(counts.patterns, fit.true_positive, fit.false_positive, fit.prior)
    chance = np.clip(chance, 1e-9, 1 - 1e-9)
    a, b = fit.concentration * chance, fit.concentration * (1 - chance)
    legitimate, frauds = counts.counts[:, LEGITIMATE], counts.counts[:, FRAUD]
    return float((betaln(a + frauds, b + legitimate) - betaln(a, b)).sum())
