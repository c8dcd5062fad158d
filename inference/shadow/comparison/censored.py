"""Where the champion declines, nobody learns the truth: what can be said of costs nevertheless.

It matters only where the candidate decides otherwise: else both cost the same, whatever the truth.
Of a would-be decline that had a chance to be approved (`inference.approve_through`), that chance
makes up for those that were not; of others, only bounds are known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import DECLINE
from inference.shadow.statistics.costs import Costs, loss_differences
from inference.shadow.statistics.holdout import difference_bounds, doubly_robust


@dataclass(frozen=True)
class Censored:
    """Mature events that the champion would decline, and the candidate would not.

    Attributes:
        events: how many.
        let_through: of these, approved on purpose, and their truth known.
        only_bounded: of these, without a known truth, and without a chance to be approved.
    """

    events: int = 0
    let_through: int = 0
    only_bounded: int = 0

    def __add__(self, other: "Censored") -> "Censored":
        return Censored(
            self.events + other.events,
            self.let_through + other.let_through,
            self.only_bounded + other.only_bounded,
        )


class Ends(NamedTuple):
    """A difference at its least, and at its most, (n,) each; ``NaN`` where nobody knows what was
    at stake.
    """

    least: NDArray[np.float64]
    most: NDArray[np.float64]


class Judged(NamedTuple):
    """The champion's loss minus the candidate's of n mature events, by all that is known.

    The mean of `certain.least` is that of the true differences, or below it, and no value lies
    below the worst difference; so evidence by betting that the candidate is better holds in any
    case. The same, the other way round, goes for the most, and that it is worse. Doubly robust
    values have this property where their prediction is the least, or the most, that the difference
    can be: they are m + (R / p) (D - m), and D - m has one sign then. What other predictions give
    is narrower, and beyond all bounds where p is small.

    Attributes:
        certain: what a verdict goes by.
        estimate: doubly robust with the champion's probability.
        bounds: without the chances: by what is known, and whatever is not.
    """

    certain: Ends
    estimate: Ends
    bounds: Ends
    censored: Censored


def cost_differences(
    rows: NDArray[np.void], frauds: NDArray[np.bool_], costs: Costs
) -> NDArray[np.float64]:
    """The champion's loss minus the candidate's of n events whose truth is known, (n,).

    ``NaN`` where nobody knows what was at stake.
    """
    amounts, champion, candidate = rows["amount"], rows["champion"], rows["candidate"]
    known = ~np.isnan(amounts)
    other = known & (champion != candidate)
    found = np.where(known, 0.0, np.nan)
    found[other] = loss_differences(
        champion[other], candidate[other], frauds[other], amounts[other], costs
    )
    return found


def judge(
    rows: NDArray[np.void], frauds: NDArray[np.bool_], hidden: NDArray[np.bool_], costs: Costs
) -> Judged:
    """Judge n mature events.

    Args:
        rows: of `ROW`, (n,).
        frauds: what they were, as far as is known, (n,).
        hidden: whether nobody knows it, since the champion declined them, (n,).
    """
    known = cost_differences(rows, frauds, costs)
    champion, candidate = rows["champion"], rows["candidate"]
    stopped = (champion == DECLINE) & (candidate != DECLINE) & ~np.isnan(known)
    if not stopped.any():
        same = Ends(known, known)
        return Judged(same, same, same, Censored())

    own = rows[stopped]
    at_fraud, at_legitimate = (
        cost_differences(own, np.full(len(own), truth), costs) for truth in (True, False)
    )
    learned = own["let_through"] & ~hidden[stopped]
    chance, drawn = own["chance"], own["chance"] > 0
    bounds = difference_bounds(known[stopped], ~hidden[stopped], at_fraud, at_legitimate)

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

    fraud = np.nan_to_num(own["first"].astype(np.float64), nan=1.0)
    expected = fraud * at_fraud + (1 - fraud) * at_legitimate
    certain = (
        whole(by_chance(bound, extreme(at_fraud, at_legitimate)))
        for bound, extreme in zip(bounds, _EXTREMES, strict=True)
    )
    estimate = (whole(by_chance(bound, expected)) for bound in bounds)
    censored = Censored(len(own), int(learned.sum()), int((hidden[stopped] & ~drawn).sum()))
    return Judged(Ends(*certain), Ends(*estimate), Ends(*map(whole, bounds)), censored)


_EXTREMES: tuple[Callable[..., NDArray[np.float64]], ...] = (np.minimum, np.maximum)
