"""How many events the rules vote on alike: all that is needed of them to judge the rules."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN, LEGITIMATE, FRAUD = 0, 1, 2
"""Columns of `PatternCounts.counts`."""


@dataclass(frozen=True, eq=False)
class PatternCounts:
    """Events by the votes on them, and by what is known of them.

    Of two spans, partitions or workers they are added.

    Attributes:
        patterns: votes of r rules as `votes` has them, each row once, in one order, int8 (m, r).
        counts: events that are unknown, legitimate and frauds, by their weights, (m, 3).
    """

    patterns: NDArray[np.int8]
    counts: NDArray[np.float64]

    @classmethod
    def none(cls, rules: int) -> "PatternCounts":
        """Of no event."""
        return cls(np.empty((0, rules), np.int8), np.empty((0, 3)))

    @classmethod
    def of(
        cls,
        votes: NDArray[np.int8],
        known: NDArray[np.int8],
        weights: NDArray[np.float64] | None = None,
    ) -> "PatternCounts":
        """Count events.

        Args:
            votes: int8 (n, r).
            known: 1 for fraud, 0 for legitimate, -1 for unknown, (n,).
            weights: how many events each stands for, (n,); 1 each where None.
        """
        codes, place = np.unique(_codes(votes), return_inverse=True)
        first = np.empty(len(codes), np.intp)
        first[place[::-1]] = np.arange(len(votes))[::-1]
        cells = np.bincount(place * 3 + known + 1, weights, minlength=3 * len(codes))
        return cls(votes[first], cells.reshape(-1, 3).astype(np.float64))

    def __add__(self, other: "PatternCounts") -> "PatternCounts":
        """Both together."""
        both = np.concatenate([self.patterns, other.patterns])
        codes, first, place = np.unique(_codes(both), return_index=True, return_inverse=True)
        counts = np.zeros((len(codes), 3))
        np.add.at(counts, place, np.concatenate([self.counts, other.counts]))
        return PatternCounts(both[first], counts)

    @property
    def known(self) -> NDArray[np.float64]:
        """How many legitimate events and frauds are known, (2,)."""
        return np.asarray(self.counts[:, LEGITIMATE:].sum(axis=0))

    def place_of(self, votes: NDArray[np.int8]) -> NDArray[np.intp]:
        """The pattern of each event (n, r), all of which were counted; its place, (n,)."""
        return np.searchsorted(_codes(self.patterns), _codes(votes))


def _codes(votes: NDArray[np.int8]) -> NDArray[np.int64]:
    """One number for each row: its votes as digits to the base 3."""
    digits = 3 ** np.arange(votes.shape[1], dtype=np.int64)
    return (votes.astype(np.int64) + 1) @ digits
