"""What Prometheus reads, parsed by Prometheus's own client."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from inference.serving.metrics import STAGES, Histograms, ScorerMetrics

BOUNDS = (0.1, 0.25, 1.0, 10.0)


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the text that is served, by name and labels."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@given(st.lists(st.lists(st.floats(0, 20) | st.sampled_from(BOUNDS), max_size=20), max_size=5))
def test_a_histogram_counts_what_lies_at_or_below_each_bound(batches: list[list[float]]) -> None:
    registry = CollectorRegistry()
    histograms = Histograms(
        "t_seconds", "Times", label="kind", values=("a", "b", "c"), bounds=BOUNDS, registry=registry
    )
    for batch in batches:
        histograms.observe("a", np.array(batch))
        for value in batch:
            histograms.observe("c", value)
    histograms.observe("b", 0.25)
    seen = samples(registry)
    values = np.array([value for batch in batches for value in batch])
    for bound in (*BOUNDS, float("inf")):
        name = "+Inf" if bound == float("inf") else f"{bound:g}"
        for kind in "ac":
            labels = (("kind", kind), ("le", name))
            assert seen["t_seconds_bucket", labels] == (values <= bound).sum()
        assert seen["t_seconds_bucket", (("kind", "b"), ("le", name))] == (bound >= 0.25)
    for kind in "ac":
        assert seen["t_seconds_count", (("kind", kind),)] == values.size
        assert seen["t_seconds_sum", (("kind", kind),)] == pytest.approx(values.sum())


def test_a_kind_that_was_not_announced_is_an_error() -> None:
    histograms = Histograms(
        "t", "Times", label="kind", values=("a",), bounds=BOUNDS, registry=CollectorRegistry()
    )
    with pytest.raises(KeyError):
        histograms.observe("z", 1.0)


def test_every_metric_has_its_own_name_help_and_type() -> None:
    registry = CollectorRegistry()
    metrics = ScorerMetrics(registry)
    metrics.watch_lag(lambda: {("events", 0): 7, ("events", 1): 0})
    metrics.model.labels("m", "p", "f").set(1)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert all(name.startswith("weir_") for name in names)
    assert all(family.documentation for family in families)
    types = {family.name: family.type for family in families}
    assert types["weir_events"] == "counter"
    assert types["weir_stage_seconds"] == types["weir_latency_seconds"] == "histogram"
    assert types["weir_lag_records"] == "gauge"
    stages = defaultdict(list)
    for family in families:
        for sample in family.samples:
            if sample.name == "weir_stage_seconds_bucket":
                stages[sample.labels["stage"]].append(float(sample.labels["le"]))
    assert tuple(stages) == STAGES
    for bounds in stages.values():
        assert bounds == sorted(bounds)
        assert (bounds[0], bounds[-1]) == (1e-4, float("inf"))


def test_the_lag_is_asked_for_at_each_scrape() -> None:
    registry = CollectorRegistry()
    lag: dict[tuple[str, int], int] = {}
    ScorerMetrics(registry).watch_lag(lambda: lag)
    assert not [name for name, _ in samples(registry) if name == "weir_lag_records"]
    lag["events", 3] = 12
    key = ("weir_lag_records", (("partition", "3"), ("topic", "events")))
    assert samples(registry)[key] == 12
    lag["events", 3] = 0
    assert samples(registry)[key] == 0
