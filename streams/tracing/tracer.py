"""Spans of ours: begun by the headers of records, and ended once what they tell of is committed.

A span that is begun and never ended is never seen, so an aborted batch leaves none.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait as wait_for
from functools import partial
from random import random
from time import time_ns
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from streams.base.bounded_calls import in_thread
from streams.base.closing import ClosedAtEnd
from streams.kafka.message import Header
from streams.tracing.attributes import topic_attributes
from streams.tracing.counted_exporter import MOST_WAITING, Count, CountedExporter
from streams.tracing.headers import Parent, headers_with, read_traceparent, whole_entries
from streams.tracing.settings import TracingSettings

_BATCH = 512
_EVERY_MS = 1_000
_FAREWELL_S = 3.0
_NS = 1_000_000

Attributes = Mapping[str, AttributeValue]


class BegunSpans(NamedTuple):
    """Spans of some of n records, and what goes along with what is made of each of these.

    Attributes:
        traceparents, tracestates: texts, None where a record belongs to no trace.
        headers: the same as a record of Kafka's has it.
        end: to be called once what the spans tell of is committed.
    """

    traceparents: list[str | None]
    tracestates: list[str | None]
    headers: list[list[Header] | None]
    end: Callable[[], None]


class Tracer(ClosedAtEnd):
    """Makes spans, which the SDK sends from a thread of its own; nobody waits for that.

    Who decides whether a trace is sampled is whoever began it.

    Args:
        exporter: sends them.
        count: told what became of how many; any thread may call it.
    """

    def __init__(self, settings: TracingSettings, exporter: SpanExporter, count: Count) -> None:
        self._sample = settings.sample
        self._count = count
        self._exporter = CountedExporter(exporter, settings.endpoint, count)
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource.create({SERVICE_NAME: settings.service}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=MOST_WAITING,
                schedule_delay_millis=_EVERY_MS,
                max_export_batch_size=_BATCH,
            )
        )
        self._tracer = self._provider.get_tracer("weir")

    def begin_trace(self, name: str, topic: str) -> list[Header] | None:
        """Begin a trace with a span of this moment, as often as `sample` says.

        Args:
            topic: that a record is sent to.

        Returns the headers of the record, None where no trace begins.
        """
        if random() >= self._sample or not self._exporter.admit(1):
            return None
        span = self._tracer.start_span(name, Context(), SpanKind.PRODUCER, topic_attributes(topic))
        span.end()
        return headers_with(_text_of(span), None)

    def begin(
        self,
        name: str,
        traceparents: Sequence[str | None],
        tracestates: Sequence[str | None],
        started_ms: NDArray[np.int64],
        attributes: Callable[[int], Attributes],
    ) -> BegunSpans:
        """Begin a span for each of n records whose trace is sampled.

        A malformed ``traceparent`` is as none. Where too many spans wait to be sent, none is begun,
        and the header of the span before goes along.

        Args:
            traceparents, tracestates: texts of the records' headers, None where there is none.
            started_ms: when each span began, UTC, (n,).
            attributes: of the span of the record at this place.
        """
        count, room = len(traceparents), self._exporter.room
        texts: list[str | None] = [None] * count
        states: list[str | None] = [None] * count
        headers: list[list[Header] | None] = [None] * count
        spans: list[tuple[Span, int]] = []
        dropped = malformed = 0
        for place, text in enumerate(traceparents):
            if text is None:
                continue
            parent = read_traceparent(text)
            if parent is None:
                malformed += 1
                continue
            text = parent.text()
            if parent.sampled and len(spans) < room:
                start_ns = int(started_ms[place]) * _NS
                span = self._tracer.start_span(
                    name, _within(parent), SpanKind.CONSUMER, attributes(place), (), start_ns
                )
                spans.append((span, start_ns))
                text = _text_of(span)
            elif parent.sampled:
                dropped += 1
            texts[place], states[place] = text, whole_entries(tracestates[place])
            headers[place] = headers_with(text, states[place])
        return BegunSpans(texts, states, headers, partial(self._end, spans, dropped, malformed))

    def _end(self, spans: Sequence[tuple[Span, int]], dropped: int, malformed: int) -> None:
        now = time_ns()
        for span, start_ns in spans[: self._exporter.admit(len(spans))]:
            span.end(max(now, start_ns))  # the clock of whoever stamped the record may be ahead
        self._count("dropped", dropped)
        self._count("malformed", malformed)

    def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        closing = in_thread(self._provider.shutdown)
        wait_for([closing], _FAREWELL_S)
        if not closing.done():
            self._exporter.shutdown()  # the rest is lost


def _within(parent: Parent) -> Context:
    trace_id, span_id, flags = (int(digits, 16) for digits in parent)
    context = SpanContext(trace_id, span_id, True, TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(context), Context())


def _text_of(span: Span) -> str:
    context = span.get_span_context()
    return Parent(
        f"{context.trace_id:032x}", f"{context.span_id:016x}", f"{context.trace_flags:02x}"
    ).text()
