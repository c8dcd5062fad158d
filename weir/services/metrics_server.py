"""Where Prometheus asks a process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from prometheus_client import CollectorRegistry, start_http_server

from weir.config.settings import MetricsSettings

MetricsPortOption = Annotated[
    int | None, typer.Option("--metrics-port", help="Port for Prometheus; 0 chooses a free one.")
]


def metrics_override(port: int | None) -> dict[str, Any]:
    """What `load_settings` takes as overrides where the option was given."""
    return {} if port is None else {"metrics": {"port": port}}


@contextmanager
def serving_metrics(settings: MetricsSettings, registry: CollectorRegistry) -> Iterator[str]:
    """Answer Prometheus in a thread during the block, which gets the address to ask.

    Raises:
        OSError: the port can't be served; the message names the setting.
    """
    try:
        server, _ = start_http_server(settings.port, settings.host, registry)
    except OSError as error:
        raise OSError(
            f"metrics.port: {settings.port} on {settings.host} can't be served: {error.strerror}; "
            "choose another, or 0 for a free one"
        ) from error
    try:
        yield f"http://{settings.host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
