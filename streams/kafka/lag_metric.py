"""The lag of a consumer as a metric."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import Metric
from prometheus_client.registry import Collector


class LagCollector(Collector):
    """Shows ``weir_lag_records`` of each partition, asked for when Prometheus asks.

    Args:
        meaning: which records are counted.
        lag: by topic and partition; called in any thread.
    """

    def __init__(self, meaning: str, lag: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        self._meaning = meaning
        self._lag = lag

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        family = Metric("weir_lag_records", self._meaning, "gauge")
        for (topic, partition), lag in self._lag().items():
            family.add_sample(
                "weir_lag_records", {"topic": topic, "partition": str(partition)}, lag
            )
        yield family

    def describe(self) -> Iterable[Metric]:
        """Nothing: asking for the lag before there is a consumer would fail."""
        return []
