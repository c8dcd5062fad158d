"""The metric of how long an explanation takes, the same wherever it is made."""

from prometheus_client import CollectorRegistry, Histogram


def explain_seconds(registry: CollectorRegistry) -> Histogram:
    """Return ``weir_explain_seconds``; from 10 µs to 0.5 s, by the trees or by the whole graph."""
    return Histogram(
        "weir_explain_seconds",
        "Time per explanation",
        unit="seconds",
        registry=registry,
        buckets=[m * 10.0**e for e in range(-5, 0) for m in (1.0, 2.5, 5.0)],
    )
