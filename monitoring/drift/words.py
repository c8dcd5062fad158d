"""What has become of a feature, in a sentence."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitoring.breakage.kind import Kind
from monitoring.breakage.kinds import Diagnosis
from monitoring.drift.detector import Moved
from monitoring.episodes.episode import MovedFeature
from monitoring.episodes.moved_histogram import MovedHistogram, bin_name

_CLEAR = 0.01
"""A share of missing or unseen values that grew by this is worth a word."""


def describe(
    name: str, moved: Moved, edges: Sequence[float], diagnosis: Diagnosis | None
) -> MovedFeature:
    """Say what has moved.

    Args:
        edges: of its bins; see `Histogram`.
        diagnosis: of what kind it is; None where nothing can be said.
    """
    now, share = moved.counts / moved.counts.sum(), moved.share
    before, after = median(share, edges), median(now, edges)
    said = []
    if abs(now[-1] - share[-1]) >= _CLEAR:
        said.append(f"missing in {now[-1]:.1%} of the events, {share[-1]:.1%} before")
    outside = now[0] + now[-2] - share[0] - share[-2]
    if outside >= _CLEAR:
        said.append(f"{now[0] + now[-2]:.1%} are outside of all that the reference has seen")
    if before != after:
        said.append(f"its median went from {_number(before)} to {_number(after)}")
    if not said:
        place = int(np.argmax(now - share))
        where = bin_name(place, edges)
        said.append(f"{now[place]:.1%} of the events are {where}, {share[place]:.1%} before")
    kind = Kind.COVARIATE_SHIFT if diagnosis is None else diagnosis.kind
    what = f"{name}: {'; '.join(said)}"
    if diagnosis is not None and kind != Kind.COVARIATE_SHIFT:
        what = diagnosis.words
    return MovedFeature(
        name,
        moved.since,
        moved.evidence,
        moved.psi,
        moved.events,
        before,
        after,
        f"{what}; PSI {moved.psi:.3g} over {moved.events:,} events",
        kind.value,
        None if diagnosis is None else diagnosis.producer,
        histogram=MovedHistogram.of(edges, moved.counts, moved.share),
    )


def median(share: NDArray[np.float64], edges: Sequence[float]) -> float | None:
    """The middle of the bin that holds the median; None where most values are missing."""
    half = np.cumsum(share) / share.sum() >= 0.5
    place = int(np.argmax(half))
    if place == len(share) - 1:
        return None
    if place in (0, len(share) - 2):
        return float(edges[0] if place == 0 else edges[-1])
    low, high = edges[place - 1], edges[place]
    # Of few values, a bin begins at the one that it holds.
    return float(low) if len(edges) <= 3 else float((low + high) / 2)


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"
