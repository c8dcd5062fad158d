"""Spans of scores: of what is committed, and of traces that are sampled."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scorer_desk import SPAN, TOPICS, TRACE, UNSAMPLED, Desk, traced_work

from inference.packages.package import ModelPackage
from streams.feature_log import read_feature_log
from streams.tracing.headers import logged_texts
from streams.tracing.settings import TracingSettings
from streams.tracing.tracer import Tracer
from streams.transactions.outcome import Committed

COMMITTED = Committed(0.0, 0.0)


class Traced:
    """A scorer whose spans stay here."""

    def __init__(self, model: ModelPackage) -> None:
        self.counted = dict.fromkeys(("exported", "failed", "dropped", "malformed"), 0)
        self._exporter = InMemorySpanExporter()
        self.tracer = Tracer(TracingSettings(), self._exporter, self._count)
        self.desk = Desk(model, tracer=self.tracer)

    def _count(self, outcome: str, count: int) -> None:
        self.counted[outcome] += count

    def spans(self) -> tuple[ReadableSpan, ...]:
        self.tracer._provider.force_flush()
        return self._exporter.get_finished_spans()


@pytest.fixture
def traced(model: ModelPackage) -> Iterator[Traced]:
    world = Traced(model)
    yield world
    world.tracer.close()


def test_what_is_not_committed_leaves_no_span(traced: Traced) -> None:
    work = traced_work(40)
    traced.desk.scorer.savepoint()
    traced.desk.answer(work)  # its transaction is aborted
    traced.desk.scorer.rollback()
    assert traced.spans() == ()
    assert traced.counted["malformed"] == 0
    traced.desk.answer(work).when_visible(COMMITTED)
    assert len(traced.spans()) == 10
    assert traced.counted == {"exported": 10, "failed": 0, "dropped": 0, "malformed": 10}


def test_a_span_says_what_was_answered_and_its_id_goes_along(traced: Traced) -> None:
    work = traced_work(8)
    answers = traced.desk.answer(work)
    answers.when_visible(COMMITTED)
    sent = {each.topic: each for each in answers.outgoing}
    scores = sent[TOPICS.scores]
    spans = {span.attributes["messaging.kafka.offset"]: span for span in traced.spans()}
    assert sorted(spans) == [1_000, 1_008]
    assert scores.headers is not None
    logged = {
        offset: texts
        for value in sent[TOPICS.feature_log].values
        for table in [read_feature_log(value or b"")]
        for offset, *texts in zip(table["offset"].to_pylist(), *logged_texts(table), strict=True)
    }
    for i in range(8):
        headers = dict(scores.headers[i] or ())
        offset = int(work.offsets[i])
        if i % 4 == 0:
            span = spans[offset]
            assert span.name == "weir.score"
            assert span.parent is not None
            assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(SPAN, 16))
            assert span.start_time == work.arrived[i] * 1_000_000
            assert span.attributes is not None
            assert span.attributes["messaging.destination.name"] == TOPICS.events
            assert span.attributes["messaging.destination.partition.id"] == str(work.partitions[i])
            assert span.attributes["messaging.batch.message_count"] == 8
            assert span.attributes["weir.arm"] == "champion"
            assert span.attributes["weir.decision"] in ("approve", "review", "decline")
            parent = f"00-{TRACE}-{span.context.span_id:016x}-01"
            assert headers == {"traceparent": parent.encode(), "tracestate": b"a=1"}
            assert logged[offset] == [parent, "a=1"]
        elif i % 4 == 1:
            assert headers == {"traceparent": UNSAMPLED.encode(), "tracestate": b"a=1"}
            assert logged[offset] == [UNSAMPLED, "a=1"]
        else:
            assert scores.headers[i] is None
            assert logged[offset] == [None, None]


def test_a_clock_that_is_ahead_makes_no_span_of_less_than_nothing(traced: Traced) -> None:
    work = traced_work(1)
    ahead = replace(work, arrived=np.array([4_000_000_000_000]))  # the year 2096
    traced.desk.answer(ahead).when_visible(COMMITTED)
    (span,) = traced.spans()
    assert span.start_time == span.end_time
