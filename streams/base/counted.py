"""Counters by one label whose values are known."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter


def counter_by(
    label: str, values: Iterable[str], name: str, documentation: str, registry: CollectorRegistry
) -> Counter:
    """A counter that shows each of these values from the start, at 0.

    To Prometheus a series that begins at 1 has not increased: of what happens for the first time
    no alert would tell.
    """
    counter = Counter(name, documentation, [label], registry=registry)
    for value in values:
        counter.labels(value)
    return counter
