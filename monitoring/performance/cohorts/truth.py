"""How it turned out, of events that are old enough: counts that add up in any order."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.policy.policy import APPROVE, DECLINE
from inference.shadow.comparison.tally import UNKNOWN
from inference.shadow.comparison.terms import Terms
from inference.shadow.statistics.costs import losses
from inference.shadow.statistics.moments import Moments
from inference.shadow.statistics.similarity import bins_of
from monitoring.performance.cohorts.calibration import BANDS, Band, bands_of
from monitoring.performance.cohorts.loss_cells import cells_of

ROW = np.dtype(
    [
        ("hash", "<u8"),
        ("time", "<i8"),
        ("probability", "<f4"),
        ("amount", "<f4"),
        ("decision", "i1"),
        ("let_through", "?"),
        ("group", "<u4"),
    ]
)
"""An answered event, in 30 bytes: hash of its id, its time (ms), its probability and amount
(``NaN`` where unknown), the code of the decision that the model and the policy came to, whether it
was approved nevertheless so that its truth be told, and a code of its model and segment."""

Counts = dict[int, int]


@dataclass(frozen=True)
class Truth:
    """Mature events that count.

    Attributes:
        frauds, legitimate: by code of the decision.
        unlabelled: mature events without a label by then, whether or not they count.
        cost: what they cost; `without_amount` are left out, since nobody knows what was at stake.
        losses: these costs by cell; see `loss_cells`.
        fraud_scores, legitimate_scores: by bin of probability; see `similarity.bins_of`.
        calibration: by band of probability, of those whose truth does not depend on the decision:
            no declines, but for those that were let through.
    """

    frauds: tuple[int, int, int] = (0, 0, 0)
    legitimate: tuple[int, int, int] = (0, 0, 0)
    unlabelled: int = 0
    cost: Moments = field(default_factory=Moments)
    without_amount: int = 0
    losses: Counts = field(default_factory=dict)
    fraud_scores: Counts = field(default_factory=dict)
    legitimate_scores: Counts = field(default_factory=dict)
    calibration: tuple[Band, ...] = (Band(),) * (len(BANDS) + 1)

    @classmethod
    def of(cls, rows: NDArray[np.void], known: NDArray[np.int8], terms: Terms) -> "Truth":
        """Take in n events that have become mature.

        Args:
            rows: of `ROW`, (n,).
            known: what was known of them then: 0, 1, or `UNKNOWN`, (n,).
            terms: what they are judged by.
        """
        unlabelled = int((known == UNKNOWN).sum())
        counts = (known >= 0) | terms.unlabelled_count
        rows, fraud = rows[counts], known[counts] == 1
        scored = ~np.isnan(rows["probability"])
        probabilities = rows["probability"].astype(np.float64)
        told = scored & ((rows["decision"] != DECLINE) | rows["let_through"])
        truth = cls(
            _by_decision(rows["decision"][fraud]),
            _by_decision(rows["decision"][~fraud]),
            unlabelled,
            fraud_scores=count(bins_of(probabilities[scored & fraud])),
            legitimate_scores=count(bins_of(probabilities[scored & ~fraud])),
            calibration=bands_of(probabilities[told], fraud[told]),
        )
        if terms.costs is None:
            return truth
        at_stake = fraud & (rows["decision"] == APPROVE)
        priced = ~(at_stake & np.isnan(rows["amount"]))
        lost = losses(rows["decision"][priced], fraud[priced], rows["amount"][priced], terms.costs)
        return replace(
            truth,
            cost=Moments.of(lost),
            without_amount=int((~priced).sum()),
            losses=count(cells_of(lost)),
        )

    def __add__(self, other: "Truth") -> "Truth":
        return Truth(
            _added(self.frauds, other.frauds),
            _added(self.legitimate, other.legitimate),
            self.unlabelled + other.unlabelled,
            self.cost + other.cost,
            self.without_amount + other.without_amount,
            merged(self.losses, other.losses),
            merged(self.fraud_scores, other.fraud_scores),
            merged(self.legitimate_scores, other.legitimate_scores),
            tuple(a + b for a, b in zip(self.calibration, other.calibration, strict=True)),
        )

    @property
    def events(self) -> int:
        """How many count."""
        return sum(self.frauds) + sum(self.legitimate)

    @property
    def caught(self) -> int:
        """Frauds that were reviewed or declined."""
        return sum(self.frauds) - self.frauds[APPROVE]

    @property
    def false_alerts(self) -> int:
        """Legitimate events that were reviewed or declined."""
        return sum(self.legitimate) - self.legitimate[APPROVE]


def merged(first: Mapping[int, int], second: Mapping[int, int]) -> Counts:
    """Counts of both, in the order of their keys: so the same counts have the same bytes."""
    return dict(sorted((Counter(first) + Counter(second)).items()))


def _by_decision(decisions: NDArray[np.int8]) -> tuple[int, int, int]:
    approved, reviewed, declined = np.bincount(decisions, minlength=3).tolist()
    return approved, reviewed, declined


def count(bins: NDArray[np.int64]) -> Counts:
    """How many of n are in each bin."""
    found, counts = np.unique(bins, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _added(first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int]:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]
