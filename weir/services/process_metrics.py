"""What every process says of itself, whatever it does."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)

from streams.base.counted import counter_by
from streams.kafka.connection.broker_watch import unreachable


class ProcessMetrics:
    """Whether it is ready and reaches Kafka, whom its port refused; memory, processor, Python.

    Attributes:
        refused: counts connections to the port, by `reason`.

    Args:
        ready: as `/readyz` says; any thread may ask.
    """

    def __init__(self, registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        gauge = Gauge(
            "weir_ready", "1 when the process is ready, as /readyz says", registry=registry
        )
        gauge.set_function(lambda: float(ready()))
        brokers = Gauge(
            "weir_kafka_unreachable_brokers",
            "Brokers of Kafka that this process can't reach now",
            registry=registry,
        )
        brokers.set_function(lambda: float(len(unreachable())))
        self.refused = counter_by(
            "reason",
            ("displaced", "full", "slow", "login"),
            "weir_http_refused_connections",
            "Connections to this port that were refused or cut off, by why",
            registry,
        )
