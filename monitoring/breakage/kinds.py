"""What kind of change it is, in words: broken data before a changed world.

A feature is asked what is simplest to mend first: are values missing, did the unit change, is a
value stuck, are there categories or a range that never were. What moved otherwise is a covariate
shift.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.packages.drift_reference import Histogram
from monitoring.breakage.kind import Kind
from monitoring.breakage.magnitudes import BUCKETS, NAN, Counts, bucket_of
from monitoring.breakage.missing import Missing, missing_change
from monitoring.breakage.novel import new_category, new_range
from monitoring.breakage.producers import Source, moved_by, source
from monitoring.breakage.shares import SURE, evidence_above, limit_above
from monitoring.breakage.stuck import Repeated, stuck
from monitoring.breakage.units import KNOWN, OTHER_SPREADS, UnitChange, unit_change
from streams.base.clock import utc

REST = 1 / 3
"""How far others' values may have moved where one producer's unit changed, of how far its own."""


@dataclass(frozen=True)
class Diagnosis:
    """One thing that happened.

    Attributes:
        what: the feature, producer, partition or reason that it happened to.
        words: a sentence for people.
        since: UTC ms.
        share: of the events that are affected.
        producer: whose they are; None where they are not one's.
    """

    kind: Kind
    what: str
    words: str
    since: int
    share: float
    producer: str | None = None


@dataclass(frozen=True)
class FeatureCounts:
    """What is known of a feature.

    Attributes:
        histogram, reference: of the reference's rows, by bins and by magnitude.
        now: by magnitude, since the change.
        repeated: what it repeats most, since the change.
        usual: the largest share of one value in past spans (`stuck.stuck`).
        by_producer: ``now`` of each producer, by its name for people: ``app-version 4.2.0``.
    """

    name: str
    histogram: Histogram
    reference: Counts
    now: Counts
    repeated: Repeated
    usual: float | None = None
    by_producer: Mapping[str, Counts] = field(default_factory=dict)


def diagnose(
    feature: FeatureCounts, since: int, moved: bool, newcomers: Sequence[str] = ()
) -> Diagnosis | None:
    """Say what happened to a feature; None where nothing did.

    Args:
        feature: see there.
        since: when it began, UTC ms, as the detector says.
        moved: whether a detector says that the feature moved: else only breakage is looked for.
        newcomers: producers that appeared about then (`silence.newcomers`).
    """
    found = _found(feature, moved, newcomers)
    if found is None:
        return None
    base = float(feature.reference[found.buckets].sum() / max(1, feature.reference.sum()))
    whose = found.whose or source(moved_by(feature.by_producer, found.buckets), base)
    words = f"{found.words} since {utc(since, 's')}{whose_words(whose, newcomers)}"
    producer = whose.producer if whose else None
    return Diagnosis(found.kind, feature.name, words, since, found.share, producer)


class _Found(NamedTuple):
    """``buckets`` (4096,) tell moved events from others; ``whose`` is None where they have to."""

    kind: Kind
    words: str
    share: float
    buckets: NDArray[np.bool_]
    whose: Source | None = None


def _found(feature: FeatureCounts, moved: bool, newcomers: Sequence[str]) -> _Found | None:
    name, reference, now = feature.name, feature.reference, feature.now
    missing = missing_change(reference, now)
    if missing is not None and missing.share > missing.before:
        return _missing(name, missing)
    change, whose = _unit(feature, newcomers)
    if change is not None:
        text = _unit_words(name, change)
        return _Found(Kind.UNIT_CHANGE, text, change.share, _risen(reference, now), whose)
    held = stuck(feature.histogram, reference, feature.repeated, int(now.sum()), feature.usual)
    if held is not None:
        if held.share > 0.99:
            text = f"{name} is stuck at {held.value:g}"
        else:
            text = f"{name} is {held.value:g} in {percent(held.share)} of events"
        return _Found(Kind.STUCK, text, held.share, _only(bucket_of(held.value)))
    category = new_category(feature.histogram, reference, now, feature.repeated)
    if category is not None:
        example = "" if category.example is None else f", most often {category.example:g}"
        text = f"{name} has values that are new in {percent(category.share)} of events{example},"
        return _Found(Kind.NEW_CATEGORY, text, category.share, category.buckets)
    range_ = new_range(reference, now)
    if range_ is not None:
        text = f"{name} is far outside of all that was seen in {percent(range_.share)} of events"
        return _Found(Kind.NEW_RANGE, text, range_.share, range_.buckets)
    if missing is not None:  # that fewer are missing says least: there has to be something else
        return _missing(name, missing)
    if not moved:
        return None
    apart = _distance(reference, now)
    text = f"{name} has another distribution: {percent(apart)} of its values moved"
    return _Found(Kind.COVARIATE_SHIFT, text, apart, _risen(reference, now))


def _missing(name: str, missing: Missing) -> _Found:
    text = f"{name} is missing in {percent(missing.share)} of events"
    text += f" ({percent(missing.before)} before)"
    more = missing.share > missing.before
    share = missing.share if more else 1 - missing.share
    return _Found(Kind.NULLS, text, share, (np.arange(BUCKETS) == NAN) == more)


def _unit(
    feature: FeatureCounts, newcomers: Sequence[str]
) -> tuple[UnitChange | None, Source | None]:
    """Of all events; else of one producer's, where the others' have moved much less.

    Of a producer that is new any factor counts: what it sends was never otherwise.
    """
    change = unit_change(feature.reference, feature.now)
    if change is not None or len(feature.by_producer) < 2:
        return change, None
    for producer, own in feature.by_producer.items():
        is_new = producer in newcomers
        change = unit_change(feature.reference, own, 0 if is_new else OTHER_SPREADS)
        if change is None:
            continue
        rest = _distance(feature.reference, feature.now - own)
        if rest > REST * _distance(feature.reference, own):
            continue
        if is_new or _is_more(feature.reference, feature.now, _risen(feature.reference, own)):
            share = change.share * float(own.sum() / feature.now.sum())
            return change._replace(share=share), Source(producer, 1.0)
    return None, None


def _is_more(reference: Counts, now: Counts, buckets: NDArray[np.bool_]) -> bool:
    """Whether there are more such values than ever: the producer may always have sent cents."""
    before = int(reference[buckets].sum()), int(reference.sum())
    limit = limit_above(*before, times=1.5, least=0.001)
    return evidence_above(int(now[buckets].sum()), int(now.sum()), limit) >= SURE


def _risen(reference: Counts, now: Counts) -> NDArray[np.bool_]:
    """Buckets (4096,) that hold half as much again as in the reference: what moved is there."""
    return np.asarray(now * reference.sum() > 1.5 * reference * now.sum())


def _distance(reference: Counts, now: Counts) -> float:
    """Total variation, less what sampling alone may bring, 0 at least."""
    before, after = (counts / max(1, counts.sum()) for counts in (reference, now))
    noise = np.sqrt(np.count_nonzero(reference) / max(1, now.sum())) / 2
    return max(0.0, float(np.abs(before - after).sum() / 2 - noise))


def _unit_words(name: str, change: UnitChange) -> str:
    known = KNOWN.get(change.factor, "another currency or unit?")
    times = f"1/{round(1 / change.factor):,} of" if change.known and change.factor < 1 else ""
    times = times or f"{_digits(change.factor)} times"
    if change.share == 1:
        return f"{name} is about {times} what it was ({known})"
    share = percent(change.share)
    return f"{name} is about {times} what it was ({known}) in {share} of events"


def whose_words(whose: Source | None, newcomers: Sequence[str]) -> str:
    """Whom it comes from, and who is new, to end a sentence with."""
    if whose is None:
        return f"; about then came {newcomers[0]}, which is new" if newcomers else ""
    part = "all" if whose.part > 0.99 else percent(whose.part)
    new = ", which is new" if whose.producer in newcomers else ""
    return f"; {part} of it comes from {whose.producer}{new}"


def _only(bucket: int) -> NDArray[np.bool_]:
    return np.asarray(np.arange(BUCKETS) == bucket)


def percent(share: float) -> str:
    """Two digits of a share, as people read it."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
