"""What a loop tells Prometheus."""

from prometheus_client import CollectorRegistry

from streams.events.rejection import Reason
from streams.loop.stateless.metrics import LoopMetrics


def test_it_counts_by_outcome_and_reason_and_asks_for_the_lag_when_it_is_asked() -> None:
    registry = CollectorRegistry()
    metrics = LoopMetrics(registry, "Records not read yet")
    metrics.count_committed()
    metrics.count_committed()
    metrics.count_aborted("fenced")
    metrics.count_rejected(Reason.NOT_JSON)
    value = registry.get_sample_value
    assert value("weir_transactions_total", {"outcome": "committed"}) == 2
    assert value("weir_transactions_total", {"outcome": "aborted"}) == 1
    assert value("weir_dead_letters_total", {"reason": "not_json"}) == 1
    place = {"topic": "events", "partition": "1"}
    assert value("weir_lag_records", place) is None
    metrics.lag = lambda: {("events", 1): 5}
    assert value("weir_lag_records", place) == 5
