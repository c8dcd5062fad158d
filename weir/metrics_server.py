"""Where Prometheus asks a process."""

from typing import Any

from prometheus_client import CollectorRegistry, start_http_server

from weir.settings import MetricsSettings


def serve_metrics(settings: MetricsSettings, registry: CollectorRegistry) -> Any:
    """Answer Prometheus in a thread; the server, to shut down at the end.

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
    return server
