"""Prometheus gets an answer as long as a process runs, and no longer."""

import socket
from urllib.request import urlopen

from prometheus_client import CollectorRegistry, Gauge

from weir.config.settings import MetricsSettings
from weir.services.metrics_server import serving_metrics


def test_metrics_are_served_within_the_block_and_the_port_is_free_after_it() -> None:
    registry = CollectorRegistry()
    Gauge("weir_ready", "here", registry=registry).set(1)
    with serving_metrics(MetricsSettings(port=0), registry) as address:
        assert b"weir_ready 1.0" in urlopen(address, timeout=10).read()
    port = int(address.split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)):
        pass
