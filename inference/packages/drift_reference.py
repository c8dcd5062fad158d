"""Frozen histograms of the training data, that later windows are compared with."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from streams.base.section import Section, TimeZone

HOURS = 168
"""Of a week."""


class Histogram(Section):
    """Counts over fixed bins.

    `edges` (float32 values, rising, B + 1 of them) bound B bins [edge, next edge). `counts` has
    B + 3 entries: below the first edge, the B bins, at or above the last edge, ``NaN``.

    Attributes:
        hours: counts of each hour of the week, 168 of B + 3 entries, where the feature has hours of
            its own and the rows span two weeks; else empty.
        magnitudes: counts of the same values by the top 12 bits of their float32: sign, exponent
            and three bits of the mantissa; -0.0 counts as 0, all ``NaN`` as one. Empty where that
            was not counted.
        inflation: by how much counts of a window vary more than those of independent events; see
            `inference.packages.autocorrelation`. None where that was not measured.
        clusters: the same of each bin's count, as many as `counts`: where its events come in
            bursts, how large these are. Empty where that was not measured.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    hours: tuple[tuple[int, ...], ...] = ()
    magnitudes: dict[int, int] = Field(default_factory=dict)
    inflation: float | None = Field(default=None, ge=1)
    clusters: tuple[Annotated[float, Field(ge=1)], ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "Histogram":
        if list(self.edges) != sorted(set(self.edges)) or len(self.edges) < 2:
            raise ValueError("edges must rise, and be two at least")
        if len(self.counts) != len(self.edges) + 2:
            raise ValueError(f"{len(self.edges)} edges need {len(self.edges) + 2} counts")
        if len(self.clusters) not in (0, len(self.counts)):
            raise ValueError(f"clusters need {len(self.counts)} sizes, or none")
        narrow = any(len(each) != len(self.counts) for each in self.hours)
        if narrow or len(self.hours) not in (0, HOURS):
            raise ValueError(f"hours need {HOURS} times {len(self.counts)} counts, or none")
        return self


class DriftReference(Section):
    """``drift_reference.json``: a histogram per feature and per model output.

    Features are those of all training rows, outputs those of the hold-out rows: on rows that it
    was fitted to, a model is surer of itself than it will ever be again.

    Attributes:
        timezone: whose clocks tell the hours of the week.
        importance: what share each feature has in what moves the answers, by the mean size of its
            contributions; empty where that was not measured.
    """

    timezone: TimeZone = "UTC"
    features: dict[str, Histogram]
    outputs: dict[str, Histogram]
    importance: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)


def count_magnitudes(values: NDArray[np.float32]) -> dict[int, int]:
    """Count values (n,) by magnitude; see `Histogram`."""
    whole = np.where(np.isnan(values), np.float32(np.nan), values + np.float32(0))
    buckets, counts = np.unique(whole.view(np.uint32) >> 20, return_counts=True)
    return dict(zip(buckets.tolist(), counts.tolist(), strict=True))


def places(values: NDArray[np.float32], edges: Sequence[float]) -> NDArray[np.int64]:
    """The place of each value (n,) among the counts of a `Histogram` with these edges."""
    found = np.searchsorted(np.asarray(edges, np.float32), values, side="right")
    return np.where(np.isnan(values), len(edges) + 1, found)


def count(values: NDArray[np.float32], edges: Sequence[float]) -> NDArray[np.int64]:
    """Count values (n,) into the bins of `edges`; see `Histogram` for the order."""
    return np.bincount(places(values, edges), minlength=len(edges) + 2).astype(np.int64)


def fit_histogram(values: NDArray[np.float32], bins: int) -> Histogram:
    """Freeze about `bins` bins of equal count, and count `values` (n,) into them.

    A feature of few distinct values gets one bin for each of them, so that a rare one (a flag set
    on one event in a thousand) does not hide in its neighbour's bin.
    """
    finite = values[np.abs(values) < np.finfo(np.float32).max]
    distinct = np.unique(finite)
    if len(distinct) == 0:
        starts = np.zeros(1, np.float32)
    elif len(distinct) <= bins:
        starts = distinct
    else:
        levels = np.linspace(0, 1, bins + 1)[:-1]
        starts = np.unique(np.quantile(finite, levels, method="inverted_cdf"))
    last = max(starts[-1], distinct[-1]) if len(distinct) else starts[-1]
    # + 0.0: -0.0 and 0.0 are one value to a comparison, and must be one text in the file.
    end = np.nextafter(np.float32(last), np.float32(np.inf))
    edges = tuple(float(edge) for edge in np.append(starts, end) + np.float32(0.0))
    return Histogram(edges=edges, counts=tuple(count(values, edges).tolist()))
