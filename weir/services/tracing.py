"""What makes spans, where the settings want them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter

from streams.tracing.settings import TracingSettings
from weir.config.errors import SettingsError

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer


def spans_counter(registry: CollectorRegistry) -> Counter:
    """What tracing says of itself."""
    return Counter(
        "weir_tracing_spans", "Spans by what became of them", ["outcome"], registry=registry
    )


@contextmanager
def opened_tracer(
    settings: TracingSettings | None, prometheus: CollectorRegistry
) -> Iterator["Tracer | None"]:
    """Makes spans during the block, at whose end the last ones are sent; None without settings.

    Raises:
        SettingsError: OpenTelemetry is not installed.
    """
    if settings is None:
        yield None
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from streams.tracing.tracer import Tracer
    except ImportError as error:
        raise SettingsError(f"[tracing] needs {error.name}: pip install 'weir[otel]'") from error
    spans = spans_counter(prometheus)
    exporter = OTLPSpanExporter(settings.endpoint)
    with Tracer(settings, exporter, lambda how, count: spans.labels(how).inc(count)) as tracer:
        yield tracer
