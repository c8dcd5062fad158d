"""Where the champion declines, nobody learns the truth: what can be said of costs nevertheless.

It matters only where the candidate decides otherwise: else both cost the same, whatever the truth.
Of a would-be decline that had a chance to be approved (`inference.approve_through`), that chance
makes up for those that were not; of others, only bounds are known.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import DECLINE
from inference.shadow.comparison.evidence import cost_differences
from inference.shadow.comparison.maturity import Mature
from inference.shadow.comparison.pairs import Pairs
from inference.shadow.statistics.costs import Costs, loss_differences
from inference.shadow.statistics.holdout import difference_bounds, doubly_robust
from inference.shadow.statistics.moments import Moments


@dataclass(frozen=True)
class Censored:
    """Mature events that the champion would decline, and the candidate would not.

    Attributes:
        events: how many.
        let_through: of these, approved on purpose, and their truth known.
        only_bounded: of these, without a known truth, and without a chance to be approved.
        estimate: of the difference per event, doubly robust; its ends are apart where events are
            only bounded: these are at their least, and at their most.
        bounds: the same, without the chances: by what is known, and whatever is not.
    """

    events: int
    let_through: int
    only_bounded: int
    estimate: tuple[float, float]
    bounds: tuple[float, float]


class Judged(NamedTuple):
    """What a verdict goes by, of m mature events.

    The mean of `least` is that of the true differences, or below it, and no value lies below the
    worst difference; so evidence by betting that the candidate is better holds in any case. The
    same, the other way round, goes for `most`, and that it is worse. Doubly robust values have this
    property where their prediction is the least, or the most, that the difference can be: they are
    m + (R / p) (D - m), and D - m has one sign then. What other predictions give is narrower, and
    beyond all bounds where p is small.

    Attributes:
        least, most: differences, (m,); ``NaN`` where nobody knows what was at stake.
        discordant: whether the models decided otherwise, (m,).
        frauds: what the events were, as far as is known, (m,).
        estimate: of the differences, doubly robust with the champion's probability: at their least,
            and at their most, where they are only bounded.
        censored: None where no decline hides anything.
    """

    least: NDArray[np.float64]
    most: NDArray[np.float64]
    discordant: NDArray[np.bool_]
    frauds: NDArray[np.bool_]
    estimate: tuple[Moments, Moments]
    censored: Censored | None


def judge(pairs: Pairs, mature: Mature, costs: Costs) -> Judged:
    """The champion's loss minus the candidate's of each mature event, by all that is known."""
    rows = np.union1d(mature.rows, mature.hidden)
    frauds = np.isin(rows, mature.rows[mature.frauds])
    known = cost_differences(pairs, replace(mature, rows=rows, frauds=frauds), costs)
    champion, candidate = pairs.champion[rows], pairs.candidate[rows]
    discordant = champion != candidate
    stopped = discordant & (champion == DECLINE) & ~np.isnan(known)
    if not stopped.any():
        same = _moments(known, discordant)
        return Judged(known, known, discordant, frauds, (same, same), None)

    at = rows[stopped]
    truths = np.array([[True], [False]]) & np.ones(at.size, np.bool_)
    at_fraud, at_legitimate = (
        loss_differences(champion[stopped], candidate[stopped], truth, pairs.amounts[at], costs)
        for truth in truths
    )
    hidden = np.isin(at, mature.hidden)
    learned = pairs.let_through[at] & ~hidden
    chance = pairs.approve_through[at]
    drawn = chance > 0
    bounds = difference_bounds(known[stopped], ~hidden, at_fraud, at_legitimate)

    def by_chance(
        bounded: NDArray[np.float64], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        # A label that came although it was declined counts for nothing where chance decides:
        # only the one that chance gave was as likely as the record says.
        found = bounded.copy()
        found[drawn] = doubly_robust(
            known[stopped][drawn], learned[drawn], chance[drawn], predicted[drawn]
        )
        return found

    def whole(part: NDArray[np.float64]) -> NDArray[np.float64]:
        found = known.copy()
        found[stopped] = part
        return found

    fraud = np.nan_to_num(pairs.champion_probability[at], nan=1.0)
    expected = fraud * at_fraud + (1 - fraud) * at_legitimate
    least, most = (
        whole(by_chance(bound, extreme(at_fraud, at_legitimate)))
        for bound, extreme in zip(bounds, _EXTREMES, strict=True)
    )
    low, high = (_moments(whole(by_chance(bound, expected)), discordant) for bound in bounds)
    ends = [_moments(whole(bound), discordant).mean for bound in bounds]
    censored = Censored(
        events=at.size,
        let_through=int(learned.sum()),
        only_bounded=int((hidden & ~drawn).sum()),
        estimate=(low.mean, high.mean),
        bounds=(ends[0], ends[1]),
    )
    return Judged(least, most, discordant, frauds, (low, high), censored)


_EXTREMES: tuple[Callable[..., NDArray[np.float64]], ...] = (np.minimum, np.maximum)


def _moments(differences: NDArray[np.float64], discordant: NDArray[np.bool_]) -> Moments:
    """Of all that are known; where the models decided alike, they are 0."""
    known = ~np.isnan(differences)
    other = differences[known & discordant]
    return Moments.of(other, int(known.sum()) - other.size)
