"""A scorer with its metrics, and work for it, which several tests share."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from pydantic import TypeAdapter
from test_metrics import samples

from inference.approve_through.approve_through import ApproveThrough
from inference.backends.cpu import CpuEngine
from inference.packages.package import ModelPackage
from inference.policy.policy import Policy, PolicySettings
from inference.routing.served_model import ServedModel
from inference.serving.answerer import Answerer
from inference.serving.fused_task import Scorer
from inference.serving.metrics import ScorerMetrics
from streams.events.contract import EventContract, Field
from streams.events.json_decoder import Decoder
from streams.events.rejection import Reason, Rejected
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.repeat_filter import RepeatFilter
from streams.features.window_settings import WindowSettings
from streams.intake.input_batch import BadRecord, InputBatch
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.task import Answers
from streams.tracing.headers import TRACE_FIELDS
from streams.tracing.tracer import Tracer
from streams.transactions.outcome import Outgoing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
TRACE_TEXTS = [(SAMPLED, "a=1"), (UNSAMPLED, "a=1"), ("noise", "a=1"), (None, "a=1")]
START = 1_750_000_000_000
TOPICS = TopicSettings()
CONTRACT = EventContract(
    id="id",
    time="at",
    key="card",
    fields={
        "id": Field(type="string"),
        "card": Field(type="int"),
        "amount": Field(type="float", required=False),
    },
)
PLAN = FeaturePlan(
    TypeAdapter(list[FeatureDeclaration]).validate_python(
        [
            {"name": "amount", "kind": "field", "field": "amount"},
            {
                "name": "count_1d",
                "kind": "window",
                "entity": "card",
                "aggregate": "count",
                "window": "1d",
            },
            {
                "name": "risk",
                "kind": "label",
                "entity": "card",
                "aggregate": "rate",
                "window": "30d",
                "delay": "1d",
            },
        ]
    ),
    CONTRACT,
)


class Desk:
    """A scorer with its metrics."""

    def __init__(
        self,
        model: ModelPackage,
        windows: WindowSettings | None = None,
        repeats: RepeatFilter | None = None,
        approve_through: ApproveThrough | None = None,
        tracer: Tracer | None = None,
        **policy: Any,
    ) -> None:
        self.registry = CollectorRegistry()
        self.engine = CpuEngine(model, PLAN.names)
        self.policy = Policy(PolicySettings(version="7", **policy), model.thresholds)
        self.metrics = metrics = ScorerMetrics(self.registry)
        serving = ServedModel.of(model.id, self.engine, self.policy)
        answerer = Answerer(
            CONTRACT,
            PLAN,
            serving=serving,
            topics=TOPICS,
            metrics=metrics,
            include=["amount"] if approve_through else [],
            approve_through=approve_through,
            tracer=tracer,
        )
        self.scorer = Scorer(
            PLAN, windows or WindowSettings(), answerer=answerer, metrics=metrics, repeats=repeats
        )

    def process(self, work: InputBatch) -> dict[str, Outgoing]:
        return {each.topic: each for each in self.answer(work).outgoing}

    def answer(self, work: InputBatch) -> Answers:
        return self.scorer.process(work)

    def samples(self) -> dict[Any, float]:
        return samples(self.registry)


def work_of(
    count: int,
    first: int = 0,
    labels: LabelBatch | None = None,
    bad: int = 0,
    partitions: int = 3,
    amount: Callable[[int], float] = lambda i: 10.5 * i,
) -> InputBatch:
    """Events of 5 cards, a minute apart; card c is in partition c % partitions."""
    rows = range(first, first + count)
    values = [
        {"id": f"e{i}", "card": i % 5, "at": START + 60_000 * i}
        | ({} if i % 7 == 0 else {"amount": amount(i)})
        for i in rows
    ]
    events = Decoder(CONTRACT).decode([json.dumps(value).encode() for value in values]).events
    return InputBatch(
        events=events,
        partitions=np.array([i % 5 % partitions for i in rows], np.int64),
        offsets=np.array([1_000 + 2 * i for i in rows], np.int64),
        arrived=np.array([START + 60_000 * i + 40 for i in rows], np.int64),
        labels=labels or LabelBatch(),
        bad=[BadRecord(Bad(i), rejected(i)) for i in range(bad)],
        positions=[],
        decode_s=0.125,
    )


def traced_work(count: int) -> InputBatch:
    """The same, with headers in turn as `TRACE_TEXTS` has them."""
    work = work_of(count)
    decoder = Decoder(CONTRACT, headers=TRACE_FIELDS)
    texts = [TRACE_TEXTS[i % len(TRACE_TEXTS)] for i in range(count)]
    return replace(work, events=decoder.with_headers(work.events, texts))


class Bad:
    """A message that is no event."""

    def __init__(self, number: int) -> None:
        self._number = number

    def topic(self) -> str:
        return TOPICS.events

    def partition(self) -> int:
        return 2

    def offset(self) -> int:
        return 500 + self._number

    def timestamp(self) -> tuple[int, int]:
        return 1, START

    def key(self) -> bytes:
        return b"17"

    def value(self) -> bytes:
        return b"noise %d" % self._number

    def headers(self) -> list[tuple[str, bytes]]:
        return [("trace", b"abc")]


def rejected(position: int) -> Rejected:
    return Rejected(position, Reason.NOT_JSON, None, "the record is no JSON: it is noise")
