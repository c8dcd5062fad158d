"""All that is known of a candidate beside the champion, as counts: those of two partitions, or of
two spans, add up to those of both, to the bit.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.policy.policy import DECLINE
from inference.shadow.comparison.censored import cost_differences, judge
from inference.shadow.comparison.evidence import ClassEvidence, CostEvidence
from inference.shadow.comparison.growth import Growth
from inference.shadow.comparison.rows import Between
from inference.shadow.comparison.slices import Slices, arrived, coded, matured, merged
from inference.shadow.comparison.terms import Terms
from inference.shadow.statistics.costs import Costs
from inference.shadow.statistics.similarity import Similarity

UNKNOWN = -1
"""What is known of an event without a label."""


@dataclass(frozen=True)
class Tally:
    """Counts since the pairing began.

    Attributes:
        between: whom it is of.
        terms: see `Terms.digest`: what mature events were judged by.
        latest: event time of the latest pair, ms.
        events: pairs; events that both have answered.
        left_out: events that are no pair, by why: ``earlier`` (of another champion, model or
            policy), ``arm`` (of keys that another arm than the champion answers for), ``fallback``
            (the champion had no time), ``error`` (the candidate gave no answer).
        shed: events that nobody was asked about stand behind these, in steps of 2^-24: an estimate.
        mature: events that count; `unlabelled` of them without a label by then.
        corrected: mature events whose label said otherwise later: counted, and not taken in again.
        halvings: of pairs with equal decisions, of 2^k one waits now; the others are too many.
        doublings: of the sample for curves, legitimate and frauds: of 2^k mature events one is in.
        slices: by field.
    """

    between: Between
    terms: str
    latest: int = 0
    events: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    shed: int = 0
    similarity: Similarity = field(default_factory=Similarity)
    mature: int = 0
    unlabelled: int = 0
    corrected: int = 0
    frauds: ClassEvidence = field(default_factory=ClassEvidence)
    legitimate: ClassEvidence = field(default_factory=ClassEvidence)
    cost: CostEvidence = field(default_factory=CostEvidence)
    growth: Growth = field(default_factory=Growth)
    halvings: int = 0
    doublings: tuple[int, int] = (0, 0)
    slices: dict[str, Slices] = field(default_factory=dict)

    def __add__(self, other: "Tally") -> "Tally":
        """Both together; of one pairing, under the same terms."""
        fields = {*self.slices, *other.slices}
        return Tally(
            self.between,
            self.terms,
            max(self.latest, other.latest),
            self.events + other.events,
            dict(Counter(self.left_out) + Counter(other.left_out)),
            self.shed + other.shed,
            self.similarity + other.similarity,
            self.mature + other.mature,
            self.unlabelled + other.unlabelled,
            self.corrected + other.corrected,
            self.frauds + other.frauds,
            self.legitimate + other.legitimate,
            self.cost + other.cost,
            self.growth + other.growth,
            0,  # each partition has its own, and so has its sample
            (0, 0),
            {
                each: merged(self.slices.get(each, {}), other.slices.get(each, {}))
                for each in fields
            },
        )

    def but(self, left_out: Mapping[str, int]) -> "Tally":
        """The tally with so many events more that are no pair, by why."""
        return replace(self, left_out=dict(Counter(self.left_out) + Counter(left_out)))

    def with_pairs(
        self, rows: NDArray[np.void], alike: Similarity, values: Mapping[str, list[Any]], shed: int
    ) -> "Tally":
        """The tally with n further pairs; fills in the rows' slices.

        Args:
            rows: of `ROW`, (n,).
            alike: how alike the models are on these.
            values: of the fields that it is sliced by, n each, in their order.
            shed: see above.
        """
        slices = {}
        for place, (name, column) in enumerate(values.items()):
            codes, new = coded(self.slices.get(name, {}), column)
            rows["slices"][:, place] = codes
            slices[name] = arrived(self.slices.get(name, {}) | new, codes, rows)
        return replace(
            self,
            events=self.events + len(rows),
            shed=self.shed + shed,
            similarity=self.similarity + alike,
            slices=self.slices | slices,
        )

    def with_mature(self, rows: NDArray[np.void], known: NDArray[np.int8], terms: Terms) -> "Tally":
        """The tally with n events that have become mature.

        Args:
            rows: of `ROW`, (n,).
            known: what was known of them then: 0, 1, or `UNKNOWN`, (n,).
        """
        all_weights = weights_of(rows)
        unlabelled = int(all_weights[known == UNKNOWN].sum())
        stopped = (rows["champion"] == DECLINE) & (rows["candidate"] != DECLINE)
        if terms.unlabelled_count:  # else what was let through has to have a label, as any other
            stopped &= ~rows["let_through"]
        hidden = stopped & (known == UNKNOWN)
        counts = (known >= 0) | terms.unlabelled_count
        cost, growth = self.cost, self.growth
        if terms.costs is not None:
            own = counts | hidden
            more, grown = _of_costs(rows[own], known[own] == 1, hidden[own], terms, terms.costs)
            cost, growth = cost + more, growth + grown

        rows, frauds, weights = rows[counts], known[counts] == 1, all_weights[counts]
        differences = None if terms.costs is None else cost_differences(rows, frauds, terms.costs)
        slices = {
            name: matured(
                self.slices.get(name, {}), rows["slices"][:, place], frauds, weights, differences
            )
            for place, name in enumerate(terms.slices)
        }

        def right(own: NDArray[np.bool_], *, frauds: bool) -> ClassEvidence:
            decisions = rows["champion"][own], rows["candidate"][own]
            return ClassEvidence.of(*decisions, weights[own], frauds=frauds)

        return replace(
            self,
            mature=self.mature + int(weights.sum()),
            unlabelled=self.unlabelled + unlabelled,
            frauds=self.frauds + right(frauds, frauds=True),
            legitimate=self.legitimate + right(~frauds, frauds=False),
            cost=cost,
            growth=growth,
            slices=self.slices | slices,
        )


def _of_costs(
    rows: NDArray[np.void],
    frauds: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
    terms: Terms,
    costs: Costs,
) -> tuple[CostEvidence, Growth]:
    judged, weights = judge(rows, frauds, hidden, costs), weights_of(rows)
    worst, least = costs.worst_difference, judged.certain.least
    discordant, known = rows["champion"] != rows["candidate"], ~np.isnan(least)
    evidence = CostEvidence.of(
        judged, discordant, frauds, weights, worst=worst, margin=terms.margin
    )
    return evidence, Growth.of(rows["time"][known], least[known], weights[known], worst)


def weights_of(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """How many events each row stands for, (n,)."""
    return np.left_shift(np.int64(1), rows["doublings"].astype(np.int64))


_TALLY = TypeAdapter(Tally)


def tally_bytes(tally: Tally) -> bytes:
    """A tally as JSON."""
    return _TALLY.dump_json(tally)


def read_tally(data: bytes) -> Tally:
    """The tally in what `tally_bytes` gave.

    Raises:
        ValidationError: it is none.
    """
    return _TALLY.validate_json(data)
