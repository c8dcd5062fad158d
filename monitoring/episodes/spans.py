"""Spans of event times, ms: from the first on, up to the second, which is None where it goes on."""

from collections.abc import Iterable


def united(spans: Iterable[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """The same times in as few spans as there can be, in their order."""
    found: list[tuple[int, int | None]] = []
    for start, stop in sorted(spans, key=lambda each: each[0]):
        before = found[-1][1] if found else start - 1
        if before is not None and before < start:
            found.append((start, stop))
        else:
            both = None if before is None or stop is None else max(before, stop)
            found[-1] = found[-1][0], both
    return found


def united_past(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same of spans that are over; those of no length are left out."""
    some = ((start, stop) for start, stop in spans if start < stop)
    return [(start, stop) for start, stop in united(some) if stop is not None]
