"""Spans on their way to a collector: whether they arrive, or not."""

import logging
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic, sleep

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from streams.tracing import counted_exporter
from streams.tracing.headers import read_traceparent
from streams.tracing.settings import TracingSettings
from streams.tracing.tracer import Tracer
from weir.services.tracing import opened_tracer

NOBODY = "http://127.0.0.1:1/v1/traces"


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP, or refuses them."""

    daemon_threads = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.taken: list[ExportTraceServiceRequest] = []

    @property
    def settings(self) -> TracingSettings:
        endpoint = f"http://127.0.0.1:{self.server_port}/v1/traces"
        return TracingSettings(endpoint=endpoint, sample=1, service="till")


class Door(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/traces" and self.server.status == 200:
            self.server.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the test's screen."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def outcomes(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["outcome"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "weir_tracing_spans_total" and sample.value
    }


def test_a_collector_gets_spans_as_the_settings_say(collector: Collector) -> None:
    registry = CollectorRegistry()
    with opened_tracer(collector.settings, registry) as tracer:
        assert tracer is not None
        headers = [tracer.begin_trace("weir.produce", "payments") for _ in range(3)]
    found = [
        (span, resource.resource)
        for request in collector.taken
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {span.name for span, _ in found} == {"weir.produce"}
    written = {f"00-{span.trace_id.hex()}-{span.span_id.hex()}" for span, _ in found}
    assert written == {dict(each or ())["traceparent"].decode()[:-3] for each in headers}
    span, resource = found[0]
    says = {each.key: each.value.string_value for each in (*resource.attributes, *span.attributes)}
    assert says["service.name"] == "till"
    assert says["messaging.destination.name"] == "payments"
    assert outcomes(registry) == {"exported": 3}


def test_one_that_refuses_is_a_metric_and_one_line(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    registry = CollectorRegistry()
    with opened_tracer(collector.settings, registry) as tracer:
        assert tracer is not None
        for count in (1, 2):
            assert tracer.begin_trace("weir.produce", "payments") is not None
            tracer._provider.force_flush()
            assert outcomes(registry) == {"failed": count}
    (said,) = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert said.startswith(f"can't send spans to {collector.settings.endpoint}, and 1 are lost")
    assert "code: 400" in said


def test_one_that_is_away_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    settings = TracingSettings(endpoint=NOBODY, sample=1)
    with opened_tracer(settings, registry) as tracer:
        assert tracer is not None
        assert tracer.begin_trace("weir.produce", "payments") is not None
    deadline = monotonic() + 20
    while outcomes(registry) != {"failed": 1}:
        assert monotonic() < deadline, "waited in vain"
        sleep(0.05)
    (said,) = [each.message for each in caplog.records if each.levelno >= logging.WARNING]
    assert "Connection refused" in said


def test_more_than_wait_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted_exporter, "MOST_WAITING", 2)
    counted: list[tuple[str, int]] = []
    exporter = InMemorySpanExporter()
    settings = TracingSettings(sample=1)
    with Tracer(settings, exporter, lambda *said: counted.append(said)) as tracer:
        headers = [tracer.begin_trace("weir.produce", "t") for _ in range(2)]
        assert all(headers)
        assert tracer.begin_trace("weir.produce", "t") is None
        assert counted == [("dropped", 1)]
        tracer._provider.force_flush()
        assert tracer.begin_trace("weir.produce", "t") is not None
    assert len(exporter.get_finished_spans()) == 3


def test_as_many_traces_begin_as_wanted() -> None:
    exporter = InMemorySpanExporter()
    with Tracer(TracingSettings(sample=0.5), exporter, lambda *_: None) as tracer:
        begun = [tracer.begin_trace("weir.produce", "t") for _ in range(400)]
    headers = [dict(each) for each in begun if each is not None]
    assert 100 < len(headers) == len(exporter.get_finished_spans()) < 300
    parents = [read_traceparent((each["traceparent"] or b"").decode()) for each in headers]
    assert all(parent is not None and parent.sampled for parent in parents)
    with Tracer(TracingSettings(sample=0), exporter, lambda *_: None) as tracer:
        assert tracer.begin_trace("weir.produce", "t") is None
