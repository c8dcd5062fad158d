"""The explainer: from the feature log to the topic of explanations, each record exactly once."""

import logging
from collections import Counter as Counted
from collections.abc import Callable, Sequence
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from confluent_kafka import Message
from prometheus_client import CollectorRegistry

from explain.errors import ExplainError
from explain.lime.settings import ExplainSettings
from explain.workers.metrics import explain_seconds
from explain.writing.flagged import FlaggedEvents, read_flagged
from explain.writing.key_ring import KeyRingError
from explain.writing.record_writer import RecordWriter
from inference.errors import InferenceError
from inference.policy.policy import DECISIONS
from streams.base.clock import now_ms
from streams.base.counted import counter_by
from streams.events.rejection import Reason, Rejected
from streams.kafka.client import KafkaSettings
from streams.kafka.message import Header
from streams.loop.stateless.loop import Processed, StatelessLoop
from streams.loop.stateless.metrics import LoopMetrics
from streams.tracing.attributes import event_attributes
from streams.transactions.outcome import Outgoing

if TYPE_CHECKING:
    from streams.tracing.tracer import BegunSpans, Tracer

logger = logging.getLogger(__name__)

_SPAN = "weir.explain"
_RECORDS = 16
"""Of the feature log in one transaction; each holds the events of one of the scorer's."""


class ExplainerMetrics(LoopMetrics):
    """All that the explainer says of itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "Records not explained yet")
        self.explanations = counter_by(
            "decision", DECISIONS, "weir_explanations", "Explanations by decision", registry
        )
        self.seconds = explain_seconds(registry)


class StreamExplainer:
    """Reads the feature log in a consumer group of its own; any number share the work.

    Explanations and offsets are one transaction, so whatever is killed when, each flagged event has
    one explanation. What can't be explained goes to the dead letters with the reason.

    Args:
        writer_of: from the first digits of a package's id to what explains its answers; raises
            `StoppedError` where it has to wait for that and we are told to stop.
        position_log, tolerant, widen: see `StatelessLoop`.
        tracer: makes a span of each event whose trace is sampled; None for none.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        settings: ExplainSettings,
        feature_log: str,
        explanations: str,
        dead_letters: str,
        worker: str,
        writer_of: Callable[[str], RecordWriter],
        metrics: ExplainerMetrics,
        position_log: str = "",
        tolerant: bool = False,
        widen: Callable[[], None] = lambda: None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._settings = settings
        self._explanations = explanations
        self._writer_of = writer_of
        self._metrics = metrics
        self._tracer = tracer
        self._loop = StatelessLoop(
            kafka=kafka,
            group=settings.group,
            worker=worker,
            topics=[feature_log],
            process=self._explain,
            dead_letters=dead_letters,
            max_batch=_RECORDS,
            session_timeout=settings.session_timeout,
            transaction_timeout=settings.transaction_timeout,
            machine_errors=(KeyRingError,),  # such as a full disk
            position_log=position_log,
            tolerant=tolerant,
            widen=widen,
            committed=metrics.count_committed,
            aborted=metrics.count_aborted,
            rejected=metrics.count_rejected,
        )
        metrics.lag = lambda: self._loop.lag

    @property
    def ready(self) -> bool:
        """See `StatelessLoop.ready`."""
        return self._loop.ready

    def run(self, stop: Event) -> None:
        """Explain what comes until `stop` is set.

        Raises:
            KeyRingError: the key ring can't be written; nothing of the batch is committed.
            StoppedError: we were told to stop while the model of some records could not be had;
                nothing of their batch is committed.
            Exception: see `StatelessLoop.run` for the others.
        """
        self._loop.run(stop)

    def _explain(self, messages: Sequence[Message]) -> Processed:
        values: list[bytes] = []
        keys: list[bytes | None] = []
        partitions: list[int] = []
        decided: list[str] = []
        headers: list[list[Header] | None] = []
        begun: list[BegunSpans] = []
        bad: list[tuple[Message, Rejected]] = []
        for index, message in enumerate(messages):
            partition, started_ms = message.partition() or 0, now_ms()
            try:
                events = read_flagged(message.value() or b"", partition, self._settings.decisions)
                written = self._written(events)
            except ValueError as error:
                bad.append((message, Rejected(index, Reason.BAD_BODY, None, str(error))))
                continue
            except KeyRingError:
                raise
            except (ExplainError, InferenceError) as error:
                logger.error(
                    "can't explain %s[%d] offset %s, sending it to the dead letters: %s",
                    message.topic(),
                    partition,
                    message.offset(),
                    error,
                )
                bad.append((message, Rejected(index, Reason.FAILED, None, str(error))))
                continue
            values += [data for _, data in written]
            keys += [None if key is None else key.encode() for key, _ in written]
            partitions += [partition] * len(written)
            decided += [decision.outcome for decision in events.decisions]
            if self._tracer is not None and events.traceparents:
                begun.append(_spans(self._tracer, events, started_ms))
                headers += begun[-1].headers
            else:
                headers += [None] * len(written)

        def count() -> None:
            for spans in begun:
                spans.end()
            for decision, number in Counted(decided).items():
                self._metrics.explanations.labels(decision).inc(number)

        out = Outgoing(self._explanations, values, keys, partitions, headers)
        return Processed([out], bad, count)

    def _written(self, events: FlaggedEvents) -> list[tuple[str | None, bytes]]:
        if not len(events):
            return []
        writer = self._writer_of(events.model)
        start = perf_counter()
        written = writer.write(events)
        self._metrics.seconds.observe((perf_counter() - start) / len(events))
        return written


def _spans(tracer: "Tracer", events: FlaggedEvents, started_ms: int) -> "BegunSpans":
    """Begin the span of each event whose trace is sampled, below that of its score."""

    def attributes(place: int) -> dict[str, str | int]:
        return event_attributes(
            events.topic,
            events.partition,
            int(events.offsets[place]),
            events.model,
            events.decisions[place].outcome,
        )

    return tracer.begin(
        _SPAN,
        events.traceparents,
        events.tracestates,
        np.full(len(events), started_ms, np.int64),
        attributes,
    )
