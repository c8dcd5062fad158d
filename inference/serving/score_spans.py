"""The spans of events that are scored."""

from typing import TYPE_CHECKING

from inference.policy.policy import DECISIONS
from inference.routing.verdicts import Verdicts
from streams.intake.input_batch import InputBatch
from streams.tracing.attributes import event_attributes
from streams.tracing.headers import TRACE_FIELDS

if TYPE_CHECKING:
    from streams.tracing.tracer import BegunSpans, Tracer

SPAN = "weir.score"


def score_spans(tracer: "Tracer", topic: str, work: InputBatch, verdicts: Verdicts) -> "BegunSpans":
    """Begin the span of each event whose trace is sampled, from when it arrived.

    Args:
        topic: of the events.
    """
    events, routes = work.events, verdicts.routes
    count = len(events)

    def attributes(place: int) -> dict[str, str | int]:
        return event_attributes(
            topic,
            int(work.partitions[place]),
            int(work.offsets[place]),
            routes.served[verdicts.by[place]].model,
            DECISIONS[verdicts.decisions[place]],
        ) | {"weir.arm": routes.names[verdicts.arm[place]], "messaging.batch.message_count": count}

    parents, states = map(events.values, TRACE_FIELDS)
    return tracer.begin(SPAN, parents, states, work.arrived, attributes)
