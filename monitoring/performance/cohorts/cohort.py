"""Daily cohorts: the events of a day that one model answered, and how they turned out.

The counts of two partitions, workers or spans add up to those of both, to the bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256
from json import dumps
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.policy.policy import APPROVE, DECISIONS
from inference.shadow.comparison.terms import Terms
from monitoring.performance.cohorts.answered import Answered
from monitoring.performance.cohorts.truth import Counts, Truth, merged

DAY = 86_400_000
_Part = TypeVar("_Part")


def date_of(day: int) -> date:
    """The date of a day, in days since the epoch, UTC."""
    return datetime.fromtimestamp(day * DAY // 1_000, UTC).date()


class Group(NamedTuple):
    """What events of a day are kept apart by.

    Attributes:
        model: the first 12 digits of its package's id.
        segment: empty where there are none.
    """

    model: str
    segment: str = ""


class CohortKey(NamedTuple):
    """Which cohort.

    Attributes:
        day: of event time, UTC, in days since the epoch.
        terms: see `terms_of`: under other costs or another maturity, figures are others.
    """

    day: int
    model: str
    segment: str
    terms: str


@dataclass(frozen=True)
class Cohort:
    """What is known of a cohort by now.

    Attributes:
        answered: by code of the decision.
        anomalous: events whose anomaly is at the bound or above.
        shed: events that no label will meet: too many waited, or they came too late.
        reports: of frauds, until they are mature, from the event until it was said, by bin; see
            `delay_bins`.
    """

    answered: tuple[Answered, Answered, Answered] = (Answered(), Answered(), Answered())
    anomalous: int = 0
    shed: int = 0
    reports: Counts = field(default_factory=dict)
    truth: Truth = field(default_factory=Truth)

    def __add__(self, other: "Cohort") -> "Cohort":
        first, second = self.answered, other.answered
        return Cohort(
            (first[0] + second[0], first[1] + second[1], first[2] + second[2]),
            self.anomalous + other.anomalous,
            self.shed + other.shed,
            merged(self.reports, other.reports),
            self.truth + other.truth,
        )

    @property
    def events(self) -> int:
        """How many were answered."""
        return sum(each.events for each in self.answered)

    @property
    def alerts(self) -> int:
        """How many of them were reviewed or declined."""
        return self.events - self.answered[APPROVE].events


def terms_of(terms: Terms) -> str:
    """A digest of what figures depend on; of `Terms`, neither slices nor margin."""
    costs = None if terms.costs is None else asdict(terms.costs)
    said = [terms.maturity, terms.unlabelled_count, terms.amount, costs]
    return sha256(dumps(said).encode()).hexdigest()[:12]


def answered_cohort(rows: NDArray[np.void], anomalous: NDArray[np.bool_], terms: Terms) -> Cohort:
    """The cohort of n events, without what is not known yet.

    Args:
        rows: of `truth.ROW`, (n,).
        anomalous: (n,).
    """
    parts = []
    for decision in range(len(DECISIONS)):
        own = rows[rows["decision"] == decision]
        probabilities = own["probability"].astype(np.float64)
        amounts = own["amount"].astype(np.float64)
        parts.append(Answered.of(decision, probabilities, amounts, terms.costs))
    approve, review, decline = parts
    return Cohort((approve, review, decline), int(anomalous.sum()))


def by_cohort(
    rows: NDArray[np.void],
    groups: Sequence[Group],
    terms: Terms,
    part: Callable[[NDArray[np.bool_]], _Part],
) -> dict[CohortKey, _Part]:
    """What a function makes of each cohort that n events are of, given which of them are its.

    Args:
        rows: of `truth.ROW`, (n,).
        groups: what their codes stand for.
    """
    days, codes = rows["time"] // DAY, rows["group"].astype(np.int64)
    found = {}
    for day, code in np.unique(np.stack([days, codes]), axis=1).T.tolist():
        group = groups[code]
        key = CohortKey(day, group.model, group.segment, terms_of(terms))
        found[key] = part((days == day) & (codes == code))
    return found


_COHORT = TypeAdapter(Cohort)


def cohort_bytes(cohort: Cohort) -> bytes:
    """A cohort as JSON: equal ones have the same bytes."""
    return _COHORT.dump_json(cohort)


def read_cohort(data: bytes | str) -> Cohort:
    """The cohort in what `cohort_bytes` gave.

    Raises:
        ValidationError: it is none.
    """
    return _COHORT.validate_json(data)
